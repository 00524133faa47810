import assert from "node:assert/strict";
import { Effect, Exit, Schema, Stream, Tracer } from "effect";
import {
  observe,
  type RunEvent,
  RunEventSchema,
  RunObserver,
} from "./events.ts";
import { pipeline } from "./graph.ts";
import { Lanes, makeLanes } from "./lanes.ts";
import { defineNode } from "./node.ts";
import { definePort, list, Num, Text } from "./port.ts";
import { run } from "./run.ts";
import { runEvents, type RunOutcome, runStream } from "./run_stream.ts";
import { brief, check, increment, slow, timed, upper } from "./test_kit.ts";

/** A kind that reports progress, streams text and records spans. */
const talk = defineNode({
  kind: "talk",
  inputs: { text: Text },
  outputs: { text: Text },
  streams: { text: Text, count: Num },
  run: ({ text }, _, ctx) =>
    Effect.gen(function* () {
      ctx.progress({ done: 1, total: 2, message: "half" });
      yield* ctx.span("prefill", Effect.sleep(10));
      const from = ctx.now();
      for (const letter of text) {
        ctx.emit("text", letter);
        yield* Effect.sleep(1);
      }
      ctx.emit("count", text.length);
      ctx.record("decode", from, ctx.now());
      return { text };
    }),
});

check(
  "events tell the whole run in order, as JSON",
  Effect.gen(function* () {
    const p = pipeline(
      "p",
      (g) => g.add(upper, g.add(talk, { text: g.input("text", Text) })),
    );
    const events: RunEvent[] = [];
    yield* timed(observe(
      run(p, { text: "hi" }, { runId: "r1", attributes: { user: "ada" } }),
      (event) => events.push(event),
    ));
    assert.deepEqual(brief(events), [
      "run p",
      "start talk",
      "progress talk 1/2",
      'delta talk.text "h"',
      'delta talk.text "i"',
      "delta talk.count 2",
      "finish talk",
      "start upper",
      "finish upper",
      "end succeeded",
    ]);
    assert.deepEqual(events.map(({ seq }) => seq), events.map((_, i) => i));
    assert.ok(events.every(({ runId }) => runId === "r1"));
    assert.deepEqual(events.map(({ at }) => at), [
      0,
      0,
      0,
      10,
      11,
      12,
      12,
      12,
      12,
      12,
    ]);
    const [started] = events;
    assert.ok(started?._tag === "RunStarted");
    assert.deepEqual(started.inputs, { text: "hi" });
    assert.deepEqual(started.attributes, { user: "ada" });
    assert.equal((started.document as { name: string }).name, "p");
    const finished = events[6];
    assert.ok(finished?._tag === "NodeFinished");
    assert.deepEqual(finished.spans, [
      { name: "prefill", startMs: 0, ms: 10 },
      { name: "decode", startMs: 10, ms: 2 },
    ]);
    assert.deepEqual(finished.outputs, { text: "hi" });
    const ended = events.at(-1);
    assert.ok(ended?._tag === "RunFinished");
    assert.deepEqual(ended.outputs, { text: "HI" });
    assert.equal(ended.ms, 12);
    // They survive JSON and their own codec.
    const codec = Schema.toCodecJson(Schema.Array(RunEventSchema));
    const text = JSON.stringify(Schema.encodeUnknownSync(codec)(events));
    assert.deepEqual(Schema.decodeUnknownSync(codec)(JSON.parse(text)), events);
    assert.deepEqual(JSON.parse(text), JSON.parse(JSON.stringify(events)));
  }),
);

check(
  "sub-spans count under their own names in the timings",
  Effect.gen(function* () {
    const p = pipeline(
      "p",
      (g) =>
        g.each(talk, { text: g.input("texts", list(Text)) }, {}, {
          concurrency: 1,
        }),
    );
    const { value } = yield* timed(run(p, { texts: ["abc", "de"] }));
    assert.deepEqual(value.timings, { prefill: 20, decode: 5 });
  }),
);

check(
  "a listener that throws harms neither the run nor the others",
  Effect.gen(function* () {
    const p = pipeline(
      "p",
      (g) => g.add(increment, { value: g.input("value", Num) }),
    );
    const seen: string[] = [];
    const { outputs } = yield* run(p, { value: 1 }).pipe(
      (effect) =>
        observe(effect, () => {
          throw new Error("no");
        }),
      (effect) => observe(effect, (event) => seen.push(event._tag)),
    );
    assert.equal(outputs.value, 2);
    assert.deepEqual(seen, [
      "RunStarted",
      "NodeStarted",
      "NodeFinished",
      "RunFinished",
    ]);
    assert.deepEqual(yield* RunObserver, []);
  }),
);

check(
  "what a node says after its end is not heard, and undeclared streams are silent",
  Effect.gen(function* () {
    let late = (): void => {};
    const kind = defineNode({
      kind: "late",
      inputs: {},
      outputs: { value: Num },
      streams: { text: Text },
      run: (_, __, ctx) => {
        late = () => {
          ctx.progress({ done: 1 });
          ctx.emit("text", "late");
        };
        (ctx.emit as (port: string, delta: unknown) => void)("toString", "x");
        return Effect.succeed({ value: 1 });
      },
    });
    const events: RunEvent[] = [];
    yield* observe(
      run(pipeline("p", (g) => g.add(kind, {})), {}),
      (event) => events.push(event),
    );
    late();
    assert.deepEqual(brief(events), [
      "run p",
      "start late",
      "finish late",
      "end succeeded",
    ]);
  }),
);

check(
  "previews stand for values; one that throws does not fail the run",
  Effect.gen(function* () {
    const Odd = definePort<"Odd", number>({
      name: "Odd",
      preview: () => {
        throw new Error("no");
      },
    });
    const kind = defineNode({
      kind: "odd",
      inputs: {},
      outputs: { odd: Odd },
      run: () => Effect.succeed({ odd: 1 }),
    });
    const events: RunEvent[] = [];
    yield* observe(
      run(pipeline("p", (g) => g.add(kind, {})), {}),
      (event) => events.push(event),
    );
    const finished = events.find((event) => event._tag === "NodeFinished");
    assert.deepEqual(finished?.outputs, { odd: "(no preview of this Odd)" });
  }),
);

check(
  "a pipeline with a constant that has no codec runs, without a document",
  Effect.gen(function* () {
    const Handle = definePort<"Handle", { readonly id: number }>({
      name: "Handle",
    });
    const p = pipeline("p", (g) => ({ handle: g.constant(Handle, { id: 1 }) }));
    const events: RunEvent[] = [];
    yield* observe(run(p, {}), (event) => events.push(event));
    assert.ok(events[0]?._tag === "RunStarted");
    assert.equal(Object.hasOwn(events[0], "document"), false);
  }),
);

check(
  "runEvents is a stream of the events that ends with the outcome",
  Effect.gen(function* () {
    const p = pipeline(
      "p",
      (g) => g.add(increment, { value: g.input("value", Num) }),
    );
    const elements = yield* Stream.runCollect(runEvents(p, { value: 1 }));
    const outcome = elements.at(-1) as RunOutcome<typeof p.outputs>;
    assert.equal(outcome._tag, "RunOutcome");
    assert.deepEqual(outcome.result.outputs, { value: 2 });
    assert.deepEqual(brief(elements.slice(0, -1) as RunEvent[]), [
      "run p",
      "start increment",
      "finish increment",
      "end succeeded",
    ]);
  }),
);

check(
  "runEvents fails after the last event; ending it early interrupts the run; handles live as long as it",
  Effect.gen(function* () {
    const log: string[] = [];
    const kind = defineNode({
      kind: "open",
      inputs: { value: Num },
      outputs: { value: Num },
      run: ({ value }) =>
        Effect.gen(function* () {
          yield* Effect.acquireRelease(
            Effect.sync(() => log.push("open")),
            () => Effect.sync(() => log.push("close")),
          );
          if (value === 1) return yield* Effect.fail("broken" as const);
          if (value === 2) return yield* Effect.never;
          return { value };
        }),
    });
    const p = pipeline(
      "p",
      (g) => g.add(kind, { value: g.input("value", Num) }),
    );
    const seen: RunEvent[] = [];
    const exit = yield* Effect.exit(Stream.runForEach(
      runEvents(p, { value: 1 }),
      (event) => Effect.sync(() => seen.push(event as RunEvent)),
    ));
    assert.ok(Exit.isFailure(exit));
    assert.deepEqual(brief(seen), [
      "run p",
      "start open",
      "fail open Error",
      "end failed",
    ]);
    assert.deepEqual(log.splice(0), ["open", "close"]);
    yield* Stream.runDrain(Stream.take(runEvents(p, { value: 2 }), 2));
    assert.deepEqual(log.splice(0), ["open", "close"]);
    yield* Stream.runForEach(
      runEvents(p, { value: 3 }),
      (event) => Effect.sync(() => log.push(event._tag)),
    );
    assert.deepEqual(log.slice(-2), ["RunOutcome", "close"]);
  }),
);

check(
  "spans carry run, node and sub-spans to the tracer",
  Effect.gen(function* () {
    const spans: {
      name: string;
      parent: string | undefined;
      node: unknown;
      cached: unknown;
    }[] = [];
    const tracer = Tracer.make({
      span: (options) => {
        const span = new Tracer.NativeSpan(options);
        const parent =
          options.parent._tag === "Some" && options.parent.value._tag === "Span"
            ? options.parent.value.name
            : undefined;
        const end = span.end.bind(span);
        span.end = (time, exit) => {
          end(time, exit);
          spans.push({
            name: span.name,
            parent,
            node: span.attributes.get("tessera.node"),
            cached: span.attributes.get("tessera.cached"),
          });
        };
        return span;
      },
    });
    const inner = pipeline(
      "inner",
      (g) => g.add(talk, { text: g.input("text", Text) }),
    );
    const p = pipeline(
      "p",
      (g) => g.add(inner, { text: g.input("text", Text) }),
    );
    yield* timed(
      Effect.provideService(run(p, { text: "a" }), Tracer.Tracer, tracer),
    );
    assert.deepEqual(
      spans.map(({ name, parent, node }) => [name, parent, node]),
      [
        ["prefill", "talk", undefined],
        ["decode", "talk", undefined],
        ["talk", "inner", "inner/talk"],
        ["inner", "pipeline p", "inner"],
        ["pipeline p", undefined, undefined],
      ],
    );
  }),
);

check(
  "stages of successive inputs overlap: the slowest one sets the pace",
  Effect.gen(function* () {
    const p = pipeline("p", (g) => {
      const a = g.add(slow("a", 10, "a"), { value: g.input("value", Num) });
      const b = g.add(slow("b", 30, "b"), a);
      return g.add(slow("c", 20, "c"), b);
    });
    const count = 10;
    let taken = 0;
    const inputs = Stream.range(1, count).pipe(
      Stream.rechunk(1),
      Stream.tap(() => Effect.sync(() => taken++)),
      Stream.map((value) => ({ value })),
    );
    const ahead: number[] = [];
    const { ms, value } = yield* Effect.provideService(
      timed(Stream.runCollect(
        runStream(p, inputs, { concurrency: 3 }).pipe(
          Stream.tap(() => Effect.sync(() => ahead.push(taken))),
        ),
      )),
      Lanes,
      makeLanes({ a: 1, b: 1, c: 1 }),
    );
    // 10 + count · 30 + 20, where one after the other would take count · 60.
    assert.equal(ms, 10 + count * 30 + 20);
    assert.deepEqual(
      value.map(({ outputs }) => outputs.value),
      Array.from({ length: count }, (_, i) => i + 1),
    );
    // Back-pressure: when the n-th result is out, only a few more inputs have been taken.
    assert.ok(ahead.every((seen, i) => seen - i <= 5), ahead.join());
    assert.ok(ahead[0]! < count);
  }),
);

check(
  "the first failure of a stream of runs ends it and stops the others",
  Effect.gen(function* () {
    let stopped = 0;
    const kind = defineNode({
      kind: "k",
      inputs: { value: Num },
      outputs: { value: Num },
      run: ({ value }) =>
        value === 2
          ? Effect.andThen(Effect.sleep(5), Effect.fail("two" as const))
          : value === 3
          ? Effect.onInterrupt(Effect.never, () => Effect.sync(() => stopped++))
          : Effect.succeed({ value }),
    });
    const p = pipeline(
      "p",
      (g) => g.add(kind, { value: g.input("value", Num) }),
    );
    const { value: error } = yield* timed(Effect.flip(Stream.runDrain(
      runStream(p, Stream.make({ value: 1 }, { value: 2 }, { value: 3 }), {
        concurrency: 3,
      }),
    )));
    assert.equal(error, "two");
    assert.equal(stopped, 1);
  }),
);
