/**
 * What the layout of `transformers` says of pictures: `preprocessor_config.json`, or `image_processor` in
 * `processor_config.json`, as `GotOcr2ImageProcessor` and `InternVLProcessor` read them. A missing key, or
 * `null`, takes the class's default.
 * @module
 */
import { Effect, Result, Schema } from "effect";
import { CheckpointError } from "../../nodes/errors.ts";
import { mostTiles } from "../../nodes/limits.ts";
import {
  isRecord,
  joinPath,
  oneLine,
  quoted,
  readJsonObject,
} from "./files.ts";
import { or, size } from "./config_parts.ts";

/** How pictures are cut. */
export interface PictureSettings {
  /** Edge of a tile in pixels. */
  readonly tileSize: number;
  /** Fewest tiles of a picture. */
  readonly minTiles: number;
  /** Most tiles of a picture. */
  readonly maxTiles: number;
  /** Visual tokens that prompts have for a tile, where a file says. */
  readonly tokensPerTile?: number;
}

/** The files, the one that rules first. */
export const preprocessorFiles = [
  "preprocessor_config.json",
  "processor_config.json",
] as const;

const fileLimit = 1 << 20;
const numbers = Schema.Array(Schema.Finite);

/** Mean and deviation that tiles are normalised with, and those of the class, which are others. */
const imagenet = {
  image_mean: [0.485, 0.456, 0.406],
  image_std: [0.229, 0.224, 0.225],
} as const;
const clip = {
  image_mean: [0.48145466, 0.4578275, 0.40821073],
  image_std: [0.26862954, 0.26130258, 0.27577711],
} as const;

// `crop_to_patches` is not among them: InternVLProcessor cuts pictures whatever it says.
const PreprocessorFile = Schema.Struct({
  image_processor_type: or(Schema.String, "GotOcr2ImageProcessor"),
  size: or(Schema.Struct({ height: size, width: size }), {
    height: 384,
    width: 384,
  }),
  min_patches: or(size, 1),
  max_patches: or(size, 12),
  do_resize: or(Schema.Boolean, true),
  do_rescale: or(Schema.Boolean, true),
  do_normalize: or(Schema.Boolean, true),
  do_center_crop: or(Schema.Boolean, false),
  do_pad: or(Schema.Boolean, false),
  rescale_factor: or(Schema.Finite, 1 / 255),
  resample: or(Schema.Int, 3),
  image_mean: or(numbers, clip.image_mean),
  image_std: or(numbers, clip.image_std),
});

/**
 * Reads the settings of a folder, with the text of the files they are in. Fails with
 * {@link CheckpointError}: no such file, or one that asks for what is not done here, by its key.
 */
export const readPreprocessor: (
  dir: string,
) => Effect.Effect<
  { readonly pictures: PictureSettings; readonly text: string },
  CheckpointError
> = Effect.fnUntraced(function* (dir: string) {
  const [own, shared] = preprocessorFiles.map((name) =>
    joinPath(dir, name)
  ) as [
    string,
    string,
  ];
  const whole = yield* readJsonObject(shared, fileLimit);
  const alone = yield* readJsonObject(own, fileLimit);
  const inside = whole?.value.image_processor;
  const [path, value] = alone !== undefined
    ? [own, alone.value] as const
    : [shared, isRecord(inside) ? inside : undefined] as const;
  if (value === undefined) {
    return yield* new CheckpointError({
      path: own,
      message:
        `${own} is missing; a checkpoint of InternVLForConditionalGeneration has there how pictures are cut`,
    });
  }
  const pictures = decodePreprocessor(value);
  if (typeof pictures === "string") {
    return yield* new CheckpointError({
      path,
      message: `${path}: ${pictures}`,
    });
  }
  const tokens = whole?.value.image_seq_length;
  return {
    pictures: {
      ...pictures,
      ...(typeof tokens === "number" ? { tokensPerTile: tokens } : {}),
    },
    text: (alone?.text ?? "") + (whole?.text ?? ""),
  };
});

/** The settings in the JSON of a `preprocessor_config.json`, or what is wrong with them. */
export function decodePreprocessor(
  value: Readonly<Record<string, unknown>>,
): PictureSettings | string {
  const given = Object.fromEntries(
    Object.entries(value).filter(([, value]) => value !== null),
  );
  const decoded = Schema.decodeUnknownResult(PreprocessorFile)(given);
  if (Result.isFailure(decoded)) return oneLine(decoded.failure.message);
  const file = decoded.success;
  const kind = file.image_processor_type;
  if (!kind.startsWith("GotOcr2ImageProcessor")) {
    return `image_processor_type is ${
      quoted(kind)
    }; GotOcr2ImageProcessor is supported`;
  }
  for (const key of ["do_resize", "do_rescale", "do_normalize"] as const) {
    if (!file[key]) return `${key} is false; true is supported`;
  }
  for (const key of ["do_center_crop", "do_pad"] as const) {
    if (file[key]) return `${key} is true; false is supported`;
  }
  if (Math.abs(file.rescale_factor * 255 - 1) > 1e-6) {
    return `rescale_factor is ${file.rescale_factor}; 1/255 is supported`;
  }
  if (file.resample !== 3) {
    return `resample is ${file.resample}; 3, which is bicubic, is supported`;
  }
  for (const [key, wanted] of Object.entries(imagenet)) {
    const found = file[key as keyof typeof imagenet];
    if (
      found.length !== wanted.length ||
      found.some((number, i) => Math.abs(number - wanted[i]!) > 1e-6)
    ) {
      return `${key} is [${found.slice(0, 3).join(", ")}]${
        key in given ? "" : ", the default"
      }; [${wanted.join(", ")}] is supported`;
    }
  }
  const { height, width } = file.size;
  if (height !== width) {
    return `size is ${height} by ${width}; tiles are square`;
  }
  const { min_patches: min, max_patches: max } = file;
  if (min > max) return `min_patches ${min} is more than max_patches ${max}`;
  if (max > mostTiles) {
    return `max_patches is ${max}; at most ${mostTiles} tiles are supported`;
  }
  return { tileSize: height, minTiles: min, maxTiles: max };
}
