/**
 * The writing side of the store: events wait in a buffer, and one fiber at a time writes them in order,
 * many to a transaction. A transaction costs about the same whatever is in it, so that between two of them
 * there is a pause: while much happens, writing has a tenth of the thread's time and no more.
 * @module
 */
import { AsyncLocalStorage } from "node:async_hooks";
import { Deferred, Effect, type Scope } from "effect";
import { type RunEvent, StoreError } from "../../pipeline/mod.ts";

/** Events to a transaction: some milliseconds, between whose parts others have their turn. */
export const batchSize = 384;

/** Events that may wait; a run whose events come in faster for long is given up. */
const mostWaiting = 100_000;

/**
 * A pause is this many times as long as the writing before it, and lasts so many milliseconds: two tokens of
 * one answer share a transaction, and a page of another process still shows them within a tenth of a second.
 */
const pauseTimes = 9;
const [shortestPause, longestPause] = [40, 100];

/** Buffers events and writes them in order. */
export interface Writer {
  /** Takes an event; never waits. */
  readonly record: (event: RunEvent) => void;
  /**
   * Waits until everything taken before is written; fails when an event of this run was lost. Unless
   * `lazily`, it is written without a pause.
   */
  readonly flush: (
    runId: string,
    options?: { readonly lazily?: boolean },
  ) => Effect.Effect<void, StoreError>;
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
    // Everything up to here is waited for.
    let hurried = 0;
    let open = true;
    let writing = false;
    let pausedUntil = -Infinity;
    let pause: ReturnType<typeof setTimeout> | undefined;
    // A fiber for each batch, in the asynchronous context of here. Effect keeps the context of every
    // suspension and Deno that of all before it: one fiber as old as the store would grow with each run.
    const fork = Effect.runForkWith(yield* Effect.context<never>());
    const here = AsyncLocalStorage.snapshot();
    const begin = (): void => {
      clearTimeout(pause);
      pause = undefined;
      writing = true;
      here(() =>
        fork(Effect.withTracerEnabled(drain, false), { uninterruptible: true })
      );
    };
    const arrange = (): void => {
      if (writing || buffer.length === 0) return;
      const rest = pausedUntil - performance.now();
      // A full batch gains nothing by waiting.
      if (rest <= 0 || hurried > done || buffer.length >= batchSize) begin();
      else pause ??= here(() => setTimeout(begin, rest));
    };
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
      arrange();
    };
    const release = (): void => {
      while (waiting.length > 0 && waiting[0]!.until <= done) {
        Deferred.doneUnsafe(waiting.shift()!.deferred, Effect.void);
      }
    };
    const drain = Effect.gen(function* () {
      // Others come first: writing can wait, and a batch comes together.
      yield* Effect.yieldNow;
      const began = performance.now();
      const batch = buffer.slice(0, batchSize);
      const fit = batch.filter(({ runId }) => !lost.has(runId));
      if (fit.length > 0) {
        yield* Effect.catchCause(write(fit), (cause) =>
          Effect.sync(() => {
            for (const { runId } of fit) lose(runId, storeError(cause));
          }));
      }
      // Only now, so that nothing is lost before it is written.
      buffer = buffer.slice(batch.length);
      done += batch.length;
      const now = performance.now();
      pausedUntil = now + Math.min(
        Math.max(pauseTimes * (now - began), shortestPause),
        longestPause,
      );
      writing = false;
      arrange();
      release();
    });
    yield* Effect.addFinalizer(() =>
      Effect.andThen(
        Effect.sync(() => {
          open = false;
        }),
        Effect.suspend(() => written(false)),
      )
    );
    const written = (lazily: boolean): Effect.Effect<void> => {
      if (done >= taken) return Effect.void;
      if (!lazily) {
        hurried = taken;
        arrange();
      }
      const deferred = Deferred.makeUnsafe<void>();
      waiting.push({ until: taken, deferred });
      return Deferred.await(deferred);
    };
    const flush: Writer["flush"] = (runId, { lazily = false } = {}) =>
      Effect.flatMap(Effect.suspend(() => written(lazily)), () => {
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
