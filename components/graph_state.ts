/**
 * How the nodes of a drawn pipeline stand, from the events of a run; the same on the server and live.
 * @module
 */
import type { RunEvent } from "../pipeline/mod.ts";

/** How a node stands; elements of a mapped node are added up. */
export interface NodeState {
  /**
   * The worst that can be said of its elements: `failed`, `running`, `interrupted`, `cached` (all of them)
   * or `succeeded`.
   */
  readonly status:
    | "running"
    | "succeeded"
    | "failed"
    | "interrupted"
    | "cached";
  /** Milliseconds of work of the elements that have ended. */
  readonly ms: number;
  /** Elements at work. */
  readonly running: number;
  /** Elements that have ended. */
  readonly ended: number;
  /** Elements whose result came from the memo. */
  readonly cached: number;
  /** Elements that failed for good. */
  readonly failed: number;
  /** Elements that were stopped, which is nobody's failure. */
  readonly stopped: number;
  /** How far the element that spoke last has come. */
  readonly progress?: { readonly done: number; readonly total?: number };
}

/** Nodes by their names in the graph; those inside a pipeline by the names on the way there: `answer/load`. */
export type NodeStates = { readonly [node: string]: NodeState };

const fresh: NodeState = {
  status: "running",
  ms: 0,
  running: 0,
  ended: 0,
  cached: 0,
  failed: 0,
  stopped: 0,
};

/** The node of the graph that a path belongs to: `answer/load` of `answer[1]/load[0]`. */
export const nodeOf = (path: string): string => path.replace(/\[\d+\]/g, "");

/**
 * The states after one more event.
 *
 * ```ts
 * import { withEvent } from "./graph_state.ts";
 * import assert from "node:assert/strict";
 *
 * const base = { runId: "r", at: 0, node: "load[0]", kind: "load", composite: false, attempt: 1 };
 * const states = withEvent({}, { _tag: "NodeStarted", ...base, seq: 1, queuedMs: 0 });
 * assert.equal(states.load?.status, "running");
 * ```
 */
export function withEvent(states: NodeStates, event: RunEvent): NodeStates {
  if (event._tag === "RunStarted") return {};
  if (event._tag === "RunFinished") return withEnd(states);
  const name = nodeOf(event.node);
  const before = states[name] ?? fresh;
  const after = next(before, event);
  if (after === undefined) return states;
  const { running, failed, stopped, cached, ended } = after;
  const status = failed > 0
    ? "failed"
    : running > 0
    ? "running"
    : stopped > 0
    ? "interrupted"
    : cached > 0 && cached === ended
    ? "cached"
    : "succeeded";
  return { ...states, [name]: { ...after, status } };
}

/** The states once the run is over: what was at work when it was stopped does not say so itself. */
export function withEnd(states: NodeStates): NodeStates {
  const open = Object.entries(states).filter(([, { running }]) => running > 0);
  if (open.length === 0) return states;
  const closed = open.map(([name, state]) => [name, {
    ...state,
    running: 0,
    stopped: state.stopped + state.running,
    status: state.failed > 0 ? "failed" as const : "interrupted" as const,
  }]);
  return { ...states, ...Object.fromEntries(closed) };
}

/** Whether what ended did so because it was stopped, and not because something was wrong. */
export const isStop = (error: { readonly tag: string }): boolean =>
  error.tag === "Interrupted";

function next(
  before: NodeState,
  event: Exclude<RunEvent, { _tag: "RunStarted" | "RunFinished" }>,
): NodeState | undefined {
  switch (event._tag) {
    case "NodeStarted":
      return { ...before, running: before.running + 1 };
    case "NodeProgress":
      return event.done === undefined ? undefined : {
        ...before,
        progress: {
          done: event.done,
          ...(event.total === undefined ? {} : { total: event.total }),
        },
      };
    case "NodeFinished":
      return {
        ...before,
        running: Math.max(0, before.running - 1),
        ended: before.ended + 1,
        ms: before.ms + (event.cached ? 0 : event.ms),
        cached: before.cached + (event.cached ? 1 : 0),
      };
    case "NodeFailed": {
      const { failed, stopped } = before;
      const name = isStop(event.error) ? "stopped" : "failed";
      return {
        ...before,
        running: Math.max(0, before.running - 1),
        ...(event.willRetry ? {} : { [name]: { failed, stopped }[name] + 1 }),
      };
    }
  }
}
