/**
 * Whole models against the reference (`tools/reference`, `tests/golden/model/`): from a picture's file and
 * a question to pixels, patch features, visual tokens, prompt, first logits, greedy ids and answer, through
 * the services that plugins provide. Weights are F32, F16 and BF16; we compute in float32, the reference
 * in float64.
 */
import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { Effect, Layer } from "effect";
import { ImageProcessor, ModelInfo } from "../nodes/services.ts";
import type { VisualTokens } from "../nodes/values.ts";
import { CapacityError } from "../pipeline/errors.ts";
import { internvl } from "../plugins/internvl/mod.ts";
import { imageProcessor } from "../plugins/media/mod.ts";
import { ffiBackend, napiBackend } from "../plugins/onnx/mod.ts";
import {
  ask,
  type Case,
  encodeSet,
  type Expected,
  readExpected,
  relativeError,
} from "./golden_model.ts";

const golden = fileURLToPath(new URL("golden/model/", import.meta.url));
const tolerance = 1e-5;
const checkpoints = [
  "layer-norm-f32",
  "rms-norm-bf16",
  "v1-tied-f16",
  "interpolated-bf16",
  "long-f16",
  "qk-norm-f32",
  "llama-gqa-f32",
  "qwen2-tied-bf16",
  "qwen2-yarn-f32",
  "qwen3-f16",
  "phi3-long-bf16",
  "hf-qwen2-bf16",
  "hf-qwen3-f16",
];

for (const name of checkpoints) {
  Deno.test(`${name}: pictures and questions give the reference's answers`, () =>
    run(name, ffiBackend));
}
for (const name of ["rms-norm-bf16", "long-f16"]) {
  Deno.test(`${name} through N-API: the same`, () => run(name, napiBackend));
}

async function run(name: string, backend: typeof ffiBackend): Promise<void> {
  const expected = await readExpected(`${golden}${name}`);
  const model = internvl(expected.folder).pipe(Layer.provide(backend));
  await compare(expected).pipe(
    Effect.provide(Layer.merge(model, imageProcessor)),
    Effect.runPromise,
  );
}

Deno.test("the golden cases are as many as promised", async () => {
  const all = await Promise.all(
    checkpoints.map((name) => readExpected(`${golden}${name}`)),
  );
  const cases = all.flatMap((expected) => expected.cases);
  const whole = cases.filter((item) => item.greedyIds.length === 64);
  assert.ok(whole.length >= 20);
  assert.ok(cases.some((item) => item.images.length === 0));
  assert.ok(cases.some((item) => item.video && item.history !== null));
  assert.ok(cases.some((item) => (item.numPatchesList?.length ?? 0) > 1));
});

const compare = Effect.fnUntraced(function* (expected: Expected) {
  const seen = new Map<string, VisualTokens>();
  for (const set of expected.pictureSets) {
    const pixels = yield* loadPictures(set);
    assert.deepEqual(pixels, expected.pixels(set).data, `pixels of ${set}`);
    const { visual, featuresError, visualError } = yield* encodeSet(
      expected,
      set,
    );
    assert.ok(featuresError <= tolerance, `${set}: features ${featuresError}`);
    assert.ok(visualError <= tolerance, `${set}: visual ${visualError}`);
    seen.set(set, visual);
  }
  const visual = (set: string | null) => set === null ? [] : [seen.get(set)!];
  const { maxNewTokens } = expected;
  // The reference knows no longest sequence; here the answer ends at it, and a longer prompt is refused.
  const { contextLength } = yield* ModelInfo;
  for (const item of expected.cases) {
    const asked = ask(item, {
      history: item.history,
      numPatchesList: item.numPatchesList ?? combined(item),
      visual: visual(item.pictureSet),
      maxNewTokens,
    });
    const room = contextLength - item.inputIds.length;
    if (room <= 0) {
      const error = yield* Effect.flip(asked);
      assert.ok(error instanceof CapacityError, item.name);
      assert.match(error.message, new RegExp(`${item.inputIds.length} tokens`));
      assert.match(error.message, new RegExp(`${contextLength}`));
      continue;
    }
    const completion = yield* asked;
    const error = relativeError(
      completion.firstLogits.data,
      expected.tensor(`first_logits/${item.name}`).data,
    );
    assert.ok(error <= tolerance, `${item.name}: first logits ${error}`);
    assert.deepEqual(
      [...completion.ids],
      item.greedyIds.slice(0, room),
      item.name,
    );
    if (room < item.greedyIds.length) {
      assert.equal(completion.finishReason, "length", item.name);
      continue;
    }
    assert.equal(completion.text, item.response, item.name);
    assert.deepEqual(
      [...item.history ?? [], [item.storedQuestion, completion.text]],
      item.historyAfter,
    );
  }
  // The reference pads a batch on the left; nothing of that may show in a sample asked alone.
  for (const [i, sample] of (expected.batch?.samples ?? []).entries()) {
    const completion = yield* ask(sample, {
      numPatchesList: [expected.batch!.numPatchesList[i]!],
      visual: visual(sample.pictureSet),
      maxNewTokens,
    });
    assert.deepEqual([...completion.ids], sample.greedyIds, sample.question);
    assert.equal(completion.text, sample.response, sample.question);
  }
});

/** Decodes, cuts and normalises the pictures of a set, `a+b` or, one tile each, `a+b@video`. */
const loadPictures = Effect.fnUntraced(function* (set: string) {
  const { decode, tile, thumbnail } = yield* ImageProcessor;
  const { tileSize, minTiles, maxTiles, useThumbnail } = yield* ModelInfo;
  const [names, video] = set.split("@");
  const all: number[] = [];
  for (const name of names!.split("+")) {
    const image = yield* decode(`${golden}images/${name}.png`);
    const most = video === undefined ? maxTiles : 1;
    const tiles = yield* tile(image, { tileSize, minTiles, maxTiles: most });
    all.push(...tiles.pixels.data);
    if (useThumbnail && tiles.pixels.shape[0]! > 1) {
      all.push(...(yield* thumbnail(image, tileSize)).pixels.data);
    }
  }
  return Float32Array.from(all);
});

/** All tiles behind one placeholder: the reference's default. */
function combined(item: Case): readonly number[] {
  return item.tilesPerImage.length === 0
    ? []
    : [item.tilesPerImage.reduce((a, b) => a + b, 0)];
}
