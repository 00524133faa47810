/**
 * The contract: runs that are prepared once and started many times.
 * @module
 */
import assert from "node:assert/strict";
import { Effect } from "effect";
import { BackendError } from "../../../nodes/errors.ts";
import { hostTensor, type Tensor } from "../../../nodes/tensor.ts";
import type { Running } from "../backend.ts";
import { prepareRun, Stopped } from "../running.ts";
import { accumulator, LONG, longRun } from "./models.ts";
import type { Part } from "./part.ts";

/** Registers the tests. */
export function preparedContract({ device, options, test }: Part): void {
  const bytes = accumulator();

  test("a prepared run reads its host arrays anew, and writes in place", (backend) =>
    Effect.gen(function* () {
      const session = yield* backend.load({ bytes }, { device });
      const state = yield* session.allocate("float32", [3]);
      const numbers = new Float32Array([1, 2, 3]);
      const x = hostTensor("float32", [3], numbers);
      const run = prepareRun(session, { x, state }, { into: { next: state } });
      assert.deepEqual(yield* ended(run.start()), {});
      numbers.fill(10);
      yield* ended(run.start());
      // Others may run between.
      yield* session.run({ x, state }, { into: { next: state } });
      yield* ended(run.start());
      assert.deepEqual(yield* state.read, new Float32Array([31, 32, 33]));
      run.close();
      const free = prepareRun(session, { x, state });
      const { next } = yield* ended(free.start());
      assert.deepEqual(yield* next.read, new Float32Array([41, 42, 43]));
      free.close();
    }));

  test("a prepared run fails as a run does", (backend) =>
    Effect.gen(function* () {
      const session = yield* backend.load({ bytes }, { device });
      const x = hostTensor("float32", [3], new Float32Array(3));
      const fault = (begin: () => Running) =>
        Effect.map(
          Effect.flip(Effect.tryPromise({
            try: async () => await begin().ended,
            catch: (cause) => cause,
          })),
          (cause) => {
            assert.ok(cause instanceof BackendError, String(cause));
            return cause.message;
          },
        );
      assert.match(
        yield* fault(() => prepareRun(session, { x }).start()),
        /missing input "state"/,
      );
      // Its scope has closed since it was bound.
      const run = yield* Effect.scoped(
        Effect.map(
          session.allocate("float32", [3]),
          (state) => prepareRun(session, { x, state }),
        ),
      );
      assert.match(
        yield* fault(() => run.start()),
        /was used after the scope that allocated it had closed/,
      );
      run.close();
      const left = yield* Effect.scoped(
        Effect.map(
          backend.load({ bytes }, { device }),
          (session) => prepareRun(session, { x, state: x }),
        ),
      );
      assert.match(yield* fault(() => left.start()), /closed/);
      left.close();
    }));

  test("a prepared run can be ended, and its tensors freed meanwhile", (backend) =>
    Effect.gen(function* () {
      const session = yield* backend.load({ bytes: longRun() }, { device });
      const steps = new BigInt64Array([options.endsRuns ? 1_000_000n : 100n]);
      const feeds: Record<string, Tensor> = {
        steps: hostTensor("int64", [], steps),
      };
      const run = yield* Effect.scoped(Effect.gen(function* () {
        const out = yield* session.allocate("float32", [LONG, LONG]);
        const run = prepareRun(session, feeds, { into: { y: out } });
        const running = run.start();
        yield* Effect.sleep(5);
        // The scope closes before the run has ended: its memory waits for it.
        yield* Effect.addFinalizer(() =>
          Effect.sync(() => setTimeout(running.stop, 20))
        );
        return { run, running };
      }));
      const outcome = yield* Effect.promise(() =>
        run.running.ended.then(() => "finished", (cause) => cause)
      );
      assert.ok(
        outcome instanceof Stopped ||
          !options.endsRuns && outcome === "finished",
        String(outcome),
      );
      run.run.close();
      steps[0] = 1n;
      const { y } = yield* ended(prepareRun(session, feeds).start());
      assert.equal((yield* y.read).length, LONG * LONG);
    }));
}

const ended = (running: Running) => Effect.promise(() => running.ended);
