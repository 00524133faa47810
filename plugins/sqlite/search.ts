/**
 * The index for text in runs: SQLite's FTS5 with trigrams, so that any part of a word is found, in any
 * script. Only those who search pay for it: a run is written without it, and entered later, when somebody
 * has searched. Triggers take out what changes or goes.
 * @module
 */
import { Effect } from "effect";
import {
  type SqlClient,
  SqlClient as Client,
  type Statement,
} from "effect/sql";
import type { SqlError } from "effect/sql/SqlError";

/** Runs entered in one transaction: some milliseconds. */
const portion = 100;

/** Runs that are not entered and are looked through at once, also some milliseconds. */
export const mostOutside = 2000;

/** Runs with a text, at most, that are looked for in the index; a commoner one is soon found without. */
const mostFound = 1000;

/** Trigrams asked for, at most; what is found is looked at anyway. */
const mostTrigrams = 24;

/** Makes the index, empty; `place` is a run's row in it, or NULL. */
export const createSearch: Effect.Effect<void, SqlError, Client.SqlClient> =
  Effect.gen(function* () {
    const sql = yield* Client.SqlClient;
    yield* sql`ALTER TABLE runs ADD COLUMN place INTEGER`;
    yield* sql`CREATE UNIQUE INDEX runs_by_place ON runs (place) WHERE place IS NOT NULL`;
    yield* sql`CREATE INDEX runs_outside ON runs (started_at, run_id) WHERE place IS NULL`;
    // No positions, for size: what is found is looked at again.
    yield* sql`CREATE VIRTUAL TABLE run_search USING fts5(
      body, tokenize = 'trigram', detail = none, content = '', contentless_delete = 1)`;
    yield* sql`CREATE TRIGGER run_search_changed AFTER UPDATE OF search ON runs
      WHEN old.place IS NOT NULL BEGIN
        DELETE FROM run_search WHERE rowid = old.place;
        UPDATE runs SET place = NULL WHERE run_id = new.run_id;
      END`;
    yield* sql`CREATE TRIGGER run_search_gone BEFORE DELETE ON runs
      WHEN old.place IS NOT NULL BEGIN
        DELETE FROM run_search WHERE rowid = old.place;
      END`;
  });

/** What has all trigrams of a text, for MATCH; nothing where it has none. */
export function trigramsOf(text: string): string | undefined {
  const letters = [...text];
  if (letters.length < 3 || text.includes("\0")) return undefined;
  const trigrams = new Set<string>();
  for (
    let i = 0;
    i + 3 <= letters.length && trigrams.size < mostTrigrams;
    i++
  ) {
    trigrams.add(letters.slice(i, i + 3).join(""));
  }
  return Array.from(trigrams, (one) => `"${one.replaceAll('"', '""')}"`)
    .join(" AND ");
}

/**
 * Places of all entered runs that may have a text; `undefined` where the index does not know, or knows
 * too many.
 */
export function placesOf(
  sql: SqlClient.SqlClient,
  text: string,
): Effect.Effect<readonly number[] | undefined, SqlError> {
  const trigrams = trigramsOf(text);
  if (trigrams === undefined) return Effect.undefined;
  return Effect.map(
    sql<{ readonly rowid: number }>`SELECT rowid FROM run_search
      WHERE run_search MATCH ${trigrams} LIMIT ${mostFound + 1}`,
    (rows) =>
      rows.length > mostFound ? undefined : rows.map(({ rowid }) => rowid),
  );
}

/** Runs that are not entered, with the start of their WHERE; by their index, whatever the planner thinks. */
export const outside = (sql: SqlClient.SqlClient): Statement.Fragment =>
  sql`runs INDEXED BY runs_outside WHERE place IS NULL`;

/** Whether more than so many runs are not entered. */
export function outsideExceed(
  sql: SqlClient.SqlClient,
  limit: number,
): Effect.Effect<boolean, SqlError> {
  return Effect.map(
    sql`SELECT 1 FROM ${outside(sql)} LIMIT 1 OFFSET ${limit}`,
    (rows) => rows.length > 0,
  );
}

/** Enters the next runs that have ended; returns how many. */
export function enterSome(
  sql: SqlClient.SqlClient,
): Effect.Effect<number, SqlError> {
  return sql.withTransaction(Effect.gen(function* () {
    const rows = yield* sql<{ readonly run_id: string }>`SELECT run_id FROM ${
      outside(sql)
    } AND status <> 'running'
      ORDER BY started_at, run_id LIMIT ${portion}`;
    const [{ last } = { last: 0 }] = yield* sql<
      { readonly last: number }
    >`SELECT coalesce(max(place), 0) AS last FROM runs WHERE place IS NOT NULL`;
    const ids = JSON.stringify(rows.map((row) => row.run_id));
    yield* sql`UPDATE runs SET place = ${last} + 1 + ids.key
      FROM json_each(${ids}) AS ids WHERE run_id = ids.value`;
    yield* sql`INSERT INTO run_search (rowid, body)
      SELECT place, search FROM runs WHERE place > ${last}`;
    return rows.length;
  }));
}
