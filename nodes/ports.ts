/**
 * Port types of the built-in nodes: what may flow along an edge, how it is recognised, digested,
 * shown and stored.
 * @module
 */
export * from "./ports/completion.ts";
export * from "./ports/lists.ts";
export * from "./ports/prompt.ts";
export * from "./ports/video.ts";
export * from "./ports/vision.ts";
export { Image, ImageSource, isImage, Tiles } from "./ports/picture.ts";
