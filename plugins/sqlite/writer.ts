/**
 * The writing side of the store: events wait in a buffer, and one fiber writes them in order, many to a
 * transaction.
 * @module
 */
import { Deferred, Effect, Latch, type Scope } from "effect";
import { type RunEvent, StoreError } from "../../pipeline/mod.ts";

/** Events to a transaction: a few milliseconds of the event loop at most. */
const batchSize = 128;

/** Events that may wait; a run whose events come in faster for long is given up. */
const mostWaiting = 100_000;

/** Buffers events and writes them in order. */
export interface Writer {
  /** Takes an event; never waits. */
  readonly record: (event: RunEvent) => void;
  /** Waits until everything taken before is written; fails when an event of this run was lost. */
  readonly flush: (runId: string) => Effect.Effect<void, StoreError>;
}

/**
 * Starts a writer. Closing the surrounding scope writes what is left, then stops it.
 *
 * When a batch cannot be written, the runs in it are given up: later events of those are dropped, so
 * that no run is stored with a gap in it.
 */
export function makeWriter(
  write: (batch: readonly RunEvent[]) => Effect.Effect<void, StoreError>,
): Effect.Effect<Writer, never, Scope.Scope> {
  return Effect.gen(function* () {
    let buffer: RunEvent[] = [];
    let taken = 0;
    let done = 0;
    let open = true;
    const work = Latch.makeUnsafe(false);
    const waiting: {
      readonly until: number;
      readonly deferred: Deferred.Deferred<void>;
    }[] = [];
    const lost = new Map<string, StoreError>();

    const lose = (runId: string, error: StoreError): void => {
      if (!lost.has(runId)) lost.set(runId, error);
    };
    const record = (event: RunEvent): void => {
      if (!open || lost.has(event.runId)) return;
      if (buffer.length >= mostWaiting) {
        lose(
          event.runId,
          new StoreError({
            message:
              `run store: ${mostWaiting} events wait to be written; run ${event.runId} is not stored`,
          }),
        );
        return;
      }
      buffer.push(event);
      taken++;
      work.openUnsafe();
    };
    const release = (): void => {
      while (waiting.length > 0 && waiting[0]!.until <= done) {
        Deferred.doneUnsafe(waiting.shift()!.deferred, Effect.void);
      }
    };
    const drain = Effect.gen(function* () {
      while (buffer.length > 0) {
        const batch = buffer.slice(0, batchSize);
        const fit = batch.filter(({ runId }) => !lost.has(runId));
        if (fit.length > 0) {
          yield* Effect.catchCause(write(fit), (cause) =>
            Effect.sync(() => {
              for (const { runId } of fit) lose(runId, storeError(cause));
            }));
        }
        // Only now, so that an interruption loses nothing.
        buffer = buffer.slice(batch.length);
        done += batch.length;
        release();
        // Others come first: writing can wait.
        yield* Effect.yieldNow;
      }
    });
    const loop = Effect.forever(
      Effect.andThen(
        work.await,
        Effect.suspend(() => {
          work.closeUnsafe();
          return Effect.uninterruptible(drain);
        }),
      ),
    );
    yield* Effect.forkScoped(Effect.withTracerEnabled(loop, false));
    yield* Effect.addFinalizer(() =>
      Effect.andThen(
        Effect.sync(() => {
          open = false;
        }),
        Effect.suspend(() => written()),
      )
    );
    const written = (): Effect.Effect<void> => {
      if (done >= taken) return Effect.void;
      const deferred = Deferred.makeUnsafe<void>();
      waiting.push({ until: taken, deferred });
      return Deferred.await(deferred);
    };
    const flush = (runId: string): Effect.Effect<void, StoreError> =>
      Effect.flatMap(Effect.suspend(written), () => {
        const error = lost.get(runId);
        lost.delete(runId);
        return error === undefined ? Effect.void : Effect.fail(error);
      });
    return { record, flush };
  });
}

function storeError(
  cause: {
    readonly reasons: readonly {
      readonly _tag: string;
      readonly error?: unknown;
      readonly defect?: unknown;
    }[];
  },
): StoreError {
  const [reason] = cause.reasons;
  const problem = reason?.error ?? reason?.defect;
  return problem instanceof StoreError ? problem : new StoreError({
    message: `run store: writing failed: ${
      problem instanceof Error ? problem.message.split("\n")[0] : "interrupted"
    }`,
    cause: problem,
  });
}
