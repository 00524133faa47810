import assert from "node:assert/strict";
import { Context, Deferred, Effect, Exit, Fiber, References } from "effect";
import { TestClock } from "effect/testing";
import { CapacityError, GraphError } from "./errors.ts";
import { observe, type RunEvent } from "./events.ts";
import { pipeline } from "./graph.ts";
import { Lanes, makeLanes } from "./lanes.ts";
import { defineNode } from "./node.ts";
import { list, Num, Text } from "./port.ts";
import { run, runScoped } from "./run.ts";
import {
  brief,
  check,
  increment,
  slow,
  sum,
  timed,
  upper,
} from "./test_kit.ts";

const count = defineNode({
  kind: "count",
  inputs: { values: list(Num) },
  outputs: { value: Num },
  run: ({ values }) => Effect.succeed({ value: values.length }),
});

class Broken {
  readonly _tag = "Broken";
  constructor(readonly message: string) {}
}

check(
  "independent nodes run side by side, dependent ones in order",
  Effect.gen(function* () {
    const p = pipeline("diamond", (g) => {
      const value = g.input("value", Num);
      const a = g.add(slow("a", 10), { value });
      const b = g.add(slow("b", 10), a);
      const c = g.add(slow("c", 15), a);
      return g.add(sum, { a: b.value, b: c.value });
    });
    const { ms, value } = yield* timed(run(p, { value: 1 }));
    assert.equal(ms, 25);
    assert.deepEqual(value.outputs, { value: 2 });
    assert.equal(value.ms, 25);
    assert.deepEqual(value.timings, { a: 10, b: 10, c: 15, sum: 0 });
  }),
);

check(
  "lanes bound what runs at once, also between runs; an unknown lane bounds nothing",
  Effect.gen(function* () {
    const lanes = makeLanes({ device: 1, cpu: 2 });
    const p = pipeline("p", (g) => {
      const values = g.input("values", list(Num));
      return {
        device: g.each(slow("d", 10, "device"), { value: values }).value,
        cpu: g.each(slow("c", 10, "cpu"), { value: values }).value,
        other: g.each(slow("o", 10, "other"), { value: values }).value,
      };
    });
    const one = run(p, { values: [1, 2, 3, 4] });
    const alone = yield* Effect.provideService(timed(one), Lanes, lanes);
    assert.equal(alone.ms, 40);
    const byKind = (kind: string) =>
      alone.value.nodes.filter((node) => node.kind === kind).map((
        { queuedMs },
      ) => queuedMs);
    assert.deepEqual(byKind("o"), [0, 0, 0, 0]);
    const both = yield* Effect.provideService(
      timed(Effect.all([one, one], { concurrency: 2 })),
      Lanes,
      lanes,
    );
    assert.equal(both.ms, 80);
    assert.ok(
      both.value.flatMap(({ nodes }) => nodes).some(({ kind, queuedMs }) =>
        kind === "d" && queuedMs === 10
      ),
    );
  }),
);

Deno.test("default lanes are one object for the whole process", () => {
  assert.equal(Lanes.defaultValue(), Lanes.defaultValue());
  assert.equal(Lanes.defaultValue().limit("device"), 1);
  assert.ok(Lanes.defaultValue().limit("cpu")! >= 1);
  assert.throws(() => makeLanes({ cpu: 0 }), RangeError);
});

check(
  "element concurrency follows the lane, or the option",
  Effect.gen(function* () {
    let now = 0;
    let most = 0;
    const watch = defineNode({
      kind: "watch",
      inputs: { value: Num },
      outputs: { value: Num },
      run: ({ value }) =>
        Effect.gen(function* () {
          most = Math.max(most, ++now);
          yield* Effect.sleep(10);
          now--;
          return { value };
        }),
    });
    const mapped = (options: { lane?: string; concurrency?: number }) =>
      pipeline(
        "p",
        (g) =>
          g.each(watch, { value: g.input("values", list(Num)) }, {}, options),
      );
    const values = [1, 2, 3, 4, 5, 6];
    const lanes = makeLanes({ three: 3 });
    for (
      const [options, expected] of [[{}, 6], [{ concurrency: 2 }, 2], [{
        lane: "three",
      }, 3]] as const
    ) {
      most = 0;
      yield* Effect.provideService(
        timed(run(mapped(options), { values })),
        Lanes,
        lanes,
      );
      assert.equal(most, expected);
    }
  }),
);

check(
  "a failing node is tried again after growing delays, and lets go of its lane meanwhile",
  Effect.gen(function* () {
    let calls = 0;
    const flaky = defineNode({
      kind: "flaky",
      inputs: { value: Num },
      outputs: { value: Num },
      lane: "device",
      run: (_, __, { attempt }) =>
        ++calls < 4
          ? Effect.fail(new Broken(`call ${calls} of attempt ${attempt}`))
          : Effect.succeed({ value: attempt }),
    });
    const p = pipeline("p", (g) => {
      const value = g.input("value", Num);
      return {
        flaky: g.add(flaky, { value }, {}, {
          retry: { times: 3, delayMs: 10, factor: 2 },
        }).value,
        other: g.add(slow("other", 30, "device"), { value }).value,
      };
    });
    const events: RunEvent[] = [];
    const { ms, value } = yield* timed(
      observe(run(p, { value: 1 }), (event) => events.push(event)),
    );
    // 10 + 20 + 40 in all. The other node has the lane from 0 to 30, so the second attempt begins at 30.
    assert.equal(ms, 90);
    assert.equal(value.outputs.flaky, 4);
    assert.deepEqual(
      brief(events).filter((line) => line.includes("flaky")),
      [
        "start flaky",
        "fail flaky Broken again",
        "start flaky #2",
        "fail flaky Broken again",
        "start flaky #3",
        "fail flaky Broken again",
        "start flaky #4",
        "finish flaky",
      ],
    );
    assert.equal(value.nodes.find(({ node }) => node === "flaky")?.attempt, 4);
  }),
);

check(
  "after the last attempt the error is the node's own; defects are not tried again",
  Effect.gen(function* () {
    let calls = 0;
    const node = (fail: Effect.Effect<never, Broken>) => {
      const kind = defineNode({
        kind: "never",
        inputs: {},
        outputs: { value: Num },
        run: () => Effect.andThen(Effect.sync(() => calls++), fail),
      });
      return run(
        pipeline("p", (g) => g.add(kind, {}, {}, { retry: { times: 2 } })),
        {},
      );
    };
    const error = yield* Effect.flip(node(Effect.fail(new Broken("no"))));
    assert.equal(error._tag, "Broken");
    assert.equal(calls, 3);
    calls = 0;
    const exit = yield* Effect.exit(node(Effect.die(new TypeError("bug"))));
    assert.ok(Exit.hasDies(exit));
    assert.equal(calls, 1);
    const thrown = defineNode({
      kind: "throws",
      inputs: {},
      outputs: { value: Num },
      run: () => {
        throw new TypeError("bug");
      },
    });
    const events: RunEvent[] = [];
    const died = yield* Effect.exit(
      observe(
        run(pipeline("p", (g) => g.add(thrown, {})), {}),
        (event) => events.push(event),
      ),
    );
    assert.ok(Exit.hasDies(died));
    assert.deepEqual(brief(events), [
      "run p",
      "start throws",
      "fail throws Defect",
      "end failed",
    ]);
  }),
);

check(
  "a time limit interrupts the attempt, waits for it, and names node and limit",
  Effect.gen(function* () {
    let stopped = 0;
    const stuck = defineNode({
      kind: "stuck",
      inputs: {},
      outputs: { value: Num },
      run: () =>
        Effect.onInterrupt(
          Effect.never,
          () => Effect.andThen(Effect.sleep(5), Effect.sync(() => stopped++)),
        ),
    });
    const p = pipeline(
      "p",
      (g) => g.add(stuck, {}, {}, { timeoutMs: 50, retry: { times: 1 } }),
    );
    const { ms, value: error } = yield* timed(Effect.flip(run(p, {})));
    assert.ok(error instanceof CapacityError);
    assert.match(
      error.message,
      /pipeline "p": node "stuck" was stopped after 50 ms, its time limit/,
    );
    assert.equal(stopped, 2);
    assert.equal(ms, 110);
  }),
);

check(
  "waiting for a lane does not count against the time limit",
  Effect.gen(function* () {
    const p = pipeline(
      "p",
      (g) =>
        g.each(
          slow("s", 10, "device"),
          { value: g.input("values", list(Num)) },
          {},
          {
            timeoutMs: 11,
            concurrency: 5,
          },
        ),
    );
    const { ms } = yield* Effect.provideService(
      timed(run(p, { values: [1, 2, 3, 4, 5] })),
      Lanes,
      makeLanes({ device: 1 }),
    );
    assert.equal(ms, 50);
  }),
);

check(
  "the first failure stops the others, and the run ends when they have stopped",
  Effect.gen(function* () {
    let stopped = false;
    const slowStop = defineNode({
      kind: "slow-stop",
      inputs: { value: Num },
      outputs: { value: Num },
      run: () =>
        Effect.onInterrupt(Effect.never, () =>
          Effect.andThen(
            Effect.sleep(20),
            Effect.sync(() => {
              stopped = true;
            }),
          )),
    });
    const fails = defineNode({
      kind: "fails",
      inputs: { value: Num },
      outputs: { value: Num },
      run: () => Effect.andThen(Effect.sleep(5), Effect.fail(new Broken("no"))),
    });
    const p = pipeline("p", (g) => {
      const value = g.input("value", Num);
      const a = g.add(slowStop, { value });
      const b = g.add(fails, { value });
      return g.add(sum, { a: a.value, b: b.value });
    });
    const events: RunEvent[] = [];
    const { ms, value: error } = yield* timed(
      Effect.flip(observe(run(p, { value: 1 }), (event) => events.push(event))),
    );
    assert.ok(error instanceof Broken);
    assert.equal(stopped, true);
    assert.equal(ms, 25);
    assert.deepEqual(brief(events), [
      "run p",
      "start slow-stop",
      "start fails",
      "fail fails Broken",
      "fail slow-stop Interrupted",
      "end failed",
    ]);
  }),
);

check(
  "one interrupt stops every node, nested and mapped ones too, and waits for them",
  Effect.gen(function* () {
    let running = 0;
    let stopped = 0;
    const all = yield* Deferred.make<void>();
    const stuck = defineNode({
      kind: "stuck",
      inputs: { value: Num },
      outputs: { value: Num },
      run: () =>
        Effect.onInterrupt(
          Effect.suspend(() => {
            if (++running === 7) Deferred.doneUnsafe(all, Effect.void);
            return Effect.never;
          }),
          () => Effect.andThen(Effect.sleep(20), Effect.sync(() => stopped++)),
        ),
    });
    const inner = pipeline(
      "inner",
      (g) => g.each(stuck, { value: g.input("values", list(Num)) }),
    );
    const p = pipeline("p", (g) => {
      const values = g.input("values", list(list(Num)));
      return {
        nested: g.each(inner, { values }).value,
        one: g.add(stuck, { value: g.constant(Num, 1) }).value,
      };
    });
    const events: RunEvent[] = [];
    const fiber = yield* Effect.forkChild(
      observe(
        run(p, { values: [[1, 2, 3], [4, 5, 6]] }),
        (event) => events.push(event),
      ),
    );
    yield* Deferred.await(all);
    const { ms } = yield* timed(Fiber.interrupt(fiber));
    assert.equal(ms, 20);
    assert.equal(stopped, 7);
    assert.equal(brief(events).at(-1), "end interrupted");
    assert.equal(
      brief(events).filter((line) => line.startsWith("fail stuck Interrupted"))
        .length,
      1,
    );
    // Every start has an end.
    const open = new Set<string>();
    for (const event of events) {
      if (event._tag === "NodeStarted") open.add(event.node);
      if (event._tag === "NodeFailed") open.delete(event.node);
    }
    assert.equal(open.size, 0);
  }),
);

check(
  "inputs that do not fit are refused before anything runs, all at once",
  Effect.gen(function* () {
    const p = pipeline("p", (g) => ({
      a: g.add(upper, { text: g.input("text", Text) }).text,
      b: g.add(increment, { value: g.input("value", Num) }).value,
    }));
    const events: RunEvent[] = [];
    const given = { text: 5, txt: "a" } as unknown as {
      text: string;
      value: number;
    };
    const error = yield* Effect.flip(
      observe(run(p, given), (event) => events.push(event)),
    );
    assert.ok(error instanceof GraphError);
    assert.deepEqual(error.problems.map(({ message }) => message), [
      'input "text" is no Text but number',
      'input "value" is missing; it needs Num',
      'there is no input "txt"; did you mean "text"?',
    ]);
    assert.deepEqual(events, []);
  }),
);

check(
  "of an input that is a list the element that does not fit is named",
  Effect.gen(function* () {
    const p = pipeline("p", (g) => ({
      a: g.each(upper, { text: g.input("texts", list(Text)) }).text,
    }));
    const given = { texts: ["a", 5] } as unknown as { texts: string[] };
    const { problems } = yield* Effect.flip(run(p, given));
    assert.deepEqual(problems, [{
      port: "texts",
      message: 'input "texts[1]" is no Text but number',
    }]);
  }),
);

check(
  "a result that lacks a declared output is an error that names the kind",
  Effect.gen(function* () {
    const wrong = defineNode({
      kind: "wrong",
      inputs: {},
      outputs: { value: Num },
      run: () => Effect.succeed({} as { value: number }),
    });
    const error = yield* Effect.flip(
      run(pipeline("p", (g) => g.add(wrong, {})), {}),
    );
    assert.ok(error instanceof GraphError);
    assert.match(
      error.message,
      /node "wrong": its result lacks the output "value" \(Num\)/,
    );
    assert.deepEqual(error.place, {
      pipeline: "p",
      node: "wrong",
      port: "value",
    });
  }),
);

check(
  "a run that returns no effect is an error that names the kind and the remedy",
  Effect.gen(function* () {
    const cases: [unknown, RegExp][] = [
      [
        Promise.resolve({ value: 1 }),
        /no effect but a promise, .*promise takes/,
      ],
      [{ value: 1 }, /no effect but object, which Effect\.succeed/],
      [undefined, /no effect but undefined/],
    ];
    for (const [returned, message] of cases) {
      const loose = defineNode({
        kind: "loose",
        inputs: {},
        outputs: { value: Num },
        run: () => returned as Effect.Effect<{ value: number }>,
      });
      const error = yield* Effect.flip(
        run(pipeline("p", (g) => g.add(loose, {})), {}),
      );
      assert.ok(error instanceof GraphError);
      assert.match(error.message, message);
      assert.match(error.message, /^pipeline "p": node "loose".*kind "loose"$/);
    }
  }),
);

check(
  "what nodes acquire lives until the run ends, or until the scope of runScoped closes",
  Effect.gen(function* () {
    const log: string[] = [];
    const acquire = defineNode({
      kind: "acquire",
      inputs: { text: Text },
      outputs: { text: Text },
      run: ({ text }) =>
        Effect.as(
          Effect.acquireRelease(
            Effect.sync(() => log.push(`open ${text}`)),
            () => Effect.sync(() => log.push(`close ${text}`)),
          ),
          { text },
        ),
    });
    const use = defineNode({
      kind: "use",
      inputs: { text: Text },
      outputs: { text: Text },
      run: ({ text }) => Effect.sync(() => (log.push(`use ${text}`), { text })),
    });
    const p = pipeline(
      "p",
      (g) => g.add(use, g.add(acquire, { text: g.input("text", Text) })),
    );
    yield* run(p, { text: "a" });
    assert.deepEqual(log, ["open a", "use a", "close a"]);
    log.length = 0;
    yield* Effect.scoped(
      Effect.gen(function* () {
        yield* runScoped(p, { text: "b" });
        log.push("after");
      }),
    );
    assert.deepEqual(log, ["open b", "use b", "after", "close b"]);
  }),
);

check(
  "a failed attempt lets go of what it acquired before the next one begins",
  Effect.gen(function* () {
    const log: string[] = [];
    const flaky = defineNode({
      kind: "flaky",
      inputs: {},
      outputs: { value: Num },
      run: (_, __, { attempt }) =>
        Effect.gen(function* () {
          yield* Effect.acquireRelease(
            Effect.sync(() => log.push(`open ${attempt}`)),
            () => Effect.sync(() => log.push(`close ${attempt}`)),
          );
          if (attempt < 3) return yield* Effect.fail(new Broken("no"));
          return { value: attempt };
        }),
    });
    const p = pipeline("p", (g) => {
      const { value } = g.add(flaky, {}, {}, { retry: { times: 5 } });
      return g.add(increment, { value });
    });
    const { outputs } = yield* run(p, {});
    assert.equal(outputs.value, 4);
    assert.deepEqual(log, [
      "open 1",
      "close 1",
      "open 2",
      "close 2",
      "open 3",
      "close 3",
    ]);
  }),
);

check(
  "a pipeline used as a node is tried again and limited as a whole",
  Effect.gen(function* () {
    let calls = 0;
    const flaky = defineNode({
      kind: "flaky",
      inputs: { value: Num },
      outputs: { value: Num },
      run: ({ value }) =>
        calls++ === 0
          ? Effect.fail(new Broken("no"))
          : Effect.succeed({ value }),
    });
    const inner = pipeline(
      "inner",
      (g) =>
        g.add(flaky, g.add(slow("s", 10), { value: g.input("value", Num) })),
    );
    const again = pipeline(
      "again",
      (g) =>
        g.add(inner, { value: g.input("value", Num) }, {}, {
          retry: { times: 1 },
        }),
    );
    const { ms, value } = yield* timed(run(again, { value: 3 }));
    assert.equal(ms, 20);
    assert.deepEqual(value.outputs, { value: 3 });
    const limited = pipeline(
      "limited",
      (g) =>
        g.add(inner, { value: g.input("value", Num) }, {}, { timeoutMs: 5 }),
    );
    const { value: error } = yield* timed(
      Effect.flip(run(limited, { value: 3 })),
    );
    assert.ok(error instanceof CapacityError);
  }),
);

check(
  "nodes ask for services, and the run carries them",
  Effect.gen(function* () {
    interface Greeter {
      readonly word: string;
    }
    const Greeter: Context.Service<Greeter, Greeter> = Context.Service<Greeter>(
      "test/Greeter",
    );
    const greet = defineNode({
      kind: "greet",
      inputs: { text: Text },
      outputs: { text: Text },
      run: ({ text }) =>
        Effect.map(Greeter, ({ word }) => ({ text: `${word} ${text}` })),
    });
    const p = pipeline(
      "p",
      (g) => g.each(greet, { text: g.input("texts", list(Text)) }),
    );
    const running: Effect.Effect<unknown, GraphError, Greeter> = run(p, {
      texts: ["a"],
    });
    const result = yield* Effect.provideService(running, Greeter, {
      word: "hello",
    });
    assert.deepEqual((result as { outputs: unknown }).outputs, {
      text: ["hello a"],
    });
  }),
);

check(
  "onValue sees everything that passes a port, and the run waits for it",
  Effect.gen(function* () {
    const inner = pipeline(
      "inner",
      (g) => g.add(increment, { value: g.input("value", Num) }),
    );
    const p = pipeline("p", (g) => {
      const { value } = g.each(inner, { value: g.input("values", list(Num)) });
      return { value };
    });
    const seen: unknown[] = [];
    const { ms } = yield* timed(run(p, { values: [1, 2] }, {
      onValue: (node, name, port, value) =>
        Effect.as(
          Effect.sleep(10),
          void seen.push([node, name, port.name, value]),
        ),
    }));
    assert.deepEqual(seen, [
      ["", "values", "List<Num>", [1, 2]],
      ["inner[0]/increment", "value", "Num", 2],
      ["inner[1]/increment", "value", "Num", 3],
    ]);
    assert.equal(ms, 20);
  }),
);

check(
  "wide and deep graphs run without overflowing anything",
  Effect.gen(function* () {
    const deep = pipeline("deep", (g) => {
      let a = g.add(increment, { value: g.input("value", Num) });
      let b = a;
      for (let i = 0; i < 3000; i++) {
        const next = g.add(sum, { a: a.value, b: g.constant(Num, 0) });
        b = g.add(sum, { a: b.value, b: g.constant(Num, 1) });
        a = next;
      }
      return g.add(sum, { a: a.value, b: b.value });
    });
    assert.equal((yield* run(deep, { value: 0 })).outputs.value, 3002);
    const wide = pipeline(
      "wide",
      (g) => g.each(increment, { value: g.input("values", list(Num)) }),
    );
    const values = Array.from({ length: 20_000 }, (_, i) => i);
    assert.equal((yield* run(wide, { values })).outputs.value.at(-1), 20_000);
  }),
);

check(
  "what is mapped over nothing is done without a node, however deep, and what follows runs",
  Effect.gen(function* () {
    const p = pipeline("empty", (g) => {
      const values = g.input("values", list(Num));
      let mapped = values;
      for (let i = 0; i < 20_000; i++) {
        mapped = g.each(increment, { value: mapped }).value;
      }
      return {
        mapped,
        after: g.add(sum, {
          a: g.add(count, { values: mapped }).value,
          b: g.constant(Num, 1),
        }).value,
      };
    });
    const seen: string[] = [];
    const { outputs, nodes } = yield* observe(
      run(p, { values: [] }),
      (event) => seen.push(event._tag),
    );
    assert.deepEqual(outputs, { mapped: [], after: 1 });
    assert.deepEqual(nodes.map(({ kind }) => kind), ["count", "sum"]);
    assert.equal(seen.length, 6);
    const only = pipeline(
      "only",
      (g) => g.each(increment, { value: g.input("values", list(Num)) }),
    );
    assert.deepEqual((yield* run(only, { values: [] })).outputs, { value: [] });
    // One list of two is empty: still a mistake.
    const uneven = pipeline("uneven", (g) =>
      g.each(sum, {
        a: g.input("a", list(Num)),
        b: g.input("b", list(Num)),
      }));
    const exit = yield* Effect.exit(run(uneven, { a: [], b: [1] }));
    assert.ok(Exit.isFailure(exit) && /equally long/.test(String(exit.cause)));
  }),
);

check(
  "ids of runs are UUIDs in order of time",
  Effect.gen(function* () {
    const p = pipeline("p", (g) => ({ value: g.input("value", Num) }));
    const ids: string[] = [];
    for (let i = 0; i < 5; i++) {
      ids.push((yield* run(p, { value: i })).runId);
      yield* TestClock.adjust(1);
    }
    assert.match(
      ids[0]!,
      /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/,
    );
    assert.deepEqual([...ids].sort(), ids);
    assert.equal(
      (yield* run(p, { value: 1 }, { runId: "mine" })).runId,
      "mine",
    );
  }),
);

check(
  "wherever a run is interrupted, nothing of it is left running",
  Effect.gen(function* () {
    let active = 0;
    const busy = defineNode({
      kind: "busy",
      inputs: { value: Num },
      outputs: { value: Num },
      run: ({ value }) =>
        Effect.acquireUseRelease(
          Effect.sync(() => active++),
          () =>
            Effect.as(Effect.repeat(Effect.yieldNow, { times: 3 }), { value }),
          () => Effect.andThen(Effect.yieldNow, Effect.sync(() => active--)),
        ),
    });
    const inner = pipeline("inner", (g) => {
      const a = g.add(busy, { value: g.input("value", Num) });
      const b = g.add(busy, a);
      const c = g.add(busy, a);
      return g.add(sum, { a: b.value, b: c.value });
    });
    const p = pipeline("p", (g) => {
      const values = g.input("values", list(Num));
      const mapped = g.each(inner, { value: values });
      const other = g.each(busy, { value: values });
      return g.each(sum, { a: mapped.value, b: other.value });
    });
    let finished = 0;
    const rounds = 450;
    for (let round = 0; round < rounds; round++) {
      const turns = Math.floor(round / 15);
      // Fibers that give way after every few steps are interrupted in the most unlikely places.
      const fiber = yield* Effect.forkChild(
        Effect.provideService(
          run(p, { values: [1, 2, 3] }),
          References.MaxOpsBeforeYield,
          5 + round % 15,
        ),
      );
      yield* Effect.repeat(Effect.yieldNow, { times: turns });
      yield* Fiber.interrupt(fiber);
      assert.equal(active, 0, `round ${round}`);
      if (Exit.isSuccess(fiber.pollUnsafe()!)) finished++;
    }
    assert.ok(finished < rounds / 2);
  }),
);
