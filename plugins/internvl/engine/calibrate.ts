/**
 * Scales for keys and values of 8 bits. The operator wants them before it sees a token, so some texts and
 * a picture are computed beforehand, and each channel's largest number becomes 127.
 * @module
 */
import { Effect, type Scope } from "effect";
import type { BackendError, PromptError } from "../../../nodes/errors.ts";
import type {
  Projector,
  PromptRenderer,
  VisionEncoder,
} from "../../../nodes/services.ts";
import { type HostTensor, hostTensor } from "../../../nodes/tensor.ts";
import type { Session } from "../../onnx/mod.ts";
import {
  type InternVLConfig,
  type LanguageConfig,
  tileSize,
} from "../config.ts";
import { RotaryTables } from "../generate/rope.ts";
import { type VisualFeeds, visualRows } from "../generate/visual.ts";
import type { KvScales } from "../graphs/weights.ts";
import { KvPool } from "./pool.ts";

/** One prompt to look at. */
export interface Sample {
  /** Its tokens, at least one. */
  readonly ids: Int32Array;
  /** Its visual tokens. */
  readonly visual: VisualFeeds;
}

/** What samples are made with. */
export interface SampleParts {
  /** The configuration. */
  readonly config: InternVLConfig;
  /** Renders prompts as those that come. */
  readonly renderer: PromptRenderer;
  /** Sees the picture. */
  readonly encoder: VisionEncoder;
  /** Makes visual tokens of it. */
  readonly projector: Projector;
}

/**
 * Texts of the kinds that come: prose in some languages, numbers, code, marks. What they say is of no
 * matter.
 */
const calibrationTexts: readonly string[] = [
  "The quick brown fox jumps over the lazy dog. On 14 March 1879, at 11:30, a child was born in Ulm; " +
  "seventy-six years later the world mourned him.",
  "请仔细看这张图片，描述其中的物体、颜色和文字，然后回答问题：图中有几个人？他们在做什么？",
  "Der Vertrag (Nr. 2024/17-B) läuft bis zum 31.12.; die Miete beträgt 1.234,56 €. ¿Dónde está la estación? " +
  "Où est la bibliothèque? Москва, 東京, القاهرة.",
  'function add(a: number, b: number): number {\n  return a + b; // {"x": [1, 2, 3], "y": null}\n}\n',
  "| item | price |\n|------|-------|\n| tea  | 2.50  |\n\nQuestion: what does tea cost?\nAnswer: 2.50\n",
  "0 1 2 3 4 5 6 7 8 9 10 100 1000 !@#$%^&*()_+-=[]{};':\",./<>?\\ \n\n\t  END",
];

/** A tile with plain and shaded areas, stripes and noise, normalised. */
function calibrationTile(edge: number): HostTensor<"float32"> {
  const pixels = new Float32Array(3 * edge * edge);
  let noise = 1;
  for (let i = 0; i < pixels.length; i++) {
    const [x, y] = [i % edge / edge, Math.floor(i / edge) % edge / edge];
    const channel = Math.floor(i / (edge * edge));
    noise = Math.imul(noise, 48_271) >>> 0;
    const value = y < 0.25
      ? (channel === Math.floor(3 * x) ? 1 : 0)
      : y < 0.5
      ? x
      : y < 0.75
      ? Math.floor((8 + 56 * y) * x) % 2
      : noise / 2 ** 32;
    pixels[i] = (value - 0.45) / 0.225;
  }
  return hostTensor("float32", [1, 3, edge, edge], pixels);
}

/** The texts as questions, the first of them about the picture. */
export const calibrationSamples: (
  parts: SampleParts,
) => Effect.Effect<readonly Sample[], PromptError | BackendError> = Effect
  .fnUntraced(function* ({ config, renderer, encoder, projector }) {
    const features = yield* encoder.encode(calibrationTile(tileSize(config)));
    const tokens = yield* projector.project(features);
    return yield* Effect.forEach(
      calibrationTexts,
      (question, i) =>
        Effect.gen(function* () {
          const seen = i === 0 ? [tokens] : [];
          const prompt = yield* renderer.render({
            question,
            numPatchesList: seen.map(() => 1),
          });
          const { hiddenSize } = config.language;
          const rows = yield* visualRows(prompt, seen, hiddenSize);
          const { ids } = prompt;
          return { ids, visual: rows.chunk(0, ids.length) };
        }),
    );
  });

/**
 * Scales that hold every sample, at any position: of a key's two channels that are rotated together, each
 * is at most as large as both are long. `session` is of `languageGraph` with `calibrate`.
 */
export const calibrate: (
  session: Session,
  config: LanguageConfig,
  samples: readonly Sample[],
) => Effect.Effect<KvScales, BackendError, Scope.Scope> = Effect.fn(
  "internvl.calibrate",
)(function* (session, config, samples) {
  const { layers, kvHeads, headDim } = config;
  const width = kvHeads * headDim;
  const largest = () =>
    Array.from({ length: layers }, () => new Float32Array(width));
  const found = { keys: largest(), values: largest() };
  const pool = yield* Effect.acquireRelease(
    Effect.sync(() =>
      new KvPool({
        session,
        config,
        kvCache: "float32",
        rotary: new RotaryTables(config),
      })
    ),
    (pool) => Effect.promise(() => pool.close()),
  );
  const longest = Math.max(...samples.map(({ ids }) => ids.length));
  const window = yield* Effect.tryPromise({
    try: async () => {
      await pool.resize(1, longest, []);
      return await pool.window(0, 1);
    },
    catch: (cause) => cause as BackendError,
  });
  for (const { ids, visual } of samples) {
    const count = ids.length;
    const outputs = yield* session.run({
      ...window.feeds,
      input_ids: hostTensor(
        "int64",
        [1, count],
        BigInt64Array.from(ids, BigInt),
      ),
      visual_embeds: visual.embeds,
      visual_rows: visual.rows,
      logit_rows: hostTensor("int64", [1], new BigInt64Array([0n])),
      seqlens_k: hostTensor("int32", [1], new Int32Array([count - 1])),
      total_sequence_length: hostTensor("int32", [], new Int32Array([count])),
    }, {
      into: window.into,
      outputs: Array.from({ length: layers }, (_, i) => `qkv.${i}`),
    });
    for (let layer = 0; layer < layers; layer++) {
      const qkv = (yield* outputs[`qkv.${layer}`]!.read) as Float32Array;
      widen(found.keys[layer]!, found.values[layer]!, qkv, config);
    }
  }
  // A channel that was never used keeps a scale that can be divided by.
  const scales = (most: Float32Array<ArrayBuffer>) =>
    most.map((value) => Math.max(value, 1e-6) / 127);
  return {
    keys: found.keys.map(scales),
    values: found.values.map(scales),
  };
});

/** Takes the rows of one layer into account. */
function widen(
  keys: Float32Array,
  values: Float32Array,
  qkv: Float32Array,
  { heads, kvHeads, headDim }: LanguageConfig,
): void {
  const width = kvHeads * headDim;
  const half = headDim / 2;
  const row = heads * headDim + 2 * width;
  for (let at = heads * headDim; at < qkv.length; at += row) {
    for (let i = 0; i < width; i++) {
      const twin = i % headDim < half ? i + half : i - half;
      const length = Math.hypot(qkv[at + i]!, qkv[at + twin]!);
      if (length > keys[i]!) keys[i] = length;
      const value = Math.abs(qkv[at + width + i]!);
      if (value > values[i]!) values[i] = value;
    }
  }
}
