import assert from "node:assert/strict";
import protobuf from "onnx-proto";
import { Effect } from "effect";
import { type HostTensor, hostTensor } from "../../nodes/tensor.ts";
import { Backend, ffiBackend } from "./mod.ts";
import { attribute, GraphBuilder, type GraphValue } from "./graph.ts";

const { onnx } = protobuf;

/** Runs a model once. */
function runModel(
  bytes: Uint8Array<ArrayBuffer>,
  feeds: Readonly<Record<string, HostTensor>>,
  externalDataFolder?: string,
): Promise<Record<string, number[]>> {
  const body = Effect.gen(function* () {
    const backend = yield* Backend;
    const session = yield* backend.load(
      externalDataFolder === undefined
        ? { bytes }
        : { bytes, externalDataFolder },
      { threads: 1 },
    );
    const outputs = yield* session.run(feeds);
    const numbers: Record<string, number[]> = {};
    for (const [name, tensor] of Object.entries(outputs)) {
      numbers[name] = Array.from(
        (yield* tensor.read) as ArrayLike<number | bigint>,
        Number,
      );
    }
    return numbers;
  });
  return Effect.runPromise(
    Effect.scoped(body).pipe(Effect.provide(ffiBackend)),
  );
}

const floats = (...values: number[]) => Float32Array.from(values);

Deno.test("a built model computes: constants, attributes, optional inputs, several outputs", async () => {
  const g = new GraphBuilder({ name: "test" });
  const x = g.input("x", "float32", ["n", 4]);
  const [left, right] = g.nodes("Split", [x], {
    attributes: { axis: attribute.int(1) },
    outputs: 2,
  });
  const clipped = g.node("Clip", [
    left,
    undefined,
    g.constant("float32", [], floats(1.5)),
  ]);
  const scaled = g.node("LeakyRelu", [right], {
    attributes: { alpha: attribute.float(0.5) },
  });
  const sum = g.node("Add", [clipped, scaled]);
  const gelu = g.node("QuickGelu", [sum], {
    domain: "com.microsoft",
    attributes: { alpha: attribute.float(0) },
  });
  g.output("sum", sum, "float32", ["n", 2]);
  g.output("half", gelu, "float32", ["n", 2]);
  const outputs = await runModel(g.build(), {
    x: hostTensor("float32", [2, 4], floats(1, 2, 3, -4, -5, 6, -7, 8)),
  });
  // Clip has no lower bound here; alpha 0 makes QuickGelu x · sigmoid(0).
  assert.deepEqual(outputs.sum, [1 + 3, 1.5 - 2, -5 - 3.5, 1.5 + 8]);
  assert.deepEqual(outputs.half, outputs.sum.map((v) => v / 2));
});

Deno.test("an output keeps its name, be it an input, one value twice, or a node's own", async () => {
  const g = new GraphBuilder({ name: "test" });
  const x = g.input("x", "float32", [2]);
  const y = g.node("Neg", [x], { name: "a" });
  g.output("same", x, "float32", [2]);
  g.output("a.1", y, "float32", [2]);
  g.output("again", y, "float32", [2]);
  const z = g.node("Abs", [y]);
  g.output("z", z, "float32", [2]);
  const bytes = g.build();
  assert.deepEqual(
    await runModel(bytes, { x: hostTensor("float32", [2], floats(1, -2)) }),
    { same: [1, -2], "a.1": [-1, 2], again: [-1, 2], z: [1, 2] },
  );
  // A node's own output is renamed, not copied.
  const neg = onnx.ModelProto.decode(bytes).graph!.node!.find((node) =>
    node.opType === "Neg"
  )!;
  assert.deepEqual(neg.output, ["a.1"]);
});

Deno.test("weights are read from their place in a file beside the model", async () => {
  const dir = await Deno.makeTempDir();
  try {
    const file = new Uint8Array(64);
    // Seven bytes in: safetensors promises no alignment.
    file.set(new Uint8Array(floats(1, 2, 3, 4, 5, 6).buffer), 7);
    file.set([0x80, 0x3f, 0x00, 0xc0], 40); // bfloat16 1, -2
    await Deno.mkdir(`${dir}/shards`);
    await Deno.writeFile(`${dir}/shards/weights`, file);
    const g = new GraphBuilder({ name: "test" });
    const x = g.input("x", "float32", ["n", 3]);
    const w = g.external("w", "float32", [2, 3], {
      location: "shards/weights",
      offset: 7,
      length: 24,
    });
    const b = g.external("b", "bfloat16", [2], {
      location: "shards/weights",
      offset: 40,
      length: 4,
    });
    const y = g.node("Gemm", [
      x,
      w,
      g.node("Cast", [b], {
        attributes: { to: attribute.dtype("float32") },
      }),
    ], { attributes: { transB: attribute.int(1) } });
    g.output("y", y, "float32", ["n", 2]);
    assert.deepEqual(
      await runModel(
        g.build(),
        { x: hostTensor("float32", [1, 3], floats(1, 0, -1)) },
        dir,
      ),
      { y: [1 - 3 + 1, 4 - 6 - 2] },
    );
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});

Deno.test("the bytes are an ONNX model with the numbers as given", () => {
  const g = new GraphBuilder({ name: "bytes", opsets: { "": 18, custom: 3 } });
  const x = g.input("x", "int64", [2, "rows", 3]);
  const offset = 2 ** 40 + 8;
  const w = g.external("w", "float16", [2, 3], {
    location: "a.safetensors",
    offset,
    length: 12,
  });
  const outputs = g.nodes("Thing", [x, undefined, w, undefined], {
    domain: "custom",
    outputs: [true, false, true],
    attributes: {
      i: attribute.int(-5),
      large: attribute.int(2 ** 40),
      f: attribute.float(0.1),
      s: attribute.text("ä"),
      list: attribute.ints([1, -1]),
      reals: attribute.floats([0.5]),
      type: attribute.dtype("bfloat16"),
    },
  });
  assert.equal(outputs[1], undefined);
  g.output("y", outputs[2]!, "bool", []);
  const model = onnx.ModelProto.decode(g.build());
  assert.equal(Number(model.irVersion), 8);
  assert.deepEqual(
    model.opsetImport!.map((o) => [o.domain, Number(o.version)]),
    [["", 18], ["custom", 3]],
  );
  const graph = model.graph!;
  const dims = graph.input![0].type!.tensorType!.shape!.dim!;
  assert.deepEqual(
    dims.map((d) => d.dimParam ? d.dimParam : Number(d.dimValue)),
    [2, "rows", 3],
  );
  assert.deepEqual(
    graph.initializer![0].externalData!.map((e) => [e.key, e.value]),
    [["location", "a.safetensors"], ["offset", String(offset)], [
      "length",
      "12",
    ]],
  );
  const node = graph.node![0];
  assert.deepEqual(node.input, ["x", "", "w", ""]);
  assert.deepEqual(node.output, ["Thing", "", "y"]);
  const attributes = new Map(node.attribute!.map((a) => [a.name, a]));
  assert.equal(Number(attributes.get("i")!.i), -5);
  assert.equal(Number(attributes.get("large")!.i), 2 ** 40);
  assert.equal(attributes.get("f")!.f, Math.fround(0.1));
  assert.equal(new TextDecoder().decode(attributes.get("s")!.s!), "ä");
  assert.deepEqual(attributes.get("list")!.ints!.map(Number), [1, -1]);
  assert.deepEqual(attributes.get("reals")!.floats, [0.5]);
  assert.equal(Number(attributes.get("type")!.i), 16);
});

Deno.test("names are unique, and equal small constants are one", () => {
  const g = new GraphBuilder({ name: "test" });
  const x = g.input("Add", "float32", [1]);
  const values: GraphValue[] = [];
  for (let i = 0; i < 3; i++) values.push(g.node("Add", [x, x]));
  values.push(g.node("Add", [x, x], { name: "Add_1" }));
  assert.equal(new Set(values.map((v) => v.name)).size, 4);
  assert.equal(g.nodeCount, 4);
  assert.equal(g.int64s([1, 2]), g.int64s([1, 2]));
  assert.notEqual(g.int64s([1, 2]), g.int64s([2, 1]));
  const zero = g.constant("float32", [], floats(0));
  assert.notEqual(zero, g.constant("float32", [], floats(-0)));
  assert.notEqual(zero, g.constant("float32", [1], floats(0)));
  assert.notEqual(zero, g.constant("int32", [], Int32Array.of(0)));
});

Deno.test("mistakes of the program are named", () => {
  const g = new GraphBuilder({ name: "test" });
  const x = g.input("x", "float32", [1]);
  const foreign = new GraphBuilder({ name: "other" }).input("y", "float32", []);
  assert.throws(() => g.input("x", "float32", [1]), /name "x" is taken/);
  assert.throws(() => g.output("x", x, "float32", [1]), /name "x" is taken/);
  assert.throws(() => g.node("Add", [x, foreign]), /y is of another graph/);
  assert.throws(() => g.output("z", foreign, "float32", []), /another graph/);
  assert.throws(
    () =>
      g.external("w", "bfloat16", [2, 3], {
        location: "f",
        offset: 0,
        length: 24,
      }),
    /w: bfloat16 \[2, 3\] needs 12 bytes, 24 given/,
  );
  assert.throws(
    () => g.constant("float32", [2], floats(1)),
    /shape \[2\] needs 2 elements, 1 given/,
  );
});
