/**
 * Figures of runs added up by time: three tables' worth of steps in one, written along with the events.
 * @module
 */
import { createHash } from "node:crypto";
import { Effect } from "effect";
import { type SqlClient, SqlClient as Client } from "effect/sql";
import type { SqlError } from "effect/sql/SqlError";
import type { RunEvent } from "../../../pipeline/mod.ts";
import { binOf } from "./histogram.ts";
import { type Observation, Observer } from "./observe.ts";

/** Milliseconds of a step, and how long its figures are kept. */
export interface Step {
  /** Its length. */
  readonly ms: number;
  /** How long they are kept. */
  readonly keepMs: number;
}

const minute = 60_000;
const hour = 60 * minute;

/** For the last hour, day and week. */
export const steps: {
  readonly hour: Step;
  readonly day: Step;
  readonly week: Step;
} = {
  hour: { ms: minute, keepMs: 3 * hour },
  day: { ms: 15 * minute, keepMs: 50 * hour },
  week: { ms: 2 * hour, keepMs: 15 * 24 * hour },
};

/** Makes the tables, with the figures of the runs that are there already. */
export const createMetrics: Effect.Effect<void, SqlError, SqlClient.SqlClient> =
  Effect.gen(function* () {
    const sql = yield* Client.SqlClient;
    yield* sql`CREATE TABLE metric_series (
      series INTEGER PRIMARY KEY,
      pipeline TEXT NOT NULL,
      model TEXT NOT NULL,
      metric TEXT NOT NULL,
      stage TEXT NOT NULL
    )`;
    yield* sql`CREATE TABLE metrics (
      step INTEGER NOT NULL,
      at INTEGER NOT NULL,
      series INTEGER NOT NULL,
      bin INTEGER NOT NULL,
      n INTEGER NOT NULL,
      sum REAL NOT NULL,
      max REAL NOT NULL,
      PRIMARY KEY (step, at, series, bin)
    ) WITHOUT ROWID`;
    const adder = new MetricsWriter();
    let last = { run_id: "", seq: -1 };
    for (;;) {
      const rows = yield* sql<
        { readonly run_id: string; readonly seq: number; readonly body: string }
      >`SELECT run_id, seq, body FROM run_events
        WHERE (run_id, seq) > (${last.run_id}, ${last.seq})
          AND body NOT LIKE '{"_tag":"NodeProgress"%'
        ORDER BY run_id, seq LIMIT 1000`;
      // An event that cannot be read is not worth a store that cannot be opened.
      yield* Effect.catchDefect(
        Effect.suspend(() =>
          writeFigures(sql, adder.of(rows.map(({ body }) => JSON.parse(body))))
        ),
        () => Effect.void,
      );
      if (rows.length < 1000) return;
      last = rows.at(-1)!;
    }
  });

interface Sums {
  readonly at: number;
  readonly series: number;
  readonly bin: number;
  n: number;
  sum: number;
  max: number;
}

const seriesIds = new Map<string, number>();

/** 48 bits of a digest, so that several writers agree without asking each other. */
function seriesId(key: string): number {
  let id = seriesIds.get(key);
  if (id === undefined) {
    id = createHash("sha256").update(key).digest().readUIntBE(0, 6);
    if (seriesIds.size > 10_000) seriesIds.clear();
    seriesIds.set(key, id);
  }
  return id;
}

/** Figures added up, as the rows that are to be written. */
export interface Figures {
  /** Series by id: `[id, pipeline, model, metric, stage]`. */
  readonly series: readonly (readonly unknown[])[];
  /** Sums: `[step, at, series, bin, n, sum, max]`. */
  readonly rows: readonly (readonly number[])[];
  /** What is older, by step: `[step, at]`. */
  readonly outdated: readonly (readonly number[])[];
}

/** Adds up the figures of events, in the order in which they happened. */
export class MetricsWriter {
  readonly #observer = new Observer();
  #prunedAt = 0;

  /** The figures of some events. To be asked once for each: it remembers what runs began with. */
  of(events: readonly RunEvent[]): Figures {
    const found = events.flatMap((event) => this.#observer.observe(event));
    const latest = found.reduce((latest, { at }) => Math.max(latest, at), 0);
    const prunes = latest - this.#prunedAt >= hour;
    if (prunes) this.#prunedAt = latest;
    return {
      ...addUp(found),
      outdated: prunes
        ? Object.values(steps).map(({ ms, keepMs }) => [ms, latest - keepMs])
        : [],
    };
  }
}

function addUp(found: readonly Observation[]): Omit<Figures, "outdated"> {
  const series = new Map<string, readonly unknown[]>();
  const sums = new Map<string, Sums>();
  for (const { at, pipeline, model, metric, stage, value } of found) {
    const names = [pipeline, model, metric, stage];
    const key = JSON.stringify(names);
    const id = seriesId(key);
    if (!series.has(key)) series.set(key, [id, ...names]);
    const start = at - at % minute;
    const bin = binOf(value);
    const place = `${start} ${id} ${bin}`;
    const known = sums.get(place);
    if (known === undefined) {
      sums.set(place, {
        at: start,
        series: id,
        bin,
        n: 1,
        sum: value,
        max: value,
      });
    } else {
      known.n++;
      known.sum += value;
      known.max = Math.max(known.max, value);
    }
  }
  const rows = Object.values(steps).flatMap(({ ms }) =>
    Array.from(
      sums.values(),
      ({ at, series, bin, n, sum, max }) => [
        ms,
        at - at % ms,
        series,
        bin,
        n,
        sum,
        max,
      ],
    )
  );
  return { series: [...series.values()], rows };
}

/** Writes figures; belongs into the transaction that writes the events they come from. */
export function writeFigures(
  sql: SqlClient.SqlClient,
  { series, rows, outdated }: Figures,
): Effect.Effect<void, SqlError> {
  if (rows.length === 0) return Effect.void;
  // One statement whatever the number of rows, so that it is prepared once.
  return Effect.gen(function* () {
    yield* sql`INSERT OR IGNORE INTO metric_series
      SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4
      FROM json_each(${JSON.stringify(series)})`;
    yield* sql`INSERT INTO metrics (step, at, series, bin, n, sum, max)
      SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5, value ->> 6
      FROM json_each(${JSON.stringify(rows)}) WHERE true
      ON CONFLICT (step, at, series, bin) DO UPDATE SET
        n = n + excluded.n, sum = sum + excluded.sum, max = max(max, excluded.max)`;
    for (const [step, at] of outdated) {
      yield* sql`DELETE FROM metrics WHERE step = ${step} AND at < ${at}`;
    }
  });
}
