/**
 * The contract: runs side by side, and runs that are interrupted.
 * @module
 */
import assert from "node:assert/strict";
import { Effect, Fiber } from "effect";
import type { BackendError } from "../../../nodes/errors.ts";
import { hostTensor, type Tensor } from "../../../nodes/tensor.ts";
import type { Session } from "../backend.ts";
import { accumulator, LONG, longRun } from "./models.ts";
import type { Part } from "./part.ts";

/** Registers the tests. */
export function runsContract({ device, options, test }: Part): void {
  test("the event loop stays free during a run", (backend) =>
    Effect.gen(function* () {
      const session = yield* backend.load({ bytes: longRun() }, { device });
      let steps = yield* calibrate(session, 150);
      let ticks = 0;
      // A busy machine makes `steps` too few, so that the run is over before the timer's turn comes. A
      // blocked loop would give one tick at most, however long the run takes.
      for (let tries = 0; ticks < 5 && tries < 5; tries++, steps *= 2n) {
        ticks = 0;
        const timer = setInterval(() => ticks++, 1);
        yield* session.run(loop(steps));
        clearInterval(timer);
      }
      assert.ok(ticks >= 5, `${ticks} ticks in the longest run`);
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
      const times = options.endsRuns ? 300n : 8n;
      const out = yield* session.allocate("float32", [LONG, LONG]);
      let waited = 0;
      // Where others have the processor, a run may be done before anybody comes to interrupt it.
      for (let scale = 1n; scale <= 64n; scale *= 8n) {
        const fiber = yield* Effect.forkChild(
          session.run(loop(quick * times * scale), { into: { y: out } }),
        );
        yield* Effect.sleep(30);
        const began = performance.now();
        yield* Fiber.interrupt(fiber);
        waited = performance.now() - began;
        const exit = yield* Fiber.await(fiber);
        if (exit._tag === "Failure") break;
        assert.ok(!options.endsRuns && scale < 64n, "it was not interrupted");
      }
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
