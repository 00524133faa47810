/**
 * The contract every binding keeps, as tests. `ffi/contract_test.ts` and `napi/contract_test.ts` run it.
 * @module
 */
import assert from "node:assert/strict";
import { Effect, Fiber, type Layer, Scope } from "effect";
import type { BackendError } from "../../../nodes/errors.ts";
import {
  type DType,
  elementCount,
  type HostArrays,
  hostTensor,
  type Tensor,
} from "../../../nodes/tensor.ts";
import type { Backend, Device, Session } from "../backend.ts";
import { holds } from "../dtype.ts";
import { effectTest } from "./effect.ts";
import {
  accumulator,
  attention,
  LONG,
  longRun,
  model,
  weightsFolder,
} from "./models.ts";

/** What a binding may do differently, by its documentation. */
export interface ContractOptions {
  /** Where the sessions compute; default the CPU. */
  readonly device?: Device;
  /** Whether a run that has begun can be ended; the N-API has no way to. */
  readonly endsRuns: boolean;
  /** Whether bfloat16 goes in and out. */
  readonly bfloat16: boolean;
}

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

/** Registers the tests of one binding. */
export function backendContract<E>(
  binding: string,
  layer: Layer.Layer<Backend, E>,
  options: ContractOptions,
): void {
  const device = options.device ?? "cpu";
  const test = (
    name: string,
    body: Parameters<typeof effectTest>[2],
  ) => effectTest(`${binding}: ${name}`, layer, body);
  const message = <A, R>(effect: Effect.Effect<A, BackendError, R>) =>
    Effect.map(Effect.flip(effect), (error) => {
      assert.equal(error._tag, "BackendError");
      assert.ok(!error.message.includes("\n"), error.message);
      return error.message;
    });

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
      // A view takes part as well: the first three of six.
      const large = yield* session.allocate("float32", [6]);
      yield* large.write(new Float32Array([1, 1, 1, 5, 5, 5]));
      const head = yield* large.view([3]);
      yield* session.run({ x, state: head }, { into: { next: head } });
      assert.deepEqual(
        yield* large.read,
        new Float32Array([2, 3, 4, 5, 5, 5]),
      );
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

  test("the event loop stays free during a run", (backend) =>
    Effect.gen(function* () {
      const session = yield* backend.load({ bytes: longRun() }, { device });
      const steps = yield* calibrate(session, 150);
      let ticks = 0;
      const timer = setInterval(() => ticks++, 1);
      const began = performance.now();
      yield* session.run(loop(steps));
      const took = performance.now() - began;
      clearInterval(timer);
      // A blocked loop would give one tick at most, however long the run took.
      assert.ok(ticks >= 5, `${ticks} ticks in ${took} ms`);
    }));

  test("concurrent runs of one session give each its own result", (backend) =>
    Effect.gen(function* () {
      const session = yield* backend.load({ bytes: accumulator() }, { device });
      const results = yield* Effect.forEach(
        Array.from({ length: 20 }, (_, i) => i),
        (i) =>
          Effect.gen(function* () {
            const x = hostTensor(
              "float32",
              [3],
              new Float32Array([i, 2 * i, 3 * i]),
            );
            const state = yield* session.allocate("float32", [3]);
            yield* session.run({ x, state }, { into: { next: state } });
            const { next } = yield* session.run({ x, state });
            return [...yield* next.read].map(Number);
          }),
        { concurrency: "unbounded" },
      );
      assert.deepEqual(
        results,
        results.map((_, i) => [2 * i, 4 * i, 6 * i]),
      );
    }));

  test("an interrupted run has ended when the effect ends", (backend) =>
    Effect.gen(function* () {
      const session = yield* backend.load({ bytes: longRun() }, {
        device,
        name: "long",
      });
      const quick = yield* calibrate(session, 60);
      // 300 times as long where it can be ended, so that finishing instead would show.
      const steps = quick * (options.endsRuns ? 300n : 8n);
      const out = yield* session.allocate("float32", [LONG, LONG]);
      const fiber = yield* Effect.forkChild(
        session.run(loop(steps), { into: { y: out } }),
      );
      yield* Effect.sleep(30);
      const began = performance.now();
      yield* Fiber.interrupt(fiber);
      const waited = performance.now() - began;
      const exit = yield* Fiber.await(fiber);
      assert.equal(exit._tag, "Failure");
      if (options.endsRuns) {
        const whole = 60 * 300;
        assert.ok(
          waited < whole / 4,
          `ended after ${waited} ms of about ${whole}`,
        );
      }
      const { y } = yield* session.run(loop(1n));
      assert.equal((yield* y.read).length, LONG * LONG);
      // The tensor of the interrupted run is free again.
      yield* session.run(loop(1n), { into: { y: out } });
      assert.deepEqual(yield* out.read, yield* y.read);
    }));

  test("interrupting a waiting run does not wait for the one before it", (backend) =>
    Effect.gen(function* () {
      const session = yield* backend.load({ bytes: accumulator() }, { device });
      const x = hostTensor("float32", [3], new Float32Array([1, 1, 1]));
      for (let i = 0; i < 20; i++) {
        const state = yield* session.allocate("float32", [3]);
        const fiber = yield* Effect.forkChild(
          session.run({ x, state }, { into: { next: state } }),
        );
        if (i % 2 === 0) yield* Effect.yieldNow;
        yield* Fiber.interrupt(fiber);
        const after = yield* state.read;
        assert.ok(after[0] === 0 || after[0] === 1);
      }
      const { next } = yield* session.run({ x, state: x });
      assert.deepEqual(yield* next.read, new Float32Array([2, 2, 2]));
    }));
}

function feed(tensors: readonly Tensor[]): Record<string, Tensor> {
  return Object.fromEntries(tensors.map((tensor, i) => [`x${i}`, tensor]));
}

function loop(steps: bigint): { readonly steps: Tensor } {
  return { steps: hostTensor("int64", [], new BigInt64Array([steps])) };
}

/** Steps of {@link longRun} that take about `milliseconds` here and now. */
function calibrate(
  session: Session,
  milliseconds: number,
): Effect.Effect<bigint, BackendError> {
  return Effect.gen(function* () {
    for (let steps = 16n;; steps *= 2n) {
      const began = performance.now();
      yield* session.run(loop(steps));
      const took = performance.now() - began;
      if (took > 20) {
        return BigInt(Math.ceil(Number(steps) * milliseconds / took));
      }
    }
  });
}
