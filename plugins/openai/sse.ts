/**
 * Server-sent events as OpenAI's API sends them: `data: JSON`, then `data: [DONE]`.
 * @module
 */
import { type Cause, Effect, Queue, type Scope, Stream } from "effect";
import * as HttpServerResponse from "effect/http/HttpServerResponse";
import type { ApiError } from "./errors.ts";

const encoder = new TextEncoder();
const comment = encoder.encode(": keep-alive\n\n");
const done = encoder.encode("data: [DONE]\n\n");

/** Milliseconds until the headers go out even though nothing has happened yet, and between comments. */
const PATIENCE_MS = 10_000;

/** One event. */
export function sseEvent(
  data: unknown,
  event?: string,
): Uint8Array<ArrayBuffer> {
  const name = event === undefined ? "" : `event: ${event}\n`;
  return encoder.encode(`${name}data: ${JSON.stringify(data)}\n\n`);
}

/** Keeps a connection open while nothing happens. */
export interface Ping {
  /** The discriminator. */
  readonly type: "ping";
}

/** How a stream ends. */
export interface SseOptions {
  /** Whether `[DONE]` ends the stream. Default true. */
  readonly sentinel?: boolean;
  /** A failure as the last event. */
  readonly failure?: (error: ApiError) => Uint8Array<ArrayBuffer>;
}

/**
 * A streamed answer. A failure before the first event is the failure of the whole; a later one becomes the
 * last event. The response keeps the scope open, so that a client who leaves ends what feeds the queue.
 */
export const sseResponse: <A extends { readonly type: string }>(
  queue: Queue.Queue<A | Ping, ApiError | Cause.Done>,
  write: (event: A) => readonly Uint8Array<ArrayBuffer>[],
  options?: SseOptions,
) => Effect.Effect<
  HttpServerResponse.HttpServerResponse,
  ApiError,
  Scope.Scope
> = Effect.fnUntraced(function* <A extends { readonly type: string }>(
  queue: Queue.Queue<A | Ping, ApiError | Cause.Done>,
  write: (event: A) => readonly Uint8Array<ArrayBuffer>[],
  {
    sentinel = true,
    failure = (error: ApiError) => sseEvent(error.body),
  }: SseOptions = {},
) {
  yield* Queue.peek(queue).pipe(
    Effect.timeoutOption(PATIENCE_MS),
    Effect.catchTag("Done", () => Effect.void),
  );
  let quiet = true;
  yield* Effect.sleep(PATIENCE_MS).pipe(
    Effect.andThen(Effect.sync(() => {
      if (quiet) Queue.offerUnsafe(queue, { type: "ping" });
      quiet = true;
    })),
    Effect.forever,
    Effect.forkScoped,
  );
  const lines = (event: A | Ping) =>
    event.type === "ping" ? [comment] : write(event as A);
  const body = Stream.fromQueue(queue).pipe(
    Stream.mapArray((events) => {
      quiet = false;
      // What came together goes out together.
      return [joinBytes(events.flatMap(lines))];
    }),
    Stream.concat(sentinel ? Stream.make(done) : Stream.empty),
    Stream.catch((error) => Stream.make(failure(error))),
  );
  return HttpServerResponse.stream(body, {
    contentType: "text/event-stream; charset=utf-8",
    headers: { "cache-control": "no-cache", "x-accel-buffering": "no" },
  });
});

function joinBytes(
  parts: readonly Uint8Array<ArrayBuffer>[],
): Uint8Array<ArrayBuffer> {
  if (parts.length === 1) return parts[0]!;
  const bytes = new Uint8Array(
    parts.reduce((sum, part) => sum + part.length, 0),
  );
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}
