/**
 * Old runs go, so that a store does not grow for ever.
 * @module
 */
import { Effect } from "effect";
import type { SqlClient } from "effect/sql";
import type { SqlError } from "effect/sql/SqlError";
import { lostAfter } from "./signals.ts";
import { removeRuns } from "./write.ts";

/** What is kept of a store. */
export interface Retention {
  /** Runs older than so many days go; default: none for their age. */
  readonly days?: number;
  /** The oldest runs go until the rest takes at most so many bytes; default 2 GiB. */
  readonly bytes?: number;
}

/** Kept without being asked. */
export const defaultBytes: number = 2 * 2 ** 30;

/** Runs that go in one transaction. */
const portion = 50;

/** Pages given back to the disk at once. */
const pages = 512;

const day = 86_400_000;

/** Lets go of what is too old or too much; running runs stay. Returns how many went. */
export function prune(
  sql: SqlClient.SqlClient,
  { days, bytes = defaultBytes }: Retention,
  now: number = Date.now(),
): Effect.Effect<number, SqlError> {
  return Effect.gen(function* () {
    let gone = 0;
    for (;;) {
      const old = days === undefined
        ? []
        : yield* oldest(sql, now - days * day, now);
      const ids = old.length > 0
        ? old
        : (yield* sizeOf(sql)) > bytes
        ? yield* oldest(sql, Infinity, now)
        : [];
      if (ids.length === 0) break;
      gone += (yield* removeRuns(sql, ids)).length;
      yield* Effect.sleep(0);
    }
    if (gone > 0) {
      for (;;) {
        const before = yield* pragma(sql, "freelist_count");
        if (before === 0) break;
        yield* sql`PRAGMA incremental_vacuum(${sql.literal(`${pages}`)})`;
        if ((yield* pragma(sql, "freelist_count")) >= before) break;
        yield* Effect.sleep(0);
      }
    }
    return gone;
  });
}

function oldest(
  sql: SqlClient.SqlClient,
  before: number,
  now: number,
): Effect.Effect<string[], SqlError> {
  return Effect.map(
    sql<{ readonly run_id: string }>`SELECT run_id FROM runs
      WHERE started_at < ${Math.min(before, Number.MAX_SAFE_INTEGER)}
        AND (status <> 'running' OR seen_at < ${now - lostAfter})
      ORDER BY started_at, run_id LIMIT ${portion}`,
    (rows) => rows.map((row) => row.run_id),
  );
}

function pragma(
  sql: SqlClient.SqlClient,
  name: "freelist_count" | "page_count" | "page_size",
): Effect.Effect<number, SqlError> {
  return Effect.map(
    sql<{ readonly [name: string]: number }>`PRAGMA ${sql.literal(name)}`,
    ([row]) => row?.[name] ?? 0,
  );
}

/** Bytes in use, without pages that are free for what comes. */
function sizeOf(sql: SqlClient.SqlClient): Effect.Effect<number, SqlError> {
  return Effect.gen(function* () {
    const used = (yield* pragma(sql, "page_count")) -
      (yield* pragma(sql, "freelist_count"));
    return used * (yield* pragma(sql, "page_size"));
  });
}
