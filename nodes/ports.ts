/**
 * Port types of the built-in nodes: what may flow along an edge, how it is recognised, digested,
 * shown and stored.
 * @module
 */
import { Effect, Schema, SchemaTransformation } from "effect";
import { cutText } from "../pipeline/json.ts";
import {
  definePort,
  list,
  Num,
  type Omittable,
  optional,
  type PortType,
  Text,
} from "../pipeline/mod.ts";
import {
  digestBytes,
  digestFile,
  digestFileStat,
  digestText,
  fileStamp,
} from "./digest.ts";
import { mostShown, shownEach } from "./limits.ts";
import { type TensorPreview, tensorStats } from "./stats.ts";
import type { Tensor as TensorHandle } from "./tensor.ts";
import { isNamed } from "./values.ts";
import type {
  Completion as CompletionValue,
  GenerationSettings as GenerationSettingsValue,
  History as HistoryValue,
  Image as ImageValue,
  ImageSource as ImageSourceValue,
  OutputConstraint,
  PatchFeatures as PatchFeaturesValue,
  Prompt as PromptValue,
  Sample as SampleValue,
  Tiles as TilesValue,
  TokenAlternative,
  TokenLogprob as TokenLogprobValue,
  VideoClip as VideoClipValue,
  VideoSource as VideoSourceValue,
  VisualTokens as VisualTokensValue,
} from "./values.ts";

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null;

/**
 * Whether a value is a decoded picture whose pixel count fits its size.
 *
 * ```ts
 * import { isImage } from "@tessera/sdk";
 * import assert from "node:assert/strict";
 *
 * const gray = { width: 2, height: 1, data: new Uint8Array(6).fill(128) };
 * assert.ok(isImage(gray));
 * assert.ok(!isImage({ ...gray, height: 2 }));
 * ```
 */
export function isImage(value: unknown): value is ImageValue {
  return isRecord(value) && Number.isSafeInteger(value.width) &&
    Number.isSafeInteger(value.height) && value.data instanceof Uint8Array &&
    value.data.length ===
      (value.width as number) * (value.height as number) * 3;
}

const isTensor = (value: unknown): value is TensorHandle =>
  isRecord(value) && typeof value.dtype === "string" &&
  Array.isArray(value.shape) &&
  Effect.isEffect(value.read);

const isTiles = (value: unknown): value is TilesValue =>
  isRecord(value) && isTensor(value.pixels) && Array.isArray(value.grid);

const tensorDigest = (tensor: TensorHandle): Effect.Effect<string> =>
  tensor.read.pipe(
    Effect.orDie,
    Effect.flatMap((data) =>
      digestBytes(
        new Uint8Array(data.buffer, data.byteOffset, data.byteLength),
        `${tensor.dtype}[${tensor.shape.join(",")}]`,
      )
    ),
  );

const tensorPreview = (tensor: TensorHandle): TensorPreview => ({
  dtype: tensor.dtype,
  shape: [...tensor.shape],
  ...tensorStats(tensor),
});

const describeSource = (source: ImageSourceValue): string =>
  typeof source === "string"
    ? (source.startsWith("data:") ? "data URL" : source)
    : source instanceof URL
    ? source.href
    : source instanceof Uint8Array
    ? `${source.length} bytes`
    : isNamed(source)
    ? source.name
    : source.source ?? `${source.width}×${source.height} pixels`;

const dataUrl = (bytes: Uint8Array<ArrayBuffer>, name?: string): string =>
  `data:application/octet-stream${
    name === undefined ? "" : `;name=${encodeURIComponent(name)}`
  };base64,${bytes.toBase64()}`;

/** The bytes in a `data:` URL, and their name if they have one; any other text is a path. */
function sourceOf(text: string): ImageSourceValue {
  const comma = text.startsWith("data:") ? text.indexOf(";base64,") : -1;
  if (comma < 0) return text;
  try {
    const bytes = Uint8Array.fromBase64(text.slice(comma + 8));
    const [, name] = /;name=([^;,]+)/.exec(text.slice(0, comma)) ?? [];
    return name === undefined
      ? bytes
      : { name: decodeURIComponent(name), bytes };
  } catch {
    return text;
  }
}

/** The pixels without the icon, which is made again and has no use in JSON. */
const pixelsOf = ({ width, height, data, source }: ImageValue) => ({
  width,
  height,
  data,
  ...(source === undefined ? {} : { source }),
});

const PixelsSchema = Schema.toCodecJson(Schema.Struct({
  width: Schema.Int,
  height: Schema.Int,
  data: Schema.Uint8Array,
  source: Schema.optionalKey(Schema.String),
})) as Schema.Codec<Omit<ImageValue, "icon">, unknown>;

const ImageSourceValueSchema: Schema.Codec<ImageSourceValue> = Schema.declare<
  ImageSourceValue
>(
  (value): value is ImageSourceValue =>
    typeof value === "string" || value instanceof URL ||
    value instanceof Uint8Array || isNamed(value) ||
    isImage(value),
  { title: "ImageSource" },
);

/** A picture to load: a path, a `file:` URL, the file's bytes with or without a name, or decoded pixels. */
export type ImageSource = ImageSourceValue;

/**
 * A picture to load. In JSON: a path, a `data:` URL with the file's bytes and, as `;name=`, its name, or
 * `{width, height, data}` with pixels in base64.
 *
 * ```ts
 * import { ImageSource } from "@tessera/sdk";
 * import { Schema } from "effect";
 * import assert from "node:assert/strict";
 *
 * const decode = Schema.decodeUnknownSync(ImageSource.schema!);
 * assert.equal(decode("photo.jpg"), "photo.jpg");
 * assert.deepEqual(decode("data:image/gif;base64,R0lG"), Uint8Array.of(71, 73, 70));
 * ```
 */
export const ImageSource: PortType<"ImageSource", ImageSourceValue> =
  definePort({
    name: "ImageSource",
    schema: Schema.Union([Schema.String, PixelsSchema]).pipe(Schema.decodeTo(
      ImageSourceValueSchema,
      SchemaTransformation.transform<
        ImageSourceValue,
        string | typeof PixelsSchema.Type
      >({
        decode: (json) => typeof json === "string" ? sourceOf(json) : json,
        encode: (source) =>
          typeof source === "string"
            ? source
            : source instanceof URL
            ? source.href
            : source instanceof Uint8Array
            ? dataUrl(source)
            : isNamed(source)
            ? dataUrl(source.bytes, source.name)
            : pixelsOf(source),
      }),
    )),
    is: Schema.is(ImageSourceValueSchema),
    digest: (source) =>
      source instanceof Uint8Array
        ? digestBytes(source, "bytes")
        : isNamed(source)
        ? digestBytes(source.bytes, "bytes")
        : isImage(source)
        ? digestBytes(source.data, `${source.width}x${source.height}`)
        : digestFile(source),
    stamp: (source) =>
      typeof source === "string" || source instanceof URL
        ? fileStamp(source)
        : Effect.succeed(""),
    preview: describeSource,
  });

/** A decoded picture: 8-bit RGB, row-major. */
export type Image = ImageValue;

/**
 * A decoded RGB picture.
 *
 * ```ts
 * import { Image } from "@tessera/sdk";
 * import assert from "node:assert/strict";
 *
 * const pixel = { width: 1, height: 1, data: Uint8Array.of(255, 0, 0) };
 * assert.ok(Image.is!(pixel));
 * assert.deepEqual(Image.preview(pixel), { width: 1, height: 1, source: null });
 * ```
 */
export const Image: PortType<"Image", ImageValue> = definePort({
  name: "Image",
  is: isImage,
  digest: (image: ImageValue) =>
    digestBytes(image.data, `${image.width}x${image.height}`),
  preview: (image: ImageValue) => ({
    width: image.width,
    height: image.height,
    source: image.source ?? null,
    ...(image.icon === undefined ? {} : { icon: image.icon }),
  }),
});

/** Model-ready tiles of one picture: float32 [n, 3, S, S]. */
export type Tiles = TilesValue;

/** Normalised tiles of one picture. */
export const Tiles: PortType<"Tiles", TilesValue> = definePort({
  name: "Tiles",
  is: isTiles,
  digest: (tiles: TilesValue) => tensorDigest(tiles.pixels),
  preview: (tiles: TilesValue) => ({
    ...tensorPreview(tiles.pixels),
    grid: [...tiles.grid],
    thumbnail: tiles.thumbnail,
  }),
});

const VideoClipSchema = Schema.Struct({
  source: Schema.String,
  name: Schema.optionalKey(Schema.String),
  segments: Schema.optionalKey(Schema.Int),
  start: Schema.optionalKey(Schema.Finite),
  end: Schema.optionalKey(Schema.Finite),
});

const isVideo = (value: unknown): value is VideoSourceValue | VideoClipValue =>
  typeof value === "string" || value instanceof URL ||
  (isRecord(value) &&
    (typeof value.source === "string" || value.source instanceof URL) &&
    (value.name === undefined || typeof value.name === "string"));

const videoFile = (
  video: VideoSourceValue | VideoClipValue,
): VideoSourceValue =>
  typeof video === "string" || video instanceof URL ? video : video.source;

const VideoClipValueSchema: Schema.Codec<VideoSourceValue | VideoClipValue> =
  Schema.declare<
    VideoSourceValue | VideoClipValue
  >(isVideo, { title: "VideoClip" });

/** A part of a video, with its own sampling. */
export type VideoClip = VideoClipValue;

/**
 * A video or a part of one. In JSON: a path, or `{source, name?, segments?, start?, end?}`.
 *
 * ```ts
 * import { VideoClip } from "@tessera/sdk";
 * import { Schema } from "effect";
 * import assert from "node:assert/strict";
 *
 * const decode = Schema.decodeUnknownSync(VideoClip.schema!);
 * const clip = decode({ source: "clip.mp4", segments: 4, start: 2 });
 * assert.deepEqual(clip, { source: "clip.mp4", segments: 4, start: 2 });
 * ```
 */
export const VideoClip: PortType<
  "VideoClip",
  VideoSourceValue | VideoClipValue
> = definePort({
  name: "VideoClip",
  schema: Schema.Union([Schema.String, VideoClipSchema]).pipe(Schema.decodeTo(
    VideoClipValueSchema,
    SchemaTransformation.transform<
      VideoSourceValue | VideoClipValue,
      string | typeof VideoClipSchema.Type
    >({
      decode: (json) => json,
      encode: (video) =>
        typeof video === "string" || video instanceof URL
          ? String(video)
          : { ...video, source: String(video.source) },
    }),
  )),
  is: isVideo,
  digest: (video: VideoSourceValue | VideoClipValue) =>
    Effect.flatMap(digestFileStat(videoFile(video)), (file) =>
      digestText(
        typeof video === "string" || video instanceof URL
          ? file
          : `${file} ${video.segments} ${video.start} ${video.end}`,
      )),
  preview: (video: VideoSourceValue | VideoClipValue) => {
    if (typeof video === "string" || video instanceof URL) return String(video);
    const { source, name = String(source), ...part } = video;
    return { source: name, ...part };
  },
});

/** The vision encoder's last hidden state: [n, 1 + g², Dv]. */
export type PatchFeatures = PatchFeaturesValue;

/** The vision encoder's last hidden state, class token included: [n, 1 + g², Dv]. */
export const PatchFeatures: PortType<"PatchFeatures", PatchFeaturesValue> =
  definePort({
    name: "PatchFeatures",
    is: isTensor,
    digest: tensorDigest,
    preview: tensorPreview,
  });

/** Visual tokens in the language model's space: [n, tokens per tile, Dl]. */
export type VisualTokens = VisualTokensValue;

/** Visual tokens: [n, tokens per tile, Dl]. */
export const VisualTokens: PortType<"VisualTokens", VisualTokensValue> =
  definePort({
    name: "VisualTokens",
    is: isTensor,
    digest: tensorDigest,
    preview: tensorPreview,
  });

const TurnSchema: Schema.Codec<readonly [string, string]> = Schema.Tuple([
  Schema.String,
  Schema.String,
]);

/** Earlier rounds, oldest first. */
export type History = HistoryValue;

/**
 * Earlier rounds as pairs of question and answer, oldest first.
 *
 * ```ts
 * import { History } from "@tessera/sdk";
 * import { Schema } from "effect";
 * import assert from "node:assert/strict";
 *
 * const decode = Schema.decodeUnknownSync(History.schema!);
 * const rounds = decode([["<image>\nWhat is it?", "A circle."]]);
 * assert.equal(rounds[0]?.[1], "A circle.");
 * ```
 */
export const History: PortType<"History", HistoryValue> = definePort({
  name: "History",
  schema: Schema.Array(TurnSchema) as Schema.Codec<HistoryValue>,
  preview: (history: HistoryValue) => {
    const most = shownEach(2 * history.length);
    return history.map((turn) => turn.map((text) => cutText(text, most)));
  },
});

const OutputConstraintSchema: Schema.Codec<OutputConstraint> = Schema.Union([
  Schema.Struct({
    type: Schema.Literal("json_schema"),
    schema: Schema.Unknown,
  }),
  Schema.Struct({ type: Schema.Literal("json_object") }),
  Schema.Struct({ type: Schema.Literal("regex"), pattern: Schema.String }),
  Schema.Struct({
    type: Schema.Literal("choice"),
    choices: Schema.Array(Schema.String),
  }),
]);

/**
 * JSON codec of {@link GenerationSettings}; ranges are checked by the language model.
 *
 * ```ts
 * import { GenerationSettingsSchema } from "@tessera/sdk";
 * import { Schema } from "effect";
 * import assert from "node:assert/strict";
 *
 * const decode = Schema.decodeUnknownSync(GenerationSettingsSchema);
 * assert.deepEqual(decode({ topK: 20, seed: 7 }), { topK: 20, seed: 7 });
 * assert.throws(() => decode({ topK: "many" }));
 * ```
 */
export const GenerationSettingsSchema: Schema.Codec<GenerationSettingsValue> =
  Schema.Struct({
    maxNewTokens: Schema.optionalKey(Schema.Int),
    doSample: Schema.optionalKey(Schema.Boolean),
    temperature: Schema.optionalKey(Schema.Finite),
    topK: Schema.optionalKey(Schema.Int),
    topP: Schema.optionalKey(Schema.Finite),
    minP: Schema.optionalKey(Schema.Finite),
    repetitionPenalty: Schema.optionalKey(Schema.Finite),
    presencePenalty: Schema.optionalKey(Schema.Finite),
    frequencyPenalty: Schema.optionalKey(Schema.Finite),
    logitBias: Schema.optionalKey(
      Schema.Record(Schema.String, Schema.Finite),
    ),
    minNewTokens: Schema.optionalKey(Schema.Int),
    logprobs: Schema.optionalKey(Schema.Int),
    n: Schema.optionalKey(Schema.Int),
    numBeams: Schema.optionalKey(Schema.Int),
    lengthPenalty: Schema.optionalKey(Schema.Finite),
    earlyStopping: Schema.optionalKey(
      Schema.Union([Schema.Boolean, Schema.Literal("never")]),
    ),
    seed: Schema.optionalKey(Schema.Int),
    stop: Schema.optionalKey(Schema.Array(Schema.String)),
    skipSpecialTokens: Schema.optionalKey(Schema.Boolean),
    constraint: Schema.optionalKey(OutputConstraintSchema),
  });

/** Generation settings, with the names and the meaning of Hugging Face `generate`. */
export type GenerationSettings = GenerationSettingsValue;

/** Generation settings. */
export const GenerationSettings: PortType<
  "GenerationSettings",
  GenerationSettingsValue
> = definePort({
  name: "GenerationSettings",
  schema: GenerationSettingsSchema,
});

/** A rendered and tokenized prompt. */
export type Prompt = PromptValue;

/** A rendered, tokenized prompt. */
export const Prompt: PortType<"Prompt", PromptValue> = definePort({
  name: "Prompt",
  is: (value: unknown): value is PromptValue =>
    isRecord(value) && value.ids instanceof Int32Array &&
    typeof value.text === "string",
  digest: (prompt: PromptValue) =>
    digestBytes(
      new Uint8Array(
        prompt.ids.buffer,
        prompt.ids.byteOffset,
        prompt.ids.byteLength,
      ),
    ),
  preview: (prompt: PromptValue) => ({
    text: cutText(foldContextTokens(prompt.text), mostShown),
    tokens: prompt.ids.length,
    images: prompt.images.map((span) => ({ ...span })),
  }),
});

/** Tokens of an answer whose probabilities a preview shows. */
const mostTokens = 2000;

/** Other answers that a preview shows. */
const mostAnswers = 8;

/** A finished answer. */
export type Completion = CompletionValue;

/** A finished answer. */
export const Completion: PortType<"Completion", CompletionValue> = definePort({
  name: "Completion",
  is: (value: unknown): value is CompletionValue =>
    isRecord(value) && typeof value.text === "string" &&
    value.ids instanceof Int32Array,
  digest: (completion: CompletionValue) =>
    digestText(`${completion.text}\u0000${completion.ids.join(",")}`),
  preview: (completion: CompletionValue) => ({
    text: completion.text,
    finishReason: completion.finishReason,
    usage: { ...completion.usage },
    ...(completion.logprobs === undefined ? {} : {
      logprobs: completion.logprobs.slice(0, mostTokens)
        .map(({ text, logprob }) => [text, Math.round(logprob * 1e4) / 1e4]),
    }),
    ...(completion.alternatives === undefined ? {} : {
      alternatives: completion.alternatives.slice(0, mostAnswers)
        .map(({ text }) => text),
    }),
  }),
});

/** A generated token with its probability. */
export type TokenLogprob = TokenLogprobValue;

/** A generated token with its probability and the likeliest others; bytes as lists in JSON. */
export const TokenLogprob: PortType<"TokenLogprob", TokenLogprobValue> =
  definePort({
    name: "TokenLogprob",
    is: (value: unknown): value is TokenLogprobValue =>
      isRecord(value) && typeof value.logprob === "number" &&
      Array.isArray(value.top),
    preview: ({ top, ...chosen }: TokenLogprobValue) => ({
      ...alternativePreview(chosen),
      top: top.map(alternativePreview),
    }),
  });

// JSON has no infinity; the least probability is written as OpenAI writes it.
const alternativePreview = (
  { id, text, bytes, logprob }: TokenAlternative,
) => ({
  id,
  text,
  bytes: [...bytes],
  logprob: Number.isFinite(logprob) ? logprob : -9999,
});

/** Several pictures to load. */
export const ImageSourceList: PortType<
  "List<ImageSource>",
  readonly ImageSourceValue[]
> = list(
  ImageSource,
);

/** Several decoded pictures. */
export const ImageList: PortType<"List<Image>", readonly ImageValue[]> = list(
  Image,
);

/** The tiles of several pictures. */
export const TilesList: PortType<"List<Tiles>", readonly TilesValue[]> = list(
  Tiles,
);

/** The tiles of several pictures, or nothing for none. */
export const OptionalTilesList: Omittable<
  PortType<"Optional<List<Tiles>>", readonly TilesValue[] | undefined>
> = optional(TilesList);

/** A thumbnail that may not be needed. */
export const OptionalTiles: Omittable<
  PortType<"Optional<Tiles>", TilesValue | undefined>
> = optional(Tiles);

/** The visual tokens of several pictures. */
export const VisualTokensList: PortType<
  "List<VisualTokens>",
  readonly VisualTokensValue[]
> = list(
  VisualTokens,
);

/** The visual tokens of several pictures, or nothing for none. */
export const OptionalVisualTokensList: Omittable<
  PortType<
    "Optional<List<VisualTokens>>",
    readonly VisualTokensValue[] | undefined
  >
> = optional(VisualTokensList);

/** Generation settings, or nothing for the defaults. */
export const OptionalSettings: Omittable<
  PortType<"Optional<GenerationSettings>", GenerationSettingsValue | undefined>
> = optional(GenerationSettings);

/** Earlier rounds, or nothing in a first round. */
export const OptionalHistory: Omittable<
  PortType<"Optional<History>", HistoryValue | undefined>
> = optional(History);

/** `num_patches_list`, where the caller gives one. */
export const OptionalCounts: Omittable<
  PortType<"Optional<List<Num>>", readonly number[] | undefined>
> = optional(list(Num));

/** One independent question of a batch: text, pictures, a video, a history of its own. */
export type Sample = SampleValue;

/**
 * One question of a batch.
 *
 * ```ts
 * import { Sample } from "@tessera/sdk";
 * import { Schema } from "effect";
 * import assert from "node:assert/strict";
 *
 * const decode = Schema.decodeUnknownSync(Sample.schema!);
 * const sample = decode({ question: "What is this?", images: ["photo.jpg"] });
 * assert.equal(sample.question, "What is this?");
 * ```
 */
export const Sample: PortType<"Sample", SampleValue> = definePort({
  name: "Sample",
  schema: Schema.Struct({
    question: Schema.String,
    images: Schema.optionalKey(Schema.Array(ImageSource.schema!)),
    video: Schema.optionalKey(VideoClip.schema!),
    history: Schema.optionalKey(History.schema!),
    numPatchesList: Schema.optionalKey(Schema.Array(Schema.Int)),
  }) as Schema.Codec<SampleValue, unknown>,
  fields: {
    question: Text,
    images: optional(ImageSourceList),
    video: optional(VideoClip),
    history: OptionalHistory,
    numPatchesList: OptionalCounts,
  },
  preview: (sample: SampleValue) => ({
    question: sample.question,
    images: (sample.images ?? []).map(describeSource),
    video: sample.video === undefined ? null : VideoClip.preview(sample.video),
    rounds: sample.history?.length ?? 0,
  }),
});

/** `<IMG_CONTEXT>` repeated 3,328 times reads badly: shows it once, with its count. */
function foldContextTokens(text: string): string {
  return text.replace(
    /(?:<IMG_CONTEXT>){2,}/g,
    (run) => `<IMG_CONTEXT>×${run.length / "<IMG_CONTEXT>".length}`,
  );
}
