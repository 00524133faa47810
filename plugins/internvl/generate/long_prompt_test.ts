/**
 * Prompts past the trained length, with dynamic NTK: each has a rotary table of its own.
 */
import assert from "node:assert/strict";
import { Deferred, Effect, Fiber } from "effect";
import { ffiBackend } from "../../onnx/mod.ts";
import { prompt, text } from "../engine/engine_kit.ts";
import { openModel } from "../graphs/testing.ts";
import { randomCheckpoint } from "../graphs/testing_checkpoint.ts";
import { withFolder } from "../testing.ts";
import { makeLanguageModel } from "./model.ts";

const { config, files } = randomCheckpoint({
  language: {
    max_position_embeddings: 64,
    rope_scaling: { type: "dynamic", factor: 3 },
  },
});

Deno.test("beams go on behind a prompt that is longer than the trained length", () =>
  withFolder(files, (dir) =>
    Effect.runPromise(
      Effect.scoped(Effect.gen(function* () {
        const { language: session } = yield* openModel(dir);
        const model = yield* makeLanguageModel({
          session,
          config: config.language,
          endIds: [],
          detokenizer: () => ({ push: () => "", end: () => "" }),
          contextLength: 512,
        });
        for (const length of [40, 62, 100]) {
          const answer = (settings: object) =>
            model.generate({
              prompt: prompt(text(length, length)),
              visual: [],
              settings: { maxNewTokens: 6, ...settings },
            });
          const greedy = yield* answer({});
          const beams = yield* answer({ numBeams: 2 });
          assert.equal(greedy.ids.length, 6);
          assert.equal(beams.ids.length, 6);
          // What a beam is made of was computed with the angles of the same prompt.
          assert.deepEqual(
            beams.firstLogits.data,
            greedy.firstLogits.data,
            `${length}`,
          );
        }
      })).pipe(Effect.provide(ffiBackend)),
    )));

Deno.test("a prompt takes nothing from one that is rotated by other angles, as long as that is", () =>
  withFolder(files, (dir) =>
    Effect.runPromise(
      Effect.scoped(Effect.gen(function* () {
        const { language: session } = yield* openModel(dir);
        const make = () =>
          makeLanguageModel({
            session,
            config: config.language,
            endIds: [],
            detokenizer: () => ({ push: () => "", end: () => "" }),
            contextLength: 512,
            reuseAnswers: true,
          });
        const long = text(1, 100);
        const short = {
          prompt: prompt([...long.slice(0, 40), ...text(2, 20)]),
          visual: [],
          settings: { maxNewTokens: 6 },
        };
        const expected = yield* (yield* make()).generate(short);
        const model = yield* make();
        const begun = yield* Deferred.make<void>();
        const other = yield* Effect.forkChild(
          model.generate({
            prompt: prompt(long),
            visual: [],
            settings: { maxNewTokens: 200 },
            observer: {
              onFirstToken: () => Deferred.doneUnsafe(begun, Effect.void),
            },
          }),
        );
        yield* Deferred.await(begun);
        const beside = yield* model.generate(short);
        assert.equal((yield* model.stats).running, 1);
        yield* Fiber.join(other);
        assert.equal(beside.usage.cachedTokens, 0);
        assert.deepEqual(beside.firstLogits.data, expected.firstLogits.data);
      })).pipe(Effect.provide(ffiBackend)),
    )));
