/**
 * What a run's events say of it as a whole, for every store alike.
 * @module
 */
import type { NodeFinished, RunEvent, RunStarted } from "./events.ts";
import type { Json, Preview } from "./port.ts";
import type { RunSummary, StoredNode } from "./store.ts";

/**
 * The summary of a run from its first event.
 *
 * ```ts
 * import { summaryOf } from "@tessera/sdk";
 * import assert from "node:assert/strict";
 *
 * const summary = summaryOf({
 *   _tag: "RunStarted",
 *   runId: "r",
 *   seq: 0,
 *   at: 0,
 *   pipeline: "shout",
 *   inputs: {},
 *   attributes: {},
 * });
 * assert.equal(summary.status, "running");
 * ```
 */
export function summaryOf(event: RunStarted): RunSummary {
  return {
    runId: event.runId,
    pipeline: event.pipeline,
    status: "running",
    startedAt: event.at,
    updatedAt: event.at,
    inputs: event.inputs,
    attributes: event.attributes,
    timings: {},
    cached: 0,
    usage: {},
  };
}

/**
 * The summary after one more event.
 *
 * ```ts
 * import { summarize, summaryOf } from "@tessera/sdk";
 * import assert from "node:assert/strict";
 *
 * const started = { runId: "r", seq: 0, at: 0 };
 * const summary = summarize(
 *   summaryOf({
 *     _tag: "RunStarted",
 *     ...started,
 *     pipeline: "shout",
 *     inputs: {},
 *     attributes: {},
 *   }),
 *   { _tag: "RunFinished", ...started, seq: 1, at: 7, status: "succeeded", ms: 7 },
 * );
 * assert.equal(summary.status, "succeeded");
 * assert.equal(summary.updatedAt, 7);
 * ```
 */
export function summarize(summary: RunSummary, event: RunEvent): RunSummary {
  const next = { ...summary, updatedAt: event.at };
  switch (event._tag) {
    case "RunFinished":
      return {
        ...next,
        status: event.status,
        ms: event.ms,
        ...(event.error === undefined ? {} : { error: event.error }),
        ...(event.outputs === undefined ? {} : { outputs: event.outputs }),
      };
    case "NodeProgress":
      return event.port === undefined || summary.firstPartMs !== undefined
        ? next
        : { ...next, firstPartMs: event.at - summary.startedAt };
    case "NodeFinished":
      return event.composite ? next : { ...next, ...addNode(summary, event) };
    default:
      return next;
  }
}

/** The sums of a summary with one more node in them. */
function addNode(
  summary: RunSummary,
  event: NodeFinished,
): Pick<RunSummary, "timings" | "cached" | "usage" | "icon"> {
  const timings: Record<string, number> = { ...summary.timings };
  const parts = event.spans.length === 0
    ? [{ name: event.kind, ms: event.ms }]
    : event.spans;
  for (const { name, ms } of parts) {
    timings[name] = Math.round(((timings[name] ?? 0) + ms) * 1000) / 1000;
  }
  const usage: Record<string, number> = { ...summary.usage };
  for (const preview of Object.values(event.outputs)) {
    const numbers = fieldOf(preview, "usage");
    if (typeof numbers !== "object" || numbers === null) continue;
    for (const [name, value] of Object.entries(numbers)) {
      if (typeof value === "number") usage[name] = (usage[name] ?? 0) + value;
    }
  }
  return {
    timings,
    usage,
    cached: summary.cached + (event.cached ? 1 : 0),
    ...(summary.icon || iconOf(event) !== undefined ? { icon: true } : {}),
  };
}

function fieldOf(preview: Preview, name: string): Json | undefined {
  return typeof preview === "object" && preview !== null &&
      !Array.isArray(preview) && Object.hasOwn(preview, name)
    ? (preview as { readonly [name: string]: Json })[name]
    : undefined;
}

/**
 * The first picture that the previews of a node's outputs carry under `icon`, as a `data:` URL.
 *
 * ```ts
 * import { iconOf } from "@tessera/sdk";
 * import assert from "node:assert/strict";
 *
 * const icon = "data:image/webp;base64,UklGRg==";
 * assert.equal(
 *   iconOf({
 *     _tag: "NodeFinished",
 *     runId: "r",
 *     seq: 2,
 *     at: 0,
 *     node: "load",
 *     kind: "load",
 *     composite: false,
 *     attempt: 1,
 *     ms: 1,
 *     queuedMs: 0,
 *     cached: false,
 *     outputs: { image: { width: 4, height: 4, icon } },
 *     spans: [],
 *   }),
 *   icon,
 * );
 * ```
 */
export function iconOf(event: NodeFinished): string | undefined {
  for (const preview of Object.values(event.outputs)) {
    const candidates = Array.isArray(preview) ? preview : [preview];
    for (const one of candidates as readonly Preview[]) {
      const icon = fieldOf(one, "icon");
      if (typeof icon === "string" && icon.startsWith("data:image/")) {
        return icon;
      }
    }
  }
  return undefined;
}

/**
 * The nodes of a run from its events, in order of their starts.
 *
 * ```ts
 * import { nodesFrom } from "@tessera/sdk";
 * import assert from "node:assert/strict";
 *
 * const nodes = nodesFrom([{
 *   _tag: "NodeStarted",
 *   runId: "r",
 *   seq: 1,
 *   at: 0,
 *   node: "load[0]",
 *   kind: "load",
 *   composite: false,
 *   attempt: 1,
 *   queuedMs: 0,
 * }]);
 * assert.equal(nodes[0]?.status, "running");
 * ```
 */
export function nodesFrom(events: readonly RunEvent[]): StoredNode[] {
  const nodes = new Map<string, StoredNode>();
  for (const event of events) {
    switch (event._tag) {
      case "NodeStarted": {
        const { node, kind, composite, attempt, queuedMs, at } = event;
        nodes.set(node, {
          node,
          kind,
          composite,
          attempt,
          queuedMs,
          startedAt: at,
          status: "running",
          cached: false,
          spans: [],
        });
        break;
      }
      case "NodeFinished":
      case "NodeFailed": {
        const known = nodes.get(event.node);
        if (known === undefined) break;
        const { attempt, ms } = event;
        nodes.set(
          event.node,
          event._tag === "NodeFailed"
            ? { ...known, attempt, ms, status: "failed", error: event.error }
            : {
              ...known,
              attempt,
              ms,
              status: "succeeded",
              queuedMs: event.queuedMs,
              cached: event.cached,
              spans: event.spans,
              outputs: event.outputs,
            },
        );
      }
    }
  }
  return [...nodes.values()];
}

/**
 * What `text` in a {@link RunQuery} is looked for in.
 *
 * ```ts
 * import { searchText } from "@tessera/sdk";
 * import assert from "node:assert/strict";
 *
 * const text = searchText({
 *   runId: "r",
 *   pipeline: "shout",
 *   status: "running",
 *   startedAt: 0,
 *   updatedAt: 0,
 *   inputs: { text: "hello" },
 *   attributes: { user: "ada" },
 *   timings: {},
 *   cached: 0,
 *   usage: {},
 * });
 * assert.ok(text.includes("hello") && text.includes("ada"));
 * ```
 */
export function searchText(summary: RunSummary): string {
  const { runId, pipeline, inputs, outputs, attributes, error } = summary;
  return [
    runId,
    pipeline,
    ...leaves(inputs),
    ...leaves(outputs ?? {}),
    ...leaves(attributes),
    error?.message ?? "",
  ].join("\n");
}

function leaves(value: Json): string[] {
  if (typeof value === "string") {
    // Nobody looks for the bytes of a picture.
    return value.startsWith("data:") ? [] : [value];
  }
  if (typeof value !== "object" || value === null) return [String(value)];
  return Object.values(value).flatMap(leaves);
}
