/**
 * Who asks for what, for logs, runs and metrics.
 * @module
 */
import { Context, Effect, Scope } from "effect";
import type { AccessRecord } from "./access.ts";
import type { ApiError } from "./errors.ts";
import { ModelPool, type ServedModel } from "./pool.ts";

/** Facts about a request. */
export interface RequestInfo {
  /** Id, which the answer carries as `x-request-id`. */
  readonly id: string;
  /** When it arrived, on the clock of `performance.now()`. */
  readonly began: number;
  /** The route, such as `/v1/chat/completions`. */
  readonly endpoint: string;
  /** A name of the caller that may be logged. */
  readonly caller: string;
  /** The name of the key that was given; empty where no keys are needed. */
  readonly owner: string;
  /** What the access log will say, where there is one. */
  readonly record?: AccessRecord;
}

/** Facts about the request in whose fiber this is read. */
export const RequestInfo: Context.Reference<RequestInfo> = Context.Reference<
  RequestInfo
>("tessera/openai/RequestInfo", {
  defaultValue: () => ({
    id: "",
    began: performance.now(),
    endpoint: "",
    caller: "",
    owner: "",
  }),
});

/** What a request holds while its answer is computed, and no longer. */
export interface Place {
  /** Ends with the computing. Default: the scope of the request. */
  readonly scope?: Scope.Scope;
  /**
   * Gives the place among those in flight, and what is held in the scope, back before the last byte is
   * sent: when the answer is complete, a client who reads slowly, or not at all, keeps nobody out.
   */
  readonly giveBack: Effect.Effect<void>;
}

/** The place of the request in whose fiber this is read. */
export const Place: Context.Reference<Place> = Context.Reference<Place>(
  "tessera/openai/Place",
  { defaultValue: () => ({ giveBack: Effect.void }) },
);

/** A loaded model for as long as the request's answer is computed. */
export const useModel = (
  id: string,
): Effect.Effect<ServedModel, ApiError, ModelPool | Scope.Scope> =>
  Effect.gen(function* () {
    const pool = yield* ModelPool;
    const { scope = yield* Effect.scope } = yield* Place;
    return yield* Scope.provide(pool.use(id), scope);
  });
