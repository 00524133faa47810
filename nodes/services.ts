/**
 * What the built-in nodes ask for. Plugins provide these by layers; a plugin may replace any one.
 * @module
 */
export * from "./services/media.ts";
export * from "./services/model.ts";
export * from "./services/prompt.ts";
export * from "./services/language.ts";
