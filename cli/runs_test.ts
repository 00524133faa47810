import assert from "node:assert/strict";
import { displayWidth } from "effect/cli/CliOutput";
import type { RunSummary, StoredRun } from "../pipeline/mod.ts";
import { runsText, runText } from "./runs.ts";

const summary: RunSummary = {
  runId: "0199d1f0-0000-7000-8000-000000000001",
  pipeline: "chat",
  status: "succeeded",
  startedAt: new Date(2025, 0, 2, 3, 4, 5).getTime(),
  updatedAt: 0,
  ms: 1234,
  inputs: { question: "What is\x1b[2J in the picture, 你好?" },
  outputs: { completion: { text: "A circle." } },
  attributes: {},
  timings: {},
  cached: 0,
  usage: {},
};
const run: StoredRun = {
  ...summary,
  events: [],
  nodes: [
    node("load[0]", "load", { ms: 3.21, queuedMs: 7 }),
    node("tile[0]", "tile", { cached: true }),
    node("decode", "decode", {
      ms: 40,
      spans: [{ name: "prefill", startMs: 0, ms: 30.5 }],
    }),
    node("late", "late", { status: "failed" }),
  ],
};

function node(
  path: string,
  kind: string,
  more: Partial<StoredRun["nodes"][number]>,
): StoredRun["nodes"][number] {
  return {
    node: path,
    kind,
    composite: false,
    status: "succeeded",
    attempt: 1,
    startedAt: 0,
    queuedMs: 0,
    cached: false,
    spans: [],
    ...more,
  };
}

Deno.test("a list of runs", () => {
  assert.equal(runsText([], 80), "No runs.\n");
  assert.equal(
    runsText([summary], 120),
    "0199d1f0-0000-7000-8000-000000000001  2025-01-02 03:04:05  ok          1.2 s  chat        " +
      "What is[2J in the picture, 你…\n",
  );
  for (const columns of [40, 80, 120]) {
    for (const line of runsText([summary], columns).split("\n")) {
      assert.ok(displayWidth(line) <= columns, `${columns}: ${line}`);
    }
  }
});

Deno.test("a run whose process has ended without a word is lost, and not still running", () => {
  const begun = { ...run, status: "running" as const, updatedAt: 1000 };
  for (const [now, word] of [[91_000, "running"], [91_001, "lost"]] as const) {
    const listed = runsText([begun], 120, now);
    assert.equal(/ 03:04:05 +([a-z]+) /.exec(listed)?.[1], word);
    const shown = runText(begun, 80, now);
    assert.equal(/^status +([a-z]+)/m.exec(shown)?.[1], word);
  }
});

Deno.test("a run of the server is listed by what the user said last", () => {
  const messages = [
    { role: "user", text: "Hello!" },
    { role: "assistant", text: "Hello." },
    { role: "user", text: "<image[0]>\nWhat is this?" },
    { role: "assistant", text: "A" },
  ];
  const served = {
    ...summary,
    pipeline: "converse",
    inputs: { conversation: { messages }, images: [] },
  };
  const line = (run: RunSummary) => runsText([run], 80).split("\n")[2];
  assert.equal(line(served), "  <image[0]> What is this?");
  const bare = { ...served, inputs: { conversation: { messages: [] } } };
  assert.equal(line(bare), "  converse");
});

Deno.test("a run with its nodes", () => {
  assert.equal(
    runText(run, 60),
    `run             0199d1f0-0000-7000-8000-000000000001
pipeline        chat
status          ok in 1.2 s
began           2025-01-02 03:04:05
question        What is[2J in the picture, 你好?
→ completion    {"text":"A circle."}

node              ms   waited
load[0]          3.2        7
tile[0]       cached        0
decode          40.0        0
  prefill       30.5
late          failed        0
`,
  );
});
