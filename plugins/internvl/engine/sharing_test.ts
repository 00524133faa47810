/**
 * What requests that are under way at the same time take from each other, and what one leaves behind when it
 * goes.
 */
import assert from "node:assert/strict";
import { Deferred, Effect, Fiber } from "effect";
import {
  alone,
  faulty,
  idsOf,
  recorded,
  request,
  text,
  withSession,
} from "./engine_kit.ts";

withSession(
  "a beginning that several have in common is computed once, also when they come at once",
  (open) =>
    Effect.gen(function* () {
      const beginning = text(1, 160);
      for (
        const lengths of [[9, 8], [8, 9], [8, 8], [3, 30, 11, 7, 20], [
          20,
          9,
          30,
          3,
        ]]
      ) {
        const requests = lengths.map((length, i) =>
          request([...beginning, ...text(50 + i, length)], 6)
        );
        const expected = yield* alone(open, requests);
        const { model } = yield* recorded(open);
        const answers = yield* Effect.forEach(requests, model.generate, {
          concurrency: "unbounded",
        });
        assert.deepEqual(answers.map(idsOf), expected);
        const { prefix } = yield* model.stats;
        assert.equal(
          prefix.tokensComputed,
          lengths.reduce((sum, length) => sum + length, beginning.length),
          lengths.join(),
        );
      }
    }),
);

withSession(
  "who waited for a beginning goes on with it when the one that computed it leaves",
  (open) =>
    Effect.gen(function* () {
      const beginning = text(1, 160);
      const rest = [20, 12].map((length) =>
        request([...beginning, ...text(length, length)], 6)
      );
      const expected = yield* alone(open, rest);
      const { model } = yield* recorded(open);
      const half = yield* Deferred.make<void>();
      const first = yield* Effect.forkChild(
        model.generate({
          ...request([...beginning, ...text(3, 4)], 6),
          observer: {
            onPrefill: (done) => {
              if (done >= 64) Deferred.doneUnsafe(half, Effect.void);
            },
          },
        }),
      );
      const others = yield* Effect.forEach(
        rest,
        (request) => Effect.forkChild(model.generate(request)),
      );
      yield* Deferred.await(half);
      yield* Fiber.interrupt(first);
      const answers = yield* Effect.forEach(others, Fiber.join);
      assert.deepEqual(answers.map(idsOf), expected);
      // At most the run that was under way was for nothing: the second took over what the first had done, and
      // the third what the second did.
      const { prefix } = yield* model.stats;
      assert.ok(prefix.tokensComputed <= 160 + 20 + 12 + 16);
    }),
);

withSession(
  "who leaves while others are computed is out before the next run begins",
  (open) =>
    Effect.gen(function* () {
      // By what is running when it leaves: a part of another prompt, or a step of both.
      for (const during of ["chunk", "step"]) {
        let runs = 0;
        let wanted = false;
        const reached = yield* Deferred.make<void>();
        const gate = yield* Deferred.make<void>();
        const model = yield* open(
          { chunk: 16 },
          faulty((ids, rows) => {
            runs++;
            const chunk = ids.length > rows;
            if (!wanted || chunk !== (during === "chunk")) return undefined;
            wanted = false;
            Deferred.doneUnsafe(reached, Effect.void);
            return Deferred.await(gate);
          }),
        );
        const begun = yield* Deferred.make<void>();
        const leaver = yield* Effect.forkChild(
          model.generate({
            ...request(text(9, 5), 400),
            observer: {
              onFirstToken: () => Deferred.doneUnsafe(begun, Effect.void),
            },
          }),
        );
        yield* Deferred.await(begun);
        const stayer = yield* Effect.forkChild(
          model.generate(request(text(8, 120), 40)),
        );
        yield* Effect.sleep(0);
        if (during === "step") {
          while ((yield* model.stats).steps.prefill < 9) yield* Effect.sleep(0);
        }
        wanted = true;
        yield* Deferred.await(reached);
        const interrupted = yield* Effect.forkChild(Fiber.interrupt(leaver), {
          startImmediately: true,
        });
        const before = runs;
        Deferred.doneUnsafe(gate, Effect.void);
        yield* Fiber.join(interrupted);
        assert.equal(runs, before, `in a ${during}`);
        assert.equal((yield* model.stats).running, 1);
        yield* Fiber.join(stayer);
      }
    }),
);
