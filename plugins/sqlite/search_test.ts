import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { Effect } from "effect";
import { eventsOf } from "../../pipeline/store_contract.ts";
import { makeSqliteStore } from "./mod.ts";
import { trigramsOf } from "./search.ts";

Deno.test("search: trigrams of a text, where it has any", () => {
  assert.equal(trigramsOf("ab"), undefined);
  assert.equal(trigramsOf("图片"), undefined);
  assert.equal(trigramsOf("ab\0c"), undefined);
  assert.equal(trigramsOf("图片里有"), '"图片里" AND "片里有"');
  assert.equal(trigramsOf('a"b'), '"a""b"');
  assert.equal(trigramsOf("😀😀😀"), '"😀😀😀"');
  assert.ok(trigramsOf("abcdefgh".repeat(1000) + "xyz")!.length < 1000);
});

const mayWrite =
  Deno.permissions.querySync({ name: "write" }).state === "granted";

Deno.test({
  name:
    "search: the index is made by those who search, and says what looking through all says",
  ignore: !mayWrite,
  fn: async () => {
    const path = await Deno.makeTempDir({ prefix: "tessera-search-" });
    try {
      await Effect.runPromise(Effect.scoped(Effect.gen(function* () {
        const filename = `${path}/runs.db`;
        const store = yield* makeSqliteStore({ filename });
        for (const event of eventsOf("r-0", 1000)) store.record(event);
        yield* store.flush("r-0");
        const db = yield* Effect.acquireRelease(
          Effect.sync(() => new DatabaseSync(filename)),
          (db) => Effect.sync(() => db.close()),
        );
        const all = (text: string) =>
          db.prepare(text).all().map((row) => Object.values(row)[0]);
        const columns = all("SELECT name FROM pragma_table_info('runs')");
        const own: Record<string, string> = {
          run_id: "'r-' || i",
          started_at: "1000 + i",
          search: "'图片里有 ' || i || ' THINGS, \"so\" 50% of ' || (i % 300)",
        };
        db.exec(
          `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1500)
          INSERT INTO runs (${columns.join(", ")})
          SELECT ${columns.map((name) => own[String(name)] ?? name).join(", ")}
          FROM n JOIN runs ON run_id = 'r-0'`,
        );
        const ids = (text: string, more: object = {}) =>
          Effect.map(
            store.list({ text, limit: 1000, ...more }),
            ({ runs }) => runs.map(({ runId }) => runId),
          );
        const texts = [
          "1234 things",
          "片里有 77",
          "图片",
          '"so" 50% of 299',
          "50_ of",
          "no such thing",
          "of 12",
        ];
        const before = yield* Effect.forEach(texts, (text) => ids(text));
        assert.deepEqual(
          before.map((found) => found.length),
          [1, 11, 1000, 5, 0, 0, 55],
        );
        for (let i = 0; i < 500; i++) {
          if (all("SELECT count(*) FROM runs WHERE place IS NULL")[0] === 0) {
            break;
          }
          yield* Effect.sleep(20);
        }
        assert.equal(
          all("SELECT count(*) FROM runs WHERE place IS NOT NULL")[0],
          1501,
        );
        assert.deepEqual(
          yield* Effect.forEach(texts, (text) => ids(text)),
          before,
        );
        const page = yield* store.list({ text: "of 12", limit: 20 });
        const rest = yield* store.list({ text: "of 12", cursor: page.cursor! });
        assert.deepEqual(
          [...page.runs, ...rest.runs].map(({ runId }) => runId),
          before[6],
        );
        assert.deepEqual(
          yield* ids("of 12", { order: "asc", sort: "ms", status: "failed" }),
          [],
        );

        // What comes later is found as well, what changes or goes is taken out.
        for (
          const event of eventsOf("late", 9000, { text: "something quite new" })
        ) store.record(event);
        yield* store.flush("late");
        assert.deepEqual(yield* ids("quite new"), ["late"]);
        for (
          const event of eventsOf("r-1234", 9001, { text: "another thing" })
        ) store.record(event);
        yield* store.flush("r-1234");
        assert.deepEqual(yield* ids("1234 things"), []);
        assert.deepEqual(yield* ids("another thing"), ["r-1234"]);
        const entered = (text: string) =>
          all(`SELECT rowid FROM run_search WHERE run_search MATCH '"${text}"'`)
            .length;
        const had = entered("THI");
        yield* store.remove("r-77");
        assert.equal(entered("THI"), had - 1);
        assert.equal((yield* ids("片里有 77")).length, 10);
        // It is the index that answers: without its entry, a run is not found.
        const [place] = all("SELECT place FROM runs WHERE run_id = 'r-99'");
        db.exec(`DELETE FROM run_search WHERE rowid = ${place}`);
        assert.deepEqual(yield* ids("有 99 things"), []);
      })));
    } finally {
      await Deno.remove(path, { recursive: true });
    }
  },
});
