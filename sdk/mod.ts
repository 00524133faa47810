/**
 * The SDK's own calls.
 * @module
 */
export * from "./types.ts";
export { InternVL } from "./internvl.ts";
