import assert from "node:assert/strict";
import {
  Deferred,
  Effect,
  Exit,
  Fiber,
  References,
  Schema,
  Scope,
} from "effect";
import { observe, type RunEvent } from "./events.ts";
import { pipeline } from "./graph.ts";
import { Lanes, makeLanes } from "./lanes.ts";
import { approximateBytes, makeMemoCache, MemoCache } from "./memo.ts";
import { defineNode } from "./node.ts";
import { definePort, list, Num, Text } from "./port.ts";
import { random } from "./random_kit.ts";
import { run, runScoped } from "./run.ts";
import { brief, check, settle, timed, upper } from "./test_kit.ts";

/** A memoized kind that counts its runs. */
function counting(
  options: { readonly version?: number; readonly identity?: string } = {},
) {
  const calls: string[] = [];
  const kind = defineNode({
    kind: "shout",
    version: options.version ?? 1,
    inputs: { text: Text },
    outputs: { text: Text },
    params: Schema.Struct({
      mark: Schema.String.pipe(
        Schema.withDecodingDefaultKey(Effect.succeed("!")),
      ),
    }),
    memoize: true,
    ...(options.identity === undefined
      ? {}
      : { identity: Effect.succeed(options.identity) }),
    run: ({ text }, { mark }) =>
      Effect.sync(() => {
        calls.push(text + mark);
        return { text: text.toUpperCase() + mark };
      }),
  });
  return { calls, kind };
}

const withMemo = <A, E, R>(
  effect: Effect.Effect<A, E, R>,
  options: { readonly maxEntries: number; readonly maxBytes?: number } = {
    maxEntries: 100,
  },
) =>
  Effect.flatMap(
    makeMemoCache(options),
    (memo) => Effect.provideService(effect, MemoCache, memo),
  );

check(
  "a repeated node is not run again, in the same run or in another; the run shows it as cached",
  withMemo(Effect.gen(function* () {
    const { calls, kind } = counting();
    const p = pipeline(
      "p",
      (g) => g.each(kind, { text: g.input("texts", list(Text)) }),
    );
    const events: RunEvent[] = [];
    const first = yield* observe(
      run(p, { texts: ["a", "b"] }),
      (event) => events.push(event),
    );
    const again = yield* observe(
      run(p, { texts: ["b", "c"] }),
      (event) => events.push(event),
    );
    assert.deepEqual(first.outputs.text, ["A!", "B!"]);
    assert.deepEqual(again.outputs.text, ["B!", "C!"]);
    assert.deepEqual(calls, ["a!", "b!", "c!"]);
    assert.deepEqual(again.nodes.map(({ node, cached }) => [node, cached]), [
      ["shout[0]", true],
      ["shout[1]", false],
    ]);
    assert.ok(brief(events).includes("finish shout[0] cached"));
  })),
);

check(
  "what lies elsewhere and changes while it is read is not kept under the digest it had",
  withMemo(Effect.gen(function* () {
    // Files by name; each has a content and a stamp, as a file system has.
    const files = new Map([["a", ["A", "1"]], ["b", ["A", "2"]]]);
    const File = definePort<"File", string>({
      name: "File",
      digest: (name) => Effect.sync(() => files.get(name)![0]!),
      stamp: (name) => Effect.sync(() => files.get(name)![1]!),
    });
    let writes: readonly string[] = [];
    const read = defineNode({
      kind: "read",
      inputs: { file: File },
      outputs: { text: Text },
      memoize: true,
      run: ({ file }) =>
        Effect.sync(() => {
          const [next, ...later] = writes;
          writes = later;
          if (next !== undefined) files.set(file, [next, `${Math.random()}`]);
          return { text: files.get(file)![0]! };
        }),
    });
    const p = pipeline(
      "p",
      (g) => g.each(read, { file: g.input("files", list(File)) }),
    );
    const texts = (...names: string[]) =>
      Effect.map(run(p, { files: names }), ({ outputs }) => outputs.text);
    // Written over once, between the digest and the reading: read once more.
    writes = ["B"];
    assert.deepEqual(yield* texts("a"), ["B"]);
    assert.deepEqual(yield* texts("b"), ["A"]);
    const memo = (yield* MemoCache)!;
    const { hits } = yield* memo.stats;
    assert.deepEqual(yield* texts("a", "b"), ["B", "A"]);
    assert.equal((yield* memo.stats).hits, hits + 2);
    // Written over without end: answered, and not kept.
    files.set("a", ["Z", "8"]);
    writes = ["C", "D", "E", "F"];
    assert.deepEqual(yield* texts("a"), ["F"]);
    files.set("b", ["C", "9"]);
    assert.deepEqual(yield* texts("b"), ["C"]);
  })),
);

check(
  "a size that cannot be told fails the computation, and nobody waits for ever",
  Effect.gen(function* () {
    let told = false;
    const memo = yield* makeMemoCache({
      maxEntries: 10,
      sizeOf: () => {
        if (!told) throw new Error("no size");
        return 1;
      },
    });
    const get = Effect.exit(
      Effect.scoped(memo.get("k", Effect.as(Effect.yieldNow, { x: 1 }))),
    );
    const both = yield* Effect.all([get, get], { concurrency: "unbounded" });
    assert.deepEqual(both.map(({ _tag }) => _tag), ["Failure", "Failure"]);
    told = true;
    assert.ok(Exit.isSuccess(yield* get));
  }),
);

check(
  "without a memo, and for kinds that are not memoized, every run runs",
  Effect.gen(function* () {
    const { calls, kind } = counting();
    const p = pipeline(
      "p",
      (g) => g.add(kind, { text: g.input("text", Text) }),
    );
    yield* run(p, { text: "a" });
    yield* run(p, { text: "a" });
    assert.equal(calls.length, 2);
    const not = pipeline(
      "not",
      (g) =>
        g.add(kind, { text: g.input("text", Text) }, {}, { memoize: false }),
    );
    yield* withMemo(
      Effect.andThen(run(not, { text: "a" }), run(not, { text: "a" })),
    );
    assert.equal(calls.length, 4);
  }),
);

check(
  "the key is kind, version, parameters with defaults, identity and the inputs' content",
  withMemo(Effect.gen(function* () {
    const one = counting();
    const ask = (
      kind: typeof one.kind,
      text: string,
      params?: { readonly mark?: string },
    ) => {
      const p = pipeline(
        "p",
        (g) => g.add(kind, { text: g.input("text", Text) }, params),
      );
      return Effect.map(run(p, { text }), ({ outputs }) => outputs.text);
    };
    assert.equal(yield* ask(one.kind, "a"), "A!");
    assert.equal(yield* ask(one.kind, "a", { mark: "!" }), "A!");
    assert.deepEqual(one.calls, ["a!"]);
    assert.equal(yield* ask(one.kind, "a", { mark: "?" }), "A?");
    assert.equal(yield* ask(one.kind, "b"), "B!");
    assert.deepEqual(one.calls, ["a!", "a?", "b!"]);
    const newer = counting({ version: 2 });
    yield* ask(newer.kind, "a");
    assert.deepEqual(newer.calls, ["a!"]);
    const other = counting({ identity: "model-b" });
    yield* ask(other.kind, "a");
    assert.deepEqual(other.calls, ["a!"]);
  })),
);

check(
  "outputs of memoized nodes are known by what they were made from, not hashed",
  withMemo(Effect.gen(function* () {
    let hashed = 0;
    const Big = definePort<"Big", { readonly size: number }>({
      name: "Big",
      digest: ({ size }) => Effect.sync(() => (hashed++, `big-${size}`)),
    });
    const make = defineNode({
      kind: "make",
      inputs: { size: Num },
      outputs: { big: Big },
      memoize: true,
      run: ({ size }) => Effect.succeed({ big: { size } }),
    });
    let measured = 0;
    const measure = defineNode({
      kind: "measure",
      inputs: { bigs: list(Big), one: Big },
      outputs: { size: Num },
      memoize: true,
      run: ({ bigs }) =>
        Effect.sync(() => (measured++, {
          size: bigs.reduce((n, { size }) => n + size, 0),
        })),
    });
    const p = pipeline("p", (g) => {
      const { big } = g.each(make, { size: g.input("sizes", list(Num)) });
      const one = g.add(make, { size: g.constant(Num, 7) });
      return g.add(measure, { bigs: big, one: one.big });
    });
    assert.equal((yield* run(p, { sizes: [1, 2] })).outputs.size, 3);
    assert.equal((yield* run(p, { sizes: [1, 2] })).outputs.size, 3);
    assert.equal((yield* run(p, { sizes: [2, 1] })).outputs.size, 3);
    assert.equal(measured, 2);
    assert.equal(hashed, 0);
  })),
);

check(
  "an input is hashed once however many nodes look at it",
  withMemo(Effect.gen(function* () {
    let hashed = 0;
    const Big = definePort<"Big", number>({
      name: "Big",
      digest: (value) => Effect.sync(() => (hashed++, `big-${value}`)),
    });
    const look = defineNode({
      kind: "look",
      inputs: { big: Big, text: Text },
      outputs: { text: Text },
      memoize: true,
      run: ({ text }) => Effect.succeed({ text }),
    });
    const p = pipeline("p", (g) => {
      const big = g.input("big", Big);
      const first = g.add(look, { big, text: g.constant(Text, "a") });
      const second = g.add(look, { big, text: first.text });
      return g.add(look, { big, text: second.text });
    });
    yield* run(p, { big: 1 });
    assert.equal(hashed, 1);
  })),
);

check(
  "equal computations at the same time are done once; who waits holds no lane",
  withMemo(Effect.gen(function* () {
    let calls = 0;
    const slow = defineNode({
      kind: "slow",
      inputs: { text: Text },
      outputs: { text: Text },
      memoize: true,
      lane: "device",
      run: ({ text }) =>
        Effect.as(Effect.delay(Effect.sync(() => calls++), 10), { text }),
    });
    const p = pipeline(
      "p",
      (g) => g.add(slow, { text: g.input("text", Text) }),
    );
    const { ms, value } = yield* Effect.provideService(
      timed(Effect.all(
        ["a", "a", "a", "b"].map((text) => run(p, { text })),
        { concurrency: "unbounded" },
      )),
      Lanes,
      makeLanes({ device: 2 }),
    );
    assert.equal(calls, 2);
    assert.equal(ms, 10);
    assert.deepEqual(value.map(({ nodes }) => nodes[0]!.cached), [
      false,
      true,
      true,
      false,
    ]);
  })),
);

check(
  "a failed computation is not kept and does not fail those who waited for it",
  withMemo(Effect.gen(function* () {
    let calls = 0;
    const flaky = defineNode({
      kind: "flaky",
      inputs: { text: Text },
      outputs: { text: Text },
      memoize: true,
      run: ({ text }) =>
        Effect.flatMap(
          Effect.sleep(10),
          () =>
            calls++ === 0
              ? Effect.fail("no" as const)
              : Effect.succeed({ text }),
        ),
    });
    const p = pipeline(
      "p",
      (g) => g.add(flaky, { text: g.input("text", Text) }),
    );
    const { ms, value } = yield* timed(Effect.all(
      [1, 2, 3].map(() => Effect.exit(run(p, { text: "a" }))),
      { concurrency: "unbounded" },
    ));
    assert.deepEqual(value.map(Exit.isSuccess), [false, true, true]);
    assert.equal(calls, 2);
    assert.equal(ms, 20);
  })),
);

check(
  "an interrupted computation is taken over by one who waited for it",
  withMemo(Effect.gen(function* () {
    let calls = 0;
    const begun = yield* Deferred.make<void>();
    const slow = defineNode({
      kind: "slow",
      inputs: { text: Text },
      outputs: { text: Text },
      memoize: true,
      run: ({ text }) =>
        Effect.suspend(() => {
          calls++;
          Deferred.doneUnsafe(begun, Effect.void);
          return Effect.as(Effect.sleep(10), { text });
        }),
    });
    const p = pipeline(
      "p",
      (g) => g.add(slow, { text: g.input("text", Text) }),
    );
    const first = yield* Effect.forkChild(run(p, { text: "a" }));
    yield* Deferred.await(begun);
    const second = yield* Effect.forkChild(run(p, { text: "a" }));
    yield* settle;
    assert.equal(calls, 1);
    yield* Fiber.interrupt(first);
    const { value } = yield* timed(Fiber.join(second));
    assert.deepEqual(value.outputs, { text: "a" });
    assert.equal(calls, 2);
  })),
);

/** A memoized kind whose result holds something that must be closed. */
function holding(log: string[]) {
  return defineNode({
    kind: "hold",
    inputs: { text: Text },
    outputs: { text: Text },
    memoize: true,
    run: ({ text }) =>
      Effect.as(
        Effect.acquireRelease(
          Effect.sync(() => log.push(`open ${text}`)),
          () => Effect.sync(() => log.push(`close ${text}`)),
        ),
        { text },
      ),
  });
}

check(
  "what a memoized result holds is closed on eviction, and with the memo",
  Effect.gen(function* () {
    const log: string[] = [];
    const p = pipeline(
      "p",
      (g) => g.add(holding(log), { text: g.input("text", Text) }),
    );
    yield* Effect.scoped(withMemo(
      Effect.gen(function* () {
        for (const text of ["a", "b", "a", "c"]) yield* run(p, { text });
        // "b" was used longest ago.
        assert.deepEqual(log, ["open a", "open b", "open c", "close b"]);
        yield* run(p, { text: "a" });
        assert.equal(log.length, 4);
        const memo = yield* MemoCache;
        assert.deepEqual(yield* memo!.stats, {
          entries: 2,
          bytes: 2 * (8 + 2),
          hits: 2,
          misses: 3,
          evictions: 1,
        });
      }),
      { maxEntries: 2 },
    ));
    assert.deepEqual(log.slice(4).sort(), ["close a", "close c"]);
  }),
);

check(
  "a result in use is not closed, although the memo dropped it, until its last user is done",
  withMemo(
    Effect.gen(function* () {
      const log: string[] = [];
      const p = pipeline(
        "p",
        (g) => g.add(holding(log), { text: g.input("text", Text) }),
      );
      const first = Scope.makeUnsafe();
      const second = Scope.makeUnsafe();
      const held = (scope: Scope.Scope, text: string) =>
        Effect.provideService(runScoped(p, { text }), Scope.Scope, scope);
      yield* held(first, "a");
      yield* held(second, "a");
      yield* run(p, { text: "b" });
      assert.deepEqual(log, ["open a", "open b"]);
      yield* Scope.close(first, Exit.void);
      assert.deepEqual(log, ["open a", "open b"]);
      yield* Scope.close(second, Exit.void);
      assert.deepEqual(log, ["open a", "open b", "close a"]);
      yield* run(p, { text: "a" });
      assert.deepEqual(log.slice(3), ["open a", "close b"]);
    }),
    { maxEntries: 1 },
  ),
);

check(
  "bytes bound the memo; one result that is too large drives out no others",
  withMemo(
    Effect.gen(function* () {
      const log: string[] = [];
      const p = pipeline(
        "p",
        (g) => g.add(holding(log), { text: g.input("text", Text) }),
      );
      yield* run(p, { text: "a".repeat(20) });
      yield* run(p, { text: "b".repeat(20) });
      yield* run(p, { text: "x".repeat(1000) });
      assert.deepEqual(log.map((line) => line.slice(0, 7)), [
        "open aa",
        "open bb",
        "open xx",
        "close x",
      ]);
      yield* run(p, { text: "c".repeat(20) });
      assert.equal(log.at(-1)?.slice(0, 7), "close a");
    }),
    { maxEntries: 100, maxBytes: 100 },
  ),
);

check(
  "a failed run lets go of the results it used",
  withMemo(
    Effect.gen(function* () {
      const log: string[] = [];
      const fails = defineNode({
        kind: "fails",
        inputs: { text: Text },
        outputs: { text: Text },
        run: () => Effect.fail("no" as const),
      });
      const p = pipeline(
        "p",
        (g) =>
          g.add(fails, g.add(holding(log), { text: g.input("text", Text) })),
      );
      yield* Effect.exit(run(p, { text: "a" }));
      yield* Effect.exit(run(p, { text: "b" }));
      assert.deepEqual(log, ["open a", "open b", "close a"]);
    }),
    { maxEntries: 1 },
  ),
);

check(
  "a computation that fails closes what it had acquired",
  withMemo(Effect.gen(function* () {
    const log: string[] = [];
    const kind = defineNode({
      kind: "half",
      inputs: {},
      outputs: { text: Text },
      memoize: true,
      run: () =>
        Effect.andThen(
          Effect.acquireRelease(
            Effect.sync(() => log.push("open")),
            () => Effect.sync(() => log.push("close")),
          ),
          Effect.fail("no" as const),
        ),
    });
    yield* Effect.exit(run(pipeline("p", (g) => g.add(kind, {})), {}));
    assert.deepEqual(log, ["open", "close"]);
  })),
);

check(
  "the nodes inside a pipeline used as a node share the memo",
  withMemo(Effect.gen(function* () {
    const { calls, kind } = counting();
    const inner = pipeline(
      "inner",
      (g) => g.add(kind, { text: g.input("text", Text) }),
    );
    const p = pipeline("p", (g) => {
      const text = g.input("text", Text);
      return {
        a: g.add(inner, { text }).text,
        b: g.add(inner, { text }).text,
        c: g.add(upper, { text }).text,
      };
    });
    yield* run(p, { text: "a" });
    assert.deepEqual(calls, ["a!"]);
  })),
);

check(
  "under interruption everywhere, nothing is used after it was closed, and all is closed at last",
  Effect.gen(function* () {
    interface Resource {
      open: boolean;
    }
    let opened = 0;
    let closed = 0;
    const Handle = definePort<"Handle", Resource>({ name: "Handle" });
    const acquire = defineNode({
      kind: "acquire",
      inputs: { text: Text },
      outputs: { handle: Handle },
      memoize: true,
      run: () =>
        Effect.gen(function* () {
          yield* Effect.yieldNow;
          const handle = yield* Effect.acquireRelease(
            Effect.sync((): Resource => (opened++, { open: true })),
            (resource) =>
              Effect.sync(() => {
                closed++;
                resource.open = false;
              }),
          );
          yield* Effect.yieldNow;
          return { handle };
        }),
    });
    let uses = 0;
    const use = defineNode({
      kind: "use",
      inputs: { handle: Handle },
      outputs: { open: Num },
      run: ({ handle }) =>
        Effect.gen(function* () {
          for (let i = 0; i < 4; i++) {
            assert.ok(handle.open, "used after it was closed");
            uses++;
            yield* Effect.yieldNow;
          }
          return { open: 1 };
        }),
    });
    const p = pipeline("p", (g) => {
      const { handle } = g.each(acquire, {
        text: g.input("texts", list(Text)),
      });
      return g.each(use, { handle });
    });
    const next = random(5);
    yield* Effect.scoped(withMemo(
      Effect.gen(function* () {
        for (let round = 0; round < 300; round++) {
          const fibers = yield* Effect.forEach(
            [1, 2, 3],
            () =>
              Effect.forkChild(Effect.provideService(
                run(p, {
                  texts: Array.from({ length: 3 }, () =>
                    `${Math.floor(next() * 5)}`),
                }),
                References.MaxOpsBeforeYield,
                5 + round % 15,
              )),
          );
          yield* Effect.repeat(Effect.yieldNow, {
            times: Math.floor(next() * 40),
          });
          yield* Fiber.interrupt(fibers[0]!);
          for (const fiber of fibers) {
            const exit = yield* Fiber.await(fiber);
            if (Exit.isFailure(exit)) {
              assert.equal(Exit.hasDies(exit), false, String(exit));
            }
          }
          const { entries } = yield* (yield* MemoCache)!.stats;
          assert.equal(opened - closed, entries);
        }
      }),
      { maxEntries: 2 },
    ));
    assert.equal(opened, closed);
    assert.ok(opened > 100 && uses > 1000);
  }),
);

Deno.test("sizes count arrays and texts, shared ones once", () => {
  const shared = new Float32Array(100);
  assert.equal(approximateBytes({ a: shared, b: shared }), 8 + 400);
  assert.equal(approximateBytes("ab"), 4);
  const circular: Record<string, unknown> = { text: "abcd" };
  circular.self = circular;
  assert.equal(approximateBytes(circular), 8 + 8);
});
