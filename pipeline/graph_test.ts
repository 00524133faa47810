import assert from "node:assert/strict";
import { Effect, Schema } from "effect";
import { GraphError } from "./errors.ts";
import { pipeline } from "./graph.ts";
import type { AnyPipeline, GraphBuilder } from "./handles.ts";
import { defineNode } from "./node.ts";
import { definePort, list, Num, optional, Text } from "./port.ts";
import { run } from "./run.ts";
import { check, increment, sum, upper } from "./test_kit.ts";

/** The error that building fails with. */
function refusal(build: () => unknown): GraphError {
  try {
    build();
  } catch (error) {
    assert.ok(error instanceof GraphError, String(error));
    assert.ok(!error.message.includes("\n"), error.message);
    return error;
  }
  return assert.fail("it was not refused");
}

// What the compiler refuses can still be written in JavaScript.
// deno-lint-ignore no-explicit-any
const untyped = (build: (g: any) => any): AnyPipeline =>
  pipeline("p", build as (g: GraphBuilder) => Record<string, never>);

Deno.test("a surplus, missing or mistyped input names node and port", () => {
  const cases: readonly [Record<string, unknown>, string, RegExp][] = [
    [
      {},
      "text",
      /node "upper", input "text": nothing is connected; it needs Text/,
    ],
    [{ text: "a" }, "text", /expected a handle from this graph, got string/],
    [{ test: "t" }, "test", /upper has no such input; did you mean "text"\?/],
    [{ text: "n" }, "text", /expected Text, got Num/],
  ];
  for (const [given, port, message] of cases) {
    const error = refusal(() =>
      untyped((g) => {
        const handles = { t: g.input("t", Text), n: g.input("n", Num) };
        const inputs: Record<string, unknown> = {};
        for (const [name, value] of Object.entries(given)) {
          inputs[name] = handles[value as "t" | "n"] ?? value;
        }
        return g.add(upper, inputs);
      })
    );
    assert.match(error.message, message);
    assert.equal(error.place.port, port);
    assert.equal(error.place.node, "upper");
    assert.equal(error.place.pipeline, "p");
  }
});

Deno.test("a node, or an input, that leads to no output is refused", () => {
  const error = refusal(() =>
    pipeline("p", (g) => {
      const text = g.input("text", Text);
      g.input("unused", Num);
      g.add(upper, { text });
      return g.add(upper, { text });
    })
  );
  assert.deepEqual(error.problems.map(({ node, port }) => [node, port]), [
    ["upper", undefined],
    [undefined, "unused"],
  ]);
  assert.match(
    error.message,
    /node "upper" leads to no output.*\(and 1 more problem\)/,
  );
});

Deno.test("ids default to the kind, numbered; a repeated id is refused", () => {
  const made = pipeline("p", (g) => {
    const text = g.input("text", Text);
    const a = g.add(upper, { text });
    const b = g.add(upper, a, {}, { id: "upper-3" });
    const c = g.add(upper, b);
    return g.add(upper, c);
  });
  assert.deepEqual(made.graph.nodes.map(({ id }) => id), [
    "upper",
    "upper-3",
    "upper-2",
    "upper-4",
  ]);
  const error = refusal(() =>
    pipeline("p", (g) => {
      const a = g.add(upper, { text: g.input("text", Text) }, {}, { id: "x" });
      return g.add(upper, a, {}, { id: "x" });
    })
  );
  assert.equal(error.place.node, "x");
});

Deno.test("a handle of another graph is refused, with the names of node, port and graph", () => {
  let stolen: unknown;
  pipeline("owner", (g) => {
    const text = g.input("text", Text);
    stolen = text;
    return { text };
  });
  const error = refusal(() => untyped((g) => g.add(upper, { text: stolen })));
  assert.match(
    error.message,
    /node "upper", input "text": the handle belongs to another graph, "owner"/,
  );
});

Deno.test("parameters are checked when the graph is built", () => {
  const crop = defineNode({
    kind: "crop",
    inputs: { text: Text },
    outputs: { text: Text },
    params: Schema.Struct({
      to: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 40 })),
    }),
    run: ({ text }, { to }) => Effect.succeed({ text: text.slice(0, to) }),
  });
  const error = refusal(() =>
    pipeline(
      "p",
      (g) => g.add(crop, { text: g.input("text", Text) }, { to: 41 }),
    )
  );
  assert.match(error.message, /node "crop", parameters: to: .*40/);
  assert.match(
    refusal(() =>
      untyped((g) =>
        g.add(crop, { text: g.input("text", Text) }, { to: 1, no: 2 })
      )
    ).message,
    /parameters: no/,
  );
  assert.match(
    refusal(() =>
      untyped((g) => g.add(upper, { text: g.input("text", Text) }, { no: 2 }))
    ).message,
    /upper takes no parameters/,
  );
});

Deno.test("options are checked when the graph is built", () => {
  const inner = pipeline(
    "inner",
    (g) => g.add(upper, { text: g.input("text", Text) }),
  );
  const cases: readonly [unknown, RegExp][] = [
    [{ retry: { times: 0 } }, /options: retry.times/],
    [{ timeoutMs: -1 }, /options: timeoutMs/],
    [{ concurrency: 2 }, /concurrency is for each/],
    [{ lame: "cpu" }, /options: lame/],
    [{ id: "a/b" }, /"a\/b" is no id/],
  ];
  for (const [options, message] of cases) {
    assert.match(
      refusal(() =>
        untyped((g) =>
          g.add(upper, { text: g.input("text", Text) }, {}, options)
        )
      ).message,
      message,
    );
  }
  for (const options of [{ memoize: true }, { lane: "cpu" }]) {
    assert.match(
      refusal(() =>
        untyped((g) =>
          g.add(inner, { text: g.input("text", Text) }, {}, options)
        )
      ).message,
      /the nodes inside inner have their own/,
    );
  }
});

Deno.test("names that could not stand in a path or a document are refused", () => {
  assert.throws(
    () =>
      defineNode({
        kind: "a/b",
        inputs: {},
        outputs: {},
        run: () => Effect.succeed({}),
      }),
    RangeError,
  );
  assert.match(
    refusal(() => pipeline("a b", (g) => ({ x: g.input("x", Num) }))).message,
    /no name/,
  );
  assert.match(
    refusal(() => pipeline("p", (g) => ({ x: g.input("x y", Num) }))).message,
    /no name/,
  );
  assert.match(
    refusal(() => pipeline("p", (g) => ({ "x.y": g.input("x", Num) }))).message,
    /no name/,
  );
  assert.match(refusal(() => pipeline("p", () => ({}))).message, /no outputs/);
  assert.match(
    refusal(() =>
      pipeline("p", (g) => ({ a: g.input("x", Num), b: g.input("x", Num) }))
    ).message,
    /declared twice/,
  );
});

Deno.test("a mapped node needs a list, and a list needs one type", () => {
  assert.match(
    refusal(() =>
      untyped((g) => g.each(upper, { text: g.input("text", Text) }))
    ).message,
    /each needs at least one input that is a list/,
  );
  assert.match(
    refusal(() =>
      untyped((g) => ({ all: g.list(g.input("a", Text), g.input("b", Num)) }))
    ).message,
    /this one has Text and Num/,
  );
  assert.match(
    refusal(() => untyped((g) => ({ all: g.list() }))).message,
    /use a constant/,
  );
  assert.match(
    refusal(() => untyped((g) => ({ a: g.constant(Num, "1") }))).message,
    /the value is no Num/,
  );
});

check(
  "inputs with defaults and optional inputs may be left out, everywhere",
  Effect.gen(function* () {
    const greet = defineNode({
      kind: "greet",
      inputs: { name: Text, title: optional(Text) },
      outputs: { text: Text },
      run: ({ name, title }) =>
        Effect.succeed({
          text: title === undefined ? name : `${title} ${name}`,
        }),
    });
    const inner = pipeline("inner", (g) =>
      g.add(greet, {
        name: g.input("name", Text, { default: "you" }),
        title: g.input("title", optional(Text)),
      }));
    const outer = pipeline("outer", (g) => {
      const title = g.constant(Text, "Dr");
      return {
        none: g.add(inner, {}).text,
        titled: g.add(inner, { title }).text,
        named: g.add(inner, { name: g.input("name", Text) }).text,
        plain: g.add(greet, { name: title }).text,
      };
    });
    const { outputs } = yield* run(outer, { name: "Ada" });
    assert.deepEqual(outputs, {
      none: "you",
      titled: "Dr you",
      named: "Ada",
      plain: "Dr",
    });
    assert.equal((yield* run(inner, {})).outputs.text, "you");
    assert.equal((yield* run(inner, { title: "Ms" })).outputs.text, "Ms you");
  }),
);

check(
  "mapped nodes broadcast what is no list, and gather lists",
  Effect.gen(function* () {
    const total = defineNode({
      kind: "total",
      inputs: { values: list(Num) },
      outputs: { value: Num },
      run: ({ values }) =>
        Effect.succeed({ value: values.reduce((a, b) => a + b, 0) }),
    });
    const p = pipeline("p", (g) => {
      const values = g.input("values", list(Num));
      const plus = g.input("plus", Num);
      const sums = g.each(sum, { a: values, b: plus });
      const pairs = g.each(sum, { a: values, b: sums.value });
      const groups = g.each(total, { values: g.list(values, sums.value) });
      const whole = g.add(total, { values });
      return {
        sums: sums.value,
        pairs: pairs.value,
        groups: groups.value,
        gathered: g.list(whole.value, plus),
      };
    });
    const { outputs } = yield* run(p, { values: [1, 2, 3], plus: 10 });
    assert.deepEqual(outputs, {
      sums: [11, 12, 13],
      pairs: [12, 14, 16],
      groups: [6, 36],
      gathered: [6, 10],
    });
    const empty = yield* run(p, { values: [], plus: 10 });
    assert.deepEqual(empty.outputs, {
      sums: [],
      pairs: [],
      groups: [0, 0],
      gathered: [0, 10],
    });
  }),
);

check(
  "lists of different lengths that are mapped together are an error of the run",
  Effect.gen(function* () {
    const p = pipeline(
      "p",
      (g) =>
        g.each(sum, { a: g.input("a", list(Num)), b: g.input("b", list(Num)) }),
    );
    const error = yield* Effect.flip(run(p, { a: [1, 2], b: [1, 2, 3] }));
    assert.ok(error instanceof GraphError);
    assert.match(
      error.message,
      /node "sum": the list "a" has 2 elements and "b" has 3/,
    );
    assert.deepEqual(error.place, { pipeline: "p", node: "sum", port: "b" });
  }),
);

check(
  "an input can be an output, and one node can feed many",
  Effect.gen(function* () {
    const p = pipeline("p", (g) => {
      const value = g.input("value", Num);
      const next = g.add(increment, { value });
      return {
        value,
        next: next.value,
        double: g.add(sum, { a: next.value, b: next.value }).value,
      };
    });
    assert.deepEqual((yield* run(p, { value: 4 })).outputs, {
      value: 4,
      next: 5,
      double: 10,
    });
  }),
);

check(
  "pipelines nest, mapped as well, and one may be used twice",
  Effect.gen(function* () {
    const twice = pipeline(
      "twice",
      (g) =>
        g.add(increment, g.add(increment, { value: g.input("value", Num) })),
    );
    const four = pipeline(
      "four",
      (g) => g.add(twice, g.add(twice, { value: g.input("value", Num) })),
    );
    const many = pipeline(
      "many",
      (g) => g.each(four, { value: g.input("values", list(Num)) }),
    );
    const { outputs, nodes } = yield* run(many, { values: [0, 10] });
    assert.deepEqual(outputs, { value: [4, 14] });
    assert.ok(nodes.some(({ node }) => node === "four[1]/twice-2/increment-2"));
    assert.equal(many.graph.size, 1 + 2 + 4);
  }),
);

Deno.test("a kind's ports may be handles that no document can hold", () => {
  const Handle = definePort<"Handle", { readonly id: number }>({
    name: "Handle",
  });
  const open = defineNode({
    kind: "open",
    inputs: {},
    outputs: { handle: Handle },
    run: () => Effect.succeed({ handle: { id: 1 } }),
  });
  const p = pipeline("p", (g) => g.add(open, {}));
  assert.equal(p.outputs.handle.name, "Handle");
});
