/**
 * The SDK's own calls.
 * @module
 */
export {
  type AskError,
  type AskServices,
  batchChat,
  chat,
  type WatchOptions,
} from "./ask.ts";
export { InternVL } from "./internvl.ts";
export { modelLayer } from "./layers.ts";
export {
  type McpServeOptions,
  serve,
  ServeError,
  type ServeModel,
  type ServeOptions,
  type Server,
  type Serving,
  serving,
  type ServingError,
  servingMcp,
} from "./serve.ts";
export * from "./types.ts";
export { stages, stageTimings } from "./stages.ts";
