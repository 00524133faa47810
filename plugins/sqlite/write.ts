/**
 * How a batch of events changes the tables.
 * @module
 */
import { Effect } from "effect";
import type { SqlClient } from "effect/sql";
import type { SqlError } from "effect/sql/SqlError";
import {
  iconOf,
  type RunEvent,
  type RunSummary,
  summarize,
  summaryOf,
} from "../../pipeline/mod.ts";
import { rowOf } from "./rows.ts";

/** Marks of removals that are kept, for readers who ask what is gone. */
const marksKept = 10_000;

/** The next mark; belongs into the transaction that uses it. */
export function nextMark(
  sql: SqlClient.SqlClient,
): Effect.Effect<number, SqlError> {
  return Effect.map(
    sql<
      { readonly mark: number }
    >`UPDATE run_marks SET mark = mark + 1 RETURNING mark`,
    ([row]) => row!.mark,
  );
}

/**
 * Writes events and what they make of their runs, and `more`, in one transaction. Between its parts others
 * have their turn: together they would hold up the event loop for longer than a tick.
 */
export function writeBatch(
  sql: SqlClient.SqlClient,
  active: Map<string, RunSummary>,
  batch: readonly RunEvent[],
  more: Effect.Effect<void, SqlError>,
): Effect.Effect<void, SqlError> {
  return Effect.suspend(() => {
    const changed = new Map<string, RunSummary>();
    const begun: string[] = [];
    const ended: string[] = [];
    // Runs of which more has changed than the time of the last event.
    const rewritten = new Set<string>();
    const icons = new Map<string, string>();
    const events = new Map<string, RunEvent[]>();
    for (const event of batch) {
      const { runId } = event;
      const said = events.get(runId);
      if (said === undefined) events.set(runId, [event]);
      else said.push(event);
      if (event._tag === "RunStarted") {
        begun.push(runId);
        rewritten.add(runId);
        changed.set(runId, summaryOf(event));
        continue;
      }
      const before = changed.get(runId) ?? active.get(runId);
      if (before === undefined) continue;
      const after = summarize(before, event);
      changed.set(runId, after);
      if (
        event._tag !== "NodeProgress" ||
        after.firstPartMs !== before.firstPartMs
      ) rewritten.add(runId);
      if (event._tag === "RunFinished") ended.push(runId);
      if (event._tag === "NodeFinished" && after.icon) {
        // The first picture's, though another may have been read before it.
        const wanted = !before.icon || !/\[[1-9]/.test(event.node);
        const icon = wanted ? iconOf(event) : undefined;
        if (icon !== undefined) icons.set(runId, icon);
      }
    }
    const written = sql.withTransaction(Effect.gen(function* () {
      yield* Effect.yieldNow;
      const mark = yield* nextMark(sql);
      for (const runId of begun) {
        yield* sql`DELETE FROM run_events WHERE run_id = ${runId}`;
        yield* sql`DELETE FROM run_icons WHERE run_id = ${runId}`;
      }
      for (const [runId, run] of changed) {
        if (!rewritten.has(runId)) {
          yield* sql`UPDATE runs SET updated_at = ${run.updatedAt}, seen_at = ${run.updatedAt}, mark = ${mark}
            WHERE run_id = ${runId}`;
          continue;
        }
        const row = rowOf(run, mark);
        if (begun.includes(runId)) {
          yield* sql`INSERT OR REPLACE INTO runs ${sql.insert(row)}`;
        } else {
          // An update leaves alone the indexes whose columns stay, which replacing does not.
          yield* sql`UPDATE runs SET status = ${row.status}, updated_at = ${row.updated_at},
            seen_at = ${row.seen_at}, ms = ${row.ms}, ms_key = ${row.ms_key}, tokens = ${row.tokens},
            error = ${row.error}, outputs = ${row.outputs}, search = ${row.search},
            glance = ${row.glance}, mark = ${mark} WHERE run_id = ${runId}`;
        }
      }
      for (const [runId, icon] of icons) {
        yield* sql`INSERT OR REPLACE INTO run_icons VALUES (${runId}, ${icon})`;
      }
      for (const runId of ended) {
        yield* sql`DELETE FROM run_cancels WHERE run_id = ${runId}`;
      }
      yield* Effect.yieldNow;
      // A row for each run, not for each event: rows are what writing costs.
      for (const [runId, said] of events) {
        yield* sql`INSERT OR REPLACE INTO run_events (run_id, seq, body)
          VALUES (${runId}, ${said[0]!.seq}, ${JSON.stringify(said)})`;
      }
      yield* Effect.yieldNow;
      yield* more;
      yield* Effect.yieldNow;
    }));
    return Effect.map(written, () => {
      for (const [runId, run] of changed) {
        if (run.status === "running") active.set(runId, run);
        else active.delete(runId);
      }
    });
  });
}

/** Forgets runs, in one transaction; returns those that were there. */
export function removeRuns(
  sql: SqlClient.SqlClient,
  runIds: readonly string[],
): Effect.Effect<readonly string[], SqlError> {
  return sql.withTransaction(Effect.gen(function* () {
    const mark = yield* nextMark(sql);
    const gone: string[] = [];
    for (const runId of runIds) {
      yield* sql`DELETE FROM run_events WHERE run_id = ${runId}`;
      yield* sql`DELETE FROM run_icons WHERE run_id = ${runId}`;
      yield* sql`DELETE FROM run_cancels WHERE run_id = ${runId}`;
      const found =
        yield* sql`DELETE FROM runs WHERE run_id = ${runId} RETURNING run_id`;
      if (found.length === 0) continue;
      gone.push(runId);
      yield* sql`INSERT INTO run_removals VALUES (${mark}, ${runId})`;
    }
    yield* sql`DELETE FROM run_removals WHERE mark < ${mark - marksKept}`;
    return gone;
  }));
}
