import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { Cause, Effect, Exit, type Layer, type Scope } from "effect";
import {
  defineNode,
  pipeline,
  run,
  type RunEvent,
  RunStore,
  StoreError,
  Text,
} from "../../pipeline/mod.ts";
import { eventsOf, storeContract } from "../../pipeline/store_contract.ts";
import { layerSqlite, makeSqliteStore } from "./mod.ts";

const mayWrite =
  Deno.permissions.querySync({ name: "write" }).state === "granted" &&
  Deno.permissions.querySync({ name: "read" }).state === "granted";
const mayRun = mayWrite &&
  Deno.permissions.querySync({ name: "run" }).state === "granted";

storeContract("sqlite", makeSqliteStore({ filename: ":memory:" }));

/** A folder that goes away with the surrounding scope. */
const folder: Effect.Effect<string, never, Scope.Scope> = Effect.acquireRelease(
  Effect.promise(() => Deno.makeTempDir({ prefix: "tessera-store-" })),
  (path) => Effect.promise(() => Deno.remove(path, { recursive: true })),
);

/** A test on real time in a folder of its own. */
function check(
  name: string,
  body: (path: string) => Effect.Effect<void, unknown, Scope.Scope>,
  ignore = !mayWrite,
): void {
  Deno.test({
    name,
    ignore,
    fn: async () => {
      const exit = await Effect.runPromiseExit(
        Effect.scoped(Effect.flatMap(folder, body)),
      );
      if (Exit.isFailure(exit)) throw Cause.squash(exit.cause);
    },
  });
}

const echo = defineNode({
  kind: "echo",
  inputs: { text: Text },
  outputs: { text: Text },
  streams: { text: Text },
  run: ({ text }, _, ctx) =>
    Effect.sync(() => {
      for (let i = 0; i < 300; i++) ctx.emit("text", text);
      return { text };
    }),
});
const talk = pipeline(
  "talk",
  (g) => g.add(echo, { text: g.input("text", Text) }),
);

/** Records a run's events and waits for them. */
const record = (store: RunStore, events: readonly RunEvent[]) =>
  Effect.suspend(() => {
    for (const event of events) store.record(event);
    return store.flush(events[0]!.runId);
  });

check(
  "a file keeps its runs; opening it again changes nothing",
  (path) =>
    Effect.gen(function* () {
      const file = `${path}/runs.db`;
      const once = Effect.provide(
        Effect.gen(function* () {
          const { runId } = yield* run(talk, { text: "hi" });
          const store = yield* RunStore;
          return (yield* store.get(runId))!;
        }),
        layerSqlite(file),
      );
      const written = yield* once;
      assert.equal(written.events.length, 304);
      const store = yield* makeSqliteStore({ filename: file });
      assert.deepEqual(yield* store.get(written.runId), written);
      yield* once;
      assert.equal((yield* store.list()).runs.length, 2);
    }),
);

check(
  "what is in the buffer is written when the layer closes",
  (path) =>
    Effect.gen(function* () {
      const file = `${path}/runs.db`;
      yield* Effect.scoped(Effect.gen(function* () {
        const store = yield* makeSqliteStore({ filename: file });
        for (let i = 0; i < 500; i++) {
          for (const event of eventsOf(`r${i}`, i)) store.record(event);
        }
      }));
      const store = yield* makeSqliteStore({ filename: file });
      assert.equal((yield* store.list({ limit: 1000 })).runs.length, 500);
    }),
);

check(
  "several stores write to one file at the same time and lose nothing",
  (path) =>
    Effect.gen(function* () {
      const filename = `${path}/runs.db`;
      const writers = yield* Effect.forEach(
        [1, 2, 3, 4],
        () => makeSqliteStore({ filename }),
        { concurrency: "unbounded" },
      );
      const results = yield* Effect.forEach(
        Array.from({ length: 40 }, (_, i) => i),
        (i) =>
          Effect.provideService(
            run(talk, { text: `${i}` }),
            RunStore,
            writers[i % 4]!,
          ),
        { concurrency: 8 },
      );
      for (const { runId, storeError } of results) {
        assert.equal(storeError, undefined);
        assert.equal((yield* writers[0]!.get(runId))?.events.length, 304);
      }
    }),
);

check(
  "a lock that another connection holds for a while is waited for, off the event loop",
  (path) =>
    Effect.gen(function* () {
      const filename = `${path}/runs.db`;
      const store = yield* makeSqliteStore({ filename });
      const other = new DatabaseSync(filename);
      other.exec("BEGIN IMMEDIATE");
      let ticks = 0;
      const timer = setInterval(() => {
        // Waiting inside SQLite would keep this from ever happening.
        if (++ticks === 5) other.exec("COMMIT");
      }, 2);
      yield* record(store, eventsOf("r", 1));
      clearInterval(timer);
      other.close();
      assert.ok(ticks >= 5);
      assert.equal((yield* store.get("r"))?.status, "succeeded");
    }),
);

check(
  "a full disk is a StoreError, the run's result stands, and no run is stored with a gap",
  (path) =>
    Effect.gen(function* () {
      const filename = `${path}/runs.db`;
      const small = yield* makeSqliteStore({
        filename,
        setup: "PRAGMA max_page_count = 60;",
      });
      const results = yield* Effect.provideService(
        Effect.forEach(
          Array.from({ length: 10 }, (_, i) => `${i}`.repeat(100)),
          (text) => run(talk, { text }),
        ),
        RunStore,
        small,
      );
      const lost = results.filter(({ storeError }) => storeError !== undefined);
      assert.ok(lost.length > 0 && lost[0]!.storeError instanceof StoreError);
      assert.equal(
        lost[0]!.storeError.message,
        `run store ${filename}: the disk is full; free some space, or choose another file (database or disk is full)`,
      );
      assert.ok(
        results.every(({ outputs }, i) => outputs.text === `${i}`.repeat(100)),
      );
      for (const { runId } of results) {
        const events = (yield* small.get(runId))?.events ?? [];
        assert.deepEqual(events.map(({ seq }) => seq), events.map((_, i) => i));
      }
      // With room again, everything goes on.
      const roomy = yield* makeSqliteStore({ filename });
      yield* record(roomy, eventsOf("after", 1));
      assert.equal((yield* roomy.get("after"))?.status, "succeeded");
    }),
);

check(
  "what cannot be opened is one line with advice",
  (path) =>
    Effect.gen(function* () {
      const refusal = (filename: string) =>
        Effect.map(
          Effect.flip(Effect.scoped(makeSqliteStore({ filename }))),
          (error) => {
            assert.ok(error instanceof StoreError);
            assert.ok(!error.message.includes("\n"));
            return error.message;
          },
        );
      assert.match(
        yield* refusal(`${path}/no/such/folder/runs.db`),
        /^run store .*runs\.db: it cannot be opened; its folder must exist and be writable/,
      );
      yield* Effect.promise(() =>
        Deno.writeTextFile(`${path}/text.db`, "plain text ".repeat(1000))
      );
      assert.match(
        yield* refusal(`${path}/text.db`),
        /the file is no SQLite database/,
      );
      assert.match(yield* refusal(path), /it cannot be opened/);
    }),
);

check(
  "a file that cannot be written is one line with advice",
  (path) =>
    Effect.gen(function* () {
      const filename = `${path}/runs.db`;
      yield* Effect.scoped(makeSqliteStore({ filename }));
      // File modes do not stop the super-user, so the connection itself is told.
      const store = yield* makeSqliteStore({
        filename,
        setup: "PRAGMA query_only = ON;",
      }).pipe(
        Effect.result,
      );
      const error = store._tag === "Failure"
        ? store.failure
        : yield* Effect.flip(record(store.success, eventsOf("r", 1)));
      assert.match(
        error.message,
        /^run store .*: it cannot be written; change its permissions.*\(attempt to write a readonly database\)$/,
      );
    }),
);

check(
  "a file of another program, or of a newer Tessera, is refused and left as it is",
  (path) =>
    Effect.gen(function* () {
      const file = `${path}/other.db`;
      const open = Effect.scoped(makeSqliteStore({ filename: file }));
      const sql = (text: string) => {
        const db = new DatabaseSync(file);
        db.exec(text);
        db.close();
      };
      const refused = Effect.fnUntraced(function* (message: RegExp) {
        const before = Deno.readFileSync(file);
        const error = yield* Effect.flip(open);
        assert.ok(error instanceof StoreError);
        assert.match(error.message, message);
        assert.deepEqual(Deno.readFileSync(file), before);
      });
      sql("CREATE TABLE people (name TEXT)");
      yield* refused(/other\.db: the file holds the tables of another program/);
      sql("DROP TABLE people");
      yield* open;
      sql(
        "INSERT INTO tessera_migrations (migration_id, name) VALUES (999, 'x')",
      );
      yield* refused(/other\.db: the file is of a newer Tessera .*version 999/);
    }),
);

check(
  "a damaged file is a StoreError, not a defect",
  (path) =>
    Effect.gen(function* () {
      const filename = `${path}/runs.db`;
      const store = yield* makeSqliteStore({ filename });
      yield* record(store, eventsOf("r", 1));
      const other = new DatabaseSync(filename);
      other.exec(
        `UPDATE run_events SET body = '{"_tag":"Nonsense"}'`,
      );
      assert.match(
        (yield* Effect.flip(store.get("r"))).message,
        /what it holds cannot be read; the file is damaged/,
      );
      other.exec("UPDATE runs SET inputs = '{'");
      assert.match(
        (yield* Effect.flip(store.list())).message,
        /the file is damaged/,
      );
      other.close();
    }),
);

check(
  "two writers killed with kill -9: what was flushed is there, and lists, batches and figures say what the events say",
  (path) =>
    Effect.gen(function* () {
      const filename = `${path}/runs.db`;
      const flushed = (yield* Effect.promise(() =>
        Promise.all(["one", "two"].map(async (name) => {
          const child = new Deno.Command(Deno.execPath(), {
            args: [
              "run",
              "--node-modules-dir=manual",
              `--allow-read=${path}`,
              `--allow-write=${path}`,
              new URL("./kill_child.ts", import.meta.url).pathname,
              filename,
              name,
            ],
            stdout: "piped",
            stderr: "inherit",
          }).spawn();
          let said = "";
          const decoder = new TextDecoder();
          for await (const chunk of child.stdout) {
            said += decoder.decode(chunk, { stream: true });
            if (said.split("\n").length > 20) break;
          }
          child.kill("SIGKILL");
          await child.status;
          return said.split("\n").slice(0, -1);
        }))
      )).flat();
      assert.ok(flushed.length >= 40);
      const store = yield* makeSqliteStore({ filename });
      for (const runId of flushed) {
        const stored = yield* store.get(runId);
        assert.equal(stored?.status, "succeeded", runId);
        assert.equal(stored?.events.length, 304);
      }
      // One of each may have been cut off; it has no gap either.
      const { runs } = yield* store.list({ limit: 1000 });
      const said = new Map<string, RunEvent["_tag"][]>();
      for (const { runId, status } of runs) {
        const { events } = (yield* store.get(runId))!;
        assert.deepEqual(
          events.map(({ seq }) =>
            seq
          ),
          events.map((_, i) => i),
        );
        const tags = events.map(({ _tag }) => _tag);
        assert.equal(
          status,
          tags.includes("RunFinished") ? "succeeded" : "running",
        );
        said.set(runId, tags);
      }
      const db = new DatabaseSync(filename);
      const all = (text: string) =>
        db.prepare(text).all().map((row) => ({ ...row }));
      assert.deepEqual(all("PRAGMA integrity_check"), [
        { integrity_check: "ok" },
      ]);
      // Each run is one question of its writer's batch, and stands there as it stands in the list.
      assert.deepEqual(
        all("SELECT run_id, status, batch_id FROM batch_items ORDER BY run_id"),
        all(
          "SELECT run_id, status, model AS batch_id FROM runs ORDER BY run_id",
        ),
      );
      assert.equal(all("SELECT * FROM batch_items").length, said.size);
      // Each step of the figures has counted every run and every node that ended, once.
      const ended = (tag: RunEvent["_tag"]) =>
        [...said.values()].filter((tags) => tags.includes(tag)).length;
      for (
        const { n, metric } of all(
          `SELECT sum(n) AS n, metric FROM metrics JOIN metric_series USING (series)
         WHERE metric IN ('run', 'ms') GROUP BY step, metric`,
        )
      ) {
        assert.equal(
          n,
          ended(metric === "run" ? "RunFinished" : "NodeFinished"),
        );
      }
      assert.equal(all("SELECT DISTINCT step FROM metrics").length, 3);
      assert.deepEqual(
        all(`SELECT count(*) AS n FROM run_events
             WHERE run_id NOT IN (SELECT run_id FROM runs)`),
        [{ n: 0 }],
      );
      db.close();
    }),
  !mayRun,
);

for (const replaced of [false, true]) {
  check(
    `a file that was ${
      replaced ? "replaced" : "deleted"
    } is missed, by readers and writers, instead of going on where nobody looks`,
    (path) =>
      Effect.gen(function* () {
        const filename = `${path}/runs.sqlite`;
        const store = yield* makeSqliteStore({ filename });
        yield* Effect.provideService(
          run(talk, { text: "a" }),
          RunStore,
          store,
        );
        assert.equal((yield* store.list()).runs.length, 1);
        for (const end of ["", "-wal", "-shm"]) Deno.removeSync(filename + end);
        if (replaced) Deno.writeTextFileSync(filename, "");
        const read = yield* Effect.flip(store.list());
        assert.match(read.message, /deleted or replaced.*start again/);
        const { storeError } = yield* Effect.provideService(
          run(talk, { text: "b" }),
          RunStore,
          store,
        );
        assert.match(storeError!.message, /deleted or replaced/);
      }),
  );
}

Deno.test("the plugin brings the layer", async () => {
  const { sqlitePlugin } = await import("./mod.ts");
  const plugin = sqlitePlugin(":memory:");
  assert.equal(plugin.name, "sqlite");
  const store = await Effect.runPromise(
    Effect.provide(RunStore, plugin.layers as Layer.Layer<never>),
  );
  assert.equal(store.enabled, true);
});

Deno.test({
  name: "the store's memory does not grow with the runs it has written",
  ignore: !mayRun,
  fn: async () => {
    // A process of its own, whose garbage can be collected.
    const child = new Deno.Command(Deno.execPath(), {
      args: [
        "run",
        "--v8-flags=--expose-gc",
        "--no-prompt",
        "--node-modules-dir=manual",
        "--allow-read",
        "--allow-env",
        new URL("./testing/growth.ts", import.meta.url).pathname,
      ],
      stdout: "piped",
      stderr: "piped",
    });
    const { stdout, stderr } = await child.output();
    const [before, after] = new TextDecoder().decode(stdout).trim().split(" ")
      .map(Number);
    assert.ok(
      after !== undefined && before !== undefined,
      new TextDecoder().decode(stderr),
    );
    // 2,000 runs; a fiber that lives through them keeps 2.2 MB.
    assert.ok(after - before < 1e6, `${before} → ${after} bytes`);
  },
});
