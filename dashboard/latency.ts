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
import type { Services } from "./services.ts";

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

/** A report is good for so long: many viewers are one reader. */
const freshMs = 2000;
const most = 100;

interface Kept {
  readonly at: number;
  readonly report: Promise<LatencyReport>;
}

const kept = new WeakMap<Services, Map<string, Kept>>();

/** The report, read at most every two seconds. */
export function latencyReport(
  services: Services,
  query: LatencyQuery,
): Promise<LatencyReport> {
  let reports = kept.get(services);
  if (reports === undefined) kept.set(services, reports = new Map());
  const key = latencyAddress(query);
  const known = reports.get(key);
  const now = Date.now();
  if (known !== undefined && now - known.at < freshMs) return known.report;
  const report = services.run(services.store.latency(query));
  // A failure is not kept.
  report.catch(() => reports.delete(key));
  reports.delete(key);
  reports.set(key, { at: now, report });
  if (reports.size > most) reports.delete(reports.keys().next().value!);
  return report;
}
