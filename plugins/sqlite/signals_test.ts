import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { Cause, Effect, Exit, Fiber, type Scope } from "effect";
import {
  defineNode,
  pipeline,
  run,
  type RunEvent,
  RunStore,
  Text,
} from "../../pipeline/mod.ts";
import { eventsOf } from "../../pipeline/store_contract.ts";
import { makeSqliteStore } from "./mod.ts";

const mayWrite =
  Deno.permissions.querySync({ name: "write" }).state === "granted" &&
  Deno.permissions.querySync({ name: "read" }).state === "granted";

/** A test with a file of its own. */
function check(
  name: string,
  body: (filename: string) => Effect.Effect<void, unknown, Scope.Scope>,
): void {
  Deno.test({
    name: `sqlite: ${name}`,
    ignore: !mayWrite,
    fn: async () => {
      const path = await Deno.makeTempDir({ prefix: "tessera-signals-" });
      try {
        const exit = await Effect.runPromiseExit(
          Effect.scoped(body(`${path}/runs.db`)),
        );
        if (Exit.isFailure(exit)) throw Cause.squash(exit.cause);
      } finally {
        await Deno.remove(path, { recursive: true });
      }
    },
  });
}

const record = (store: RunStore, events: readonly RunEvent[]) =>
  Effect.suspend(() => {
    for (const event of events) store.record(event);
    return store.flush(events[0]!.runId);
  });

const until = (done: () => boolean) =>
  Effect.gen(function* () {
    while (!done()) yield* Effect.sleep(2);
  }).pipe(Effect.timeout(20_000));

const endless = pipeline(
  "endless",
  (g) =>
    g.add(
      defineNode({
        kind: "endless",
        inputs: { text: Text },
        outputs: { text: Text },
        run: ({ text }) => Effect.as(Effect.sleep(3_600_000), { text }),
      }),
      { text: g.input("text", Text) },
    ),
);

check(
  "a run is stopped through another connection",
  (filename) =>
    Effect.gen(function* () {
      const mine = yield* makeSqliteStore({ filename });
      const theirs = yield* makeSqliteStore({ filename });
      const running = yield* Effect.forkChild(Effect.exit(Effect.provideService(
        run(endless, { text: "" }, { runId: "r" }),
        RunStore,
        mine,
      )));
      while ((yield* theirs.get("r")) === undefined) yield* Effect.sleep(2);
      assert.equal(yield* theirs.cancel("r"), true);
      const exit = yield* Fiber.join(running);
      assert.ok(Exit.isFailure(exit) && Cause.hasInterruptsOnly(exit.cause));
      assert.equal((yield* theirs.get("r"))?.status, "interrupted");
      const db = new DatabaseSync(filename);
      assert.deepEqual(db.prepare("SELECT * FROM run_cancels").all(), []);
      db.close();
    }),
);

check(
  "a run whose process is gone is ended by whoever asks",
  (filename) =>
    Effect.gen(function* () {
      const store = yield* makeSqliteStore({ filename });
      yield* record(store, eventsOf("old", 1000, { unfinished: true }));
      assert.equal(yield* store.cancel("old"), true);
      const ended = yield* store.get("old");
      assert.equal(ended?.status, "interrupted");
      assert.match(ended?.error?.message ?? "", /without a word/);
    }),
);

check(
  "who watches is told of what anybody writes, and only then",
  (filename) =>
    Effect.gen(function* () {
      const mine = yield* makeSqliteStore({ filename });
      const theirs = yield* makeSqliteStore({ filename });
      let told = 0;
      const end = mine.watch(() => told++);
      yield* Effect.sleep(150);
      assert.equal(told, 0);
      yield* record(mine, eventsOf("a", 1));
      yield* until(() => told > 0);
      told = 0;
      yield* record(theirs, eventsOf("b", 2));
      yield* until(() => told > 0);
      end();
      told = 0;
      yield* record(mine, eventsOf("c", 3));
      assert.equal(told, 0);
    }),
);

check(
  "changes since a mark: each run once, as it stands, and what is gone",
  (filename) =>
    Effect.gen(function* () {
      const store = yield* makeSqliteStore({ filename });
      yield* record(store, eventsOf("before", 1));
      const { mark, runs: none } = yield* store.changes();
      assert.deepEqual(none, []);
      const [started, ...rest] = eventsOf("a", 2);
      yield* record(store, [started!]);
      for (let i = 0; i < 700; i++) {
        for (const event of eventsOf(`many${i}`, 10 + i)) store.record(event);
      }
      yield* record(store, rest);
      yield* store.removeAll(["before", "never"]);
      const seen = new Map<string, string>();
      const removed: string[] = [];
      let at = mark;
      for (;;) {
        const changes = yield* store.changes(at);
        for (const { runId, status } of changes.runs) {
          assert.ok(!seen.has(runId), runId);
          seen.set(runId, status);
        }
        removed.push(...changes.removed);
        if (changes.mark === at) break;
        at = changes.mark;
      }
      assert.equal(seen.size, 701);
      assert.ok([...seen.values()].every((status) => status === "succeeded"));
      assert.deepEqual(removed, ["before"]);
      assert.deepEqual(yield* store.changes(at), {
        mark: at,
        runs: [],
        removed: [],
      });
    }),
);

check(
  "what is written of a run at once is one row; in stores of before every event has its own",
  (filename) =>
    Effect.gen(function* () {
      const store = yield* makeSqliteStore({ filename });
      yield* record(store, eventsOf("a", 1, { tokens: 2 }));
      const before = (yield* store.get("a"))!;
      assert.equal(before.events.length, 3);
      const db = new DatabaseSync(filename);
      const rows = () =>
        db.prepare("SELECT seq, body FROM run_events").all() as {
          readonly seq: number;
          readonly body: string;
        }[];
      assert.equal(rows().length, 1);
      const { body } = rows()[0]!;
      db.exec("DELETE FROM run_events");
      const insert = db.prepare("INSERT INTO run_events VALUES ('a', ?, ?)");
      const put = (events: readonly RunEvent[]) =>
        insert.run(
          events[0]!.seq,
          JSON.stringify(events.length === 1 ? events[0] : events),
        );
      const events: readonly RunEvent[] = JSON.parse(body);
      const numbers = (from: number) =>
        Effect.map(
          store.eventsAfter("a", from),
          (found) => found.map(({ seq }) => seq),
        );
      for (
        const parts of [[1, 1, 1], [1, 2], [2, 1]]
      ) {
        db.exec("DELETE FROM run_events");
        let at = 0;
        for (const n of parts) put(events.slice(at, at += n));
        assert.deepEqual(yield* store.get("a"), before);
        assert.deepEqual(yield* numbers(-1), [0, 1, 2]);
        assert.deepEqual(yield* numbers(0), [1, 2]);
        assert.deepEqual(yield* numbers(1), [2]);
        assert.deepEqual(yield* numbers(2), []);
        assert.deepEqual(yield* numbers(9), []);
      }
      db.close();
    }),
);

check(
  "events after a number, the picture, and what runs have in common",
  (filename) =>
    Effect.gen(function* () {
      const store = yield* makeSqliteStore({ filename });
      yield* record(store, eventsOf("a", 1, { tokens: 2, model: "nano" }));
      yield* record(store, eventsOf("b", 2, { pipeline: "q", error: "no" }));
      const events = yield* store.eventsAfter("a", 0);
      assert.deepEqual(events.map(({ seq }) => seq), [1, 2]);
      assert.deepEqual(yield* store.eventsAfter("a", 2), []);
      assert.equal(yield* store.icon("a"), "data:image/x,");
      assert.equal(yield* store.icon("b"), undefined);
      assert.deepEqual(yield* store.facets, {
        statuses: { failed: 1, succeeded: 1 },
        pipelines: ["p", "q"],
        models: ["nano"],
      });
      assert.equal((yield* store.summary("b"))?.error?.message, "no");
      assert.equal(yield* store.summary("never"), undefined);
    }),
);

check(
  "old runs go by age and by size; running ones and the newest stay",
  (filename) =>
    Effect.gen(function* () {
      const store = yield* makeSqliteStore({ filename });
      const now = Date.now();
      const day = 86_400_000;
      yield* record(store, eventsOf("ancient", now - 40 * day));
      yield* record(store, eventsOf("fresh", now - 20 * day));
      yield* record(store, eventsOf("busy", now, { unfinished: true }));
      assert.equal(yield* store.prune({ days: 30 }), 1);
      assert.equal(yield* store.get("ancient"), undefined);
      const text = "x".repeat(10_000);
      for (let i = 0; i < 200; i++) {
        for (
          const event of eventsOf(`r${String(i).padStart(3, "0")}`, now + i, {
            text,
          })
        ) {
          store.record(event);
        }
      }
      yield* store.flush("r199");
      const before = (yield* Effect.promise(() => Deno.stat(filename))).size;
      assert.ok((yield* store.prune({ bytes: 3_000_000 })) > 50);
      const { runs } = yield* store.list({ limit: 1000 });
      assert.ok(runs.length > 20 && runs.length < 150, `${runs.length}`);
      assert.equal(runs[0]!.runId, "r199");
      assert.ok(runs.some(({ runId }) => runId === "busy"));
      const db = new DatabaseSync(filename);
      db.exec("PRAGMA wal_checkpoint(TRUNCATE)");
      db.close();
      const after = (yield* Effect.promise(() => Deno.stat(filename))).size;
      assert.ok(after < before, `${before} → ${after}`);
      const orphans = new DatabaseSync(filename);
      assert.deepEqual(
        orphans.prepare(
          "SELECT * FROM run_events WHERE run_id NOT IN (SELECT run_id FROM runs)",
        ).all(),
        [],
      );
      orphans.close();
    }),
);
