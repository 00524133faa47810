/**
 * The run store in a SQLite file.
 * @module
 */
import { Effect, Schema, type Scope } from "effect";
import { Migrator, type SqlClient, SqlClient as Client } from "effect/sql";
import type { SqlError } from "effect/sql/SqlError";
import {
  nodesFrom,
  type RunEvent,
  RunEventSchema,
  type RunStore,
  type RunSummary,
  type StoredRun,
  StoreError,
} from "../../pipeline/mod.ts";
import { BatchObserver } from "./batches/observe.ts";
import { type Batches, readBatches } from "./batches/read.ts";
import { writeBatches } from "./batches/table.ts";
import { openSqlite, type SqliteOptions } from "./client.ts";
import {
  type Changes,
  type Facets,
  listRuns,
  readChanges,
  readFacets,
} from "./list.ts";
import {
  type LatencyQuery,
  type LatencyReport,
  readLatency,
} from "./metrics/report.ts";
import { MetricsWriter, writeFigures } from "./metrics/table.ts";
import { checkTables, migrations, versionTable } from "./migrations.ts";
import { patiently, storeError } from "./problems.ts";
import { prune, type Retention } from "./retention.ts";
import { columns, type RunRow, summaryFrom } from "./rows.ts";
import { makeSignals } from "./signals.ts";
import { enterSome, outsideExceed } from "./search.ts";
import { removeRuns, writeBatch } from "./write.ts";
import { makeWriter } from "./writer.ts";

/** Rows of events read at once, so that a long run does not hold up the event loop: as many transactions at most. */
const readRows = 16;

/** Runs that are not in the index for text before a search has them entered. */
const enterBeyond = 500;

/** Runs written between two looks at what is too old or too much. */
const pruneAfter = 500;

/** A run store that can be watched, knows what its runs have in common, and adds up figures over time. */
export interface SqliteStore extends RunStore {
  /** Latency, throughput and use over time. They outlive the runs they come from. */
  readonly latency: (
    query: LatencyQuery,
  ) => Effect.Effect<LatencyReport, StoreError>;
  /** Questions that belong together. */
  readonly batches: Batches<StoreError>;
  /** Forgets several runs; returns those that were there. */
  readonly removeAll: (
    runIds: readonly string[],
  ) => Effect.Effect<readonly string[], StoreError>;
  /** How many runs stand how, and the names of their pipelines and models. */
  readonly facets: Effect.Effect<Facets, StoreError>;
  /** A run without its nodes and events; `undefined` if there is none. */
  readonly summary: (
    runId: string,
  ) => Effect.Effect<RunSummary | undefined, StoreError>;
  /** The next events of a run after the one with this number, in order, some thousand at most; none if there is none. */
  readonly eventsAfter: (
    runId: string,
    seq: number,
  ) => Effect.Effect<readonly RunEvent[], StoreError>;
  /** Small picture of a run's input, as a `data:` URL. */
  readonly icon: (
    runId: string,
  ) => Effect.Effect<string | undefined, StoreError>;
  /** Runs that changed after a mark; without one, only the mark of now. */
  readonly changes: (mark?: number) => Effect.Effect<Changes, StoreError>;
  /** Calls `listener` soon after anybody, here or in another process, has written; it must not throw. */
  readonly watch: (listener: () => void) => () => void;
  /** Lets go of what is too old or too much, by these bounds or its own; returns how many runs went. */
  readonly prune: (keep?: Retention) => Effect.Effect<number, StoreError>;
}

/** Opens a run store; closing the surrounding scope writes what is left and closes the file. */
export function makeSqliteStore(
  options: SqliteOptions,
): Effect.Effect<SqliteStore, StoreError, Scope.Scope> {
  const name = options.filename;
  const explain = <A, R>(
    effect: Effect.Effect<A, SqlError | Migrator.MigrationError, R>,
  ): Effect.Effect<A, StoreError, R> =>
    Effect.mapError(patiently(effect), (error) => storeError(name, error));
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
    const sql = yield* explain(openSqlite(options, checkTables));
    yield* explain(Effect.provideService(
      Migrator.make({})({ loader: migrations, table: versionTable }),
      Client.SqlClient,
      sql,
    ));
    const signals = yield* makeSignals(sql);
    // Summaries of the runs that this store is writing.
    const active = new Map<string, RunSummary>();
    const metrics = new MetricsWriter();
    const batchObserver = new BatchObserver();
    const keep = options.keep ?? {};
    let sincePrune = 0;
    const writer = yield* makeWriter((batch) => {
      // Once for each event, and not at every attempt to write it.
      const figures = metrics.of(batch);
      const changes = batchObserver.of(batch);
      const more = Effect.andThen(
        writeFigures(sql, figures),
        writeBatches(sql, changes),
      );
      for (const { _tag } of batch) if (_tag === "RunFinished") sincePrune++;
      const written = Effect.tap(
        explain(writeBatch(sql, active, batch, more)),
        () => Effect.sync(signals.wrote),
      );
      if (sincePrune < pruneAfter) return written;
      sincePrune = 0;
      // What was written stands even if nothing could be thrown away.
      return Effect.tap(written, () => Effect.ignore(prune(sql, keep)));
    });
    const batches = readBatches(sql);
    const ask = <A>(effect: Effect.Effect<A, SqlError>) =>
      readable(explain(effect));
    // Counting 100,000 runs takes some milliseconds: it is done again only after a change.
    let counted: { readonly mark: number; readonly facets: Facets } | undefined;
    const facets = Effect.gen(function* () {
      const { mark } = yield* explain(readChanges(sql, undefined));
      if (counted?.mark !== mark) {
        counted = { mark, facets: yield* explain(readFacets(sql)) };
      }
      return counted.facets;
    });
    const removeAll = (runIds: readonly string[]) =>
      Effect.tap(
        explain(removeRuns(sql, runIds)),
        () => Effect.sync(signals.wrote),
      );
    const pruned = (bounds: Retention) =>
      Effect.tap(
        explain(prune(sql, bounds)),
        (gone) => Effect.sync(() => gone > 0 && signals.wrote()),
      );
    if (options.keep !== undefined) yield* pruned(keep);
    // Who searches once will search again.
    const scope = yield* Effect.scope;
    let entering = false;
    const enter = Effect.gen(function* () {
      if (entering || !(yield* explain(outsideExceed(sql, enterBeyond)))) {
        return;
      }
      entering = true;
      const all = Effect.gen(function* () {
        for (;;) {
          const began = performance.now();
          if ((yield* explain(enterSome(sql))) === 0) break;
          // Half of the time is for others.
          yield* Effect.sleep(performance.now() - began);
        }
      });
      yield* Effect.forkIn(
        Effect.ensuring(
          Effect.ignore(Effect.withTracerEnabled(all, false)),
          Effect.sync(() => {
            entering = false;
          }),
        ),
        scope,
      );
    });
    return {
      enabled: true,
      record: writer.record,
      flush: writer.flush,
      list: (query = {}) => {
        const listed = readable(listRuns(sql, query, explain));
        return query.text === undefined
          ? listed
          : Effect.tap(listed, () => enter);
      },
      get: (runId) => ask(get(sql, runId)),
      remove: (runId) =>
        Effect.map(removeAll([runId]), (gone) => gone.length > 0),
      cancel: (runId) => explain(signals.cancel(runId)),
      onCancel: signals.onCancel,
      latency: (query) => ask(readLatency(sql, query)),
      batches: {
        list: (limit) => ask(batches.list(limit)),
        get: (batchId) => ask(batches.get(batchId)),
        items: (batchId, query) => ask(batches.items(batchId, query)),
        alike: (batchId) => ask(batches.alike(batchId)),
        compare: (a, b, query) => ask(batches.compare(a, b, query)),
        runIds: (batchId) => ask(batches.runIds(batchId)),
      },
      removeAll,
      facets,
      summary: (runId) => ask(getSummary(sql, runId)),
      eventsAfter: (runId, seq) => ask(eventsAfter(sql, runId, seq)),
      icon: (runId) => explain(iconOfRun(sql, runId)),
      changes: (mark) => ask(readChanges(sql, mark)),
      watch: signals.watch,
      prune: (bounds = keep) => pruned(bounds),
    };
  });
}

const decodeEvents = Schema.decodeUnknownSync(Schema.Array(RunEventSchema));

/** A row has what was written of a run at once, under its first number; in stores of before, a single event. */
function eventsAfter(
  sql: SqlClient.SqlClient,
  runId: string,
  seq: number,
): Effect.Effect<readonly RunEvent[], SqlError> {
  return Effect.map(
    sql<{ readonly body: string }>`
      SELECT body FROM run_events WHERE run_id = ${runId} AND seq >= coalesce(
        (SELECT max(seq) FROM run_events WHERE run_id = ${runId} AND seq <= ${
      seq + 1
    }), 0)
      ORDER BY seq LIMIT ${readRows}`,
    (rows) =>
      decodeEvents(rows.flatMap(({ body }) => JSON.parse(body)))
        .filter((event) => event.seq > seq),
  );
}

function getSummary(
  sql: SqlClient.SqlClient,
  runId: string,
): Effect.Effect<RunSummary | undefined, SqlError> {
  return Effect.map(
    sql<RunRow>`SELECT ${
      sql.literal(columns)
    } FROM runs WHERE run_id = ${runId}`,
    ([row]) => row && summaryFrom(row),
  );
}

function iconOfRun(
  sql: SqlClient.SqlClient,
  runId: string,
): Effect.Effect<string | undefined, SqlError> {
  return Effect.map(
    sql<
      { readonly body: string }
    >`SELECT body FROM run_icons WHERE run_id = ${runId}`,
    ([row]) => row?.body,
  );
}

function get(
  sql: SqlClient.SqlClient,
  runId: string,
): Effect.Effect<StoredRun | undefined, SqlError> {
  return Effect.gen(function* () {
    const summary = yield* getSummary(sql, runId);
    if (summary === undefined) return undefined;
    const events: RunEvent[] = [];
    for (let last = -1;;) {
      const page = yield* eventsAfter(sql, runId, last);
      events.push(...page);
      if (page.length === 0 || page.at(-1)!._tag === "RunFinished") break;
      last = page.at(-1)!.seq;
      yield* Effect.yieldNow;
    }
    const [first] = events;
    return {
      ...summary,
      ...(first?._tag === "RunStarted" && first.document !== undefined
        ? { document: first.document }
        : {}),
      nodes: nodesFrom(events),
      events,
    };
  });
}
