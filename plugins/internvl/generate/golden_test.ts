/**
 * The whole model against the reference's numbers, over checkpoints that vary in every axis.
 * @module
 */
import assert from "node:assert/strict";
import { Effect } from "effect";
import type { Prompt, VisualTokens } from "../../../nodes/values.ts";
import { ffiBackend } from "../../onnx/mod.ts";
import { calibrate } from "../engine/calibrate.ts";
import { makeProjector, makeVisionEncoder } from "../graphs/encoder.ts";
import {
  floats,
  type GoldenCase,
  goldenNames,
  normalise,
  openModel,
  readGolden,
  relativeError,
} from "../graphs/testing.ts";
import { openTokenizer } from "../tokenizer/load.ts";
import { makeLanguageModel } from "./model.ts";
import { noVisual } from "./visual.ts";

const TOLERANCE = 1e-5;

/** A prompt of ids; runs of the context token are the pictures. */
function promptOf(golden: GoldenCase, context: number): Prompt {
  const ids = Int32Array.from(golden.inputIds);
  const images: Prompt["images"][number][] = [];
  for (let i = 0; i < ids.length; i++) {
    if (ids[i] !== context) continue;
    const start = i;
    while (ids[i] === context) i++;
    images.push({ start, length: i - start, tiles: 1 });
  }
  return { text: "", ids, images, question: "" };
}

for (const name of goldenNames) {
  Deno.test(`${name}: features, visual tokens, first logits and greedy ids are the reference's`, async () => {
    const golden = await readGolden(name);
    const body = Effect.gen(function* () {
      const model = yield* openModel(golden.folder);
      const { config } = model.checkpoint;
      const tokenizer = yield* openTokenizer(golden.folder);
      // Batches that do not divide the tiles.
      const encoder = makeVisionEncoder(model.vision, config, { rows: 40 });
      const projector = makeProjector(model.projector, config);
      const sets = new Map<string, VisualTokens>();
      for (const [key, tiles] of golden.tensors) {
        if (!key.startsWith("tiles/")) continue;
        const set = key.slice("tiles/".length);
        const features = yield* encoder.encode(normalise(tiles));
        const expectedFeatures = golden.tensors.get(`features/${set}`)!;
        assert.deepEqual(features.shape, expectedFeatures.shape);
        const featureError = relativeError(
          yield* floats(features),
          expectedFeatures.data,
        );
        assert.ok(featureError < TOLERANCE, `features ${featureError}`);
        const visual = yield* projector.project(features);
        const expectedVisual = golden.tensors.get(`visual/${set}`)!;
        assert.deepEqual(visual.shape, expectedVisual.shape);
        const visualError = relativeError(
          yield* floats(visual),
          expectedVisual.data,
        );
        assert.ok(visualError < TOLERANCE, `visual tokens ${visualError}`);
        sets.set(set, visual);
      }
      const end = tokenizer.idOf("<|im_end|>")!;
      const parts = {
        session: model.language,
        config: config.language,
        endIds: [end],
        endTexts: ["<|im_end|>"],
        detokenizer: () => tokenizer.streamDecoder({ skipSpecialTokens: true }),
        // Some cases go past max_position_embeddings, where the rotary base moves.
        contextLength: 4096,
      };
      const languageModel = yield* makeLanguageModel(parts);
      const guessing = yield* makeLanguageModel({
        ...parts,
        speculate: { tokens: 5 },
      });
      for (const item of golden.cases) {
        const streamed: string[] = [];
        const request = {
          prompt: promptOf(item, tokenizer.special.imageContext),
          visual: item.pictureSet === null ? [] : [sets.get(item.pictureSet)!],
          settings: { maxNewTokens: golden.maxNewTokens },
        };
        const guessed = yield* guessing.generate(request);
        assert.deepEqual([...guessed.ids], item.greedyIds, item.name);
        const completion = yield* languageModel.generate({
          ...request,
          observer: { onText: (delta) => streamed.push(delta) },
        });
        const logitsError = relativeError(
          completion.firstLogits.data,
          golden.tensors.get(`first_logits/${item.name}`)!.data,
        );
        assert.ok(logitsError < TOLERANCE, `${item.name}: ${logitsError}`);
        assert.deepEqual([...completion.ids], item.greedyIds, item.name);
        assert.equal(completion.text, item.response, item.name);
        assert.equal(streamed.join(""), item.response, item.name);
        assert.equal(
          completion.finishReason,
          item.greedyIds.at(-1) === end ? "stop" : "length",
          item.name,
        );
      }
    });
    await Effect.runPromise(
      Effect.scoped(body).pipe(Effect.provide(ffiBackend)),
    );
  });
}

/** By how much keys and values are off, and what that may make of the logits. */
const caches = [
  ["float16", 2 ** -11, 4 * 2 ** -11],
  ["int8", 0.5 / 127, 8 / 127],
] as const;

for (const [kvCache, unit, limit] of caches) {
  Deno.test(`qk-norm-f32, ${kvCache} cache: logits move by little`, async () => {
    const golden = await readGolden("qk-norm-f32");
    const cases = golden.cases.filter(({ pictureSet }) => pictureSet === null);
    assert.ok(cases.length > 0);
    const body = Effect.gen(function* () {
      const tokenizer = yield* openTokenizer(golden.folder);
      const prompts = cases.map((item) =>
        promptOf(item, tokenizer.special.imageContext)
      );
      const kvScales = kvCache === "int8"
        ? yield* Effect.scoped(Effect.gen(function* () {
          const { language, checkpoint: { config } } = yield* openModel(
            golden.folder,
            { calibrate: true },
          );
          const visual = noVisual(config.language.hiddenSize);
          const samples = prompts.map(({ ids }) => ({ ids, visual }));
          return yield* calibrate(language, config.language, samples);
        }))
        : undefined;
      const model = yield* openModel(
        golden.folder,
        kvScales === undefined ? { kvCache: "float16" } : { kvScales },
      );
      const languageModel = yield* makeLanguageModel({
        session: model.language,
        config: model.checkpoint.config.language,
        endIds: [tokenizer.idOf("<|im_end|>")!],
        detokenizer: () => tokenizer.streamDecoder({ skipSpecialTokens: true }),
        contextLength: 4096,
        kvCache,
      });
      for (const [i, item] of cases.entries()) {
        const { firstLogits, ids } = yield* languageModel.generate({
          prompt: prompts[i],
          visual: [],
          settings: { maxNewTokens: golden.maxNewTokens },
        });
        const error = relativeError(
          firstLogits.data,
          golden.tensors.get(`first_logits/${item.name}`)!.data,
        );
        // It is that cache: as exact as float32 it cannot be.
        assert.ok(error > unit / 8, `${item.name}: ${error}`);
        assert.ok(error < limit, `${item.name}: ${error}`);
        if (kvCache === "float16") {
          assert.deepEqual([...ids], item.greedyIds, item.name);
        }
      }
    });
    await Effect.runPromise(
      Effect.scoped(body).pipe(Effect.provide(ffiBackend)),
    );
  });
}
