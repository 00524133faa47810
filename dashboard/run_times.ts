/**
 * Where the time of a run went; the same on the server and in the browser.
 * @module
 */
import type { NodeView } from "./run_view.ts";

/** From and to, in milliseconds since the run began. */
type Interval = readonly [from: number, to: number];

/** Intervals in their order, those that touch as one. */
function joined(intervals: readonly Interval[]): Interval[] {
  const all: [number, number][] = [];
  for (const [from, to] of intervals.toSorted(([a], [b]) => a - b)) {
    const last = all.at(-1);
    if (last !== undefined && from <= last[1]) last[1] = Math.max(last[1], to);
    else all.push([from, to]);
  }
  return all;
}

const length = (intervals: readonly Interval[]): number =>
  joined(intervals).reduce((sum, [from, to]) => sum + to - from, 0);

/** What a run did for how long. */
export interface StageTime {
  /** The stage, or `waiting` where nothing worked and something waited for its turn. */
  readonly stage: string;
  /** Milliseconds; what was done for several elements at once counts once. */
  readonly ms: number;
}

/**
 * What a run did, longest first. Stages that work at the same time both count, so the sum may be more than
 * the run took.
 */
export function stageTimes(nodes: readonly NodeView[]): StageTime[] {
  const work = new Map<string, Interval[]>();
  const queued: Interval[] = [];
  for (const node of nodes) {
    const { kind, composite, status, startMs, queuedMs, ms, spans } = node;
    // What is inside a pipeline says it itself.
    if (composite) continue;
    if (queuedMs > 0) queued.push([startMs - queuedMs, startMs]);
    if (ms === undefined || status === "cached") continue;
    const parts = spans.length === 0 ? [{ name: kind, startMs: 0, ms }] : spans;
    for (const part of parts) {
      const from = startMs + part.startMs;
      const known = work.get(part.name);
      if (known === undefined) work.set(part.name, [[from, from + part.ms]]);
      else known.push([from, from + part.ms]);
    }
  }
  const busy = [...work.values()].flat();
  return [
    ...[...work].map(([stage, intervals]) => ({
      stage,
      ms: length(intervals),
    })),
    { stage: "waiting", ms: length([...busy, ...queued]) - length(busy) },
  ].filter(({ ms }) => ms > 0).sort((a, b) => b.ms - a.ms);
}
