import assert from "node:assert/strict";
import { Effect, Logger } from "effect";
import { StoreError } from "./errors.ts";
import type { RunEvent } from "./events.ts";
import { pipeline } from "./graph.ts";
import { Num } from "./port.ts";
import { run } from "./run.ts";
import { layerMemory, makeMemoryStore } from "./memory_store.ts";
import { RunStore } from "./store.ts";
import { eventsOf, storeContract } from "./store_contract.ts";
import { check, increment } from "./test_kit.ts";

storeContract("memory", Effect.sync(() => makeMemoryStore()));

const next = pipeline(
  "next",
  (g) => g.add(increment, { value: g.input("value", Num) }),
);

Deno.test("the store in memory keeps the latest runs, and of each the first events", async () => {
  const store = makeMemoryStore({ maxRuns: 2, maxEvents: 3 });
  for (const id of ["a", "b", "c"]) {
    const [started, finished] = eventsOf(id, 1);
    store.record(started!);
    for (let done = 0; done < 10; done++) {
      const progress: RunEvent = {
        _tag: "NodeProgress",
        runId: id,
        seq: done,
        at: 1,
        node: "n",
        done,
      };
      store.record(progress);
    }
    store.record(finished!);
  }
  const { runs } = await Effect.runPromise(store.list());
  assert.deepEqual(runs.map(({ runId }) => runId), ["c", "b"]);
  const stored = await Effect.runPromise(store.get("c"));
  assert.equal(stored?.status, "succeeded");
  assert.deepEqual(stored?.events.map(({ _tag }) => _tag), [
    "RunStarted",
    "NodeProgress",
    "NodeProgress",
    "RunFinished",
  ]);
});

check(
  "without a store nothing is kept, and nothing is asked of anybody",
  Effect.gen(function* () {
    const { runId } = yield* run(next, { value: 1 });
    const store = yield* RunStore;
    assert.equal(store.enabled, false);
    assert.equal(yield* store.get(runId), undefined);
    assert.deepEqual(yield* store.list(), { runs: [] });
  }),
);

check(
  "the layer's store is shared by the runs it is provided to",
  Effect.provide(
    Effect.gen(function* () {
      yield* run(next, { value: 1 });
      yield* run(next, { value: 2 });
      const store = yield* RunStore;
      assert.equal((yield* store.list()).runs.length, 2);
    }),
    layerMemory(),
  ),
);

check(
  "a store that fails costs no result: the run says so instead",
  Effect.gen(function* () {
    const full: RunStore = {
      ...makeMemoryStore(),
      flush: () => Effect.fail(new StoreError({ message: "the disk is full" })),
    };
    const result = yield* Effect.provideService(
      run(next, { value: 1 }),
      RunStore,
      full,
    );
    assert.deepEqual(result.outputs, { value: 2 });
    assert.equal(result.storeError?.message, "the disk is full");
  }),
);

check(
  "who does not wait for the store has the result before it, and its failure in the log",
  Effect.gen(function* () {
    const waiting = Promise.withResolvers<void>();
    const logged = Promise.withResolvers<string>();
    let lazy: boolean | undefined;
    const slow: RunStore = {
      ...makeMemoryStore(),
      flush: (_runId, options) =>
        Effect.gen(function* () {
          lazy = options?.lazily;
          yield* Effect.promise(() => waiting.promise);
          yield* Effect.fail(new StoreError({ message: "the disk is full" }));
        }),
    };
    const logger = Logger.make(({ message }) => logged.resolve(`${message}`));
    const result = yield* run(next, { value: 1 }, {
      runId: "fast",
      awaitStore: false,
    }).pipe(
      Effect.provideService(RunStore, slow),
      Effect.provide(Logger.layer([logger])),
    );
    assert.deepEqual(result.outputs, { value: 2 });
    assert.equal(result.storeError, undefined);
    waiting.resolve();
    const line = yield* Effect.promise(() => logged.promise);
    assert.equal(line, "run fast: the disk is full");
    assert.equal(lazy, true);
  }),
);
