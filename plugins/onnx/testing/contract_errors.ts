/**
 * The contract: errors, and what ends with its scope.
 * @module
 */
import assert from "node:assert/strict";
import { Effect, Scope } from "effect";
import { hostTensor, type Tensor } from "../../../nodes/tensor.ts";
import type { Device, Session } from "../backend.ts";
import { accumulator, model, weightsFolder } from "./models.ts";
import { message, type Part } from "./part.ts";

/** Registers the tests. */
export function errorsContract({ device, test }: Part): void {
  test("errors name what is wrong and leave the session usable", (backend) =>
    Effect.gen(function* () {
      const session = yield* backend.load(
        { bytes: accumulator() },
        { device, name: "sum" },
      );
      const x = hostTensor("float32", [3], new Float32Array([1, 2, 3]));
      const state = yield* session.allocate("float32", [3]);
      const run = (
        feeds: Parameters<Session["run"]>[0],
        options?: Parameters<Session["run"]>[1],
      ) => message(session.run(feeds, options));
      assert.match(
        yield* run({ x }),
        /session "sum": missing input "state" \(float32 \[3\]\)/,
      );
      assert.match(
        yield* run({ x, state, more: x }),
        /session "sum" has no input "more"; its inputs: x, state/,
      );
      assert.match(
        yield* run({
          x: hostTensor("int32", [3], new Int32Array(3)),
          state,
        }),
        /input "x" is float32 \[n\], got int32 \[3\]/,
      );
      assert.match(
        yield* run({
          x,
          state: hostTensor("float32", [2], new Float32Array(2)),
        }),
        /input "state" is float32 \[3\], got float32 \[2\]/,
      );
      assert.match(
        yield* run({
          x,
          state: hostTensor("float32", [3, 1], new Float32Array(3)),
        }),
        /got float32 \[3, 1\]/,
      );
      assert.match(
        yield* run({ x, state }, { outputs: ["other"] }),
        /session "sum" has no output "other"; its outputs: next/,
      );
      assert.match(
        yield* run({ x, state: undefined as unknown as Tensor }),
        /input "state" is float32 \[3\], got no tensor/,
      );
      const small = yield* session.allocate("float32", [2]);
      assert.match(
        yield* run({ x, state }, { into: { next: small } }),
        /output "next" is float32 \[3\], got float32 \[2\]/,
      );
      const host = hostTensor("float32", [3], new Float32Array(3));
      assert.match(
        yield* run({ x, state }, { into: { next: host as never } }),
        /output "next" can only be written into a tensor made by allocate/,
      );
      // A shape that only the operator refuses.
      assert.match(
        yield* run({
          x: hostTensor("float32", [2], new Float32Array(2)),
          state,
        }),
        /^session "sum".*Add/,
      );
      const detached = hostTensor("float32", [3], new Float32Array(3));
      detached.data.buffer.transfer();
      assert.match(
        yield* run({ x: detached, state }),
        /was its buffer transferred/,
      );
      yield* session.run({ x, state }, { into: { next: state } });
      assert.deepEqual(yield* state.read, new Float32Array([1, 2, 3]));
    }));

  test("models that cannot be loaded", (backend) =>
    Effect.gen(function* () {
      const load = (bytes: Uint8Array<ArrayBuffer>, folder?: string) =>
        message(Effect.scoped(backend.load(
          folder === undefined ? { bytes } : {
            bytes,
            externalDataFolder: folder,
          },
          { device, name: "bad" },
        )));
      assert.match(yield* load(new Uint8Array()), /^session "bad"/);
      assert.match(yield* load(new Uint8Array([1, 2, 3])), /^session "bad"/);
      const good = accumulator();
      assert.match(
        yield* load(good.slice(0, good.length - 9)),
        /^session "bad"/,
      );
      assert.match(
        yield* load(
          model([["x", "float32", [1]]], [["y", "float32", [1]]], [
            { op: "NoSuchOperator", inputs: ["x"], outputs: ["y"] },
          ]),
        ),
        /NoSuchOperator/,
      );
      const outside = model([["x", "float32", [1]]], [["y", "float32", [1]]], [
        { op: "Add", inputs: ["x", "w"], outputs: ["y"] },
      ], [{
        name: "w",
        dtype: "float32",
        shape: [1],
        location: "missing.bin",
        offset: 0,
        length: 4,
      }]);
      assert.match(yield* load(outside, weightsFolder), /missing\.bin/);
      const threads = backend.load({ bytes: good }, { threads: -1 });
      assert.match(yield* message(Effect.scoped(threads)), /threads is -1/);
      const nowhere = backend.load({ bytes: good }, {
        device: "abacus" as Device,
      });
      assert.match(yield* message(Effect.scoped(nowhere)), /abacus/);
    }));

  test("a session ends with its scope", (backend) =>
    Effect.gen(function* () {
      const session = yield* Effect.scoped(
        backend.load({ bytes: accumulator() }, { device, name: "brief" }),
      );
      const x = hostTensor("float32", [3], new Float32Array(3));
      assert.match(
        yield* message(session.run({ x, state: x })),
        /session "brief" was used after its scope had closed/,
      );
      assert.match(
        yield* message(session.allocate("float32", [1])),
        /session "brief" was used after its scope had closed/,
      );
      // A tensor may outlive its session.
      const late = yield* Effect.flatMap(
        Effect.scope,
        (scope) =>
          Effect.scoped(Effect.gen(function* () {
            const inner = yield* backend.load({ bytes: accumulator() }, {
              device,
            });
            return yield* inner.allocate("float32", [3]).pipe(
              Effect.provideService(Scope.Scope, scope),
            );
          })),
      );
      assert.deepEqual(late.shape, [3]);
    }));
}
