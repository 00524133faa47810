/**
 * The SDK's own calls.
 * @module
 */
export {
  type AskError,
  type AskServices,
  batchChat,
  chat,
  stages,
  stageTimings,
} from "./ask.ts";
export { InternVL } from "./internvl.ts";
export { modelLayer } from "./layers.ts";
export * from "./types.ts";
