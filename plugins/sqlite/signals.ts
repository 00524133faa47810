/**
 * What the users of one file tell each other through it: that something was written, that a run is to
 * stop, that a run's process lives.
 * @module
 */
import { AsyncLocalStorage } from "node:async_hooks";
import { Effect, type Scope } from "effect";
import type { SqlClient } from "effect/sql";
import type { SqlError } from "effect/sql/SqlError";
import { nextMark } from "./write.ts";

/** How often somebody who watches is told what other processes wrote, in milliseconds. */
const watchInterval = 40;

/** How often runs look whether they are to stop. */
const stopInterval = 250;

/** How often running runs are marked as alive. */
const aliveInterval = 20_000;

/** A run whose process has said nothing for this long, in milliseconds, has lost it. */
export const lostAfter = 90_000;

/** See {@link makeSignals}. */
export interface Signals {
  /** Says that this process has written. */
  readonly wrote: () => void;
  /** Calls `listener` soon after anybody has written. */
  readonly watch: (listener: () => void) => () => void;
  /** Calls `stop` when a run is to stop. */
  readonly onCancel: (runId: string, stop: () => void) => () => void;
  /** Asks for a run to be stopped. */
  readonly cancel: (runId: string) => Effect.Effect<boolean, SqlError>;
}

/** Watches a file by its change counter, which costs some microseconds, and only while somebody cares. */
export function makeSignals(
  sql: SqlClient.SqlClient,
  sayAlive: number = aliveInterval,
): Effect.Effect<Signals, never, Scope.Scope> {
  return Effect.gen(function* () {
    const listeners = new Set<() => void>();
    const stops = new Map<string, () => void>();
    const fork = Effect.runForkWith(yield* Effect.context<never>());
    const here = AsyncLocalStorage.snapshot();
    let timer: ReturnType<typeof setInterval> | undefined;
    let interval = 0;
    let version: number | undefined;
    let alive = 0;
    let busy = false;
    let open = true;
    const tell = (): void => {
      for (const listener of [...listeners]) listener();
    };
    const look = Effect.gen(function* () {
      const [row] = yield* sql<
        { readonly data_version: number }
      >`PRAGMA data_version`;
      const changed = row!.data_version !== version;
      const first = version === undefined;
      version = row!.data_version;
      if ((changed || first) && stops.size > 0) {
        const asked = yield* sql<
          { readonly run_id: string }
        >`SELECT run_id FROM run_cancels`;
        for (const { run_id } of asked) stops.get(run_id)?.();
      }
      if (changed && !first) tell();
      const now = Date.now();
      if (stops.size > 0 && now - alive >= sayAlive) {
        alive = now;
        const ids = JSON.stringify([...stops.keys()]);
        // With a mark: who looks at one of them all the while is to hear that it lives.
        yield* sql.withTransaction(Effect.gen(function* () {
          const mark = yield* nextMark(sql);
          yield* sql`UPDATE runs SET seen_at = ${now}, mark = ${mark}
            WHERE run_id IN (SELECT value FROM json_each(${ids}))`;
        }));
        tell();
      }
    });
    const tick = (): void => {
      if (busy || !open) return;
      busy = true;
      // A file that is locked for the moment is looked at again.
      const once = Effect.ensuring(
        Effect.ignore(Effect.withTracerEnabled(look, false)),
        Effect.sync(() => {
          busy = false;
        }),
      );
      here(() => fork(once));
    };
    const arrange = (): void => {
      const wanted = !open || listeners.size + stops.size === 0
        ? 0
        : listeners.size > 0
        ? watchInterval
        : stopInterval;
      if (wanted === interval) return;
      clearInterval(timer);
      interval = wanted;
      if (wanted === 0) {
        timer = undefined;
        return;
      }
      timer = setInterval(tick, wanted);
      // Watching is no reason for a process to go on.
      Deno.unrefTimer(timer as unknown as number);
    };
    yield* Effect.addFinalizer(() =>
      Effect.sync(() => {
        open = false;
        arrange();
      })
    );
    return {
      wrote: tell,
      watch: (listener) => {
        const own = () => listener();
        listeners.add(own);
        arrange();
        return () => {
          listeners.delete(own);
          arrange();
        };
      },
      onCancel: (runId, stop) => {
        if (stops.size === 0) alive = Date.now();
        stops.set(runId, stop);
        arrange();
        return () => {
          stops.delete(runId);
          arrange();
        };
      },
      cancel: (runId) =>
        Effect.suspend(() => {
          const stop = stops.get(runId);
          if (stop !== undefined) {
            stop();
            return Effect.succeed(true);
          }
          return cancelElsewhere(sql, runId, tell);
        }),
    };
  });
}

function cancelElsewhere(
  sql: SqlClient.SqlClient,
  runId: string,
  tell: () => void,
): Effect.Effect<boolean, SqlError> {
  return sql.withTransaction(Effect.gen(function* () {
    const now = Date.now();
    const [run] = yield* sql<
      { readonly status: string; readonly seen_at: number }
    >`SELECT status, seen_at FROM runs WHERE run_id = ${runId}`;
    if (run?.status !== "running") return false;
    if (now - run.seen_at > lostAfter) {
      // Nobody is there to stop it.
      const error = {
        tag: "Interrupted",
        message: "its process ended without a word",
      };
      const mark = yield* nextMark(sql);
      yield* sql`UPDATE runs SET status = 'interrupted', error = ${
        JSON.stringify(error)
      }, mark = ${mark} WHERE run_id = ${runId}`;
    } else {
      yield* sql`INSERT OR REPLACE INTO run_cancels VALUES (${runId}, ${now})`;
    }
    return true;
  })).pipe(Effect.tap(() => Effect.sync(tell)));
}
