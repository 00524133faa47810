import assert from "node:assert/strict";
import { Context, Effect, Layer } from "effect";
import { type HostArrays, hostTensor } from "../../nodes/tensor.ts";
import { Backend } from "./backend.ts";
import { ffiBackend, napiBackend } from "./mod.ts";
import { attention, LONG, longRun } from "./testing/models.ts";

/** Runs the same program on both bindings. */
function both<A, E>(
  program: (
    backend: Backend,
  ) => Effect.Effect<A, E, import("effect").Scope.Scope>,
): Promise<readonly [A, A]> {
  const on = (layer: typeof ffiBackend) =>
    Effect.scoped(Effect.flatMap(
      Layer.build(layer),
      (context) => program(Context.get(context, Backend)),
    ));
  return Effect.runPromise(Effect.all([on(ffiBackend), on(napiBackend)]));
}

Deno.test("both bindings are the same library", async () => {
  const [ffi, napi] = await both((backend) => Effect.succeed(backend));
  assert.equal(ffi.version, napi.version);
  assert.equal(ffi.binding, "ffi");
  assert.equal(napi.binding, "napi");
});

Deno.test("both bindings give the same numbers for matrix products", async () => {
  const [ffi, napi] = await both((backend) =>
    Effect.gen(function* () {
      const session = yield* backend.load(
        { bytes: longRun() },
        { threads: 1 },
      );
      const steps = hostTensor("int64", [], new BigInt64Array([7n]));
      const { y } = yield* session.run({ steps });
      return yield* y.read;
    })
  );
  assert.equal(ffi.length, LONG * LONG);
  assert.deepEqual(ffi, napi);
});

Deno.test("both bindings give the same numbers for a growing KV cache", async () => {
  const [ffi, napi] = await both((backend) =>
    Effect.gen(function* () {
      const { bytes, width, heads, size } = attention();
      const session = yield* backend.load({ bytes }, { threads: 1 });
      const shape = [1, heads, 6, size];
      const key = yield* session.allocate("float32", shape);
      const value = yield* session.allocate("float32", shape);
      const seen: HostArrays["float32"][] = [];
      for (let t = 0; t < 4; t++) {
        const { y } = yield* session.run({
          qkv: hostTensor(
            "float32",
            [1, 1, width * 3],
            Float32Array.from({ length: width * 3 }, (_, i) => Math.cos(i * t)),
          ),
          seqlens: hostTensor("int32", [1], new Int32Array([t])),
          total: hostTensor("int32", [], new Int32Array([t + 1])),
          past_key: key,
          past_value: value,
        }, { into: { present_key: key, present_value: value } });
        seen.push(yield* y.read as Effect.Effect<HostArrays["float32"]>);
      }
      return [...seen, yield* key.read, yield* value.read];
    })
  );
  assert.deepEqual(ffi, napi);
  assert.ok(ffi.every((array) => array.some((number) => number !== 0)));
});
