/**
 * The contract: what goes in comes out.
 * @module
 */
import assert from "node:assert/strict";
import { Effect } from "effect";
import {
  type DType,
  elementCount,
  type HostArrays,
  hostTensor,
  type Tensor,
} from "../../../nodes/tensor.ts";
import { holds } from "../dtype.ts";
import { model, weightsFolder } from "./models.ts";
import { message, type Part } from "./part.ts";

/** Some numbers of every dtype that any binding carries. */
const samples: { readonly [D in DType]?: HostArrays[D] } = {
  float32: new Float32Array([0, -1.5, 3e38, NaN]),
  float16: new Uint16Array([0, 0x3c00, 0xc000, 0x7bff]),
  int64: new BigInt64Array([0n, -1n, 2n ** 62n, -(2n ** 63n)]),
  int32: new Int32Array([0, -1, 2 ** 31 - 1, -(2 ** 31)]),
  uint8: new Uint8Array([0, 1, 128, 255]),
  int8: new Int8Array([0, -1, 127, -128]),
  bool: new Uint8Array([0, 1, 1, 0]),
};

/** Registers the tests. */
export function valuesContract({ device, options, test }: Part): void {
  test("tells its version, providers and devices", (backend) =>
    Effect.sync(() => {
      assert.match(backend.version, /^1\.\d+\.\d+/);
      assert.ok(backend.providers.includes("CPUExecutionProvider"));
      assert.ok(backend.devices.includes("cpu"));
    }));

  const dtypes = [
    ...Object.entries(samples),
    ...(options.bfloat16
      ? [["bfloat16", new Uint16Array([0, 0x3f80, 0xc000, 0x7f7f])]]
      : []),
  ] as [DType, HostArrays[DType]][];
  for (const [dtype, data] of dtypes) {
    test(`carries ${dtype}: matrix, scalar, no elements`, (backend) =>
      Effect.gen(function* () {
        const shapes = [[2, 2], [], [0, 3], [1, 1, 4]];
        const session = yield* backend.load({
          bytes: model(
            shapes.map((shape, i) => [`x${i}`, dtype, shape]),
            shapes.map((shape, i) => [`y${i}`, dtype, shape]),
            shapes.map((_, i) => ({
              op: "Identity",
              inputs: [`x${i}`],
              outputs: [`y${i}`],
            })),
          ),
        }, { device });
        assert.deepEqual(
          session.inputs,
          shapes.map((shape, i) => ({ name: `x${i}`, dtype, shape })),
        );
        const parts = shapes.map((shape) =>
          data.slice(0, elementCount(shape)) as typeof data
        );
        const check = (results: Readonly<Record<string, Tensor>>) =>
          Effect.forEach(shapes, (shape, i) =>
            Effect.gen(function* () {
              const y = results[`y${i}`];
              assert.equal(y.dtype, dtype);
              assert.equal(y.location, "host");
              assert.deepEqual(y.shape, shape);
              const result = yield* y.read;
              assert.ok(holds(dtype, result));
              assert.deepEqual(result, parts[i]);
            }));
        const host = shapes.map((shape, i) =>
          hostTensor(dtype, shape, parts[i])
        );
        yield* check(yield* session.run(feed(host)));
        // The arrays fed are the caller's, before and after.
        host.forEach((tensor, i) => assert.deepEqual(tensor.data, parts[i]));
        const tensors = yield* Effect.forEach(
          shapes,
          (shape) => session.allocate(dtype, shape),
        );
        for (const [i, tensor] of tensors.entries()) {
          assert.deepEqual(
            [...yield* tensor.read].map(Number),
            [...parts[i]].map(() => 0),
          );
          yield* tensor.write(parts[i]);
          assert.deepEqual(yield* tensor.read, parts[i]);
        }
        yield* check(yield* session.run(feed(tensors)));
      }));
  }

  test("reports symbolic extents and returns the outputs asked for", (backend) =>
    Effect.gen(function* () {
      const session = yield* backend.load({
        bytes: model(
          [["x", "float32", ["batch", 3]]],
          [["twice", "float32", ["batch", 3]], ["back", "float32", [
            "batch",
            3,
          ]]],
          [
            { op: "Add", inputs: ["x", "x"], outputs: ["twice"] },
            { op: "Neg", inputs: ["x"], outputs: ["back"] },
          ],
        ),
      }, { device, name: "pair" });
      assert.equal(session.name, "pair");
      assert.equal(session.device, device);
      assert.deepEqual(session.inputs[0].shape, ["batch", 3]);
      const x = hostTensor("float32", [1, 3], new Float32Array([1, 2, 3]));
      const all = yield* session.run({ x });
      assert.deepEqual(Object.keys(all), ["twice", "back"]);
      const one = yield* session.run({ x }, { outputs: ["back"] });
      assert.deepEqual(Object.keys(one), ["back"]);
      assert.deepEqual(
        yield* one.back.read,
        new Float32Array([-1, -2, -3]),
      );
      assert.match(
        yield* message(session.run({ x }, { outputs: [] })),
        /session "pair": a run needs at least one output/,
      );
      // Another shape through the same session.
      const wide = hostTensor("float32", [4, 3], new Float32Array(12).fill(2));
      const { twice } = yield* session.run({ x: wide });
      assert.deepEqual(twice.shape, [4, 3]);
      assert.deepEqual(yield* twice.read, new Float32Array(12).fill(4));
    }));

  test("reads weights where they lie: offset in a file, bf16 through Cast", (backend) =>
    Effect.gen(function* () {
      const session = yield* backend.load({
        bytes: model([["x", "float32", [2]]], [["y", "float32", [2]]], [
          {
            op: "Cast",
            inputs: ["w"],
            outputs: ["f"],
            attributes: { to: 1 },
          },
          { op: "Add", inputs: ["x", "f"], outputs: ["s"] },
          { op: "Add", inputs: ["s", "b"], outputs: ["y"] },
        ], [
          // The second is at an odd offset, as in a safetensors file.
          {
            name: "w",
            dtype: "bfloat16",
            shape: [2],
            location: "weights.bin",
            offset: 13,
            length: 4,
          },
          {
            name: "b",
            dtype: "float32",
            shape: [2],
            location: "weights.bin",
            offset: 20,
            length: 8,
          },
        ]),
        externalDataFolder: weightsFolder,
      }, { device });
      const x = hostTensor("float32", [2], new Float32Array([1, 1]));
      const { y } = yield* session.run({ x });
      // 1 + bf16(1.5) + 10, 1 + bf16(-2) + 20
      assert.deepEqual(yield* y.read, new Float32Array([12.5, 19]));
    }));
}

function feed(tensors: readonly Tensor[]): Record<string, Tensor> {
  return Object.fromEntries(tensors.map((tensor, i) => [`x${i}`, tensor]));
}
