/**
 * Server-sent events as OpenAI's API sends them: `data: JSON`, then `data: [DONE]`.
 * @module
 */
import { Cause, Effect, Exit, Option, Scope } from "effect";
import * as HttpEffect from "effect/http/HttpEffect";
import { HttpServerRequest } from "effect/http/HttpServerRequest";
import * as HttpServerResponse from "effect/http/HttpServerResponse";
import type { ApiError } from "./errors.ts";
import { Outlet } from "./outlet.ts";
import { ServerParts } from "./parts.ts";
import { RequestInfo } from "./request_info.ts";

/** One event. */
export function sseEvent(data: unknown, event?: string): string {
  const name = event === undefined ? "" : `event: ${event}\n`;
  return `${name}data: ${JSON.stringify(data)}\n\n`;
}

/**
 * Writes events that differ in one property only, the last before `after`: what they have in common is
 * encoded once.
 */
export function sseTemplate<K extends string>(
  before: object,
  name: K,
  after: object = {},
): (value: unknown) => string {
  const head = `data: ${JSON.stringify(before).slice(0, -1)},${
    JSON.stringify(name)
  }:`;
  const rest = JSON.stringify(after).slice(1);
  const tail = `${rest === "}" ? "" : ","}${rest}\n\n`;
  return (value) => head + JSON.stringify(value) + tail;
}

/** How a stream ends. */
export interface SseOptions {
  /** Whether `[DONE]` ends the stream. Default true. */
  readonly sentinel?: boolean;
  /** A failure as the last event. */
  readonly failure?: (error: ApiError) => string;
}

/**
 * A streamed answer: `feed` says what happens, `write` how it reads. A failure before the first event is
 * the failure of the whole; a later one becomes the last event. The response keeps the request's scope
 * open, and a client who leaves ends the feed with it.
 */
export const sseResponse: <A>(
  feed: (push: (event: A) => void) => Effect.Effect<void, ApiError>,
  write: (event: A) => string,
  options?: SseOptions,
) => Effect.Effect<
  HttpServerResponse.HttpServerResponse,
  ApiError,
  Scope.Scope | HttpServerRequest | ServerParts
> = Effect.fnUntraced(function* <A>(
  feed: (push: (event: A) => void) => Effect.Effect<void, ApiError>,
  write: (event: A) => string,
  {
    sentinel = true,
    failure = (error: ApiError) => sseEvent(error.body),
  }: SseOptions = {},
) {
  const { source } = yield* HttpServerRequest;
  const { record } = yield* RequestInfo;
  const { keepAliveMs } = (yield* ServerParts).limits;
  const scope = (yield* Effect.scope) as Scope.Closeable;
  const outlet = new Outlet();
  let begun: Exit.Exit<void, ApiError> | undefined;
  let onBegun = (): void => {};
  const begin = (exit: Exit.Exit<void, ApiError>): void => {
    begun = exit;
    onBegun();
  };
  const running = yield* Effect.forkIn(
    feed((event) => {
      try {
        outlet.say(write(event));
      } catch (defect) {
        outlet.fail(defect);
      }
      if (begun === undefined) begin(Exit.void);
    }),
    scope,
  );
  running.addObserver((exit) => {
    if (begun === undefined && Exit.isFailure(exit)) return begin(exit);
    if (Exit.isSuccess(exit)) {
      if (sentinel) outlet.say("data: [DONE]\n\n");
      outlet.end();
    } else {
      const error = Cause.findErrorOption(exit.cause);
      if (Option.isNone(error)) outlet.fail(Cause.squash(exit.cause));
      else {
        outlet.say(failure(error.value));
        outlet.end();
      }
    }
    if (begun === undefined) begin(Exit.void);
  });
  yield* Effect.callback<void, ApiError>((resume) => {
    if (begun !== undefined) return resume(begun);
    const timer = setTimeout(() => begin(Exit.void), keepAliveMs);
    onBegun = () => {
      clearTimeout(timer);
      resume(begun!);
    };
    return Effect.sync(() => clearTimeout(timer));
  });
  return yield* Effect.sync(() => {
    // From here on the scope ends with the body, or with the client.
    HttpEffect.scopeDisableClose(scope);
    const { signal } = source as Request;
    const left = (): void => outlet.leave();
    signal.addEventListener("abort", left, { once: true });
    const quiet = watchSilence(outlet, keepAliveMs);
    const over = record?.hold();
    outlet.open((exit) => {
      quiet();
      over?.(Exit.isFailure(exit));
      signal.removeEventListener("abort", left);
      Effect.runFork(Scope.close(scope, exit));
    });
    if (signal.aborted) left();
    return HttpServerResponse.raw(outlet.body, {
      contentType: "text/event-stream; charset=utf-8",
      headers: { "cache-control": "no-cache", "x-accel-buffering": "no" },
    });
  });
});

/** Outlets that are open, and the clock that they share, by its interval. */
interface Watch {
  readonly open: Set<Outlet>;
  readonly clock: ReturnType<typeof setInterval>;
}
const watches = new Map<number, Watch>();

function startWatch(everyMs: number): Watch {
  const open = new Set<Outlet>();
  const clock = setInterval(() => {
    for (const outlet of open) {
      if (!outlet.spoken) outlet.say(": keep-alive\n\n");
      outlet.spoken = false;
    }
  }, everyMs);
  return { open, clock };
}

/** Has something said when nothing was for a while, so that nobody between takes the connection for dead. */
function watchSilence(outlet: Outlet, everyMs: number): () => void {
  let watch = watches.get(everyMs);
  if (watch === undefined) watches.set(everyMs, watch = startWatch(everyMs));
  const { open, clock } = watch;
  open.add(outlet);
  return () => {
    open.delete(outlet);
    if (open.size > 0) return;
    clearInterval(clock);
    watches.delete(everyMs);
  };
}
