import assert from "node:assert/strict";
import type { StoredRun } from "../pipeline/mod.ts";
import { runJson } from "./run_json.ts";

const run: StoredRun = {
  runId: "r",
  pipeline: "chat",
  status: "succeeded",
  startedAt: 1,
  updatedAt: 2,
  ms: 1,
  inputs: { numPatchesList: null },
  attributes: { fromClient: true },
  timings: { "vision-encode": 1 },
  cached: 0,
  firstPartMs: 1,
  usage: { promptTokens: 3 },
  events: [{
    _tag: "RunFinished",
    runId: "r",
    seq: 0,
    at: 2,
    status: "succeeded",
    ms: 1,
  }],
  nodes: [{
    node: "decode",
    kind: "decode",
    composite: false,
    status: "succeeded",
    attempt: 1,
    startedAt: 1,
    queuedMs: 0,
    cached: false,
    spans: [{ name: "prefill", startMs: 0, ms: 1 }],
  }],
};

Deno.test("a run's own fields have the names of every JSON output, its values those of the graph", () => {
  const { events, nodes, ...summary } = run;
  const listed = {
    run_id: "r",
    pipeline: "chat",
    status: "succeeded",
    started_at: 1,
    updated_at: 2,
    ms: 1,
    inputs: { numPatchesList: null },
    attributes: { fromClient: true },
    timings: { "vision-encode": 1 },
    cached: 0,
    first_part_ms: 1,
    usage: { prompt_tokens: 3 },
  };
  assert.deepEqual(runJson(summary), listed);
  const { startedAt: started_at, queuedMs: queued_ms, ...node } = nodes[0]!;
  assert.deepEqual(runJson(run), {
    ...listed,
    events,
    nodes: [{
      ...node,
      started_at,
      queued_ms,
      spans: [{ name: "prefill", start_ms: 0, ms: 1 }],
    }],
  });
});
