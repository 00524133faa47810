/**
 * Runs as JSON for other programs, under the names that every JSON output has.
 * @module
 */
import type { StoredNode, StoredRun } from "../pipeline/mod.ts";

/** A run for other programs; one of a list has neither nodes nor events. */
export function runJson(
  run: Omit<StoredRun, "nodes" | "events"> & Partial<StoredRun>,
): Record<string, unknown> {
  const { runId: run_id, usage, nodes, ...facts } = run;
  return {
    run_id,
    ...underscored(facts),
    usage: underscored(usage),
    // The nodes' outputs, the document and the events are values of the graph, with the names they have there.
    ...(nodes === undefined ? {} : { nodes: nodes.map(nodeJson) }),
  };
}

function nodeJson({ spans, ...node }: StoredNode): Record<string, unknown> {
  return { ...underscored(node), spans: spans.map(underscored) };
}

/** The same fields, `startedAt` as `started_at`. */
function underscored(fields: object): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(fields).map(([name, value]) => [
      name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`),
      value,
    ]),
  );
}
