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
import { afterEvents, asTree, emptyView, inputsOf } from "./run_view.ts";

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
