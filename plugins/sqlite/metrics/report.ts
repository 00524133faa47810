/**
 * Latency, throughput and use over time, read from the figures that were added up.
 * @module
 */
import { Effect } from "effect";
import type { SqlClient } from "effect/sql";
import type { SqlError } from "effect/sql/SqlError";
import { Histogram } from "./histogram.ts";
import type { Metric } from "./observe.ts";
import { steps } from "./table.ts";

/** How far back. */
export type LatencyWindow = keyof typeof steps;

/** The windows, shortest first. */
export const latencyWindows: readonly LatencyWindow[] = ["hour", "day", "week"];

/** What to report. */
export interface LatencyQuery {
  /** How far back. */
  readonly window: LatencyWindow;
  /** Only runs of this pipeline. */
  readonly pipeline?: string;
  /** Only runs of this model. */
  readonly model?: string;
  /** The end, in milliseconds since 1970; default: now. */
  readonly now?: number;
}

/** A value for each point in time; `null` where nothing happened. */
export type Points = readonly (number | null)[];

/** A distribution over time and in all. */
export interface Distribution {
  /** Number of values. */
  readonly n: number;
  /** Half of the values are at most this. */
  readonly p50: number | null;
  /** 95 % are. */
  readonly p95: number | null;
  /** 99 % are. */
  readonly p99: number | null;
  /** The largest. */
  readonly max: number | null;
  /** The mean. */
  readonly mean: number | null;
  /** Over time. */
  readonly points: {
    /** Number of values. */
    readonly n: readonly number[];
    /** See above. */
    readonly p50: Points;
    /** See above. */
    readonly p95: Points;
    /** See above. */
    readonly p99: Points;
  };
}

/** A stage: a kind of node, or a part of its work. */
export interface StageReport {
  /** Its name. */
  readonly stage: string;
  /** Milliseconds of work; results from the memo are not in it. */
  readonly ms: Distribution;
  /** Milliseconds of waiting; `undefined` for a part of a node's work. */
  readonly queue?: Distribution;
  /** How many waited, averaged over time (Little's law: waiting times summed, divided by the time). */
  readonly queueLength: Points;
  /** Results from the memo. */
  readonly cached: number;
  /** Share of results that came from the memo; `null` without results. */
  readonly hitRate: number | null;
  /** The share over time. */
  readonly hitRates: Points;
}

/** What is reported. */
export interface LatencyReport {
  /** The window. */
  readonly window: LatencyWindow;
  /** Milliseconds from point to point. */
  readonly stepMs: number;
  /** The points: starts of steps, in milliseconds since 1970. The last one is not over yet. */
  readonly times: readonly number[];
  /** Pipelines that ran in the window. */
  readonly pipelines: readonly string[];
  /** Models that ran in the window. */
  readonly models: readonly string[];
  /** Stages, the one that took most time first. */
  readonly stages: readonly StageReport[];
  /** Whole runs that succeeded, in milliseconds. */
  readonly runs: Distribution;
  /** Runs that failed. */
  readonly failed: number;
  /** Runs that were stopped. */
  readonly interrupted: number;
  /** Runs ended in a minute, over time. */
  readonly runsPerMinute: Points;
  /** Milliseconds to the first token. */
  readonly firstToken: Distribution;
  /** Tokens a second of one answer. */
  readonly rate: Distribution;
  /** Tokens generated. */
  readonly tokens: number;
  /** Tokens generated in a second by all answers together, over time. */
  readonly tokensPerSecond: Points;
  /** Share of prompt tokens whose keys and values were there already; `null` without prompts. */
  readonly prefixHitRate: number | null;
  /** Resident memory in bytes: the most seen, over time. */
  readonly memory: Points;
}

interface Row {
  readonly at: number;
  readonly pipeline: string;
  readonly model: string;
  readonly metric: Metric;
  readonly stage: string;
  readonly bins: readonly number[];
  readonly counts: readonly number[];
  readonly sum: number;
  readonly max: number;
}

/** Reads a report. */
export function readLatency(
  sql: SqlClient.SqlClient,
  query: LatencyQuery,
): Effect.Effect<LatencyReport, SqlError> {
  const { window } = query;
  const { ms: stepMs } = steps[window];
  const now = query.now ?? Date.now();
  const spans = { hour: 60, day: 96, week: 84 };
  const end = now - now % stepMs;
  const times = Array.from(
    { length: spans[window] },
    (_, index) => end - (spans[window] - 1 - index) * stepMs,
  );
  return Effect.gen(function* () {
    const known = yield* sql<
      Pick<Row, "pipeline" | "model" | "metric" | "stage"> & { series: number }
    >`SELECT series, pipeline, model, metric, stage FROM metric_series`;
    const names = new Map(known.map((row) => [row.series, row]));
    // A row for each distribution: 100,000 rows of classes would take five times as long to hand over.
    const rows = yield* sql<
      Pick<Row, "at" | "sum" | "max"> & {
        readonly series: number;
        readonly bins: string;
        readonly counts: string;
      }
    >`SELECT at, series, sum(sum) AS sum, max(max) AS max,
        json_group_array(bin) AS bins, json_group_array(n) AS counts
      FROM metrics WHERE step = ${stepMs} AND at >= ${times[
      0
    ]!} AND at <= ${end}
      GROUP BY at, series`;
    const full: Row[] = [];
    for (const { at, series, sum, max, bins, counts } of rows) {
      const name = names.get(series);
      if (name === undefined) continue;
      full.push({
        ...name,
        at,
        sum,
        max,
        bins: JSON.parse(bins),
        counts: JSON.parse(counts),
      });
    }
    return report(query, stepMs, now, times, full);
  });
}

/** A distribution being added up. */
class Timeline {
  readonly all = new Histogram();
  readonly at: Histogram[];

  constructor(length: number) {
    this.at = Array.from({ length }, () => new Histogram());
  }

  add(index: number, { bins, counts, sum, max }: Row): void {
    this.all.add(bins, counts, sum, max);
    this.at[index]!.add(bins, counts, sum, max);
  }

  distribution(): Distribution {
    const { all, at } = this;
    const [p50, p95, p99] = quantilesOf(all);
    const points = at.map(quantilesOf);
    return {
      n: all.n,
      p50: p50!,
      p95: p95!,
      p99: p99!,
      max: all.n === 0 ? null : rounded(all.max),
      mean: rounded(all.mean()),
      points: {
        n: at.map(({ n }) => n),
        p50: points.map((point) => point[0]!),
        p95: points.map((point) => point[1]!),
        p99: points.map((point) => point[2]!),
      },
    };
  }
}

const quantilesOf = (histogram: Histogram): (number | null)[] =>
  histogram.quantiles([0.5, 0.95, 0.99]).map(rounded);

/** Four digits: more is not known. */
function rounded(value: number | undefined): number | null {
  return value === undefined ? null : Number(value.toPrecision(4));
}

function report(
  { window, pipeline, model }: LatencyQuery,
  stepMs: number,
  now: number,
  times: readonly number[],
  rows: readonly Row[],
): LatencyReport {
  const pipelines = new Set<string>();
  const models = new Set<string>();
  const lines = new Map<string, Timeline>();
  const line = (metric: Metric, stage = ""): Timeline => {
    const key = `${metric} ${stage}`;
    let found = lines.get(key);
    if (found === undefined) lines.set(key, found = new Timeline(times.length));
    return found;
  };
  const stages = new Set<string>();
  for (const row of rows) {
    pipelines.add(row.pipeline);
    if (row.model !== "") models.add(row.model);
    if (
      (pipeline !== undefined && row.pipeline !== pipeline) ||
      (model !== undefined && row.model !== model)
    ) continue;
    const index = (row.at - times[0]!) / stepMs;
    if (!Number.isInteger(index)) continue;
    line(row.metric, row.stage).add(index, row);
    if (row.stage !== "") stages.add(row.stage);
  }
  // The last step has only begun.
  const lengths = times.map((at) => Math.max(1000, Math.min(stepMs, now - at)));
  const per = (ms: number, sums: readonly number[]): Points =>
    sums.map((sum, index) => rounded(sum * ms / lengths[index]!));
  const sums = (metric: Metric, stage = ""): number[] =>
    line(metric, stage).at.map(({ sum }) => sum);
  const stageReports = Array.from(stages, (stage): StageReport & Worked => {
    const ms = line("ms", stage);
    const queue = line("queue", stage);
    const cached = line("cached", stage);
    // Of a node with sub-spans, the parts are the stages; how often it ran, its waiting says.
    const misses = Math.max(ms.all.n, queue.all.n);
    return {
      stage,
      ms: ms.distribution(),
      ...(queue.all.n === 0 ? {} : { queue: queue.distribution() }),
      queueLength: per(1, queue.at.map(({ sum }) => sum)),
      cached: cached.all.n,
      hitRate: share(cached.all.n, cached.all.n + misses),
      hitRates: cached.at.map(({ n }, index) =>
        share(n, n + Math.max(ms.at[index]!.n, queue.at[index]!.n))
      ),
      worked: ms.all.sum,
    };
  }).toSorted((a, b) => b.worked - a.worked || (a.stage < b.stage ? -1 : 1));
  const ended = [line("run"), line("failed"), line("interrupted")];
  const prompt = line("promptTokens").all.sum;
  return {
    window,
    stepMs,
    times,
    pipelines: [...pipelines].sort(),
    models: [...models].sort(),
    stages: stageReports.map(({ worked: _, ...stage }) => stage),
    runs: line("run").distribution(),
    failed: line("failed").all.n,
    interrupted: line("interrupted").all.n,
    runsPerMinute: per(
      60_000,
      times.map((_, index) =>
        ended.reduce((sum, { at }) => sum + at[index]!.n, 0)
      ),
    ),
    firstToken: line("ttft").distribution(),
    rate: line("rate").distribution(),
    tokens: line("tokens").all.sum,
    tokensPerSecond: per(1000, sums("tokens")),
    prefixHitRate: share(line("reusedTokens").all.sum, prompt),
    memory: line("rss").at.map(({ n, max }) => n === 0 ? null : max),
  };
}

interface Worked {
  readonly worked: number;
}

function share(part: number, whole: number): number | null {
  return whole === 0 ? null : rounded(part / whole);
}
