/**
 * The tables of batches and their questions, written along with the events.
 * @module
 */
import { Effect } from "effect";
import { type SqlClient, SqlClient as Client } from "effect/sql";
import type { SqlError } from "effect/sql/SqlError";
import type { BatchChanges } from "./observe.ts";

/** Makes the tables. */
export const createBatches: Effect.Effect<void, SqlError, SqlClient.SqlClient> =
  Effect.gen(function* () {
    const sql = yield* Client.SqlClient;
    yield* sql`CREATE TABLE batches (
      batch_id TEXT PRIMARY KEY,
      name TEXT NOT NULL,
      pipeline TEXT NOT NULL,
      model TEXT NOT NULL,
      settings TEXT NOT NULL,
      total INTEGER,
      ended TEXT,
      started_at REAL NOT NULL,
      updated_at REAL NOT NULL
    ) WITHOUT ROWID`;
    yield* sql`CREATE INDEX batches_by_time ON batches (started_at, batch_id)`;
    yield* sql`CREATE TABLE batch_items (
      batch_id TEXT NOT NULL,
      item INTEGER NOT NULL,
      run_id TEXT NOT NULL,
      node TEXT NOT NULL,
      name TEXT NOT NULL,
      status TEXT NOT NULL,
      started_at REAL NOT NULL,
      asked TEXT,
      question TEXT,
      sources TEXT,
      picture TEXT,
      answer TEXT,
      error TEXT,
      tokens INTEGER,
      ms REAL,
      PRIMARY KEY (batch_id, item)
    )`;
    yield* sql`CREATE INDEX batch_items_by_status
      ON batch_items (batch_id, status, item, tokens, ms)`;
    yield* sql`CREATE INDEX batch_items_by_asked ON batch_items (asked, batch_id)`;
    yield* sql`CREATE INDEX batch_items_by_run ON batch_items (run_id)`;
    // However a run goes, what it answered goes with it, and a batch without questions too.
    yield* sql`CREATE TRIGGER batches_forget AFTER DELETE ON runs BEGIN
      DELETE FROM batches WHERE batch_id IN
          (SELECT batch_id FROM batch_items WHERE run_id = old.run_id)
        AND NOT EXISTS (SELECT 1 FROM batch_items
          WHERE batch_id = batches.batch_id AND run_id <> old.run_id);
      DELETE FROM batch_items WHERE run_id = old.run_id;
    END`;
  });

/** Writes changes; belongs into the transaction that writes the events they come from. */
export function writeBatches(
  sql: SqlClient.SqlClient,
  { batches, items }: BatchChanges,
): Effect.Effect<void, SqlError> {
  if (batches.length + items.length === 0) return Effect.void;
  return Effect.gen(function* () {
    for (const { batchId, at, begun, ended } of batches) {
      if (begun !== undefined) {
        const { name, pipeline, model, settings, total } = begun;
        yield* sql`INSERT INTO batches (batch_id, name, pipeline, model, settings, total, started_at, updated_at)
          VALUES (${batchId}, ${name}, ${pipeline}, ${model}, ${
          JSON.stringify(settings)
        }, ${total}, ${at}, ${at})
          ON CONFLICT (batch_id) DO UPDATE SET updated_at = max(updated_at, excluded.updated_at)`;
      } else {
        yield* sql`UPDATE batches SET updated_at = max(updated_at, ${at}), ended = coalesce(${
          ended ?? null
        }, ended) WHERE batch_id = ${batchId}`;
      }
    }
    for (const change of items) {
      const { question, sources } = change;
      yield* sql`INSERT INTO batch_items (batch_id, item, run_id, node, name, status, started_at,
          asked, question, sources, picture, answer, error, tokens, ms)
        SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3,
          coalesce(value ->> 4, value ->> 1), coalesce(value ->> 5, 'running'), coalesce(value ->> 6, 0),
          value ->> 7, value ->> 8, value ->> 9, value ->> 10, value ->> 11, value ->> 12, value ->> 13,
          value ->> 14
        FROM (SELECT ${
        JSON.stringify([
          change.batchId,
          change.item,
          change.runId,
          change.node,
          change.name ?? null,
          change.status ?? null,
          change.startedAt ?? null,
          change.asked ?? null,
          question ?? null,
          sources === undefined ? null : JSON.stringify(sources),
          change.picture === undefined ? null : JSON.stringify(change.picture),
          change.answer ?? null,
          change.error ?? null,
          change.tokens ?? null,
          change.ms ?? null,
        ])
      } AS value) WHERE true
        ON CONFLICT (batch_id, item) DO UPDATE SET
          status = CASE WHEN ${
        change.status ?? null
      } IS NULL THEN status ELSE excluded.status END,
          run_id = excluded.run_id,
          asked = coalesce(excluded.asked, asked),
          question = coalesce(excluded.question, question),
          sources = coalesce(excluded.sources, sources),
          picture = coalesce(excluded.picture, picture),
          answer = coalesce(excluded.answer, answer),
          error = coalesce(excluded.error, error),
          tokens = coalesce(excluded.tokens, tokens),
          ms = coalesce(excluded.ms, ms)`;
    }
    for (const { batchId, ended } of batches) {
      // What was at work when the run ended did not end by itself.
      if (ended !== undefined && ended !== "succeeded") {
        yield* sql`UPDATE batch_items SET status = 'interrupted'
          WHERE batch_id = ${batchId} AND status = 'running'`;
      }
    }
  });
}
