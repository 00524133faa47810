import assert from "node:assert/strict";
import * as Effect from "effect/Effect";
import * as Schema from "effect/Schema";
import {
  type AnyPipeline,
  defineNode,
  definePort,
  Json,
  list,
  Num,
  optional,
  pipeline,
  Text,
} from "../pipeline/mod.ts";
import { UsageError } from "./faults.ts";
import {
  decodeInputs,
  encodeOutputs,
  findPipeline,
  loadRegistry,
} from "./pipelines.ts";

const Size = definePort({
  name: "Size",
  schema: Schema.Struct({ width: Schema.Int }),
});
const Handle = definePort<"Handle", object>({ name: "Handle" });

const all = defineNode({
  kind: "all",
  inputs: {
    text: Text,
    num: Num,
    size: Size,
    json: optional(Json),
    texts: optional(list(Text)),
    nums: optional(list(Num)),
    handle: optional(Handle),
  },
  outputs: { text: Text, handle: Handle },
  run: ({ text }) => Effect.succeed({ text, handle: {} }),
});
const graph: AnyPipeline = pipeline("graph", (g) =>
  g.add(all, {
    text: g.input("text", Text),
    num: g.input("num", Num),
    size: g.input("size", Size),
    json: g.input("json", optional(Json)),
    texts: g.input("texts", optional(list(Text))),
    nums: g.input("nums", optional(list(Num))),
    handle: g.input("handle", optional(Handle)),
  }));

const needed = ["text=a=b", "num=7", 'size={"width":3}'];

Deno.test("inputs: text as it is, the rest as JSON, lists by repetition or as JSON", () => {
  assert.deepEqual(
    decodeInputs(graph, [
      ...needed,
      "json=[1,null]",
      "texts=one",
      "texts=[2]",
      "nums=[1,2]",
    ]),
    {
      text: "a=b",
      num: 7,
      size: { width: 3 },
      json: [1, null],
      texts: ["one", "[2]"],
      nums: [1, 2],
    },
  );
  const text = (value: string) =>
    decodeInputs(graph, [`text=${value}`, ...needed.slice(1)]).text;
  for (const value of ["7", "true", '"quoted"', '{"a":1}', "[1]", "", "null"]) {
    assert.equal(text(value), value);
  }
  assert.deepEqual(
    decodeInputs(graph, [...needed, "texts=single"]).texts,
    ["single"],
  );
  assert.deepEqual(
    decodeInputs(graph, [...needed, "nums=1", "nums=2"]).nums,
    [1, 2],
  );
});

Deno.test("inputs that do not fit are named", () => {
  const cases: [string[], RegExp][] = [
    [
      ["num=1"],
      /^pipeline graph needs --input text=… --input size=… \(inputs: text: Text, /,
    ],
    [[...needed.slice(1), "txt=a"], /has no input txt; did you mean text\?/],
    [["text=a", "num=x", needed[2]!], /^input num: "x" is no Num: /],
    // What is wrong in the JSON, and not that it is no text.
    [
      ["text=a", "num=1", 'size={"width":"x"}'],
      /^input size: .* is no Size: Expected number.*width/s,
    ],
    [
      ["text=a", "num=1", 'size={"width":3,"heihgt":4}'],
      /^input size: .* is no Size: there is no such field\s+at \["heihgt"\]$/s,
    ],
    [["text=a", "num=1", 'size={"width":'], /is no Size: it is no whole JSON$/],
    [[...needed, "nums=[1,"], /^input nums: .* it is no whole JSON$/],
    [[...needed, "handle=x"], /a Handle cannot be given on the command line/],
    [[...needed, "num=8"], /input num is given 2 times/],
    [["=x"], /is not of the form name=value/],
    [["__proto__=x"], /has no input __proto__/],
  ];
  for (const [inputs, message] of cases) {
    assert.throws(() => decodeInputs(graph, inputs), (error: unknown) => {
      assert.ok(error instanceof UsageError);
      assert.match(error.message, message);
      return true;
    });
  }
});

Deno.test("outputs: whole where their JSON is short, previews otherwise", () => {
  const long = "x".repeat(100_000);
  assert.deepEqual(
    encodeOutputs(graph, { text: "short", handle: { a: 1 } }),
    { text: "short", handle: { a: 1 } },
  );
  const { text } = encodeOutputs(graph, { text: long });
  assert.ok(String(text).length < 300);
});

Deno.test("a registry with somebody else's plugin, and a document that uses it", async () => {
  const registry = await Effect.runPromise(
    loadRegistry(["./examples/third_party_node.ts"]),
  );
  assert.ok(registry.kind("grayscale") !== undefined);
  assert.ok(registry.kind("decode") !== undefined);
  const found = await Effect.runPromise(findPipeline("answer", registry));
  assert.equal(found.name, "answer");
});
