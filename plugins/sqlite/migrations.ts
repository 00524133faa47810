/**
 * Versions of the tables; never change one that was published, add one.
 * @module
 */
import type { DatabaseSync } from "node:sqlite";
import { Effect } from "effect";
import { Migrator, SqlClient as Client } from "effect/sql";
import { createBatches } from "./batches/table.ts";
import { createMetrics } from "./metrics/table.ts";
import { createSearch } from "./search.ts";

/** Where the versions stand that a file has. */
export const versionTable = "tessera_migrations";

const versions = {
  "0001_runs": Effect.gen(function* () {
    const sql = yield* Client.SqlClient;
    yield* sql`CREATE TABLE runs (
      run_id TEXT PRIMARY KEY,
      pipeline TEXT NOT NULL,
      status TEXT NOT NULL,
      started_at REAL NOT NULL,
      updated_at REAL NOT NULL,
      ms REAL,
      error TEXT,
      inputs TEXT NOT NULL,
      outputs TEXT,
      attributes TEXT NOT NULL,
      search TEXT NOT NULL
    ) WITHOUT ROWID`;
    yield* sql`CREATE INDEX runs_by_time ON runs (started_at, run_id)`;
    yield* sql`CREATE INDEX runs_by_pipeline ON runs (pipeline, started_at, run_id)`;
    yield* sql`CREATE INDEX runs_by_status ON runs (status, started_at, run_id)`;
    yield* sql`CREATE TABLE run_events (
      run_id TEXT NOT NULL,
      seq INTEGER NOT NULL,
      body TEXT NOT NULL,
      PRIMARY KEY (run_id, seq)
    ) WITHOUT ROWID`;
  }),
  "0002_metrics": createMetrics,
  "0003_glance": Effect.gen(function* () {
    const sql = yield* Client.SqlClient;
    // What lists show and sort by. `ms_key` and `tokens` are −1 where there is no number, because a page
    // that goes on after NULL needs a second condition.
    yield* sql`ALTER TABLE runs ADD COLUMN model TEXT NOT NULL DEFAULT ''`;
    yield* sql`ALTER TABLE runs ADD COLUMN ms_key REAL NOT NULL DEFAULT -1`;
    yield* sql`ALTER TABLE runs ADD COLUMN tokens REAL NOT NULL DEFAULT -1`;
    yield* sql`ALTER TABLE runs ADD COLUMN glance TEXT NOT NULL DEFAULT '{}'`;
    // Grows with every change of any run, so that a reader asks for what is new since.
    yield* sql`ALTER TABLE runs ADD COLUMN mark INTEGER NOT NULL DEFAULT 0`;
    // When its writer last said that it lives.
    yield* sql`ALTER TABLE runs ADD COLUMN seen_at REAL NOT NULL DEFAULT 0`;
    yield* sql`UPDATE runs SET ms_key = coalesce(ms, -1), seen_at = updated_at,
      model = coalesce(CASE WHEN json_type(attributes, '$.model') = 'text'
        THEN attributes ->> '$.model' END, '')`;
    yield* sql`CREATE INDEX runs_by_model ON runs (model, started_at, run_id)`;
    yield* sql`CREATE INDEX runs_by_ms ON runs (ms_key, run_id)`;
    yield* sql`CREATE INDEX runs_by_tokens ON runs (tokens, run_id)`;
    yield* sql`CREATE INDEX runs_by_mark ON runs (mark)`;
    yield* sql`CREATE TABLE run_marks (one INTEGER PRIMARY KEY CHECK (one = 1), mark INTEGER NOT NULL)`;
    yield* sql`INSERT INTO run_marks VALUES (1, 0)`;
    yield* sql`CREATE TABLE run_removals (mark INTEGER NOT NULL, run_id TEXT NOT NULL)`;
    yield* sql`CREATE INDEX run_removals_by_mark ON run_removals (mark)`;
    yield* sql`CREATE TABLE run_cancels (run_id TEXT PRIMARY KEY, at REAL NOT NULL) WITHOUT ROWID`;
    yield* sql`CREATE TABLE run_icons (run_id TEXT PRIMARY KEY, body TEXT NOT NULL) WITHOUT ROWID`;
  }),
  "0004_batches": createBatches,
  "0005_search": createSearch,
  // From here on a row of run_events may hold several events, which a version before takes for damage.
  "0006_rows_of_events": Effect.void,
};

/** All versions, in order. */
export const migrations: Migrator.Loader = Migrator.fromRecord(versions);

const latest = Math.max(...Object.keys(versions).map((name) => parseInt(name)));

/**
 * Refuses a file with the tables of another program, which ours have no business in, and one of a newer
 * Tessera, whose tables may mean something else. Throws before anything is written.
 */
export function checkTables(db: DatabaseSync): void {
  const tables = db.prepare(
    `SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'`,
  ).all().map(({ name }) => name);
  if (tables.length === 0) return;
  if (!tables.includes(versionTable)) {
    throw new Error(
      "the file holds the tables of another program; choose another file",
    );
  }
  const { version } = db.prepare(
    `SELECT max(migration_id) AS version FROM ${versionTable}`,
  ).get() as { readonly version: number | null };
  if (version !== null && version > latest) {
    throw new Error(
      `the file is of a newer Tessera (its tables are version ${version}, here ${latest} is known); use that one, or choose another file`,
    );
  }
}
