/**
 * What the routes need of a server.
 * @module
 */
import { Context } from "effect";
import type { KeptResponses } from "./kept.ts";
import type { ServerLimits } from "./limits.ts";
import type { MediaPolicy } from "./media/resolve.ts";

/** Bounds, and where media may come from. */
export interface ServerParts {
  /** What is taken on. */
  readonly limits: ServerLimits;
  /** Where pictures and videos may come from. */
  readonly media: MediaPolicy;
  /** Requests in flight; changed by the routes. */
  readonly load: { inFlight: number };
  /** Answers that are kept for later rounds. */
  readonly kept: KeptResponses;
  /** Whether new requests are taken. */
  readonly state: { draining: boolean };
}

/** The parts as a service. */
export const ServerParts: Context.Service<ServerParts, ServerParts> = Context
  .Service<ServerParts>("tessera/openai/ServerParts");
