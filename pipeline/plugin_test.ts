import assert from "node:assert/strict";
import { Effect, Schema } from "effect";
import { GraphError } from "./errors.ts";
import { pipeline } from "./graph.ts";
import { defineNode } from "./node.ts";
import { definePlugin, makeRegistry } from "./plugin.ts";
import { definePort, list, Num, omittable, Text } from "./port.ts";
import { increment, upper } from "./test_kit.ts";

const shout = pipeline(
  "shout",
  (g) => g.add(upper, { text: g.input("text", Text) }),
);

Deno.test("a registry finds kinds, pipelines and ports by name", () => {
  const Point = definePort({
    name: "Point",
    schema: Schema.Struct({ x: Schema.Finite }),
  });
  const registry = makeRegistry([
    definePlugin({
      name: "a",
      version: "1.2.3",
      nodes: [upper],
      ports: [Point],
    }),
    definePlugin({ name: "b", nodes: [increment, upper], pipelines: [shout] }),
  ]);
  assert.equal(registry.kind("upper"), upper);
  assert.equal(registry.kind("shout"), shout);
  assert.equal(registry.kind("toString"), undefined);
  assert.deepEqual([...registry.nodes.keys()], ["upper", "increment"]);
  assert.deepEqual([...registry.pipelines.keys()], ["shout"]);
  assert.equal(registry.port("Point"), Point);
  assert.equal(registry.port("Text"), Text);
  assert.equal(registry.port("List<Optional<Point>>")?.element?.element, Point);
  assert.equal(registry.port("List<Text>"), list(Text));
  for (
    const name of [
      "Pt",
      "List<>",
      "List<Pt>",
      "Map<Text>",
      "List<Text",
      "constructor",
    ]
  ) {
    assert.equal(registry.port(name), undefined, name);
  }
  assert.equal(
    registry.port(`${"List<".repeat(1e5)}Text${">".repeat(1e5)}`),
    undefined,
  );
});

Deno.test("a name that two plugins claim is refused, with both named", () => {
  const other = defineNode({
    kind: "upper",
    inputs: { text: Text },
    outputs: { text: Text },
    run: ({ text }) => Effect.succeed({ text }),
  });
  const clash = pipeline("increment", (g) => ({ text: g.input("text", Text) }));
  assert.throws(
    () =>
      makeRegistry([
        definePlugin({ name: "first", nodes: [upper, increment] }),
        definePlugin({ name: "second", nodes: [other], pipelines: [clash] }),
      ]),
    (error) => {
      assert.ok(error instanceof GraphError);
      assert.deepEqual(error.problems.map(({ message }) => message), [
        'kind "upper" is defined by both plugin "first" and plugin "second"; rename one of them',
        'kind "increment" is defined by both plugin "first" and plugin "second"; rename one of them',
      ]);
      return true;
    },
  );
});

Deno.test("one port name must mean one thing; a default does not make it another", () => {
  const size = () => definePort({ name: "Size", schema: Schema.Finite });
  const [Size, Other] = [size(), size()];
  const takes = (kind: string, port: typeof Size) =>
    defineNode({
      kind,
      inputs: { size: list(port) },
      outputs: { size: port },
      run: ({ size }) => Effect.succeed({ size: size[0] ?? 0 }),
    });
  makeRegistry([
    definePlugin({
      name: "a",
      nodes: [takes("a", Size)],
      ports: [omittable(Size)],
    }),
  ]);
  assert.throws(
    () =>
      makeRegistry([
        definePlugin({ name: "a", nodes: [takes("a", Size)] }),
        definePlugin({ name: "b", nodes: [takes("b", Other)] }),
      ]),
    /port "Size" is defined differently by plugin "a" and plugin "b"/,
  );
  assert.throws(
    () =>
      makeRegistry([
        definePlugin({
          name: "a",
          ports: [definePort({ name: "Num", schema: Schema.Finite })],
        }),
      ]),
    /port "Num" is defined differently by the core and plugin "a"/,
  );
  assert.equal(makeRegistry([]).port("Num"), Num);
});
