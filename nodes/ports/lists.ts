/**
 * Ports of several things, of what may be missing, and of a batch's questions.
 * @module
 */
import { Schema } from "effect";
import {
  definePort,
  list,
  Num,
  type Omittable,
  optional,
  type PortType,
  Text,
} from "../../pipeline/mod.ts";
import type {
  GenerationSettings as GenerationSettingsValue,
  History as HistoryValue,
  Image as ImageValue,
  ImageSource as ImageSourceValue,
  Sample as SampleValue,
  Tiles as TilesValue,
  VisualTokens as VisualTokensValue,
} from "../values.ts";
import { describeSource, Image, ImageSource, Tiles } from "./picture.ts";
import { GenerationSettings, History } from "./prompt.ts";
import { VideoClip } from "./video.ts";
import { VisualTokens } from "./vision.ts";

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
