/**
 * An OpenAI-compatible HTTP server over the models of this library.
 * @module
 */
export { askText, type TextQuestion, type TextServices } from "./ask_text.ts";
export type { Inner } from "./front.ts";
export { defaultServerLimits, type ServerLimits } from "./limits.ts";
export { ServerParts } from "./parts.ts";
export type { MediaPolicy } from "./media/resolve.ts";
export {
  makeModelPool,
  type ModelEntry,
  ModelPool,
  type ModelState,
  type PoolOptions,
  type ServedModel,
  type ServedServices,
} from "./pool.ts";
export { type AccessEntry, accessWords, type OnAccess } from "./access.ts";
export {
  listen,
  ListenError,
  type Listening,
  type ListenOptions,
  makeParts,
  makeServer,
  type ServerHandler,
  type ServerOptions,
} from "./server.ts";
