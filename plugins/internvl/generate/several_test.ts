/**
 * Several answers of one model: by beam search, equal to Hugging Face's over the reference's numbers, and
 * by seeds of their own.
 */
import assert from "node:assert/strict";
import { Effect } from "effect";
import type {
  GenerationSettings,
  Prompt,
  VisualTokens,
} from "../../../nodes/values.ts";
import { ffiBackend } from "../../onnx/mod.ts";
import { makeProjector, makeVisionEncoder } from "../graphs/encoder.ts";
import { normalise, openModel, readGolden } from "../graphs/testing.ts";
import { openTokenizer } from "../tokenizer/load.ts";
import { tokenizerConstrainer } from "./constrained.ts";
import { makeLanguageModel } from "./model.ts";

interface Expected {
  readonly checkpoint: string;
  readonly case: string;
  readonly settings: GenerationSettings;
  readonly answers: { readonly ids: number[]; readonly score: number }[];
}

const expected: Expected[] = JSON.parse(
  await Deno.readTextFile(
    new URL("../../../tests/golden/beams/model.json", import.meta.url),
  ),
);

/** A golden checkpoint's language model and the prompt of one of its cases. */
const openCase = Effect.fnUntraced(
  function* (checkpoint: string, name: string) {
    const golden = yield* Effect.promise(() => readGolden(checkpoint));
    const item = golden.cases.find((item) => item.name === name)!;
    const model = yield* openModel(golden.folder);
    const { config } = model.checkpoint;
    const tokenizer = yield* openTokenizer(golden.folder);
    const visual: VisualTokens[] = [];
    if (item.pictureSet !== null) {
      const encoder = makeVisionEncoder(model.vision, config, { rows: 40 });
      const features = yield* encoder.encode(
        normalise(golden.tensors.get(`tiles/${item.pictureSet}`)!),
      );
      visual.push(
        yield* makeProjector(model.projector, config).project(features),
      );
    }
    const ids = Int32Array.from(item.inputIds);
    const images: Prompt["images"][number][] = [];
    for (let i = 0; i < ids.length; i++) {
      if (ids[i] !== tokenizer.special.imageContext) continue;
      const start = i;
      while (ids[i] === tokenizer.special.imageContext) i++;
      images.push({ start, length: i - start, tiles: 1 });
    }
    const language = yield* makeLanguageModel({
      session: model.language,
      config: config.language,
      endIds: [tokenizer.idOf("<|im_end|>")!],
      endTexts: ["<|im_end|>"],
      detokenizer: () => tokenizer.streamDecoder({ skipSpecialTokens: true }),
      names: tokenizer,
      constrainer: tokenizerConstrainer(tokenizer, config.language.vocabSize),
      contextLength: 4096,
    });
    return {
      language,
      prompt: { text: "", question: "", ids, images },
      visual,
    };
  },
);

const run = <A>(program: Effect.Effect<A, unknown, never>): Promise<A> =>
  Effect.runPromise(program);

for (const { checkpoint, case: name, settings, answers } of expected) {
  Deno.test(`${checkpoint}, ${name}: beam search of ${settings.numBeams} is Hugging Face's`, () =>
    run(
      Effect.scoped(Effect.gen(function* () {
        const { language, prompt, visual } = yield* openCase(checkpoint, name);
        let streamed = "";
        const best = yield* language.generate({
          prompt,
          visual,
          settings,
          observer: { onText: (delta) => streamed += delta },
        });
        const all = [best, ...best.alternatives!];
        assert.deepEqual(
          all.map(({ ids }) => [...ids]),
          answers.map(({ ids }) => ids),
        );
        assert.equal(streamed, best.text);
        assert.equal(best.usage.promptTokens, prompt.ids.length);
        const { prefix } = yield* language.stats;
        assert.ok(
          prefix.hits > prefix.misses,
          "beams go on from what is computed",
        );
      })).pipe(Effect.provide(ffiBackend)),
    ));
}

Deno.test("n answers are those of their seeds; the prompt is computed once", () =>
  run(
    Effect.scoped(Effect.gen(function* () {
      const { language, prompt, visual } = yield* openCase(
        "layer-norm-f32",
        "one image",
      );
      const settings = {
        doSample: true,
        topK: 0,
        temperature: 1.5,
        maxNewTokens: 6,
        seed: 40,
        logprobs: 0,
      };
      const ask = (more: GenerationSettings) =>
        language.generate({
          prompt,
          visual,
          settings: { ...settings, ...more },
        });
      const several = yield* ask({ n: 3 });
      const all = [several, ...several.alternatives!];
      const { steps } = yield* language.stats;
      assert.ok(
        steps.tokensPrefilled < 2 * prompt.ids.length,
        `${steps.tokensPrefilled}`,
      );
      for (const [i, { ids, logprobs }] of all.entries()) {
        const alone = yield* ask({ seed: 40 + i });
        assert.deepEqual(ids, alone.ids);
        assert.equal(logprobs!.length, ids.length);
        assert.equal(alone.alternatives, undefined);
      }
      assert.equal(new Set(all.map(({ ids }) => ids.join())).size, 3);
    })).pipe(Effect.provide(ffiBackend)),
  ));

Deno.test("beams under a constraint are whole answers; a search can be interrupted", () =>
  run(
    Effect.scoped(Effect.gen(function* () {
      const { language, prompt, visual } = yield* openCase(
        "qk-norm-f32",
        "text",
      );
      const choices = ["yes", "no", "not at all"];
      const best = yield* language.generate({
        prompt,
        visual,
        settings: {
          numBeams: 3,
          n: 3,
          constraint: { type: "choice", choices },
        },
      });
      const all = [best, ...best.alternatives!];
      // Other tokens may spell the same text.
      assert.ok(all.every(({ text }) => choices.includes(text)));
      assert.equal(new Set(all.map(({ ids }) => ids.join())).size, 3);
      assert.ok(all.every(({ finishReason }) => finishReason === "stop"));
      const long = language.generate({
        prompt,
        visual,
        settings: { numBeams: 4, minNewTokens: 500, maxNewTokens: 500 },
      });
      const ended = yield* Effect.timeoutOption(long, 300);
      assert.equal(ended._tag, "None");
      assert.equal((yield* language.stats).running, 0);
    })).pipe(Effect.provide(ffiBackend)),
  ));
