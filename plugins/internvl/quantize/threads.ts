/**
 * Workers that quantize, as many at once as there are cores.
 * @module
 */
import { Effect, Queue, type Scope } from "effect";
import { BackendError } from "../../../nodes/errors.ts";
import type { Packed, Slab } from "./worker.ts";

/** Quantizes a slab in some worker; its bytes are gone afterwards. */
export type Quantizer = (slab: Slab) => Effect.Effect<Packed, BackendError>;

/** Starts workers, which end with the scope, in the midst of a slab if need be. */
export const startThreads: (
  count: number,
) => Effect.Effect<Quantizer, BackendError, Scope.Scope> = Effect.fnUntraced(
  function* (count) {
    const idle = yield* Queue.unbounded<Worker>();
    for (let i = 0; i < count; i++) {
      const worker = yield* Effect.acquireRelease(
        Effect.try({
          try: () =>
            new Worker(new URL("./worker.ts", import.meta.url), {
              type: "module",
            }),
          catch: failed,
        }),
        (worker) => Effect.sync(() => worker.terminate()),
      );
      yield* Queue.offer(idle, worker);
    }
    return (slab) =>
      Effect.acquireUseRelease(
        Queue.take(idle),
        (worker) => ask(worker, slab),
        (worker) => Queue.offer(idle, worker),
      );
  },
);

function ask(worker: Worker, slab: Slab): Effect.Effect<Packed, BackendError> {
  return Effect.callback((resume) => {
    worker.onmessage = ({ data }: MessageEvent<Packed>) =>
      resume(Effect.succeed(data));
    worker.onerror = (event) => {
      event.preventDefault();
      resume(Effect.fail(failed(event.message)));
    };
    worker.postMessage(slab, [slab.bytes]);
  });
}

function failed(cause: unknown): BackendError {
  const said = cause instanceof Error ? cause.message : String(cause);
  return new BackendError({
    message: `a quantizing worker failed: ${said.split("\n")[0]}`,
    cause,
  });
}
