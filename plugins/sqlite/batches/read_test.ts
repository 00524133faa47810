import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { Effect, type Scope } from "effect";
import {
  defineNode,
  type Json,
  list,
  pipeline,
  previewText,
  run,
  RunStore,
  type StoreError,
  Text,
} from "../../../pipeline/mod.ts";
import { answered } from "../metrics/test_kit.ts";
import { makeSqliteStore } from "../store.ts";
import { recordBatch } from "./test_kit.ts";

function check(
  name: string,
  body: Effect.Effect<void, StoreError, Scope.Scope>,
): void {
  Deno.test(
    `batches: ${name}`,
    () => Effect.runPromise(Effect.scoped(body)),
  );
}

const memory = makeSqliteStore({ filename: ":memory:" });
const at = Date.UTC(2026, 0, 15);

check(
  "runs with one batch's id are its questions",
  Effect.gen(function* () {
    const store = yield* memory;
    yield* recordBatch(store, "a", 20, { total: 25 });
    const [batch] = yield* store.batches.list();
    assert.deepEqual(
      { ...batch, startedAt: 0, updatedAt: 0, meanMs: 0 },
      {
        batchId: "a",
        name: "a.jsonl",
        pipeline: "chat",
        model: "nano",
        settings: { maxNewTokens: 8 },
        single: false,
        status: "running",
        startedAt: 0,
        updatedAt: 0,
        total: 25,
        counts: { running: 0, succeeded: 18, failed: 2, interrupted: 0 },
        tokens: 18 * 11,
        meanMs: 0,
      },
    );
    const first = yield* store.batches.items("a", { limit: 15 });
    assert.equal(first.after, 14);
    assert.deepEqual(first.items[3], {
      item: 3,
      name: "q3",
      runId: "a-3",
      node: "",
      status: "succeeded",
      startedAt: first.items[3]!.startedAt,
      question: "What is 3?",
      sources: ["a.png"],
      picture: { width: 2, height: 2, source: "a.png" },
      answer: "A circle.",
      tokens: 11,
      ms: 80,
    });
    assert.equal(first.items[6]!.error, "a.png is no picture");
    const rest = yield* store.batches.items("a", { after: first.after! });
    assert.equal(rest.items.length, 5);
    assert.equal(rest.after, undefined);
    const failed = yield* store.batches.items("a", { status: "failed" });
    assert.deepEqual(failed.items.map(({ item }) => item), [6, 13]);
    const found = yield* store.batches.items("a", { text: "WHAT IS 1?" });
    assert.deepEqual(found.items.map(({ name }) => name), ["q1"]);
    const none = yield* store.batches.items("a", { text: "%" });
    assert.equal(none.items.length, 0);
  }),
);

check(
  "a batch ends when all of its questions have; a removed run takes its question along",
  Effect.gen(function* () {
    const store = yield* memory;
    yield* recordBatch(store, "a", 3);
    assert.equal((yield* store.batches.get("a"))?.status, "succeeded");
    yield* store.remove("a-1");
    const { items } = yield* store.batches.items("a");
    assert.deepEqual(items.map(({ item }) => item), [0, 2]);
    for (const runId of yield* store.batches.runIds("a")) {
      yield* store.remove(runId);
    }
    assert.equal(yield* store.batches.get("a"), undefined);
    assert.deepEqual(yield* store.batches.list(), []);
  }),
);

check(
  "two batches of the same questions are found and compared",
  Effect.gen(function* () {
    const store = yield* memory;
    yield* recordBatch(store, "a", 14);
    yield* recordBatch(store, "b", 20, {
      answer: (i) => i % 2 === 0 ? "A circle." : "A square.",
    });
    yield* recordBatch(store, "c", 0);
    const alike = yield* store.batches.alike("a");
    assert.deepEqual(
      alike.map(({ batch, shared }) => [batch.batchId, shared]),
      [["b", 14]],
    );
    const all = yield* store.batches.compare("a", "b", { limit: 10 });
    // Two of 14 failed; of the rest, the even ones are alike.
    assert.deepEqual([all.shared, all.same, all.different], [14, 6, 6]);
    assert.deepEqual([all.pairs.length, all.after], [10, 9]);
    assert.equal(all.pairs[1]!.b.answer, "A square.");
    const different = yield* store.batches.compare("a", "b", {
      onlyDifferent: true,
      after: 4,
    });
    assert.deepEqual(
      different.pairs.map(({ a }) => a.item),
      [5, 7, 9, 11],
    );
  }),
);

check(
  "a run that maps a pipeline over a list is a batch of its own",
  Effect.gen(function* () {
    const store = yield* memory;
    const say = defineNode({
      kind: "sample",
      inputs: { text: Text },
      outputs: { question: Text },
      run: ({ text }) =>
        text === "bad"
          ? Effect.fail(new Error("no answer to that"))
          : Effect.succeed({ question: text }),
    });
    const answer = pipeline(
      "answer",
      (g) => g.add(say, { text: g.input("text", Text) }),
    );
    const all = pipeline(
      "all",
      (g) =>
        g.each(answer, { text: g.input("texts", list(Text)) }, {}, {
          concurrency: 1,
        }),
    );
    const { runId } = yield* run(all, { texts: ["a", "b"] }).pipe(
      Effect.provideService(RunStore, store),
      Effect.orDie,
    );
    const batch = yield* store.batches.get(runId);
    assert.deepEqual([batch?.status, batch?.total, batch?.single], [
      "succeeded",
      2,
      true,
    ]);
    const { items } = yield* store.batches.items(runId);
    assert.deepEqual(
      items.map(({ item, node, question }) => [item, node, question]),
      [[0, "answer[0]", "a"], [1, "answer[1]", "b"]],
    );
    yield* run(all, { texts: ["a", "bad", "c"] }).pipe(
      Effect.provideService(RunStore, store),
      Effect.flip,
      Effect.orDie,
    );
    const [failed] = yield* store.batches.list();
    assert.equal(failed?.status, "failed");
    assert.deepEqual(failed?.counts, {
      running: 0,
      succeeded: 1,
      failed: 1,
      interrupted: 0,
    });
  }),
);

check(
  "long questions are whole where runs keep their inputs, and are found again where they do not",
  Effect.gen(function* () {
    const store = yield* memory;
    const question = "Why? ".repeat(100);
    for (const [id, kept] of [["a", true], ["b", false]] as const) {
      const batch = { id, index: 0 };
      const [first, ...rest] = answered(id, {
        at,
        question: previewText(question),
        attributes: { batch },
      });
      assert.ok(first?._tag === "RunStarted");
      store.record(kept ? { ...first, values: { question } } : first);
      for (const event of rest) store.record(event);
    }
    yield* store.flush("b");
    const [a] = (yield* store.batches.items("a")).items;
    assert.equal(a!.question, question);
    const [b] = (yield* store.batches.items("b")).items;
    assert.match(b!.question, /… 500 characters in all$/);
    assert.equal((yield* store.batches.compare("a", "b")).shared, 1);
  }),
);

check(
  "an attribute that is no batch makes none",
  Effect.gen(function* () {
    const store = yield* memory;
    const odd: Json[] = [
      "text",
      7,
      [],
      {},
      { id: "", index: 0 },
      { id: "x", index: -1 },
      { id: "x", index: 1e300 },
      { id: "x".repeat(500), index: 0 },
    ];
    for (const [i, batch] of odd.entries()) {
      const events = answered(`r${i}`, { at, attributes: { batch } });
      for (const event of events) store.record(event);
    }
    yield* store.flush("r0");
    assert.deepEqual(yield* store.batches.list(), []);
  }),
);

check(
  "a batch whose process computes one answer for long is as new as its last sign of life",
  Effect.gen(function* () {
    const dir = yield* Effect.acquireRelease(
      Effect.promise(() => Deno.makeTempDir({ prefix: "tessera-test-" })),
      (dir) => Effect.promise(() => Deno.remove(dir, { recursive: true })),
    );
    const filename = `${dir}/runs.sqlite`;
    const store = yield* makeSqliteStore({ filename });
    yield* recordBatch(store, "a", 2, { total: 4, at });
    const [started] = answered("a-2", {
      at: at + 50,
      attributes: {
        batch: { id: "a", name: "a.jsonl", item: "q2", index: 2, total: 4 },
      },
    });
    store.record(started!);
    yield* store.flush("a-2");
    const updatedAt = () =>
      Effect.map(store.batches.get("a"), (batch) => batch!.updatedAt);
    const before = yield* updatedAt();
    assert.ok(before < at + 1000);
    // As the process does every 20 seconds.
    const db = new DatabaseSync(filename);
    const seen = at + 3_600_000;
    db.prepare("UPDATE runs SET seen_at = ?").run(seen);
    assert.equal(yield* updatedAt(), seen);
    // Of runs that have ended it says nothing.
    db.prepare("UPDATE runs SET seen_at = ? WHERE run_id <> 'a-2'")
      .run(seen + 1000);
    assert.equal(yield* updatedAt(), seen);
    db.close();
  }),
);
