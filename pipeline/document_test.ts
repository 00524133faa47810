import assert from "node:assert/strict";
import { Effect, Exit, Schema } from "effect";
import { type PipelineDocument, toDocument } from "./document.ts";
import { decodeInputs, encodeOutputs } from "./io.ts";
import { fromDocument } from "./read_document.ts";
import { checkDamaged, fuzzDocuments } from "./document_fuzz.ts";
import { GraphError } from "./errors.ts";
import { pipeline } from "./graph.ts";
import { defineNode } from "./node.ts";
import { definePlugin, makeRegistry } from "./plugin.ts";
import { definePort, Json, list, Num, optional, Text } from "./port.ts";
import { random, randomPipeline, randomRegistry } from "./random_kit.ts";
import { run } from "./run.ts";
import { check, increment, sum, upper } from "./test_kit.ts";

const crop = defineNode({
  kind: "crop",
  version: 2,
  inputs: { text: Text },
  outputs: { text: Text },
  params: Schema.Struct({
    to: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 40 })),
    from: Schema.Int.pipe(Schema.withDecodingDefaultKey(Effect.succeed(0))),
  }),
  run: ({ text }, { from, to }) =>
    Effect.succeed({ text: text.slice(from, to) }),
});

const join = defineNode({
  kind: "join",
  inputs: { texts: list(Text), title: optional(Text) },
  outputs: { text: Text },
  run: ({ texts, title }) =>
    Effect.succeed({ text: `${title ?? ""}${texts.join(",")}` }),
});

const registry = makeRegistry([
  definePlugin({ name: "test", nodes: [crop, increment, join, sum, upper] }),
]);

const shorten = pipeline(
  "shorten",
  (g) => g.add(crop, { text: g.input("text", Text) }, { to: 2 }),
  { description: "Two letters." },
);

const example = pipeline("example", (g) => {
  const texts = g.input("texts", list(Text));
  const title = g.input("title", Text, { default: "T" });
  const { text } = g.each(upper, { text: texts }, {}, {
    id: "loud",
    concurrency: 2,
  });
  const short = g.each(shorten, { text });
  const all = g.add(join, { texts: short.text, title }, {}, {
    retry: { times: 2, delayMs: 5 },
    timeoutMs: 1000,
  });
  const pair = g.add(join, {
    texts: g.list(all.text, g.constant(Text, "end")),
  });
  return { text: pair.text };
});

const expected: PipelineDocument = {
  format: "tessera/pipeline",
  version: 1,
  name: "example",
  inputs: {
    texts: { port: "List<Text>" },
    title: { port: "Text", default: "T" },
  },
  nodes: [
    {
      id: "loud",
      kind: "upper",
      version: 1,
      each: true,
      inputs: { text: { input: "texts" } },
      options: { concurrency: 2 },
    },
    {
      id: "shorten",
      kind: "shorten",
      version: 1,
      each: true,
      inputs: { text: { node: "loud", port: "text" } },
    },
    {
      id: "join",
      kind: "join",
      version: 1,
      inputs: {
        texts: { node: "shorten", port: "text" },
        title: { input: "title" },
      },
      options: { retry: { times: 2, delayMs: 5 }, timeoutMs: 1000 },
    },
    {
      id: "join-2",
      kind: "join",
      version: 1,
      inputs: {
        texts: {
          list: [{ node: "join", port: "text" }, {
            constant: "end",
            port: "Text",
          }],
        },
      },
    },
  ],
  outputs: { text: { node: "join-2", port: "text" } },
  pipelines: {
    shorten: {
      description: "Two letters.",
      inputs: { text: { port: "Text" } },
      nodes: [{
        id: "crop",
        kind: "crop",
        version: 2,
        inputs: { text: { input: "text" } },
        params: { to: 2, from: 0 },
      }],
      outputs: { text: { node: "crop", port: "text" } },
    },
  },
};

/** What is wrong with the example after a change. */
const problemsOf = async (
  // Documents from outside can be anything.
  // deno-lint-ignore no-explicit-any
  change: (document: any) => void,
): Promise<GraphError> => {
  const document = structuredClone(expected);
  change(document);
  const exit = await Effect.runPromiseExit(fromDocument(document, registry));
  assert.ok(Exit.isFailure(exit), "it was not refused");
  const [reason] = exit.cause.reasons;
  assert.ok(reason?._tag === "Fail" && reason.error instanceof GraphError);
  for (const { message } of reason.error.problems) {
    assert.ok(!message.includes("\n"), message);
  }
  return reason.error;
};

Deno.test("the document says all there is to say, pipelines inside included", () => {
  assert.deepEqual(toDocument(example), expected);
});

check(
  "a pipeline read from a document runs like the one it was made from",
  Effect.gen(function* () {
    const read = yield* fromDocument(JSON.stringify(expected), registry);
    assert.equal(read.graph.origin, "document");
    assert.deepEqual(toDocument(read), expected);
    const inputs = { texts: ["abc", "xyz"] };
    assert.deepEqual(
      (yield* run(read, inputs)).outputs,
      (yield* run(example, inputs)).outputs,
    );
    assert.equal((yield* run(read, inputs)).outputs.text, "TAB,XY,end");
  }),
);

Deno.test("random graphs survive the round trip, and run alike", async () => {
  for (let seed = 0; seed < 150; seed++) {
    const made = randomPipeline(random(seed));
    const document = toDocument(made);
    const read = await Effect.runPromise(
      fromDocument(JSON.parse(JSON.stringify(document)), randomRegistry),
    );
    assert.deepEqual(toDocument(read), document, `seed ${seed}`);
    const inputs: Record<string, unknown> = {};
    for (const [name, port] of Object.entries<{ name: string }>(made.inputs)) {
      const values: Record<string, unknown> = {
        Text: "t",
        Num: 2,
        Bool: true,
        Json: { a: 1 },
      };
      let value: unknown = values[port.name.replaceAll(/List<|>/g, "")];
      for (let i = port.name.split("List<").length - 1; i > 0; i--) {
        value = [value, value];
      }
      inputs[name] = value;
    }
    const outcome = (p: typeof read) =>
      Effect.runPromise(
        Effect.match(run(p, inputs), {
          onSuccess: ({ outputs }) => JSON.stringify(outputs),
          // Lists of different lengths may meet; then both must say so.
          onFailure: (error) => `${error}`,
        }) as Effect.Effect<string>,
      );
    assert.equal(
      await outcome(read),
      await outcome(made as typeof read),
      `seed ${seed}`,
    );
  }
});

Deno.test("every kind of mistake is found, with node and port", async () => {
  const cases: readonly [
    // deno-lint-ignore no-explicit-any
    change: (document: any) => void,
    node: string | undefined,
    port: string | undefined,
    message: RegExp,
  ][] = [
    [
      (d) => d.nodes[0].kind = "uppre",
      "loud",
      undefined,
      /no kind "uppre"; did you mean "upper"\?/,
    ],
    [
      (d) => d.nodes[0].kind = "toString",
      "loud",
      undefined,
      /no kind "toString"/,
    ],
    [
      (d) => d.nodes[0].version = 9,
      "loud",
      undefined,
      /upper is version 1 here, the document was written for 9/,
    ],
    [
      (d) => delete d.nodes[2].inputs.texts,
      "join",
      "texts",
      /nothing is connected; it needs List<Text>/,
    ],
    [
      (d) => d.nodes[2].inputs.txts = { input: "texts" },
      "join",
      "txts",
      /no such input; did you mean "texts"/,
    ],
    [
      (d) => d.nodes[2].inputs["__proto__x"] = { input: "texts" },
      "join",
      "__proto__x",
      /no such input/,
    ],
    [
      (d) => d.nodes[2].inputs.title = { input: "titel" },
      "join",
      "title",
      /no input "titel"; did you mean "title"/,
    ],
    [
      (d) => d.nodes[2].inputs.title = { node: "loud", port: "text" },
      "join",
      "title",
      /expected Optional<Text>, got List<Text>/,
    ],
    [
      (d) => d.nodes[2].inputs.title = { node: "loud", port: "txt" },
      "join",
      "title",
      /node "loud" \(upper\) has no output "txt"; did you mean "text"/,
    ],
    [
      (d) => d.nodes[2].inputs.title = { node: "lout", port: "text" },
      "join",
      "title",
      /no node "lout"; did you mean "loud"/,
    ],
    [
      (d) => d.nodes[2].inputs.title = { constant: 5 },
      "join",
      "title",
      /this value is no Optional<Text>: Expected/,
    ],
    [
      (d) => d.nodes[2].inputs.title = { constant: "x", port: "Txt" },
      "join",
      "title",
      /no port type "Txt"; did you mean "Text"/,
    ],
    [
      (d) => d.nodes[3].inputs.texts.list.push({ constant: 5, port: "Num" }),
      "join-2",
      "texts",
      /this one has Text and Num/,
    ],
    [
      (d) => d.nodes[3].inputs.texts.list = [],
      "join-2",
      "texts",
      /a list without elements/,
    ],
    [
      (d) => d.nodes[2].id = "loud",
      "loud",
      undefined,
      /two nodes have the id "loud"/,
    ],
    [(d) => d.nodes[2].id = "a/b", "a/b", undefined, /"a\/b" is no id/],
    [
      (d) => d.nodes[2].params = { x: 1 },
      "join",
      undefined,
      /join takes no parameters/,
    ],
    [(d) => d.nodes[2].options.lane = "", "join", "lane", /lane/],
    [
      (d) => d.nodes[2].options.concurrency = 3,
      "join",
      undefined,
      /concurrency is for each/,
    ],
    [
      (d) => d.nodes[1].options = { memoize: true },
      "shorten",
      undefined,
      /memoize is for node kinds/,
    ],
    [
      (d) => d.nodes[0].each = false,
      "loud",
      "text",
      /expected Text, got List<Text>/,
    ],
    [
      (d) => d.nodes[2].each = true,
      "join",
      undefined,
      /each needs at least one input that is a list/,
    ],
    [
      (d) => d.nodes[0].inputs.text = { node: "join", port: "text" },
      "loud",
      undefined,
      /circle: "loud" -> "shorten" -> "join" -> "loud"/,
    ],
    [
      (d) =>
        d.nodes.push({
          id: "alone",
          kind: "upper",
          inputs: { text: { constant: "a" } },
        }),
      "alone",
      undefined,
      /leads to no output/,
    ],
    [
      (d) => d.inputs.unused = { port: "Num" },
      undefined,
      "unused",
      /input "unused" leads to no output/,
    ],
    [
      (d) => d.inputs.title.default = 3,
      undefined,
      "title",
      /default of input "title": this value is no Text/,
    ],
    [
      (d) => d.inputs.title.port = "Image",
      undefined,
      "title",
      /no port type "Image"/,
    ],
    [
      (d) => d.outputs.text.node = "join-3",
      "join-3",
      "text",
      /output "text": there is no node "join-3"; did you mean "join-2"/,
    ],
    // A pipeline inside may have the name of one that is known; it is named once.
    [
      (d) => {
        d.pipelines.crop = d.pipelines.shorten;
        d.nodes[0].kind = "qqqqqqqqqqqq";
      },
      "loud",
      undefined,
      /no kind "qqqqqqqqqqqq"; known: (?!.*"crop".*"crop")/,
    ],
    [(d) => d.outputs = {}, undefined, undefined, /there are no outputs/],
    [(d) => d.name = "a b", undefined, undefined, /"a b" is no name/],
    [
      (d) => d.pipelines.other = d.pipelines.shorten,
      undefined,
      undefined,
      /"other" inside is not used/,
    ],
    [
      (d) => d.pipelines.shorten.nodes[0].kind = "shorten",
      "crop",
      undefined,
      /contains itself: "shorten" -> "shorten"/,
    ],
    [
      (d) => d.pipelines.shorten.nodes[0].params.to = 41,
      "crop",
      undefined,
      /pipeline "shorten" inside: node "crop", parameters: to: .*40/,
    ],
    [
      (d) => d.pipelines.shorten.nodes[0].params.too = 4,
      "crop",
      undefined,
      /parameters: too/,
    ],
    [
      (d) => delete d.pipelines.shorten.nodes[0].params.to,
      "crop",
      undefined,
      /parameters: to/,
    ],
    // Shape.
    [
      (d) => d.format = "other",
      undefined,
      undefined,
      /format: Expected "tessera\/pipeline"/,
    ],
    [(d) => d.version = 2, undefined, undefined, /version: Expected 1/],
    [(d) => d.nodes = {}, undefined, undefined, /nodes: Expected array/],
    [(d) => delete d.nodes[1].inputs, "shorten", undefined, /inputs/],
    [
      (d) => d.nodes[1].inputs.text = "loud.text",
      "shorten",
      "text",
      /inputs\.text/,
    ],
    [
      (d) => d.nodes[1].inputs.text.extra = 1,
      "shorten",
      "text",
      /inputs\.text/,
    ],
    [(d) => d.nodes[1].surprise = 1, "shorten", undefined, /surprise/],
  ];
  for (const [change, node, port, message] of cases) {
    const error = await problemsOf(change);
    const found = error.problems.find((problem) =>
      message.test(problem.message)
    );
    assert.ok(
      found,
      `${message} not in ${error.problems.map((p) => p.message).join(" | ")}`,
    );
    assert.equal(found.node, node, found.message);
    if (!/lane|parameters/.test(found.message)) {
      assert.equal(found.port, port, found.message);
    }
  }
});

Deno.test("one mistake is one problem: what follows from it is not listed", async () => {
  for (
    const change of [
      (d: PipelineDocument) => Object.assign(d.nodes[0]!, { kind: "uppre" }),
      (d: PipelineDocument) =>
        Object.assign(d.nodes[1]!.inputs.text!, { node: "lout" }),
      (d: PipelineDocument) =>
        Object.assign(d.inputs.texts!, { port: "List<Txt>" }),
      (d: PipelineDocument) => Object.assign(d.outputs.text!, { port: "txt" }),
      (d: PipelineDocument) =>
        Object.assign(d.pipelines!.shorten!.nodes[0]!, { params: {} }),
    ]
  ) {
    const { problems } = await problemsOf(change);
    assert.equal(
      problems.length,
      1,
      problems.map(({ message }) => message).join(" | "),
    );
  }
});

Deno.test("several mistakes are found at once; the message counts them", async () => {
  const error = await problemsOf((d) => {
    d.nodes[0].kind = "uppre";
    d.nodes[2].inputs.txts = { input: "texts" };
    d.nodes[3].inputs.texts = { constant: 5 };
    d.inputs.title.default = 1;
    d.pipelines.shorten.nodes[0].params.to = 99;
  });
  assert.equal(error.problems.length, 5);
  assert.match(
    error.message,
    /^pipeline "example": .* \(and 4 more problems\)$/,
  );
  assert.ok(!error.message.includes("\n"));
});

Deno.test("broken text, hostile nesting and hostile size are refused with one line", async () => {
  const refuse = async (document: unknown): Promise<string> => {
    const error = await Effect.runPromise(
      Effect.flip(fromDocument(document, registry)),
    );
    assert.ok(error instanceof GraphError);
    assert.ok(
      !error.message.includes("\n") && error.message.length < 500,
      error.message,
    );
    return error.message;
  };
  assert.match(await refuse('{"format":'), /no JSON/);
  assert.match(await refuse("null"), /Expected/);
  assert.match(await refuse([]), /Expected/);
  assert.match(await refuse(undefined), /Expected/);
  let deep: unknown = { input: "texts" };
  for (let i = 0; i < 100_000; i++) deep = { list: [deep] };
  assert.match(
    await refuse({ ...expected, outputs: { text: deep } }),
    /nested more than 200 levels/,
  );
  // Ten pipelines inside, each using the one before ten times: ten billion nodes.
  const pipelines: Record<string, unknown> = {};
  for (let i = 0; i < 10; i++) {
    const nodes = Array.from({ length: 10 }, (_, n) => ({
      id: `n${n}`,
      kind: i === 0 ? "upper" : `p${i - 1}`,
      inputs: {
        text: n === 0 ? { input: "text" } : { node: `n${n - 1}`, port: "text" },
      },
    }));
    pipelines[`p${i}`] = {
      inputs: { text: { port: "Text" } },
      nodes,
      outputs: { text: { node: "n9", port: "text" } },
    };
  }
  assert.match(
    await refuse({
      format: "tessera/pipeline",
      version: 1,
      name: "bomb",
      inputs: {},
      nodes: [{ id: "n", kind: "p9", inputs: { text: { constant: "a" } } }],
      outputs: { text: { node: "n", port: "text" } },
      pipelines,
    }),
    /at most 100000 are allowed/,
  );
});

Deno.test("what cannot be a document says so", () => {
  const Handle = definePort<"Handle", { readonly id: number }>({
    name: "Handle",
  });
  const held = pipeline(
    "held",
    (g) => ({ handle: g.constant(Handle, { id: 1 }) }),
  );
  assert.throws(
    () => toDocument(held),
    (error) =>
      error instanceof GraphError &&
      /output "handle": a value of type Handle cannot stand in a document: the port has no codec/
        .test(error.message),
  );
  const other = pipeline(
    "shorten",
    (g) => g.add(upper, { text: g.input("text", Text) }),
  );
  const both = pipeline("both", (g) => {
    const text = g.input("text", Text);
    return { a: g.add(shorten, { text }).text, b: g.add(other, { text }).text };
  });
  assert.throws(
    () => toDocument(both),
    /two different pipelines inside are named "shorten"/,
  );
});

check(
  "node results of a document are checked against their ports",
  Effect.gen(function* () {
    const liar = defineNode({
      kind: "liar",
      inputs: {},
      outputs: { text: Text },
      run: () => Effect.succeed({ text: 5 as unknown as string }),
    });
    const document = toDocument(pipeline("p", (g) => g.add(liar, {})));
    const read = yield* fromDocument(
      document,
      makeRegistry([definePlugin({ name: "x", nodes: [liar] })]),
    );
    const error = yield* Effect.flip(run(read, {}));
    assert.ok(error instanceof GraphError);
    assert.match(
      error.message,
      /node "liar": its result is of the wrong type at the output "text" \(Text\)/,
    );
  }),
);

check(
  "inputs come from JSON by their ports' codecs, and outputs go back",
  Effect.gen(function* () {
    const When = definePort({ name: "When", schema: Schema.Date });
    const Handle = definePort<"Handle", { readonly id: number }>({
      name: "Handle",
    });
    const p = pipeline("p", (g) => ({
      when: g.input("when", When),
      more: g.input("more", optional(Json)),
      size: g.input("size", Num, { default: 2 }),
      handle: g.constant(Handle, { id: 3 }),
    }));
    const inputs = yield* decodeInputs(p, { when: "2026-01-02T03:04:05.000Z" });
    assert.ok(inputs.when instanceof Date);
    const { outputs } = yield* run(p, inputs);
    assert.deepEqual(yield* encodeOutputs(p, outputs), {
      when: "2026-01-02T03:04:05.000Z",
      more: null,
      size: 2,
      handle: { id: 3 },
    });
    const error = yield* Effect.flip(decodeInputs(p, { wen: 1, size: "2" }));
    assert.deepEqual(error.problems.map(({ port }) => port), [
      "wen",
      "size",
      "when",
    ]);
    assert.match(
      error.message,
      /there is no input "wen"; did you mean "when"\?/,
    );
  }),
);

Deno.test("500 damaged documents: a GraphError or a sound pipeline, nothing else", async () => {
  const { refused, read } = await fuzzDocuments(500, 1);
  assert.equal(refused + read, 500);
  assert.ok(refused > 250 && read > 20, `${refused} refused, ${read} read`);
});

Deno.test("the names of JavaScript's own properties are names like any other", async () => {
  for (
    const name of ["__proto__", "constructor", "toString", "hasOwnProperty"]
  ) {
    const text = JSON.stringify(expected)
      .replaceAll('"text":{"input"', `"${name}":{"input"`)
      .replaceAll('"kind":"crop"', `"kind":"${name}"`);
    assert.equal(await checkDamaged(text, registry), "refused");
  }
});
