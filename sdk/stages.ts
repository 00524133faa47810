/**
 * The stages of an answer, for tables.
 * @module
 */
import { type NodeReport, timingsOf } from "../pipeline/mod.ts";

/**
 * The stages of an answer, in the order data passes them.
 *
 * ```ts
 * import { stages } from "@tessera/sdk";
 * import assert from "node:assert/strict";
 *
 * assert.equal(stages[0], "load");
 * assert.equal(stages.at(-1), "decode");
 * ```
 */
export const stages: readonly string[] = [
  "load",
  "video-sample",
  "tile",
  "thumbnail",
  "vision-encode",
  "project",
  "prompt-template",
  "queue",
  "prefill",
  "decode",
];

/**
 * Milliseconds by stage: each node's time under its kind, or under the names of its sub-spans (`decode`
 * runs as `prefill` and `decode`). Nodes of other kinds come after the known stages.
 *
 * ```ts
 * import { stageTimings } from "@tessera/sdk";
 * import assert from "node:assert/strict";
 *
 * const report = {
 *   node: "load[0]",
 *   kind: "load",
 *   composite: false,
 *   ms: 12,
 *   queuedMs: 0,
 *   cached: false,
 *   attempt: 1,
 *   spans: [],
 * };
 * const timings = stageTimings([report, { ...report, node: "load[1]", ms: 8 }]);
 * assert.deepEqual(timings, { load: 20 });
 * ```
 */
export function stageTimings(
  nodes: readonly NodeReport[],
): Readonly<Record<string, number>> {
  const timings = timingsOf(nodes);
  const others = Object.keys(timings).filter((name) => !stages.includes(name));
  return Object.fromEntries(
    [...stages.filter((name) => name in timings), ...others]
      .map((name) => [name, timings[name]!]),
  );
}
