/**
 * The engine with a real session of a small random checkpoint: what is computed together, in pieces, or
 * not at all because it is known, is what is computed alone.
 * @module
 */
import assert from "node:assert/strict";
import { Cause, Deferred, Effect, Exit, Fiber } from "effect";
import { BackendError } from "../../../nodes/errors.ts";
import type { GenerationRequest } from "../../../nodes/services.ts";
import type { HostTensor } from "../../../nodes/tensor.ts";
import { liveHandles } from "../../onnx/mod.ts";
import {
  alone,
  faulty,
  idsOf,
  kinds,
  overSessions,
  picture,
  prompt,
  recorded,
  request,
  text,
  withSession,
  type Wrap,
} from "./engine_kit.ts";
import type { EngineSettings } from "./options.ts";

for (const kind of kinds) {
  withSession(
    "sequences together are what they are alone",
    (open) =>
      Effect.gen(function* () {
        const requests = [3, 40, 1, 90, 17, 64, 65, 2, 30, 128, 5].map((
          length,
          seed,
        ) => request(text(seed, length), 4 + 5 * (seed % 4)));
        const expected = yield* alone(open, requests);
        assert.equal(new Set(expected.map(String)).size, expected.length);
        for (
          const settings of [
            {},
            { slots: 3, chunk: 16 },
            { slots: 1 },
            { slots: 16, chunk: 4, kvCacheBytes: 96 << 10 },
          ]
        ) {
          const model = yield* open(settings);
          const together = yield* Effect.forEach(
            requests,
            (request) => model.generate(request),
            { concurrency: "unbounded" },
          );
          assert.deepEqual(together.map(idsOf), expected);
          const { running, waiting, steps, finished } = yield* model.stats;
          assert.deepEqual([running, waiting], [0, 0]);
          assert.equal(finished, requests.length);
          // Tokens after each answer's first came from decoding steps.
          assert.equal(
            steps.tokensDecoded,
            expected.reduce((sum, ids) => sum + ids.length - 1, 0),
          );
          if (settings.slots !== 1) {
            assert.ok(steps.decode < steps.tokensDecoded);
          }
        }
      }),
    kind,
  );
}

for (const kind of kinds) {
  withSession(
    "a prompt's beginning is computed once, and the answers are the same",
    (open) =>
      Effect.gen(function* () {
        const system = text(100, 40);
        const first = [...system, ...text(101, 30)];
        const model = yield* open();
        const answer = yield* model.generate(request(first));
        // The next round of a chat, two branches of it, another chat with the same beginning, the same again.
        const second = [...first, ...answer.ids, ...text(102, 9)];
        const requests = [
          second,
          [...second.slice(0, -3), ...text(103, 7)],
          [...system, ...text(104, 20)],
          first,
          first,
        ].map((ids) => request(ids));
        const expected = yield* alone(open, requests);
        const answers = yield* Effect.forEach(requests, model.generate);
        assert.deepEqual(answers.map(idsOf), expected);
        // Generated tokens are computed again; of an equal prompt all but the last two are there.
        assert.deepEqual(
          answers.map(({ usage }) => usage.cachedTokens),
          [first.length, second.length - 3, 40, 68, 68],
        );
        const { prefix } = yield* model.stats;
        assert.equal(prefix.hits, 5);
        assert.equal(prefix.misses, 1);
        assert.equal(prefix.tokensReused, 70 + second.length - 3 + 40 + 2 * 68);
        // At once, from a sequence that is still under way as well.
        const fresh = yield* open();
        const together = yield* Effect.forEach(
          requests,
          (request) => fresh.generate(request),
          { concurrency: "unbounded" },
        );
        assert.deepEqual(together.map(idsOf), expected);
        assert.ok((yield* fresh.stats).prefix.hits >= 4);
        // With generated tokens: nothing but the new words.
        const all = yield* open({ reuseAnswers: true });
        yield* all.generate(request(first));
        const { usage } = yield* all.generate(request(second));
        // The last token of an answer was never fed.
        assert.equal(usage.cachedTokens, first.length + answer.ids.length - 1);
      }),
    kind,
  );
}

for (const kind of kinds) {
  withSession(
    "pictures are part of what a beginning is",
    (open) =>
      Effect.gen(function* () {
        const ids = text(7, 40);
        const images = [{ start: 5, length: 20, tiles: 1 }];
        const ask = (seed: number, tail: number): GenerationRequest => ({
          prompt: prompt([...ids, ...text(tail, 6)], images),
          visual: [picture(seed, 20)],
          settings: { maxNewTokens: 8 },
        });
        const requests = [
          ask(1, 1),
          ask(1, 2),
          ask(2, 1),
          ask(1, 3),
          ask(2, 2),
        ];
        const expected = yield* alone(open, requests);
        assert.equal(new Set(expected.map(String)).size, 5);
        const model = yield* open();
        const answers = yield* Effect.forEach(requests, model.generate);
        assert.deepEqual(answers.map(idsOf), expected);
        assert.deepEqual(
          answers.map(({ usage }) => usage.cachedTokens),
          [0, 40, 0, 40, 40],
        );
      }),
    kind,
  );
}

for (const kind of kinds) {
  withSession(
    "a beginning that lay between rows at work is as it was",
    (open) =>
      Effect.gen(function* () {
        const short = text(31, 20);
        const next = [...short, ...text(32, 5)];
        const other = yield* open();
        yield* other.generate(request(short));
        const expected = yield* other.generate(request(next));
        const model = yield* open({ slots: 3, kvCacheBytes: 1 << 20 });
        // The one in the middle ends first, and lies idle for the steps of the others.
        yield* Effect.all([
          model.generate(request(text(33, 20), 40)),
          model.generate(request(short, 3)),
          model.generate(request(text(34, 20), 40)),
        ], { concurrency: "unbounded" });
        const answer = yield* model.generate(request(next));
        assert.equal(answer.usage.cachedTokens, short.length);
        // Greedy ids hide small differences; the logits have the same bits.
        assert.deepEqual(answer.firstLogits.data, expected.firstLogits.data);
        assert.deepEqual(answer.ids, expected.ids);
      }),
    kind,
  );
}

Deno.test("where asked for, tokens of many sequences are computed by the session of the prompts", async () => {
  const steps: string[] = [];
  const watched: Wrap = (session) => ({
    ...session,
    prepare: undefined,
    run: (feeds, options) => {
      const [rows, tokens] = feeds.input_ids!.shape;
      if (tokens === 1) steps.push(`${session.name} ${rows}`);
      return session.run(feeds, options);
    },
  });
  await overSessions(
    (open) =>
      Effect.gen(function* () {
        const answers = Effect.fnUntraced(
          function* (settings: EngineSettings) {
            steps.length = 0;
            const model = yield* open(settings, watched);
            yield* Effect.forEach(
              [4, 7, 9],
              (length) => model.generate(request(text(length, 10), length)),
              { concurrency: "unbounded" },
            );
            return new Set(steps);
          },
        );
        const alone = ["language 1", "language 2", "language 3"];
        assert.deepEqual([...yield* answers({ steady: false })].sort(), alone);
        const found = yield* answers({ steady: false, wideFrom: 3 });
        assert.ok(found.has("prefill 3") && found.has("language 2"));
        assert.ok(!found.has("language 3"));
        // Equal bits were promised: by one session, and of rows in pairs.
        const steady = yield* answers({ steady: true, wideFrom: 3 });
        assert.deepEqual([...steady].sort(), ["language 2", "language 4"]);
      }),
    kinds.find(({ quantized }) => quantized?.weights === "int8"),
  );
});

Deno.test("with weights of its own, a prompt is computed by one session, tokens and guesses by the other", async () => {
  const runs: Record<string, string[]> = { language: [], prefill: [] };
  const watched: Wrap = (session) => ({
    ...session,
    prepare: undefined,
    run: (feeds, options) => {
      const rows = (feeds.logit_rows as HostTensor).data.length;
      runs[session.name]!.push(`${feeds.input_ids!.shape.join()}: ${rows}`);
      return session.run(feeds, options);
    },
  });
  await overSessions(
    (open) =>
      Effect.gen(function* () {
        const model = yield* open(
          { chunk: 16, steady: false, speculate: { tokens: 2 } },
          watched,
        );
        // One token less than a chunk more would leave one alone.
        yield* model.generate(request(text(1, 33), 2));
        assert.deepEqual(runs.prefill, ["1,16: 1", "1,15: 1", "1,2: 1"]);
        assert.deepEqual(runs.language, ["1,1: 1"]);
        // What says everything twice is guessed.
        const twice = text(2, 12);
        yield* model.generate(request([...twice, ...twice], 60));
        assert.equal(runs.prefill.length, 5);
        assert.ok(runs.language.includes("1,3: 3"), runs.language.join(" "));
      }),
    kinds.find(({ quantized }) => quantized?.weights === "int8"),
  );
});

withSession(
  "a full queue refuses at once; priority goes first; a deadline ends a request",
  (open) =>
    Effect.gen(function* () {
      const model = yield* open({ slots: 1, queue: 2 });
      const order: string[] = [];
      const ahead: number[] = [];
      const ask = (name: string, priority = 0) =>
        Effect.forkChild(
          model.generate({
            ...request(text(1, 5), 200),
            priority,
            observer: {
              onQueued: (count) => ahead.push(count),
              onFirstToken: () => order.push(name),
            },
          }),
          { startImmediately: true },
        );
      const first = yield* ask("first");
      while ((yield* model.stats).running === 0) yield* Effect.sleep(1);
      const low = yield* ask("low");
      const high = yield* ask("high", 1);
      yield* Effect.sleep(0);
      const refused = yield* Effect.flip(model.generate(request([5, 6])));
      assert.ok(refused._tag === "CapacityError" && refused.kind === "queue");
      assert.equal(
        refused.message,
        "1 requests are being computed and 2 wait, as many as the queue holds; try again later",
      );
      yield* Fiber.awaitAll([first, low, high]);
      assert.deepEqual(order, ["first", "high", "low"]);
      assert.deepEqual(ahead, [0, 0, 0]);
      const late = yield* Effect.flip(
        model.generate({ ...request([5, 6], 400), deadlineMs: 1 }),
      );
      assert.ok(late._tag === "CapacityError" && late.kind === "deadline");
      const { failed, finished, running } = yield* model.stats;
      assert.deepEqual([failed, finished, running], [2, 3, 0]);
      const small = yield* open({ kvCacheBytes: 100_000 });
      const large = yield* Effect.flip(small.generate(request([5, 6], 500)));
      assert.ok(large._tag === "CapacityError" && large.kind === "memory");
    }),
);

withSession(
  "a native failure fails the request whose fault it is",
  (open) =>
    Effect.gen(function* () {
      const broken = new BackendError({ message: "out of memory" });
      const requests = [1, 2, 3].map((seed) => request(text(seed, 12)));
      const expected = yield* alone(open, requests);
      // In a prompt.
      const inPrompt = yield* open(
        {},
        faulty((ids, rows) =>
          ids.length > rows && ids.includes(299)
            ? Effect.fail(broken)
            : undefined
        ),
      );
      const [failed, ...answers] = yield* Effect.all([
        Effect.flip(inPrompt.generate(request([5, 299, 6]))),
        ...requests.map((request) => inPrompt.generate(request)),
      ], { concurrency: "unbounded" });
      assert.equal(failed, broken);
      assert.deepEqual(
        (answers as { ids: Int32Array }[]).map(idsOf),
        expected,
      );
      // In a step of all: the second answer's fourth token cannot be fed.
      const poison = expected[1][3];
      const inStep = yield* open(
        {},
        faulty((ids, rows) =>
          ids.length === rows && ids.includes(poison)
            ? Effect.fail(broken)
            : undefined
        ),
      );
      const exits = yield* Effect.forEach(
        requests,
        (request) => Effect.exit(inStep.generate(request)),
        { concurrency: "unbounded" },
      );
      exits.forEach((exit, i) => {
        if (expected[i].slice(0, -1).includes(poison)) {
          assert.ok(Exit.isFailure(exit));
          assert.equal(Cause.squash(exit.cause), broken);
        } else assert.ok(Exit.isSuccess(exit));
      });
      assert.ok(Exit.isFailure(exits[1]));
      const { running, waiting } = yield* inStep.stats;
      assert.deepEqual([running, waiting], [0, 0]);
    }),
);

withSession(
  "who leaves frees the slot, whether waiting, in a prompt or decoding",
  (open) =>
    Effect.gen(function* () {
      const handles = liveHandles();
      const requests = [1, 2].map((seed) => request(text(seed, 12), 60));
      const expected = yield* alone(open, requests);
      const model = yield* open({ slots: 2 });
      const started = yield* Deferred.make<void>();
      const fiber = yield* Effect.forkChild(
        model.generate({
          ...request(text(9, 30), 400),
          observer: {
            onText: () => {},
            onToken: () => Deferred.doneUnsafe(started, Effect.void),
          },
        }),
      );
      const first = yield* Effect.forkChild(model.generate(requests[0]));
      const second = yield* Effect.forkChild(model.generate(requests[1]));
      const third = yield* Effect.forkChild(model.generate(request([7], 400)));
      yield* Deferred.await(started);
      yield* Fiber.interrupt(third);
      yield* Fiber.interrupt(fiber);
      const { running, waiting } = yield* model.stats;
      assert.ok(running + waiting <= 2, `${running}, ${waiting}`);
      const answers = [yield* Fiber.join(first), yield* Fiber.join(second)];
      assert.deepEqual(answers.map(idsOf), expected);
      const { cancelled, finished } = yield* model.stats;
      assert.deepEqual([cancelled, finished], [2, 2]);
      // Alone, it does not even wait for the run: this one would never end.
      const held = yield* open(
        {},
        faulty((ids, rows) =>
          ids.length > rows && ids.includes(298) ? Effect.never : undefined
        ),
      );
      const forever = yield* Effect.forkChild(
        held.generate(request([5, 298, 6])),
        { startImmediately: true },
      );
      yield* Effect.sleep(5);
      yield* Fiber.interrupt(forever);
      assert.equal((yield* held.stats).running, 0);
      assert.deepEqual(
        idsOf(yield* held.generate(requests[0])),
        expected[0],
      );
      assert.ok(liveHandles().session === handles.session);
    }),
);

withSession(
  "a long prompt delays others by one chunk at a time",
  (open) =>
    Effect.gen(function* () {
      const { model, runs } = yield* recorded(open);
      const begun = yield* Deferred.make<void>();
      const long = yield* Effect.forkChild(
        Effect.andThen(
          Deferred.await(begun),
          model.generate(request(text(1, 160), 2)),
        ),
      );
      const short = yield* Effect.forkChild(
        Effect.andThen(
          Deferred.await(begun),
          Effect.andThen(
            Effect.sleep(0),
            model.generate(request([5, 6, 7], 4)),
          ),
        ),
      );
      yield* model.generate({
        ...request(text(2, 10), 12),
        observer: {
          onFirstToken: () => Deferred.doneUnsafe(begun, Effect.void),
        },
      });
      yield* Fiber.awaitAll([long, short]);
      // Never two pieces of prompts without a step of those that decode, as long as there are any.
      const decoding = runs.slice(0, runs.lastIndexOf("decode 2"));
      for (let i = 1; i < decoding.length; i++) {
        assert.ok(
          decoding[i].startsWith("decode") ||
            decoding[i - 1].startsWith("decode"),
          runs.join(", "),
        );
      }
      // The short prompt overtakes the long one.
      assert.ok(runs.indexOf("3") < runs.lastIndexOf("16"), runs.join(", "));
    }),
);

withSession(
  "short prompts that come together decode together, as many as a chunk holds",
  (open) =>
    Effect.gen(function* () {
      const { model, runs } = yield* recorded(open);
      const lengths = [5, 6, 4, 5];
      yield* Effect.all(
        lengths.map((length, i) => model.generate(request(text(i, length), 4))),
        { concurrency: "unbounded" },
      );
      // Those with the least to go; the longest does not fit beside them.
      assert.deepEqual(runs.slice(0, 4), ["4", "5", "5", "decode 3"]);
      assert.deepEqual(runs.slice(4, 6), ["6", "decode 4"]);
    }),
);
