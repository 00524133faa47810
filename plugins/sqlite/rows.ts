/**
 * Runs as rows and back.
 * @module
 */
import {
  type Json,
  type RunSummary,
  searchText,
  sortKey,
  type StoredStatus,
} from "../../pipeline/mod.ts";

/** A row of `runs`, without what only SQL looks at. */
export interface RunRow {
  readonly run_id: string;
  readonly pipeline: string;
  readonly status: string;
  readonly started_at: number;
  readonly updated_at: number;
  readonly seen_at: number;
  readonly ms: number | null;
  readonly error: string | null;
  readonly inputs: string;
  readonly outputs: string | null;
  readonly attributes: string;
  readonly glance: string;
}

/** The columns of a {@link RunRow}. */
export const columns =
  "run_id, pipeline, status, started_at, updated_at, seen_at, ms, error, inputs, outputs, attributes, glance";

/** A run as what is written. */
export function rowOf(run: RunSummary, mark: number) {
  const { timings, cached, firstPartMs, usage, icon } = run;
  const { model } = run.attributes;
  return {
    run_id: run.runId,
    pipeline: run.pipeline,
    status: run.status,
    started_at: run.startedAt,
    updated_at: run.updatedAt,
    seen_at: run.updatedAt,
    ms: run.ms ?? null,
    error: run.error === undefined ? null : JSON.stringify(run.error),
    inputs: JSON.stringify(run.inputs),
    outputs: run.outputs === undefined ? null : JSON.stringify(run.outputs),
    attributes: JSON.stringify(run.attributes),
    search: searchText(run),
    model: typeof model === "string" ? model : "",
    ms_key: sortKey(run, "ms"),
    tokens: sortKey(run, "tokens"),
    glance: JSON.stringify({ timings, cached, firstPartMs, usage, icon }),
    mark,
  };
}

/** A row as a run. */
export function summaryFrom(row: RunRow): RunSummary {
  return {
    runId: row.run_id,
    pipeline: row.pipeline,
    status: row.status as StoredStatus,
    startedAt: row.started_at,
    updatedAt: Math.max(row.updated_at, row.seen_at),
    ...(row.ms === null ? {} : { ms: row.ms }),
    ...(row.error === null ? {} : { error: JSON.parse(row.error) }),
    inputs: JSON.parse(row.inputs),
    ...(row.outputs === null ? {} : {
      outputs: JSON.parse(row.outputs) as { readonly [name: string]: Json },
    }),
    attributes: JSON.parse(row.attributes),
    timings: {},
    cached: 0,
    usage: {},
    ...JSON.parse(row.glance),
  };
}
