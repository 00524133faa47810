import assert from "node:assert/strict";
import { Effect, Exit, Fiber } from "effect";
import { BackendError } from "../../../nodes/errors.ts";
import {
  elementCount,
  type HostTensor,
  hostTensor,
} from "../../../nodes/tensor.ts";
import type { BackendTensor, Session } from "../../onnx/mod.ts";
import { Batcher, type BatcherParts } from "./batcher.ts";

/** Memory of this process, or what cannot be looked into. */
function room(
  numbers: Float32Array<ArrayBuffer>,
  shape: readonly number[],
  seen: boolean,
): BackendTensor {
  const part = (shape: readonly number[]) =>
    numbers.subarray(0, elementCount(shape));
  return {
    ...hostTensor("float32", shape, part(shape)),
    host: seen ? numbers : undefined,
    write: () => Effect.die("nothing to write"),
    view: (shape) => Effect.succeed(room(part(shape), shape, seen)),
  };
}

/**
 * A session that doubles numbers, two a tile, and writes down its batches; 13 cannot be doubled. `seen` says
 * whether its memory can be addressed.
 */
function doubling(
  batches: number[][],
  gate: Effect.Effect<void> = Effect.void,
  seen = true,
): Session {
  return {
    name: "doubling",
    device: "cpu",
    inputs: [],
    outputs: [],
    allocate:
      ((_, shape) =>
        Effect.sync(() =>
          room(new Float32Array(elementCount(shape)), shape, seen)
        )) as Session["allocate"],
    run: (feeds, { into } = {}) =>
      Effect.gen(function* () {
        const { data, shape } = feeds.x as HostTensor<"float32">;
        if (data.length < 100) batches.push([...data]);
        yield* gate;
        if (data.includes(13)) {
          return yield* new BackendError({ message: "13" });
        }
        const doubled = data.map((n) => 2 * n);
        assert.equal(into !== undefined, seen);
        if (into === undefined) {
          return { y: hostTensor("float32", shape, doubled) };
        }
        assert.deepEqual(into.y!.shape, shape);
        (into.y!.host as Float32Array).set(doubled);
        return {} as Record<string, HostTensor>;
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

const sharing = async (seen: boolean) => {
  const batches: number[][] = [];
  const batcher = make(doubling(batches, Effect.void, seen));
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
};

Deno.test("batcher: tiles of several requests share runs, in turns; each gets its own", async () => {
  await sharing(true);
  // Outputs that come by themselves.
  await sharing(false);
});

Deno.test("batcher: what it has returned stays as it is; much is copied in pieces", async () => {
  const size = (1 << 20) + 10;
  const batcher = make(doubling([]), {
    input: ["x", [size]],
    output: ["y", [size]],
    batch: 1,
  });
  const of = (number: number) =>
    hostTensor("float32", [1, size], new Float32Array(size).fill(number));
  let turns = 0;
  const timer = setInterval(() => turns++, 0);
  const one = await Effect.runPromise(batcher.compute(of(1)));
  clearInterval(timer);
  assert.ok(turns > 0);
  const two = await Effect.runPromise(batcher.compute(of(2)));
  assert.ok(one.data.every((n) => n === 2) && two.data.every((n) => n === 4));
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
