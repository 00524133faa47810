/**
 * The contract: tensors that outlive a run.
 * @module
 */
import assert from "node:assert/strict";
import { Effect } from "effect";
import type { BackendError } from "../../../nodes/errors.ts";
import { hostTensor, type Tensor } from "../../../nodes/tensor.ts";
import { accumulator, attention } from "./models.ts";
import { message, type Part } from "./part.ts";

/** Registers the tests. */
export function stateContract({ device, test }: Part): void {
  test("tensors: partial write, views, ends of their scope", (backend) =>
    Effect.gen(function* () {
      const session = yield* backend.load(
        { bytes: accumulator() },
        { device, name: "sum" },
      );
      const tensor = yield* session.allocate("float32", [2, 3]);
      yield* tensor.write(new Float32Array([1, 2, 3, 4, 5, 6]));
      yield* tensor.write(new Float32Array([9, 8]));
      assert.deepEqual(
        yield* tensor.read,
        new Float32Array([9, 8, 3, 4, 5, 6]),
      );
      // Where there is a live view of the numbers, it is theirs and not a copy's.
      if (tensor.host !== undefined) {
        assert.deepEqual(tensor.host, yield* tensor.read);
        yield* tensor.write(new Float32Array([9, 8, 3]));
        assert.deepEqual(tensor.host, yield* tensor.read);
      }
      const flat = yield* tensor.view([4]);
      assert.deepEqual(flat.shape, [4]);
      assert.deepEqual(yield* flat.read, new Float32Array([9, 8, 3, 4]));
      yield* flat.write(new Float32Array([0, 0, 0, 7]));
      assert.deepEqual(
        yield* tensor.read,
        new Float32Array([0, 0, 0, 7, 5, 6]),
      );
      assert.match(
        yield* message(tensor.view([7])),
        /view: float32 \[7\] needs 28 bytes, the tensor was allocated with 24/,
      );
      if (device === "webgpu") {
        assert.match(
          yield* message(tensor.view([1], 1)),
          /from its start only/,
        );
      } else {
        // From an element on, and from an element of that on.
        const tail = yield* tensor.view([4], 2);
        assert.deepEqual(yield* tail.read, new Float32Array([0, 7, 5, 6]));
        const last = yield* tail.view([1, 2], 2);
        yield* last.write(new Float32Array([8, 9]));
        assert.deepEqual(
          yield* tensor.read,
          new Float32Array([0, 0, 0, 7, 8, 9]),
        );
        if (last.host !== undefined) {
          assert.deepEqual(last.host, new Float32Array([8, 9]));
        }
        assert.match(
          yield* message(tail.view([3], 2)),
          /view: float32 \[3\] from element 2 needs 28 bytes, .* with 24/,
        );
        assert.match(
          yield* message(tensor.view([1], 0.5)),
          /from element 0\.5: not a whole number from 0/,
        );
      }
      assert.match(
        yield* message(tensor.view([2, -1])),
        /not a whole number/,
      );
      assert.match(
        yield* message(tensor.write(new Float32Array(7))),
        /takes up to 6 elements as Float32Array, got 7 as Float32Array/,
      );
      assert.match(
        yield* message(
          tensor.write(
            new Int32Array(6) as unknown as Float32Array<ArrayBuffer>,
          ),
        ),
        /got 6 as Int32Array/,
      );
      assert.match(
        yield* message(session.allocate("float32", [1.5])),
        /session "sum": allocate: .*\[1\.5\] has an extent/,
      );
      const odd = yield* session.allocate("uint8", [5]);
      yield* odd.write(new Uint8Array([1, 2, 3, 4, 5]));
      yield* odd.write(new Uint8Array([9]));
      assert.deepEqual(yield* odd.read, new Uint8Array([9, 2, 3, 4, 5]));
      // Once its scope has closed, a tensor only gives errors.
      const gone = yield* Effect.scoped(session.allocate("float32", [3]));
      for (
        const use of [
          gone.read,
          gone.write(new Float32Array(1)),
          gone.view([1]),
          session.run({ x: gone, state: tensor }),
        ] as Effect.Effect<unknown, BackendError>[]
      ) {
        assert.match(
          yield* message(use),
          /float32 tensor \[3\] was used after the scope that allocated it had closed/,
        );
      }
    }));

  test("state in one tensor over several runs", (backend) =>
    Effect.gen(function* () {
      const session = yield* backend.load({ bytes: accumulator() }, { device });
      const state = yield* session.allocate("float32", [3]);
      const x = hostTensor("float32", [3], new Float32Array([1, 2, 3]));
      for (let i = 0; i < 3; i++) {
        const results = yield* session.run({ x, state }, {
          into: { next: state },
        });
        assert.deepEqual(results, {});
      }
      assert.deepEqual(yield* state.read, new Float32Array([3, 6, 9]));
      if (state.host !== undefined) {
        assert.deepEqual(state.host, new Float32Array([3, 6, 9]));
      }
      // A view takes part as well: the first three of six.
      const large = yield* session.allocate("float32", [6]);
      yield* large.write(new Float32Array([1, 1, 1, 5, 5, 5]));
      const head = yield* large.view([3]);
      yield* session.run({ x, state: head }, { into: { next: head } });
      assert.deepEqual(
        yield* large.read,
        new Float32Array([2, 3, 4, 5, 5, 5]),
      );
      // So does one from the middle on.
      if (device !== "webgpu") {
        const tail = yield* large.view([3], 3);
        yield* session.run({ x, state: tail }, { into: { next: tail } });
        assert.deepEqual(
          yield* large.read,
          new Float32Array([2, 3, 4, 6, 7, 8]),
        );
      }
      // Into another tensor than the one fed.
      const other = yield* session.allocate("float32", [3]);
      yield* session.run({ x, state }, { into: { next: other } });
      assert.deepEqual(yield* other.read, new Float32Array([4, 8, 12]));
      assert.deepEqual(yield* state.read, new Float32Array([3, 6, 9]));
    }));

  test("a tensor of another session is fed by way of the host", (backend) =>
    Effect.gen(function* () {
      const bytes = accumulator();
      const first = yield* backend.load({ bytes }, { device });
      const second = yield* backend.load({ bytes });
      const state = yield* first.allocate("float32", [3]);
      yield* state.write(new Float32Array([1, 2, 3]));
      const x = hostTensor("float32", [3], new Float32Array([1, 1, 1]));
      const { next } = yield* second.run({ x, state });
      assert.deepEqual(yield* next.read, new Float32Array([2, 3, 4]));
      const foreign: Tensor = {
        dtype: "float32",
        shape: [3],
        location: "device",
        read: Effect.succeed(new Float32Array([5, 5, 5])),
      };
      const result = yield* second.run({ x, state: foreign });
      assert.deepEqual(yield* result.next.read, new Float32Array([6, 6, 6]));
    }));

  test("attention with past and present in one buffer", (backend) =>
    Effect.gen(function* () {
      const { bytes, width, heads, size } = attention();
      const session = yield* backend.load({ bytes }, { device });
      const steps = 5, room = 8;
      const value = (i: number) => Math.sin(i * 1.7) * 0.5;
      const qkv = (from: number, count: number) =>
        hostTensor(
          "float32",
          [1, count, width * 3],
          Float32Array.from(
            { length: count * width * 3 },
            (_, i) => value(from * width * 3 + i),
          ),
        );
      const lengths = (past: number, count: number) => ({
        seqlens: hostTensor("int32", [1], new Int32Array([past + count - 1])),
        total: hostTensor("int32", [], new Int32Array([past + count])),
      });
      const caches = Effect.gen(function* () {
        const shape = [1, heads, room, size];
        const key = yield* session.allocate("float32", shape);
        const val = yield* session.allocate("float32", shape);
        return {
          feeds: { past_key: key, past_value: val },
          into: { present_key: key, present_value: val },
        };
      });
      // Token by token, then the whole sequence at once.
      const stepwise = yield* caches;
      const rows: number[] = [];
      for (let t = 0; t < steps; t++) {
        const { y } = yield* session.run({
          qkv: qkv(t, 1),
          ...lengths(t, 1),
          ...stepwise.feeds,
        }, { into: stepwise.into });
        rows.push(...yield* y.read as Effect.Effect<Float32Array>);
      }
      const whole = yield* caches;
      const { y } = yield* session.run({
        qkv: qkv(0, steps),
        ...lengths(0, steps),
        ...whole.feeds,
      }, { into: whole.into });
      const expected = yield* y.read as Effect.Effect<Float32Array>;
      assert.equal(expected.length, rows.length);
      expected.forEach((number, i) =>
        assert.ok(
          Math.abs(number - rows[i]) < 1e-5,
          `${i}: ${number} ${rows[i]}`,
        )
      );
      assert.ok(expected.some((number) => Math.abs(number) > 0.01));
      // Both caches hold the same keys, and they are not zero.
      const [a, b] = [
        yield* stepwise.feeds.past_key.read,
        yield* whole.feeds.past_key.read,
      ];
      for (let h = 0; h < heads; h++) {
        for (let i = 0; i < steps * size; i++) {
          const at = h * room * size + i;
          assert.ok(Math.abs(a[at] - b[at]) < 1e-6);
        }
      }
      assert.ok(a.some((number) => number !== 0));
    }));
}
