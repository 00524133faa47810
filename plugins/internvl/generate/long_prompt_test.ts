/**
 * Prompts past the trained length, with dynamic NTK: each has a rotary table of its own.
 */
import assert from "node:assert/strict";
import { Effect } from "effect";
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
