/**
 * A test that every native handle is released, whatever happened to it.
 * @module
 */
import assert from "node:assert/strict";
import { Effect, Fiber, type Layer } from "effect";
import { hostTensor } from "../../../nodes/tensor.ts";
import { Backend, type Device, type ModelSource } from "../backend.ts";
import { liveHandles } from "../handles.ts";
import { prepareRun } from "../running.ts";
import { accumulator, longRun, slowToLoad } from "./models.ts";

/** Registers the test for one binding. */
export function ledgerTest<E>(
  binding: string,
  layer: Layer.Layer<Backend, E>,
  device: Device = "cpu",
): void {
  Deno.test(`${binding} on ${device}: every native handle is released`, async () => {
    const before = liveHandles();
    await Effect.runPromise(work(device).pipe(Effect.provide(layer)));
    assert.deepEqual(liveHandles(), before);
  });
}

const work = Effect.fnUntraced(function* (device: Device) {
  const binding = yield* Backend;
  const backend = {
    load: (model: ModelSource) => binding.load(model, { device }),
  };
  const idle = liveHandles();
  const x = hostTensor("float32", [3], new Float32Array(3));
  const bytes = accumulator();

  // Loads, runs, writes into tensors and views; fails in the checks, in an operator, in a load.
  yield* Effect.scoped(Effect.gen(function* () {
    const session = yield* backend.load({ bytes });
    const state = yield* session.allocate("float32", [6]);
    const head = yield* state.view([3]);
    yield* session.run({ x, state: head }, { into: { next: head } });
    yield* session.run({ x, state: head });
    yield* Effect.flip(session.run({ x }));
    // One that is closed, and one that the session's end closes.
    for (const close of [true, false]) {
      const run = prepareRun(session, { x, state: head });
      yield* Effect.promise(() => run.start().ended);
      if (close) run.close();
    }
    const two = hostTensor("float32", [2], new Float32Array(2));
    yield* Effect.flip(session.run({ x: two, state: head }));
    yield* Effect.flip(
      session.run({ x: two, state: head }, { into: { next: head } }),
    );
    yield* Effect.flip(backend.load({ bytes: bytes.slice(9) }));
    const busy = liveHandles();
    assert.ok(busy.session + busy.workerSession > 0);
    assert.ok(busy.value + busy.workerTensor > 0);
    assert.equal(busy.status, 0);
    // Large host arrays are not kept.
    const large = hostTensor("float32", [3], new Float32Array(3));
    yield* session.run({ x: large, state: large });
  }));
  assert.deepEqual(liveHandles(), idle);

  // A tensor whose scope closes during a run, and after its session's.
  yield* Effect.scoped(Effect.gen(function* () {
    const session = yield* backend.load({ bytes: longRun() });
    const steps = hostTensor("int64", [], new BigInt64Array([400n]));
    const running = yield* Effect.scoped(Effect.gen(function* () {
      const out = yield* session.allocate("float32", [96, 96]);
      const fiber = yield* Effect.forkDetach(
        session.run({ steps }, { into: { y: out } }),
      );
      yield* Effect.yieldNow;
      return fiber;
    }));
    yield* Fiber.await(running);
  }));
  assert.deepEqual(liveHandles(), idle);

  // A session whose scope closes during a run, interrupted runs, an interrupted load.
  yield* Effect.scoped(Effect.gen(function* () {
    const session = yield* backend.load({ bytes: longRun() });
    const run = (steps: bigint) =>
      session.run({
        steps: hostTensor("int64", [], new BigInt64Array([steps])),
      });
    for (let i = 0; i < 4; i++) {
      const fiber = yield* Effect.forkChild(run(300n));
      yield* Effect.sleep(i);
      yield* Fiber.interrupt(fiber);
    }
    yield* Effect.all([run(3n), run(3n), run(3n)], { concurrency: 3 });
    yield* Effect.forkDetach(run(300n));
    yield* Effect.yieldNow;
  }));
  assert.deepEqual(liveHandles(), idle);
  const slow = slowToLoad();
  for (const delay of [0, 5, 20]) {
    const fiber = yield* Effect.forkChild(
      Effect.scoped(backend.load({ bytes: slow })),
    );
    yield* Effect.sleep(delay);
    yield* Fiber.interrupt(fiber);
    assert.deepEqual(liveHandles(), idle);
  }
});
