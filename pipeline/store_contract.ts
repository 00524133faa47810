/**
 * What every run store must do, as tests: each implementation passes the same.
 * @module
 */
import assert from "node:assert/strict";
import { Cause, Effect, Exit, Fiber, Schema, type Scope } from "effect";
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
    readonly model?: string;
    readonly ms?: number;
    readonly tokens?: number;
  } = {},
): RunEvent[] {
  const started: RunEvent = {
    _tag: "RunStarted",
    runId,
    seq: 0,
    at,
    pipeline: more.pipeline ?? "p",
    inputs: { text: more.text ?? "" },
    attributes: {
      user: { name: "Ada" },
      ...(more.model === undefined ? {} : { model: more.model }),
    },
  };
  const { ms = 5, tokens } = more;
  const node = { node: "say", kind: "say", composite: false, attempt: 1 };
  const said: RunEvent[] = tokens === undefined ? [] : [{
    _tag: "NodeFinished",
    runId,
    seq: 1,
    at: at + 1,
    ...node,
    ms: 4,
    queuedMs: 0,
    cached: true,
    outputs: {
      text: { usage: { completionTokens: tokens }, icon: "data:image/x," },
    },
    spans: [{ name: "think", startMs: 0, ms: 3 }],
  }];
  const finished: RunEvent = {
    _tag: "RunFinished",
    runId,
    seq: 1 + said.length,
    at: at + ms,
    status: more.error === undefined ? "succeeded" : "failed",
    ms,
    ...(more.error === undefined
      ? { outputs: { text: `out of ${runId}` } }
      : { error: { tag: "Broken", message: more.error } }),
  };
  return more.unfinished ? [started, ...said] : [started, ...said, finished];
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
        const running = yield* Effect.forkChild(Effect.provideService(
          run(wait, { values: [1, 2] }, { runId: "r" }),
          RunStore,
          store,
        ));
        for (;;) {
          const nodes = (yield* store.get("r"))?.nodes ?? [];
          if (nodes.filter(({ status }) => status === "running").length === 2) {
            break;
          }
          yield* Effect.sleep(1);
        }
        yield* Fiber.interrupt(running);
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
    "lists filter by model and time",
    (store) =>
      Effect.gen(function* () {
        yield* record(store, eventsOf("a", 10, { model: "nano" }));
        yield* record(store, eventsOf("b", 20, { model: "26B" }));
        yield* record(store, eventsOf("c", 30, { model: "nano" }));
        yield* record(store, eventsOf("d", 40));
        const found = (query: Parameters<RunStore["list"]>[0]) =>
          Effect.map(store.list(query), ({ runs }) => ids(runs));
        assert.deepEqual(yield* found({ model: "nano" }), ["c", "a"]);
        assert.deepEqual(yield* found({ model: "n" }), []);
        assert.deepEqual(yield* found({ since: 20 }), ["d", "c", "b"]);
        assert.deepEqual(yield* found({ until: 20 }), ["a"]);
        assert.deepEqual(
          yield* found({ since: 20, until: 40, model: "nano", text: "ADA" }),
          ["c"],
        );
      }),
  );

  check(
    "lists are ordered by time taken or tokens, both ways, page by page",
    (store) =>
      Effect.gen(function* () {
        const facts: [string, number, number | undefined][] = [
          ["a", 7, 3],
          ["b", 7, undefined],
          ["c", 100, 3],
          ["d", 0.5, 90],
          ["e", 7, 12],
        ];
        for (const [i, [id, ms, tokens]] of facts.entries()) {
          yield* record(
            store,
            eventsOf(id, i, {
              ms,
              pipeline: id === "d" ? "other" : "p",
              ...(tokens === undefined ? {} : { tokens }),
            }),
          );
        }
        yield* record(store, eventsOf("f", 9, { unfinished: true }));
        const all = (query: Parameters<RunStore["list"]>[0]) =>
          Effect.gen(function* () {
            const seen: string[] = [];
            let cursor: string | undefined;
            do {
              const page = yield* store.list({
                ...query,
                limit: 2,
                ...(cursor === undefined ? {} : { cursor }),
              });
              seen.push(...ids(page.runs));
              cursor = page.cursor;
            } while (cursor !== undefined);
            return seen.join("");
          });
        assert.equal(yield* all({ sort: "ms" }), "cebadf");
        assert.equal(yield* all({ sort: "ms", order: "asc" }), "fdabec");
        assert.equal(yield* all({ sort: "tokens" }), "decafb");
        assert.equal(
          yield* all({ sort: "tokens", order: "asc", pipeline: "p" }),
          "bface",
        );
        assert.equal(yield* all({ order: "asc" }), "abcdef");
      }),
  );

  check(
    "a summary has the sums of its nodes",
    (store) =>
      Effect.gen(function* () {
        yield* record(store, eventsOf("a", 10, { tokens: 3 }));
        const [run] = (yield* store.list()).runs;
        assert.deepEqual(
          [run!.timings, run!.cached, run!.usage, run!.icon],
          [{ think: 3 }, 1, { completionTokens: 3 }, true],
        );
        // Nobody looks for the bytes of a picture.
        assert.deepEqual((yield* store.list({ text: "image/x" })).runs, []);
      }),
  );

  check(
    "a run that is asked to stop ends as interrupted, and nothing else does",
    (store) =>
      Effect.gen(function* () {
        const start = (runId: string) =>
          Effect.forkChild(Effect.exit(Effect.provideService(
            run(wait, { values: [1] }, { runId }),
            RunStore,
            store,
          )));
        const stopped = yield* start("stopped");
        const other = yield* start("other");
        for (;;) {
          const { runs } = yield* store.list({ status: "running" });
          if (runs.length === 2) break;
          yield* Effect.sleep(1);
        }
        assert.equal(yield* store.cancel("never"), false);
        assert.equal(yield* store.cancel("stopped"), true);
        const exit = yield* Fiber.join(stopped);
        assert.ok(Exit.isFailure(exit) && Cause.hasInterruptsOnly(exit.cause));
        assert.equal((yield* store.get("stopped"))?.status, "interrupted");
        assert.equal((yield* store.get("other"))?.status, "running");
        assert.equal(yield* store.cancel("stopped"), false);
        yield* Fiber.interrupt(other);
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
