/**
 * The run store in a SQLite file.
 * @module
 */
import { Array as Arr, Effect, Schema, type Scope } from "effect";
import { Migrator, type SqlClient, SqlClient as Client } from "effect/sql";
import type { SqlError } from "effect/sql/SqlError";
import {
  cursorOf,
  type Json,
  nodesFrom,
  pageSize,
  readCursor,
  type RunEvent,
  RunEventSchema,
  type RunPage,
  type RunQuery,
  type RunStore,
  type RunSummary,
  searchText,
  type StoredRun,
  type StoredStatus,
  StoreError,
  summarize,
  summaryOf,
} from "../../pipeline/mod.ts";
import { openSqlite, type SqliteOptions } from "./client.ts";
import { BatchObserver } from "./batches/observe.ts";
import { type Batches, readBatches } from "./batches/read.ts";
import { createBatches, writeBatches } from "./batches/table.ts";
import {
  type LatencyQuery,
  type LatencyReport,
  readLatency,
} from "./metrics/report.ts";
import { createMetrics, MetricsWriter, writeFigures } from "./metrics/table.ts";
import { makeWriter } from "./writer.ts";

/** Versions of the tables; never change one that was published, add one. */
const migrations: Migrator.Loader = Migrator.fromRecord({
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
  "0004_batches": createBatches,
});

/** Events read at once, so that a long run does not hold up the event loop. */
const readSize = 1000;

interface RunRow {
  readonly run_id: string;
  readonly pipeline: string;
  readonly status: string;
  readonly started_at: number;
  readonly updated_at: number;
  readonly ms: number | null;
  readonly error: string | null;
  readonly inputs: string;
  readonly outputs: string | null;
  readonly attributes: string;
}

/** A run store that also adds up figures over time and knows what belongs together. */
export interface SqliteStore extends RunStore {
  /** Latency, throughput and use over time. They outlive the runs they come from. */
  readonly latency: (
    query: LatencyQuery,
  ) => Effect.Effect<LatencyReport, StoreError>;
  /** Questions that belong together. */
  readonly batches: Batches<StoreError>;
}

/** Opens a run store; closing the surrounding scope writes what is left and closes the file. */
export function makeSqliteStore(
  options: SqliteOptions,
): Effect.Effect<SqliteStore, StoreError, Scope.Scope> {
  const name = options.filename;
  const explain = <A, R>(
    effect: Effect.Effect<A, SqlError | Migrator.MigrationError, R>,
  ): Effect.Effect<A, StoreError, R> =>
    Effect.mapError(effect, (error) => storeError(name, error));
  // Text that is no JSON, or JSON that is no event, throws.
  const readable = <A>(
    effect: Effect.Effect<A, StoreError>,
  ): Effect.Effect<A, StoreError> =>
    Effect.catchDefect(effect, (cause) =>
      Effect.fail(
        new StoreError({
          message:
            `run store ${name}: what it holds cannot be read; the file is damaged`,
          cause,
        }),
      ));
  return Effect.gen(function* () {
    const sql = yield* explain(patiently(openSqlite(options)));
    yield* explain(patiently(Effect.provideService(
      Migrator.make({})({ loader: migrations, table: "tessera_migrations" }),
      Client.SqlClient,
      sql,
    )));
    // Summaries of the runs that this store is writing.
    const active = new Map<string, RunSummary>();
    const metrics = new MetricsWriter();
    const batchObserver = new BatchObserver();
    const writer = yield* makeWriter((batch) => {
      // Once for each event, and not at every attempt to write it.
      const figures = metrics.of(batch);
      const changes = batchObserver.of(batch);
      const more = Effect.andThen(
        writeFigures(sql, figures),
        writeBatches(sql, changes),
      );
      return explain(patiently(writeBatch(sql, active, batch, more)));
    });
    const batches = readBatches(sql);
    const ask = <A>(effect: Effect.Effect<A, SqlError>) =>
      readable(explain(patiently(effect)));
    return {
      enabled: true,
      record: writer.record,
      flush: writer.flush,
      list: (query = {}) => readable(list(sql, query, explain)),
      get: (runId) => readable(explain(patiently(get(sql, runId)))),
      remove: (runId) =>
        explain(patiently(sql.withTransaction(Effect.gen(function* () {
          yield* sql`DELETE FROM run_events WHERE run_id = ${runId}`;
          const gone =
            yield* sql`DELETE FROM runs WHERE run_id = ${runId} RETURNING run_id`;
          return gone.length > 0;
        })))),
      latency: (query) => ask(readLatency(sql, query)),
      batches: {
        list: (limit) => ask(batches.list(limit)),
        get: (batchId) => ask(batches.get(batchId)),
        items: (batchId, query) => ask(batches.items(batchId, query)),
        alike: (batchId) => ask(batches.alike(batchId)),
        compare: (a, b, query) => ask(batches.compare(a, b, query)),
        runIds: (batchId) => ask(batches.runIds(batchId)),
      },
    };
  });
}

function writeBatch(
  sql: SqlClient.SqlClient,
  active: Map<string, RunSummary>,
  batch: readonly RunEvent[],
  more: Effect.Effect<void, SqlError>,
): Effect.Effect<void, SqlError> {
  return Effect.suspend(() => {
    const changed = new Map<string, RunSummary>();
    const begun: string[] = [];
    for (const event of batch) {
      const { runId } = event;
      if (event._tag === "RunStarted") {
        begun.push(runId);
        changed.set(runId, summaryOf(event));
        continue;
      }
      const before = changed.get(runId) ?? active.get(runId);
      if (before !== undefined) changed.set(runId, summarize(before, event));
    }
    const rows = Array.from(changed.values(), (run) => ({
      run_id: run.runId,
      pipeline: run.pipeline,
      status: run.status,
      started_at: run.startedAt,
      updated_at: run.updatedAt,
      ms: run.ms ?? null,
      error: run.error === undefined ? null : JSON.stringify(run.error),
      inputs: JSON.stringify(run.inputs),
      outputs: run.outputs === undefined ? null : JSON.stringify(run.outputs),
      attributes: JSON.stringify(run.attributes),
      search: searchText(run),
    }));
    const events = batch.map((event) => ({
      run_id: event.runId,
      seq: event.seq,
      body: JSON.stringify(event),
    }));
    return Effect.map(
      sql.withTransaction(Effect.gen(function* () {
        for (const runId of begun) {
          yield* sql`DELETE FROM run_events WHERE run_id = ${runId}`;
        }
        for (const row of rows) {
          yield* sql`INSERT OR REPLACE INTO runs ${sql.insert(row)}`;
        }
        if (Arr.isArrayNonEmpty(events)) {
          yield* sql`INSERT OR REPLACE INTO run_events ${sql.insert(events)}`;
        }
        yield* more;
      })),
      () => {
        for (const [runId, run] of changed) {
          if (run.status === "running") active.set(runId, run);
          else active.delete(runId);
        }
      },
    );
  });
}

function list(
  sql: SqlClient.SqlClient,
  query: RunQuery,
  explain: <A, R>(
    effect: Effect.Effect<A, SqlError, R>,
  ) => Effect.Effect<A, StoreError, R>,
): Effect.Effect<RunPage, StoreError> {
  return Effect.gen(function* () {
    const limit = yield* pageSize(query);
    const after = query.cursor === undefined
      ? undefined
      : yield* readCursor(query.cursor);
    const where = [
      ...(query.status === undefined ? [] : [sql`status = ${query.status}`]),
      ...(query.pipeline === undefined
        ? []
        : [sql`pipeline = ${query.pipeline}`]),
      ...(query.text === undefined
        ? []
        : [sql`instr(lower(search), lower(${query.text})) > 0`]),
      ...(after === undefined
        ? []
        : [sql`(started_at, run_id) < (${after.startedAt}, ${after.runId})`]),
    ];
    const rows = yield* explain(patiently(
      sql<
        RunRow
      >`SELECT run_id, pipeline, status, started_at, updated_at, ms, error, inputs, outputs, attributes
        FROM runs WHERE ${sql.and(where)}
        ORDER BY started_at DESC, run_id DESC LIMIT ${limit + 1}`,
    ));
    const runs = rows.slice(0, limit).map(summaryFrom);
    const last = runs.at(-1);
    return rows.length > limit && last !== undefined
      ? { runs, cursor: cursorOf(last) }
      : { runs };
  });
}

const decodeEvents = Schema.decodeUnknownSync(
  Schema.Array(Schema.fromJsonString(RunEventSchema)),
);

function get(
  sql: SqlClient.SqlClient,
  runId: string,
): Effect.Effect<StoredRun | undefined, SqlError> {
  return Effect.gen(function* () {
    const [row] = yield* sql<
      RunRow
    >`SELECT run_id, pipeline, status, started_at, updated_at, ms, error, inputs, outputs, attributes
      FROM runs WHERE run_id = ${runId}`;
    if (row === undefined) return undefined;
    const events: RunEvent[] = [];
    for (let last = -1;;) {
      const page = yield* sql<{ readonly seq: number; readonly body: string }>`
        SELECT seq, body FROM run_events WHERE run_id = ${runId} AND seq > ${last}
        ORDER BY seq LIMIT ${readSize}`;
      events.push(...decodeEvents(page.map(({ body }) => body)));
      if (page.length < readSize) break;
      last = page.at(-1)!.seq;
      yield* Effect.yieldNow;
    }
    const [first] = events;
    return {
      ...summaryFrom(row),
      ...(first?._tag === "RunStarted" && first.document !== undefined
        ? { document: first.document }
        : {}),
      nodes: nodesFrom(events),
      events,
    };
  });
}

function summaryFrom(row: RunRow): RunSummary {
  return {
    runId: row.run_id,
    pipeline: row.pipeline,
    status: row.status as StoredStatus,
    startedAt: row.started_at,
    updatedAt: row.updated_at,
    ...(row.ms === null ? {} : { ms: row.ms }),
    ...(row.error === null ? {} : { error: JSON.parse(row.error) }),
    inputs: JSON.parse(row.inputs),
    ...(row.outputs === null ? {} : {
      outputs: JSON.parse(row.outputs) as { readonly [name: string]: Json },
    }),
    attributes: JSON.parse(row.attributes),
  };
}

/** How long somebody else may hold the lock before we give up, in milliseconds. */
const patience = 10_000;

/** Tries again while somebody else is writing. */
function patiently<A, E extends SqlError | Migrator.MigrationError, R>(
  effect: Effect.Effect<A, E, R>,
): Effect.Effect<A, E, R> {
  const from = (delay: number, waited: number): Effect.Effect<A, E, R> =>
    Effect.catch(effect, (error) => {
      if (!isLocked(error) || waited >= patience) return Effect.fail(error);
      // Spread out, so that those who wait do not come back together.
      const pause = delay * (0.5 + Math.random());
      return Effect.flatMap(
        Effect.sleep(pause),
        () => from(Math.min(2 * delay, 50), waited + pause),
      );
    });
  return from(1, 0);
}

/** What SQLite says by primary result code (`sqlite3ErrStr` in its main.c). */
const texts: { readonly [code: number]: string } = {
  5: "database is locked",
  8: "attempt to write a readonly database",
  10: "disk I/O error",
  11: "database disk image is malformed",
  13: "database or disk is full",
  14: "unable to open database file",
  26: "file is not a database",
};

/** SQLite's own error inside what effect/sql made of it. */
function sqliteError(
  error: unknown,
): { readonly code: number | undefined; readonly message: string } {
  let cause = error;
  for (;;) {
    const { errcode, reason, cause: inner, message } = cause as {
      readonly errcode?: number;
      readonly reason?: unknown;
      readonly cause?: unknown;
      readonly message?: string;
    };
    const next = reason ?? inner;
    if (errcode === undefined && next instanceof Object) {
      cause = next;
      continue;
    }
    const line = (message ?? "unknown error").split("\n")[0]!;
    // Deno gives no code with what goes wrong at opening, but always SQLite's text.
    const code = errcode === undefined
      ? Object.keys(texts).find((text) => line.startsWith(texts[Number(text)]!))
      : errcode & 0xff;
    return {
      code: code === undefined ? undefined : Number(code),
      message: line,
    };
  }
}

function isLocked(error: SqlError | Migrator.MigrationError): boolean {
  const { code } = sqliteError(error);
  return code === 5 || code === 6 ||
    (error._tag === "MigrationError" && error.kind === "Locked");
}

/** Advice by SQLite's primary result code (sqlite.org/rescode.html). */
const advice: { readonly [code: number]: string } = {
  5: "another process holds its lock; close that, or choose another file",
  8: "it cannot be written; change its permissions, or choose another file",
  10: "the disk failed; look after it, or choose another file",
  11: "the file is damaged; move it away to start a new one",
  13: "the disk is full; free some space, or choose another file",
  14: "it cannot be opened; its folder must exist and be writable",
  26: "the file is no SQLite database; choose another file",
};

function storeError(
  filename: string,
  error: SqlError | Migrator.MigrationError,
): StoreError {
  const { code, message } = sqliteError(error);
  const known = code === undefined ? undefined : advice[code];
  return new StoreError({
    message: `run store ${filename}: ${
      known === undefined ? message : `${known} (${message})`
    }`,
    cause: error,
  });
}
