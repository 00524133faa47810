/**
 * Who asks for what, for logs, runs and metrics.
 * @module
 */
import { Context } from "effect";
import type { AccessRecord } from "./access.ts";

/** Facts about a request. */
export interface RequestInfo {
  /** Id, which the answer carries as `x-request-id`. */
  readonly id: string;
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
  defaultValue: () => ({ id: "", endpoint: "", caller: "", owner: "" }),
});

/**
 * Gives the request's place among those in flight back before its last byte is sent: when the answer is
 * complete, a client who reads slowly, or not at all, keeps nobody out.
 */
export const GivePlaceBack: Context.Reference<() => void> = Context.Reference<
  () => void
>("tessera/openai/GivePlaceBack", { defaultValue: () => () => {} });
