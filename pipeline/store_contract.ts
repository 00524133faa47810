/**
 * What every run store must do, as tests: each implementation passes the same.
 * @module
 */
import assert from "node:assert/strict";
import { Cause, Effect, Exit, Schema, type Scope } from "effect";
import { StoreError } from "./errors.ts";
import { type RunEvent, RunEventSchema } from "./events.ts";
import { pipeline } from "./graph.ts";
import { defineNode } from "./node.ts";
import { list, Num, Text } from "./port.ts";
import { run } from "./run.ts";
import { RunStore, type RunSummary } from "./store.ts";
import { slow, upper } from "./test_kit.ts";

const streaming = defineNode({
  kind: "stream",
  inputs: { text: Text },
  outputs: { text: Text },
  streams: { text: Text },
  run: ({ text }, _, ctx) =>
    Effect.gen(function* () {
      if (text === "bad") return yield* Effect.fail(new Error("no such text"));
      for (const letter of text) ctx.emit("text", letter);
      return yield* ctx.span("spell", Effect.succeed({ text }));
    }),
});

const spell = pipeline(
  "spell",
  (g) => g.add(upper, g.add(streaming, { text: g.input("text", Text) })),
);
const wait = pipeline(
  "wait",
  (g) =>
    g.each(slow("slow", 3_600_000), { value: g.input("values", list(Num)) }),
);

/** A run's events, made by hand: `at` and the ids are the test's. */
export function eventsOf(
  runId: string,
  at: number,
  more: {
    readonly pipeline?: string;
    readonly text?: string;
    readonly unfinished?: boolean;
    readonly error?: string;
  } = {},
): RunEvent[] {
  const started: RunEvent = {
    _tag: "RunStarted",
    runId,
    seq: 0,
    at,
    pipeline: more.pipeline ?? "p",
    inputs: { text: more.text ?? "" },
    attributes: { user: { name: "Ada" } },
  };
  const finished: RunEvent = {
    _tag: "RunFinished",
    runId,
    seq: 1,
    at: at + 5,
    status: more.error === undefined ? "succeeded" : "failed",
    ms: 5,
    ...(more.error === undefined
      ? { outputs: { text: `out of ${runId}` } }
      : { error: { tag: "Broken", message: more.error } }),
  };
  return more.unfinished ? [started] : [started, finished];
}

/** Registers the contract as tests of one implementation. */
export function storeContract(
  name: string,
  make: Effect.Effect<RunStore, StoreError, Scope.Scope>,
): void {
  const check = (
    what: string,
    body: (store: RunStore) => Effect.Effect<void, unknown, Scope.Scope>,
  ): void =>
    Deno.test(`${name}: ${what}`, async () => {
      const exit = await Effect.runPromiseExit(
        Effect.scoped(Effect.flatMap(make, body)),
      );
      if (Exit.isFailure(exit)) throw Cause.squash(exit.cause);
    });
  const ids = (runs: readonly RunSummary[]): string[] =>
    runs.map(({ runId }) => runId);
  const record = (store: RunStore, events: readonly RunEvent[]) =>
    Effect.suspend(() => {
      for (const event of events) store.record(event);
      return store.flush(events[0]!.runId);
    });

  check(
    "a run is kept with its nodes and all its events, as they were",
    (store) =>
      Effect.gen(function* () {
        const events: RunEvent[] = [];
        const listening: RunStore = {
          ...store,
          record: (event) => (events.push(event), store.record(event)),
        };
        const result = yield* Effect.provideService(
          run(spell, { text: "Hé\u{1f600}" }, {
            attributes: { user: "ada", n: [1, null] },
          }),
          RunStore,
          listening,
        );
        assert.equal(result.storeError, undefined);
        const stored = yield* store.get(result.runId);
        assert.ok(stored !== undefined);
        assert.deepEqual(stored.events, JSON.parse(JSON.stringify(events)));
        assert.deepEqual(
          Schema.decodeUnknownSync(Schema.Array(RunEventSchema))(stored.events),
          stored.events,
        );
        assert.equal(stored.status, "succeeded");
        assert.equal(stored.pipeline, "spell");
        assert.deepEqual(stored.inputs, { text: "Hé\u{1f600}" });
        assert.deepEqual(stored.outputs, { text: "HÉ\u{1f600}" });
        assert.deepEqual(stored.attributes, { user: "ada", n: [1, null] });
        assert.equal((stored.document as { name: string }).name, "spell");
        assert.deepEqual(
          stored.nodes.map((
            { node, status, spans },
          ) => [node, status, spans.map((s) => s.name)]),
          [["stream", "succeeded", ["spell"]], ["upper", "succeeded", []]],
        );
        const { document: _, nodes: __, events: ___, ...summary } = stored;
        assert.deepEqual((yield* store.list()).runs, [summary]);
      }),
  );

  check(
    "a failed run is kept with its error",
    (store) =>
      Effect.gen(function* () {
        const failed = yield* Effect.flip(
          Effect.provideService(
            run(spell, { text: "bad" }, { runId: "r" }),
            RunStore,
            store,
          ),
        );
        assert.equal(failed.message, "no such text");
        const stored = yield* store.get("r");
        assert.equal(stored?.status, "failed");
        assert.deepEqual(stored?.error, {
          tag: "Error",
          message: "no such text",
        });
        assert.deepEqual(
          stored?.nodes.map((
            { node, status, error },
          ) => [node, status, error?.tag]),
          [
            ["stream", "failed", "Error"],
          ],
        );
      }),
  );

  check(
    "an interrupted run is kept as interrupted",
    (store) =>
      Effect.gen(function* () {
        yield* Effect.timeoutOption(
          Effect.provideService(
            run(wait, { values: [1, 2] }, { runId: "r" }),
            RunStore,
            store,
          ),
          20,
        );
        const stored = yield* store.get("r");
        assert.equal(stored?.status, "interrupted");
        assert.deepEqual(
          stored?.nodes.map(({ node, status }) => [node, status]),
          [
            ["slow[0]", "failed"],
            ["slow[1]", "failed"],
          ],
        );
      }),
  );

  check(
    "a run that has not ended is running",
    (store) =>
      Effect.gen(function* () {
        yield* record(store, eventsOf("r", 10, { unfinished: true }));
        const stored = yield* store.get("r");
        assert.equal(stored?.status, "running");
        assert.equal(stored?.ms, undefined);
        assert.equal(stored?.updatedAt, 10);
        assert.deepEqual(ids((yield* store.list({ status: "running" })).runs), [
          "r",
        ]);
        assert.deepEqual(
          ids((yield* store.list({ status: "succeeded" })).runs),
          [],
        );
      }),
  );

  check(
    "lists are latest first, page by page, without gap or repetition",
    (store) =>
      Effect.gen(function* () {
        // Several at the same time, and ids that look like numbers, patterns and cursors.
        const all = ["10", "9", "a:b", "%", "_", "x'y", "é", "zz"];
        for (const [i, id] of all.entries()) {
          yield* record(store, eventsOf(id, 1000.5 + Math.floor(i / 3)));
        }
        const seen: string[] = [];
        let cursor: string | undefined;
        let pages = 0;
        do {
          const page = yield* store.list({
            limit: 3,
            ...(cursor === undefined ? {} : { cursor }),
          });
          assert.ok(page.runs.length <= 3);
          seen.push(...ids(page.runs));
          cursor = page.cursor;
          pages++;
        } while (cursor !== undefined);
        assert.equal(pages, 3);
        assert.deepEqual([...seen].sort(), [...all].sort());
        const times = (yield* store.list()).runs.map(({ startedAt }) =>
          startedAt
        );
        assert.deepEqual(times, [...times].sort((a, b) => b - a));
        assert.deepEqual(ids((yield* store.list({ limit: 8 })).runs), seen);
        assert.equal((yield* store.list({ limit: 8 })).cursor, undefined);
      }),
  );

  check(
    "lists filter by status, pipeline and text, together",
    (store) =>
      Effect.gen(function* () {
        yield* record(
          store,
          eventsOf("a", 1, { pipeline: "chat", text: "What is 100%_sure?" }),
        );
        yield* record(
          store,
          eventsOf("b", 2, { pipeline: "chat", error: "The disk melted" }),
        );
        yield* record(
          store,
          eventsOf("c", 3, { pipeline: "video", text: "Grüße, WELT" }),
        );
        const found = (query: Parameters<RunStore["list"]>[0]) =>
          Effect.map(store.list(query), ({ runs }) => ids(runs));
        assert.deepEqual(yield* found({ pipeline: "chat" }), ["b", "a"]);
        assert.deepEqual(yield* found({ status: "failed" }), ["b"]);
        assert.deepEqual(yield* found({ text: "MELTED" }), ["b"]);
        assert.deepEqual(yield* found({ text: "welt" }), ["c"]);
        assert.deepEqual(yield* found({ text: "Grüße" }), ["c"]);
        assert.deepEqual(yield* found({ text: "out of a" }), ["a"]);
        assert.deepEqual(yield* found({ text: "%_" }), ["a"]);
        assert.deepEqual(yield* found({ text: "ada" }), ["c", "b", "a"]);
        assert.deepEqual(
          yield* found({ text: "ada", pipeline: "chat", status: "succeeded" }),
          ["a"],
        );
        assert.deepEqual(yield* found({ pipeline: "x' OR 1=1 --" }), []);
      }),
  );

  check(
    "a wrong limit or cursor is a StoreError",
    (store) =>
      Effect.gen(function* () {
        for (
          const query of [{ limit: 0 }, { limit: 1.5 }, { limit: 1001 }, {
            cursor: "",
          }, { cursor: "x:y" }]
        ) {
          const error = yield* Effect.flip(store.list(query));
          assert.ok(error instanceof StoreError);
          assert.match(error.message, /^run store: (limit|").*$/);
        }
      }),
  );

  check(
    "a removed run is gone, and an unknown one is not there",
    (store) =>
      Effect.gen(function* () {
        yield* record(store, eventsOf("a", 1));
        yield* record(store, eventsOf("b", 2));
        assert.equal(yield* store.remove("a"), true);
        assert.equal(yield* store.remove("a"), false);
        assert.equal(yield* store.get("a"), undefined);
        assert.equal(yield* store.get("never"), undefined);
        assert.deepEqual(ids((yield* store.list()).runs), ["b"]);
      }),
  );

  check(
    "a run that begins again replaces the one with its id",
    (store) =>
      Effect.gen(function* () {
        yield* record(store, eventsOf("a", 1, { text: "old" }));
        yield* record(
          store,
          eventsOf("a", 2, { text: "new", unfinished: true }),
        );
        const stored = yield* store.get("a");
        assert.equal(stored?.events.length, 1);
        assert.equal(stored?.status, "running");
        assert.deepEqual(stored?.inputs, { text: "new" });
        assert.equal((yield* store.list()).runs.length, 1);
      }),
  );

  check(
    "many runs at once keep their events apart and in order",
    (store) =>
      Effect.gen(function* () {
        const text = "abcdefghij".repeat(30);
        const results = yield* Effect.provideService(
          Effect.forEach([1, 2, 3, 4, 5], () => run(spell, { text }), {
            concurrency: 5,
          }),
          RunStore,
          store,
        );
        for (const { runId } of results) {
          const { events } = (yield* store.get(runId))!;
          assert.deepEqual(
            events.map(({ seq }) => seq),
            events.map((_, i) => i),
          );
          assert.equal(
            events.flatMap((e) => e._tag === "NodeProgress" ? [e.delta] : [])
              .join(""),
            text,
          );
        }
      }),
  );
}
