import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { Effect, type Scope } from "effect";
import type { RunEvent, StoreError } from "../../../pipeline/mod.ts";
import { makeSqliteStore } from "../store.ts";
import { type Answered, answered } from "./test_kit.ts";

const mayWrite =
  Deno.permissions.querySync({ name: "write" }).state === "granted";

const now = Date.UTC(2026, 0, 15, 12, 34, 56);
const minute = 60_000;

function check(
  name: string,
  body: Effect.Effect<void, StoreError, Scope.Scope>,
  ignore = false,
): void {
  Deno.test({
    name: `latency: ${name}`,
    ignore,
    fn: () => Effect.runPromise(Effect.scoped(body)),
  });
}

const filled = (runs: readonly Answered[], filename = ":memory:") =>
  Effect.gen(function* () {
    const store = yield* makeSqliteStore({ filename });
    for (const [index, run] of runs.entries()) {
      for (const event of answered(`r${index}`, run)) store.record(event);
    }
    yield* store.flush("r0");
    return store;
  });

/** A series of numbers that looks random and is always the same. */
function* numbers(): Generator<number> {
  for (let state = 1;;) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    yield state / 2 ** 32;
  }
}

check(
  "quantiles are those of the sorted values, to within 3 %",
  Effect.gen(function* () {
    const random = numbers();
    const draw = (): number => random.next().value!;
    const runs = Array.from({ length: 500 }, () => ({
      at: now - Math.floor(draw() * 55 * minute),
      loadMs: 1 + 200 * draw() ** 3,
    }));
    const store = yield* filled(runs);
    const { stages } = yield* store.latency({ window: "hour", now });
    const { ms } = stages.find(({ stage }) => stage === "load")!;
    const sorted = runs.map(({ loadMs }) => loadMs).sort((a, b) => a - b);
    assert.equal(ms.n, 500);
    for (const [q, value] of [[0.5, ms.p50], [0.95, ms.p95], [0.99, ms.p99]]) {
      const exact = sorted[Math.ceil(q! * 500) - 1]!;
      assert.ok(Math.abs(value! - exact) <= 0.031 * exact, `${value} ${exact}`);
    }
    const mean = sorted.reduce((sum, value) => sum + value) / 500;
    assert.ok(Math.abs(ms.mean! - mean) < 1e-3 * mean);
    assert.ok(Math.abs(ms.max! - sorted.at(-1)!) < 1e-3 * ms.max!);
    assert.equal(ms.points.n.reduce((sum, n) => sum + n), 500);
  }),
);

check(
  "first token, rate, tokens, memory, memo and failures",
  Effect.gen(function* () {
    const at = now - 10 * minute;
    const store = yield* filled([
      { at, prefillMs: 40, decodeMs: 100, tokens: 11, queuedMs: 6000 },
      { at, prefillMs: 40, decodeMs: 100, tokens: 11, loadCached: true },
      { at, failed: true },
      { at, model: "other", reused: 50, rssBytes: 7e9 },
      { at: now - 70 * minute, loadMs: 1e6 },
    ]);
    const all = yield* store.latency({ window: "hour", now });
    assert.deepEqual(all.models, ["nano", "other"]);
    assert.deepEqual(all.pipelines, ["chat"]);
    assert.deepEqual([all.runs.n, all.failed, all.interrupted], [3, 1, 0]);
    const nano = yield* store.latency({ window: "hour", now, model: "nano" });
    assert.equal(nano.runs.n, 2);
    // load 10 ms (or nothing) + waiting + prefill 40 ms
    assert.equal(nano.firstToken.max, 6050);
    assert.equal(nano.rate.n, 2);
    assert.ok(Math.abs(nano.rate.p50! - 100) < 3.1);
    assert.equal(nano.tokens, 22);
    const index = nano.times.findLastIndex((time) => time <= at);
    assert.equal(nano.tokensPerSecond[index], Number((22 / 60).toPrecision(4)));
    assert.equal(nano.runsPerMinute[index], 3);
    assert.equal(nano.memory[index], 1e8);
    assert.equal(all.memory[index], 7e9);
    assert.equal(all.prefixHitRate, Number((50 / 300).toPrecision(4)));
    const load = nano.stages.find(({ stage }) => stage === "load")!;
    assert.deepEqual([load.cached, load.hitRate], [1, 0.3333]);
    const decode = nano.stages.find(({ stage }) => stage === "decode")!;
    // 6 seconds of waiting in a minute: 0.1 waited on average.
    assert.equal(decode.queueLength[index], 0.1);
    assert.equal(decode.ms.max, 100);
    const day = yield* store.latency({ window: "day", now });
    assert.equal(day.runs.n, 4);
  }),
);

check(
  "several writers add to the same figures, and a removed run stays in them",
  Effect.gen(function* () {
    const filename = yield* Effect.acquireRelease(
      Effect.promise(() => Deno.makeTempFile({ prefix: "tessera-latency-" })),
      (path) => Effect.promise(() => Deno.remove(path)),
    );
    const runs = Array.from({ length: 20 }, () => ({ at: now - minute }));
    const stores = yield* Effect.all([
      filled(runs, filename),
      filled(runs, filename),
    ], { concurrency: 2 });
    yield* stores[0].remove("r0");
    assert.equal(
      (yield* stores[1].latency({ window: "week", now })).runs.n,
      40,
    );
  }),
  !mayWrite,
);

check(
  "a store from before the figures gets them from its events; a damaged event is left out",
  Effect.gen(function* () {
    const filename = yield* Effect.acquireRelease(
      Effect.promise(() => Deno.makeTempFile({ prefix: "tessera-latency-" })),
      (path) => Effect.promise(() => Deno.remove(path)),
    );
    const before = (damaged: boolean): void => {
      Deno.truncateSync(filename);
      const db = new DatabaseSync(filename);
      db.exec(
        `CREATE TABLE tessera_migrations (migration_id INTEGER PRIMARY KEY NOT NULL,
          created_at DATETIME NOT NULL DEFAULT CURRENT_TIMESTAMP, name VARCHAR(255) NOT NULL);
        INSERT INTO tessera_migrations (migration_id, name) VALUES (1, 'runs');
        CREATE TABLE runs (run_id TEXT PRIMARY KEY, pipeline TEXT NOT NULL, status TEXT NOT NULL,
          started_at REAL NOT NULL, updated_at REAL NOT NULL, ms REAL, error TEXT, inputs TEXT NOT NULL,
          outputs TEXT, attributes TEXT NOT NULL, search TEXT NOT NULL) WITHOUT ROWID;
        CREATE TABLE run_events (run_id TEXT NOT NULL, seq INTEGER NOT NULL, body TEXT NOT NULL,
          PRIMARY KEY (run_id, seq)) WITHOUT ROWID`,
      );
      const insert = db.prepare("INSERT INTO run_events VALUES (?, ?, ?)");
      for (const event of answered("r0", { at: now - minute })) {
        const body = damaged && event.seq === 2 ? "{" : JSON.stringify(event);
        insert.run("r0", event.seq, body);
      }
      db.close();
    };
    const runs = Effect.scoped(Effect.gen(function* () {
      const store = yield* makeSqliteStore({ filename });
      return (yield* store.latency({ window: "hour", now })).runs.n;
    }));
    before(false);
    assert.equal(yield* runs, 1);
    before(true);
    assert.equal(yield* runs, 0);
  }),
  !mayWrite,
);

check(
  "an empty store has a report without values",
  Effect.gen(function* () {
    const store = yield* makeSqliteStore({ filename: ":memory:" });
    const { stages, times, runs, memory } = yield* store.latency({
      window: "week",
    });
    assert.deepEqual(stages, []);
    assert.equal(runs.p50, null);
    assert.equal(times.length, 84);
    assert.ok(memory.every((value) => value === null));
  }),
);

Deno.test("latency: an answer in a batch waits for its first token from its own start", async () => {
  const base = { runId: "b", composite: false, attempt: 1, kind: "decode" };
  const events: RunEvent[] = [
    {
      _tag: "RunStarted",
      runId: "b",
      seq: 0,
      at: now,
      pipeline: "batch-chat",
      inputs: {},
      attributes: {},
    },
    {
      _tag: "NodeStarted",
      ...base,
      seq: 1,
      at: now + 1000,
      node: "answer[7]",
      kind: "answer",
      composite: true,
      queuedMs: 0,
    },
    {
      _tag: "NodeFinished",
      ...base,
      seq: 2,
      at: now + 1100,
      node: "answer[7]/decode",
      ms: 60,
      queuedMs: 0,
      cached: false,
      outputs: {},
      spans: [{ name: "prefill", startMs: 0, ms: 50 }],
    },
  ];
  await Effect.runPromise(Effect.scoped(Effect.gen(function* () {
    const store = yield* makeSqliteStore({ filename: ":memory:" });
    for (const event of events) store.record(event);
    yield* store.flush("b");
    const { firstToken } = yield* store.latency({
      window: "hour",
      now: now + minute,
    });
    assert.equal(firstToken.max, 90);
  })));
});
