import assert from "node:assert/strict";
import { Effect } from "effect";
import {
  defineNode,
  list,
  pipeline,
  run,
  type RunEvent,
  RunObserver,
  Text,
  toDocument,
} from "../pipeline/mod.ts";
import { layOut } from "./graph_layout.ts";
import { stageTimes } from "./run_times.ts";
import {
  afterEvents,
  afterSeen,
  asTree,
  emptyView,
  inputsOf,
  type NodeView,
} from "./run_view.ts";

const shout = defineNode({
  kind: "shout",
  inputs: { text: Text },
  outputs: { loud: Text },
  run: ({ text }) =>
    text === ""
      ? Effect.fail(new Error("nothing to shout"))
      : Effect.succeed({ loud: text.toUpperCase() }),
});
const answer = pipeline("answer", (g) => {
  const text = g.input("text", Text);
  const { loud } = g.add(shout, { text });
  return g.add(shout, { text: loud }, {}, { id: "again" });
});
const all = pipeline(
  "all",
  (g) => g.each(answer, { text: g.input("texts", list(Text)) }),
);

async function viewOf(texts: readonly string[]) {
  const events: RunEvent[] = [];
  await Effect.runPromiseExit(
    Effect.provideService(run(all, { texts }), RunObserver, [
      (event) => events.push(event),
    ]),
  );
  const [first] = events;
  assert.ok(first?._tag === "RunStarted");
  return {
    view: afterEvents(emptyView(first.at), events),
    given: first.inputs,
  };
}

Deno.test("a pipeline inside: its nodes are drawn in its frame", () => {
  const drawn = layOut(toDocument(all));
  const box = (id: string) => drawn.nodes.find((node) => node.id === id)!;
  const frame = box("answer");
  assert.equal(frame.role, "group");
  for (const id of ["answer/shout", "answer/again", "answer/→text"]) {
    const { x, y, width, height } = box(id);
    assert.ok(x > frame.x && x + width < frame.x + frame.width, id);
    assert.ok(y > frame.y && y + height < frame.y + frame.height, id);
  }
  const ends = drawn.edges.map(({ from, to }) => `${from} ${to}`);
  assert.ok(ends.includes("answer/shout answer/again"));
  assert.ok(ends.includes("→texts answer"));
});

Deno.test("a document of pipelines in pipelines does not draw without end", () => {
  const node = (id: string, kind: string) => ({ id, kind, inputs: {} });
  const level = (kind: string) => ({
    inputs: {},
    outputs: {},
    nodes: Array.from({ length: 20 }, (_, i) => node(`n${i}`, kind)),
  });
  const drawn = layOut({
    ...level("a"),
    pipelines: { a: level("b"), b: level("c"), c: level("d"), d: level("a") },
  });
  assert.ok(drawn.nodes.length <= 320);
});

Deno.test("a pipeline inside: its nodes stand as their elements do, and know what came in", async () => {
  const { view, given } = await viewOf(["a", "b"]);
  assert.deepEqual(
    Object.entries(view.states).map(([name, { status, ended }]) => [
      name,
      status,
      ended,
    ]).sort(),
    [
      ["answer", "succeeded", 2],
      ["answer/again", "succeeded", 2],
      ["answer/shout", "succeeded", 2],
    ],
  );
  assert.deepEqual(asTree(view.nodes).map(({ node }) => node), [
    "answer[0]",
    "answer[0]/shout",
    "answer[0]/again",
    "answer[1]",
    "answer[1]/shout",
    "answer[1]/again",
  ]);
  const document = toDocument(all);
  assert.deepEqual(inputsOf("answer[1]/shout", document, view, given), [
    { port: "text", from: "input text", preview: "b" },
  ]);
  assert.deepEqual(inputsOf("answer[1]/again", document, view, given), [
    { port: "text", from: "shout.loud", preview: "B" },
  ]);
});

Deno.test("a pipeline inside: what failed is the node, and all around it", async () => {
  const { view } = await viewOf([""]);
  assert.equal(view.states["answer/shout"]?.status, "failed");
  assert.equal(view.states.answer?.status, "failed");
  assert.equal(view.states["answer/again"], undefined);
});

Deno.test("what was stopped is no failure, whether it says so itself or not", () => {
  const base = { runId: "r", at: 0 };
  const node = { kind: "say", composite: false, attempt: 1 };
  const begun: RunEvent[] = ["said[0]", "silent"].map((path, i) => ({
    _tag: "NodeStarted",
    ...base,
    ...node,
    node: path,
    seq: i,
    queuedMs: 0,
  }));
  const error = { tag: "Interrupted", message: "interrupted" };
  const open = afterEvents(emptyView(0), [...begun, {
    _tag: "NodeFailed",
    ...base,
    ...node,
    node: "said[0]",
    seq: 2,
    ms: 1,
    error,
    willRetry: false,
  }]);
  const ended = afterEvents(open, [{
    _tag: "RunFinished",
    ...base,
    seq: 3,
    status: "interrupted",
    ms: 1,
    error,
  }]);
  const fromOutside = afterSeen(open, {
    status: "interrupted",
    updatedAt: 0,
    error,
  });
  for (const { nodes, states } of [ended, fromOutside]) {
    assert.deepEqual(nodes.map(({ status }) => status), [
      "interrupted",
      "interrupted",
    ]);
    assert.deepEqual(Object.values(states).map(({ status }) => status), [
      "interrupted",
      "interrupted",
    ]);
  }
});

Deno.test("where the time went: what was done at once counts once, waiting only where nothing worked", () => {
  const node = (
    startMs: number,
    ms: number,
    more: Partial<NodeView> = {},
  ): NodeView => ({
    node: "n",
    kind: "load",
    composite: false,
    status: "succeeded",
    attempt: 1,
    startMs,
    queuedMs: 0,
    ms,
    spans: [],
    ...more,
  });
  assert.deepEqual(
    stageTimes([
      node(0, 1000, { composite: true }),
      node(100, 200),
      node(200, 200),
      node(400, 0, { kind: "tile", status: "cached", queuedMs: 350 }),
      node(500, 400, {
        kind: "decode",
        queuedMs: 100,
        spans: [
          { name: "prefill", startMs: 0, ms: 350 },
          { name: "decode", startMs: 350, ms: 50 },
        ],
      }),
    ]),
    [
      { stage: "prefill", ms: 350 },
      { stage: "load", ms: 300 },
      // From 50 to 100, and from 400 to 500.
      { stage: "waiting", ms: 150 },
      { stage: "decode", ms: 50 },
    ],
  );
});
