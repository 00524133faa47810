/**
 * What the golden set does not reach: biases, linear rotary scaling, other downsample ratios, hidden
 * states before the last, enlarged position embeddings, 16-bit graphs, files behind symbolic links.
 * @module
 */
import assert from "node:assert/strict";
import { Effect, type Scope } from "effect";
import { hostTensor } from "../../../nodes/tensor.ts";
import { Backend, ffiBackend } from "../../onnx/mod.ts";
import { makeLanguageModel } from "../generate/model.ts";
import { random, withFolder } from "../testing.ts";
import { makeProjector, makeVisionEncoder } from "./encoder.ts";
import { languageGraph } from "./language.ts";
import {
  floats,
  normalise,
  openModel,
  readGolden,
  relativeError,
} from "./testing.ts";
import {
  type RandomCheckpoint,
  randomCheckpoint,
  referenceLogits,
} from "./testing_checkpoint.ts";
import { visionGraph } from "./vision.ts";
import { graphSource } from "./weights.ts";
import { projectorGraph } from "./projector.ts";
import { openCheckpoint } from "../checkpoint.ts";
import { tileSize, tokensPerTile } from "../config.ts";

const silent = { push: () => "", end: () => "" };

function withModel(
  checkpoint: RandomCheckpoint,
  use: (
    model: Effect.Success<ReturnType<typeof openModel>>,
  ) => Effect.Effect<void, unknown, Scope.Scope>,
): Promise<void> {
  return withFolder(checkpoint.files, (dir) =>
    Effect.runPromise(
      Effect.scoped(Effect.flatMap(openModel(dir), use)).pipe(
        Effect.provide(ffiBackend),
      ),
    ));
}

function randomIds(count: number, vocabulary: number): Int32Array<ArrayBuffer> {
  const next = random(3);
  return Int32Array.from(
    { length: count },
    () => Math.floor(next() * vocabulary),
  );
}

const family = (architecture: string, language: object = {}) => ({
  architectures: [architecture],
  rope_scaling: null,
  ...language,
});
const variants = {
  "InternLM2 with biases": { bias: true },
  "InternLM2 with linear rotary scaling": {
    rope_scaling: { type: "linear", factor: 4 },
  },
  "InternLM2 with no rotary scaling, one KV head": {
    rope_scaling: null,
    num_key_value_heads: 1,
  },
  "InternLM2, tied, every head its own": {
    tie_word_embeddings: true,
    num_key_value_heads: 4,
  },
  "Llama": family("LlamaForCausalLM"),
  "Llama with biases": family("LlamaForCausalLM", { attention_bias: true }),
  "Qwen2": family("Qwen2ForCausalLM"),
  "Qwen3 with wide heads": family("Qwen3ForCausalLM", { head_dim: 32 }),
  "Qwen3, tied, with biases": family("Qwen3ForCausalLM", {
    head_dim: 16,
    attention_bias: true,
    tie_word_embeddings: true,
  }),
  "Phi-3": family("Phi3ForCausalLM"),
};
for (const [name, language] of Object.entries(variants)) {
  Deno.test(`${name} equals float64, in chunks of any size`, async () => {
    const checkpoint = randomCheckpoint({ language });
    const ids = randomIds(21, 300);
    const expected = referenceLogits(checkpoint, ids);
    await withModel(
      checkpoint,
      ({ language, checkpoint: { config } }) =>
        Effect.gen(function* () {
          for (const chunk of [4, 7, 20, 512]) {
            const model = yield* makeLanguageModel({
              session: language,
              config: config.language,
              endIds: [],
              detokenizer: () => silent,
              chunk,
            });
            const progress: number[] = [];
            const { firstLogits } = yield* model.generate({
              prompt: { text: "", ids, images: [], question: "" },
              visual: [],
              settings: { maxNewTokens: 1 },
              observer: { onPrefill: (done) => progress.push(done) },
            });
            const error = relativeError(firstLogits.data, expected);
            assert.ok(error < 1e-5, `chunk ${chunk}: ${error}`);
            // The start is told of as well.
            assert.equal(progress.length, 1 + Math.ceil(ids.length / chunk));
            assert.equal(progress.at(-1), ids.length);
          }
        }),
    );
  });
}

Deno.test("decoded tokens continue the sequence as if it had been computed whole", async () => {
  const checkpoint = randomCheckpoint({ language: { bias: true } });
  const ids = randomIds(9, 300);
  await withModel(
    checkpoint,
    ({ language, checkpoint: { config } }) =>
      Effect.gen(function* () {
        const model = yield* makeLanguageModel({
          session: language,
          config: config.language,
          endIds: [],
          detokenizer: () => silent,
        });
        const completion = yield* model.generate({
          prompt: { text: "", ids, images: [], question: "" },
          visual: [],
          settings: { maxNewTokens: 12 },
        });
        const sequence = [...ids];
        for (const id of completion.ids) {
          const logits = referenceLogits(checkpoint, sequence);
          assert.equal(id, logits.indexOf(Math.max(...logits)));
          sequence.push(id);
        }
      }),
  );
});

/** torch's bicubic weights (a = -0.75) at a fraction between two samples. */
function cubicWeights(t: number): number[] {
  const a = -0.75;
  const near = (x: number) => ((a + 2) * x - (a + 3)) * x * x + 1;
  const far = (x: number) => ((a * x - 5 * a) * x + 8 * a) * x - 4 * a;
  return [far(t + 1), near(t), near(1 - t), far(2 - t)];
}

function resize(from: number, to: number, i: number): [number, number][] {
  const source = (i + 0.5) * from / to - 0.5;
  const base = Math.floor(source);
  return cubicWeights(source - base).map((weight, k) => [
    Math.min(from - 1, Math.max(0, base - 1 + k)),
    weight,
  ]);
}

for (const [stored, edge] of [[28, 42], [42, 28], [28, 91]]) {
  Deno.test(`position embedding of ${stored / 7}² patches on ${edge / 7}²; hidden state 0 is the embedding`, async () => {
    const checkpoint = randomCheckpoint({
      top: {
        force_image_size: edge,
        select_layer: 0,
        downsample_ratio: edge === 28 || edge === 42 ? 0.5 : 1,
      },
      vision: { image_size: stored, patch_size: 7 },
    });
    const { vision } = checkpoint.config;
    const width = vision.hiddenSize;
    const get = (name: string) =>
      checkpoint.numbers.get(`vision_model.embeddings.${name}`)!;
    const table = get("position_embedding");
    const kernel = get("patch_embedding.weight");
    const bias = get("patch_embedding.bias");
    const [from, to] = [stored / 7, edge / 7];
    const next = random(2);
    const pixels = Float32Array.from(
      { length: 2 * 3 * edge * edge },
      () => 2 * next() - 1,
    );
    const expected: number[] = [];
    for (let n = 0; n < 2; n++) {
      for (let d = 0; d < width; d++) {
        expected.push(get("class_embedding")[d] + table[d]);
      }
      for (let r = 0; r < to; r++) {
        for (let c = 0; c < to; c++) {
          for (let d = 0; d < width; d++) {
            let sum = bias[d];
            for (const [y, wy] of resize(from, to, r)) {
              for (const [x, wx] of resize(from, to, c)) {
                sum += wy * wx * table[(1 + y * from + x) * width + d];
              }
            }
            for (let channel = 0; channel < 3; channel++) {
              for (let y = 0; y < 7; y++) {
                for (let x = 0; x < 7; x++) {
                  sum += kernel[((d * 3 + channel) * 7 + y) * 7 + x] *
                    pixels[
                      ((n * 3 + channel) * edge + r * 7 + y) * edge + c * 7 + x
                    ];
                }
              }
            }
            expected.push(sum);
          }
        }
      }
    }
    await withModel(
      checkpoint,
      ({ vision, checkpoint: { config } }) =>
        Effect.gen(function* () {
          const features = yield* makeVisionEncoder(vision, config).encode(
            hostTensor("float32", [2, 3, edge, edge], pixels),
          );
          const error = relativeError(yield* floats(features), expected);
          assert.ok(error < 1e-6, `${error}`);
        }),
    );
  });
}

Deno.test("select_layer -2 is the hidden state before the last", async () => {
  const golden = await readGolden("layer-norm-f32");
  const body = Effect.gen(function* () {
    const backend = yield* Backend;
    const source = yield* graphSource(yield* openCheckpoint(golden.folder));
    const { config } = source;
    const features = (change: object) =>
      Effect.gen(function* () {
        const changed = { ...source, config: { ...config, ...change } };
        const session = yield* backend.load(visionGraph(changed));
        const tiles = normalise(golden.tensors.get("tiles/wide")!);
        return yield* Effect.flatMap(
          makeVisionEncoder(session, config).encode(tiles),
          floats,
        );
      });
    const { vision } = config;
    const before = yield* features({ selectLayer: -2 });
    assert.deepEqual(
      before,
      yield* features({ vision: { ...vision, layers: vision.layers - 1 } }),
    );
    assert.deepEqual(
      before,
      yield* features({ selectLayer: vision.layers - 1 }),
    );
    const last = golden.tensors.get("features/wide")!.data;
    assert.ok(relativeError(before, last) > 0.01);
    const named = yield* features({ selectLayer: vision.layers });
    assert.ok(relativeError(named, last) < 1e-5);
  });
  await Effect.runPromise(Effect.scoped(body).pipe(Effect.provide(ffiBackend)));
});

/** erf by its series, exact to float64 for the arguments here. */
function gelu(x: number): number {
  const z = x / Math.SQRT2;
  let term = z;
  let sum = z;
  for (let n = 1; n < 200; n++) {
    term *= -z * z / n;
    sum += term / (2 * n + 1);
  }
  return x * (1 + 2 / Math.sqrt(Math.PI) * sum) / 2;
}

for (const version of ["v1", "v2"]) {
  Deno.test(`the projector with a downsample ratio of 1/4, pixel shuffle ${version}`, async () => {
    const checkpoint = randomCheckpoint({
      top: {
        downsample_ratio: 0.25,
        ps_version: version,
        force_image_size: 56,
      },
      vision: { hidden_size: 4, image_size: 56 },
    });
    const { config, numbers } = checkpoint;
    const [grid, block, width, hidden] = [8, 4, 4, config.language.hiddenSize];
    const small = grid / block;
    const inner = width * block * block;
    const next = random(4);
    const features = Float32Array.from(
      { length: 2 * (1 + grid * grid) * width },
      () => 4 * next() - 2,
    );
    const weight = (name: string) => numbers.get(`mlp1.${name}`)!;
    const dense = (x: number[], name: string) =>
      Array.from({ length: hidden }, (_, o) =>
        x.reduce(
          (sum, value, i) =>
            sum + value * weight(`${name}.weight`)[o * x.length + i],
          weight(`${name}.bias`)[o],
        ));
    const expected: number[] = [];
    for (let n = 0; n < 2; n++) {
      for (let a = 0; a < small; a++) {
        for (let b = 0; b < small; b++) {
          const [row, column] = version === "v1" ? [b, a] : [a, b];
          const x: number[] = [];
          for (let i = 0; i < block; i++) {
            for (let j = 0; j < block; j++) {
              const patch = 1 + (row * block + i) * grid + column * block + j;
              const start = (n * (1 + grid * grid) + patch) * width;
              x.push(...features.subarray(start, start + width));
            }
          }
          const mean = x.reduce((s, v) => s + v, 0) / inner;
          const variance = x.reduce((s, v) => s + (v - mean) ** 2, 0) / inner;
          const normed = x.map((v, i) =>
            (v - mean) / Math.sqrt(variance + 1e-5) * weight("0.weight")[i] +
            weight("0.bias")[i]
          );
          expected.push(...dense(dense(normed, "1").map(gelu), "3"));
        }
      }
    }
    await withModel(checkpoint, ({ projector }) =>
      Effect.gen(function* () {
        const tokens = yield* makeProjector(projector, config, { rows: 4 })
          .project(
            hostTensor("float32", [2, 1 + grid * grid, width], features),
          );
        assert.deepEqual(tokens.shape, [2, small * small, hidden]);
        const error = relativeError(yield* floats(tokens), expected);
        assert.ok(error < 1e-5, `${error}`);
      }));
  });
}

Deno.test("tiles are encoded in batches, with progress; none and wrong shapes are fine and refused", async () => {
  const golden = await readGolden("layer-norm-f32");
  const body = Effect.gen(function* () {
    const { vision, projector, checkpoint } = yield* openModel(golden.folder);
    const { config } = checkpoint;
    const sets = [...golden.tensors].filter(([key]) => key.startsWith("tiles/"))
      .map(([, tiles]) => tiles);
    sets.sort((a, b) => b.shape[0] - a.shape[0]);
    const tiles = normalise(sets[0]);
    const [count] = tiles.shape;
    assert.ok(count > 2);
    const whole = yield* makeVisionEncoder(vision, config).encode(tiles);
    const done: number[] = [];
    const [, rows, width] = whole.shape;
    const parts = yield* makeVisionEncoder(vision, config, { rows: 2 * rows })
      .encode(tiles, (n) => done.push(n));
    assert.ok(
      relativeError(yield* floats(parts), yield* floats(whole)) < 1e-6,
    );
    assert.deepEqual(done, [
      ...Array.from({ length: Math.floor(count / 2) }, (_, i) => 2 * (i + 1)),
      ...(count % 2 === 1 ? [count] : []),
    ]);
    const edge = tileSize(config);
    const empty = hostTensor(
      "float32",
      [0, 3, edge, edge],
      new Float32Array(0),
    );
    const none = yield* makeVisionEncoder(vision, config).encode(empty);
    assert.deepEqual(none.shape, [0, rows, width]);
    assert.deepEqual(
      (yield* makeProjector(projector, config).project(none)).shape,
      [0, tokensPerTile(config), config.language.hiddenSize],
    );
    const error = yield* Effect.flip(
      makeVisionEncoder(vision, config).encode(
        hostTensor("float32", [1, 3, 7, 7], new Float32Array(3 * 7 * 7)),
      ),
    );
    assert.equal(
      error.message,
      `pixel_values must be float32 [n, 3, ${edge}, ${edge}], got float32 [1, 3, 7, 7]`,
    );
  });
  await Effect.runPromise(Effect.scoped(body).pipe(Effect.provide(ffiBackend)));
});

for (const name of ["layer-norm-f32", "rms-norm-bf16"] as const) {
  Deno.test(`${name} in float16: the same model, to float16's precision`, async () => {
    const golden = await readGolden(name);
    const body = Effect.gen(function* () {
      const backend = yield* Backend;
      const source = yield* graphSource(yield* openCheckpoint(golden.folder));
      const { config } = source;
      const settings = { dtype: "float16" } as const;
      const vision = yield* backend.load(visionGraph(source, settings));
      const projector = yield* backend.load(projectorGraph(source, settings));
      const language = yield* backend.load(languageGraph(source, settings));
      const features = yield* makeVisionEncoder(vision, config).encode(
        normalise(golden.tensors.get("tiles/wide")!),
      );
      const visual = yield* makeProjector(projector, config).project(features);
      const visualError = relativeError(
        yield* floats(visual),
        golden.tensors.get("visual/wide")!.data,
      );
      assert.ok(visualError < 5e-3, `visual ${visualError}`);
      const text = golden.cases.find(({ pictureSet }) => pictureSet === null)!;
      const model = yield* makeLanguageModel({
        session: language,
        config: config.language,
        dtype: "float16",
        endIds: [],
        detokenizer: () => silent,
      });
      const completion = yield* model.generate({
        prompt: {
          text: "",
          ids: Int32Array.from(text.inputIds),
          images: [],
          question: "",
        },
        visual: [],
        settings: { maxNewTokens: 2 },
      });
      const error = relativeError(
        completion.firstLogits.data,
        golden.tensors.get(`first_logits/${text.name}`)!.data,
      );
      assert.ok(error < 1e-2, `logits ${error}`);
    });
    await Effect.runPromise(
      Effect.scoped(body).pipe(Effect.provide(ffiBackend)),
    );
  });
}

Deno.test("heads of a width the attention operator does not take are refused before loading", async () => {
  const narrow = randomCheckpoint({ language: { hidden_size: 32 } });
  await withFolder(narrow.files, async (dir) => {
    const error = await Effect.runPromise(
      Effect.flip(Effect.flatMap(openCheckpoint(dir), graphSource)),
    );
    assert.equal(error._tag, "CheckpointError");
    assert.match(
      error.message,
      /config\.json: llm_config has heads of width 8; multiples of 16 are supported$/,
    );
  });
});

Deno.test({
  name: "a backslash in a folder's name is a letter of it",
  ignore: Deno.build.os === "windows",
  fn: () =>
    withFolder({}, async (dir) => {
      // What was read, were the one taken for the other.
      await Deno.mkdir(`${dir}/a/b`, { recursive: true });
      await Deno.writeTextFile(`${dir}/a/b/model.safetensors`, "another");
      const folder = `${dir}/a\\b`;
      await Deno.mkdir(folder);
      for (const [name, content] of Object.entries(randomCheckpoint().files)) {
        await (typeof content === "string"
          ? Deno.writeTextFile(`${folder}/${name}`, content)
          : Deno.writeFile(`${folder}/${name}`, content));
      }
      const body = Effect.gen(function* () {
        const { source, language } = yield* openModel(folder);
        assert.equal(
          source.folder,
          yield* Effect.promise(() => Deno.realPath(folder)),
        );
        assert.equal(language.outputs.at(-1)!.name, "logits");
      });
      await Effect.runPromise(
        Effect.scoped(body).pipe(Effect.provide(ffiBackend)),
      );
    }),
});

Deno.test("weights behind the symbolic links of a Hugging Face cache are found", async () => {
  const { files } = randomCheckpoint();
  await withFolder({}, async (dir) => {
    const snapshot = `${dir}/models--x/snapshots/abc`;
    await Deno.mkdir(snapshot, { recursive: true });
    await Deno.mkdir(`${dir}/models--x/blobs`);
    for (const [name, content] of Object.entries(files)) {
      const blob = `${dir}/models--x/blobs/${name.length}`;
      await Deno.writeFile(
        blob,
        typeof content === "string"
          ? new TextEncoder().encode(content)
          : content,
      );
      await Deno.symlink(`../../blobs/${name.length}`, `${snapshot}/${name}`);
    }
    const body = Effect.gen(function* () {
      const { source, language } = yield* openModel(snapshot);
      assert.match(source.folder, /models--x\/blobs$/);
      assert.deepEqual([...source.locations], [["model.safetensors", "17"]]);
      assert.equal(language.outputs.at(-1)!.name, "logits");
    });
    await Effect.runPromise(
      Effect.scoped(body).pipe(Effect.provide(ffiBackend)),
    );
  });
});
