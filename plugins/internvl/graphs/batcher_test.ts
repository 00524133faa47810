import assert from "node:assert/strict";
import { Effect, Exit, Fiber } from "effect";
import { BackendError } from "../../../nodes/errors.ts";
import { type HostTensor, hostTensor } from "../../../nodes/tensor.ts";
import type { Session } from "../../onnx/mod.ts";
import { Batcher, type BatcherParts } from "./batcher.ts";

/** A session that doubles numbers, two a tile, and writes down its batches; 13 cannot be doubled. */
function doubling(
  batches: number[][],
  gate: Effect.Effect<void> = Effect.void,
): Session {
  return {
    name: "doubling",
    device: "cpu",
    inputs: [],
    outputs: [],
    allocate: () => Effect.die("nothing to allocate"),
    run: (feeds) =>
      Effect.gen(function* () {
        const { data, shape } = feeds.x as HostTensor<"float32">;
        batches.push([...data]);
        yield* gate;
        if (data.includes(13)) {
          return yield* new BackendError({ message: "13" });
        }
        return { y: hostTensor("float32", shape, data.map((n) => 2 * n)) };
      }),
  };
}

const tiles = (...numbers: number[]) =>
  hostTensor("float32", [numbers.length / 2, 2], Float32Array.from(numbers));

const make = (session: Session, parts: Partial<BatcherParts> = {}) =>
  new Batcher({
    session,
    input: ["x", [2]],
    output: ["y", [2]],
    batch: 3,
    waitMs: 0,
    ...parts,
  });

const together = <A, E>(effects: readonly Effect.Effect<A, E>[]) =>
  Effect.runPromise(Effect.all(effects, { concurrency: "unbounded" }));

Deno.test("batcher: tiles of several requests share runs, in turns; each gets its own", async () => {
  const batches: number[][] = [];
  const batcher = make(doubling(batches));
  const progress: number[] = [];
  const results = await together([
    batcher.compute(
      tiles(1, 1, 2, 2, 3, 3, 4, 4),
      (done) => progress.push(done),
    ),
    batcher.compute(tiles(5, 5)),
    batcher.compute(tiles()),
    batcher.compute(tiles(6, 6, 7, 7)),
  ]);
  assert.deepEqual(results.map(({ data }) => [...data]), [
    [2, 2, 4, 4, 6, 6, 8, 8],
    [10, 10],
    [],
    [12, 12, 14, 14],
  ]);
  assert.deepEqual(batches, [
    [1, 1, 2, 2, 3, 3],
    [5, 5, 6, 6, 7, 7],
    [4, 4],
  ]);
  assert.deepEqual(progress, [3, 4]);
  assert.deepEqual(batcher.stats, { batches: 3, tiles: 7 });
});

Deno.test("batcher: a run with room waits for more tiles", async () => {
  const batches: number[][] = [];
  const batcher = make(doubling(batches), { waitMs: 50 });
  await together([
    batcher.compute(tiles(1, 1)),
    Effect.andThen(Effect.sleep(1), batcher.compute(tiles(2, 2))),
  ]);
  assert.deepEqual(batches, [[1, 1, 2, 2]]);
});

Deno.test("batcher: a failure fails its own request; who leaves is left out", async () => {
  const batches: number[][] = [];
  const batcher = make(doubling(batches));
  const [good, bad] = await together([
    Effect.exit(batcher.compute(tiles(1, 1))),
    Effect.exit(batcher.compute(tiles(13, 13))),
  ]);
  assert.ok(Exit.isSuccess(good) && Exit.isFailure(bad));
  const stuck = make(doubling(batches, Effect.never));
  await Effect.runPromise(Effect.gen(function* () {
    const fibers = yield* Effect.forEach(
      [tiles(1, 1), tiles(2, 2)],
      (tiles) => Effect.forkChild(stuck.compute(tiles)),
    );
    yield* Effect.sleep(5);
    // The last one to leave ends the run.
    for (const fiber of fibers) yield* Fiber.interrupt(fiber);
    assert.deepEqual(stuck.stats, { batches: 0, tiles: 0 });
  }));
});
