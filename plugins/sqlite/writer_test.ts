import assert from "node:assert/strict";
import { setImmediate } from "node:timers/promises";
import { Effect } from "effect";
import type { RunEvent } from "../../pipeline/mod.ts";
import { batchSize, makeWriter, type Writer } from "./writer.ts";

const event = (seq: number): RunEvent => ({
  _tag: "NodeProgress",
  node: "decode",
  done: seq,
  runId: "run",
  seq,
  at: seq,
});

/** Turns of the event loop, so that whatever waits for no timer has happened. */
async function turns(): Promise<void> {
  for (let i = 0; i < 20; i++) await setImmediate();
}

/** A writer whose writing takes a while, what it wrote, and what ends its pause and says how long it was: time stands still otherwise. */
async function withWriter(
  body: (
    writer: Writer,
    batches: readonly number[],
    endPause: () => number,
  ) => Promise<void>,
  took = 12,
): Promise<void> {
  const real = { setTimeout, clearTimeout };
  let clock = 0;
  performance.now = () => clock;
  const timers = new Map<number, readonly [then: () => void, ms: number]>();
  let made = 0;
  Object.assign(globalThis, {
    setTimeout: (
      then: () => void,
      ms: number,
    ) => (timers.set(++made, [then, ms]), made),
    clearTimeout: (timer: number) => timers.delete(timer),
  });
  const endPause = () => {
    const [timer, [then, ms]] = timers.entries().next().value!;
    timers.delete(timer);
    clock += ms;
    then();
    return ms;
  };
  try {
    const batches: number[] = [];
    await Effect.runPromise(Effect.scoped(Effect.gen(function* () {
      const writer = yield* makeWriter((batch) =>
        Effect.sync(() => {
          batches.push(batch.length);
          clock += took;
        })
      );
      yield* Effect.promise(() => body(writer, batches, endPause));
    })));
  } finally {
    Object.assign(globalThis, real);
    Reflect.deleteProperty(performance, "now");
  }
}

Deno.test("the first event is written at once, those after it together after a pause", () =>
  withWriter(async (writer, batches, endPause) => {
    writer.record(event(0));
    await turns();
    assert.deepEqual(batches, [1]);
    for (let seq = 1; seq <= 5; seq++) {
      writer.record(event(seq));
      await turns();
    }
    assert.deepEqual(batches, [1]);
    endPause();
    await turns();
    assert.deepEqual(batches, [1, 5]);
  }));

Deno.test("a pause lasts nine times as long as the writing, from 40 to 100 ms", async () => {
  for (const [took, pause] of [[0.5, 40], [8, 72], [30, 100]] as const) {
    await withWriter(async (writer, batches, endPause) => {
      writer.record(event(0));
      await turns();
      writer.record(event(1));
      await turns();
      assert.deepEqual(batches, [1]);
      assert.equal(endPause(), pause);
      await turns();
      assert.deepEqual(batches, [1, 1]);
    }, took);
  }
});

Deno.test("who waits for the store is not kept waiting by a pause; who waits lazily is", () =>
  withWriter(async (writer, batches, endPause) => {
    writer.record(event(0));
    await turns();
    writer.record(event(1));
    await Effect.runPromise(writer.flush("run"));
    assert.deepEqual(batches, [1, 1]);
    writer.record(event(2));
    let stored = false;
    const lazily = Effect.runPromise(writer.flush("run", { lazily: true }))
      .then(() => stored = true);
    await turns();
    assert.ok(!stored);
    assert.deepEqual(batches, [1, 1]);
    endPause();
    await lazily;
    assert.deepEqual(batches, [1, 1, 1]);
  }));

Deno.test("as many events as go into a transaction wait for nothing", () =>
  withWriter(async (writer, batches) => {
    writer.record(event(0));
    await turns();
    for (let seq = 1; seq <= 2.5 * batchSize; seq++) writer.record(event(seq));
    await turns();
    assert.deepEqual(batches, [1, batchSize, batchSize]);
  }));

Deno.test("what a pause holds back is written at the end", async () => {
  let seen: readonly number[] = [];
  await withWriter(async (writer, batches) => {
    seen = batches;
    writer.record(event(0));
    await turns();
    writer.record(event(1));
    await turns();
    assert.deepEqual(batches, [1]);
  });
  assert.deepEqual(seen, [1, 1]);
});
