/**
 * The report behind the page and its data, chosen by the address.
 * @module
 */
import {
  type LatencyQuery,
  type LatencyReport,
  type LatencyWindow,
  latencyWindows,
} from "../plugins/sqlite/mod.ts";
import type { Source } from "./snapshot.ts";
import type { StoreAccess } from "./store_access.ts";

/** What an address asks for. */
export function latencyQuery(params: URLSearchParams): LatencyQuery {
  const window = params.get("window") as LatencyWindow;
  const of = (name: "pipeline" | "model") => {
    const value = params.get(name);
    return value === null || value === "" ? {} : { [name]: value };
  };
  return {
    window: latencyWindows.includes(window) ? window : "hour",
    ...of("pipeline"),
    ...of("model"),
  };
}

/** The same as an address says it. */
export function latencyAddress(query: LatencyQuery): string {
  const { window, pipeline, model } = query;
  return new URLSearchParams({
    window,
    ...(pipeline === undefined ? {} : { pipeline }),
    ...(model === undefined ? {} : { model }),
  }).toString();
}

/** Least milliseconds between two reports on a page, and until its points move on. */
const paces = {
  hour: { pace: 2000, step: 60_000 },
  day: { pace: 10_000, step: 60_000 },
  week: { pace: 30_000, step: 600_000 },
};

/** The report as it changes. */
export function liveLatency(
  { store, run }: StoreAccess,
  query: LatencyQuery,
): Source {
  return {
    ...paces[query.window],
    read: async () => ({ head: await run(store.latency(query)), parts: [] }),
  };
}

/** A report is good for so long: many who load the page are one reader. */
const freshMs = 2000;
const most = 100;

interface Kept {
  readonly at: number;
  readonly report: Promise<LatencyReport>;
}

const kept = new WeakMap<StoreAccess, Map<string, Kept>>();

/** The report, read at most every two seconds, and when that was. */
export async function latencyReport(
  access: StoreAccess,
  query: LatencyQuery,
): Promise<{ readonly at: number; readonly report: LatencyReport }> {
  let reports = kept.get(access);
  if (reports === undefined) kept.set(access, reports = new Map());
  const key = latencyAddress(query);
  const now = Date.now();
  let found = reports.get(key);
  if (found === undefined || now - found.at >= freshMs) {
    const report = access.run(access.store.latency(query));
    // A failure is not kept.
    report.catch(() => reports.delete(key));
    found = { at: now, report };
    reports.delete(key);
    reports.set(key, found);
    if (reports.size > most) reports.delete(reports.keys().next().value!);
  }
  return { at: found.at, report: await found.report };
}
