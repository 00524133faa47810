/**
 * A `config.json` in the layout of `transformers` (`InternVLForConditionalGeneration`, the "-HF" repacks),
 * with the defaults of its classes (`configuration_internvl.py`). What its keys do not say is so in its code:
 * the pixel shuffle is v2, q and k are normalised with an epsilon of their own, pictures are cut and a
 * thumbnail follows.
 * @module
 */
import { Result, Schema } from "effect";
import type { ReadConfig } from "./config.ts";
import { isRecord, oneLine, quoted } from "./files.ts";
import { depth, epsilon, or, ratio, size } from "./config_parts.ts";
import { named, readLanguage } from "./language_config.ts";
import { layoutOf } from "./layouts.ts";
import type { PictureSettings } from "./preprocessor.ts";

/** One number for both directions, or one for each. */
const edges = Schema.Union([size, Schema.Tuple([size, size])]);

const VisionFile = Schema.Struct({
  hidden_size: or(size, 1024),
  num_hidden_layers: or(depth, 24),
  num_attention_heads: or(size, 16),
  intermediate_size: or(size, 4096),
  image_size: or(edges, [448, 448]),
  patch_size: or(edges, [14, 14]),
  num_channels: or(Schema.Int, 3),
  norm_type: or(Schema.Literals(["rms_norm", "layer_norm"]), "layer_norm"),
  layer_norm_eps: or(epsilon, 1e-6),
  use_qk_norm: or(Schema.Boolean, false),
  attention_bias: or(Schema.Boolean, false),
  hidden_act: or(Schema.Literal("gelu"), "gelu"),
  use_absolute_position_embeddings: or(Schema.Boolean, true),
  use_mean_pooling: or(Schema.Boolean, true),
});

const ConfigFile = Schema.Struct({
  vision_config: or(VisionFile, {}),
  image_token_id: or(Schema.Int, 151_667),
  image_seq_length: Schema.optionalKey(Schema.NullOr(size)),
  downsample_ratio: or(ratio, 0.5),
  projector_hidden_act: or(Schema.Literal("gelu"), "gelu"),
  vision_feature_layer: or(Schema.Int, -1),
  vision_feature_select_strategy: or(Schema.Literal("default"), "default"),
  tie_word_embeddings: Schema.optionalKey(Schema.NullOr(Schema.Boolean)),
});

/** Epsilon of the norms of q and k, which no key changes. */
const qkNormEpsilon = 1e-6;

/** The configuration, or what is wrong with it. Without `pictures` they are cut as the classes' defaults are. */
export function readTransformersConfig(
  value: Readonly<Record<string, unknown>>,
  pictures: PictureSettings | undefined,
): ReadConfig | string {
  const { vision_config: tower } = value;
  const foreign = isRecord(tower)
    ? named(byModelType(tower), "\0", "internvl_vision")
    : undefined;
  if (foreign !== undefined) {
    return `vision architecture ${
      quoted(foreign)
    } is not supported; internvl_vision is`;
  }
  const decoded = Schema.decodeUnknownResult(ConfigFile)(value);
  if (Result.isFailure(decoded)) return oneLine(decoded.failure.message);
  const file = decoded.success;
  const { vision_config: v } = file;
  if (v.num_channels !== 3) {
    return `vision_config.num_channels is ${v.num_channels}; 3 is supported`;
  }
  for (
    const key of [
      "use_absolute_position_embeddings",
      "use_mean_pooling",
    ] as const
  ) {
    if (!v[key]) return `vision_config.${key} is false; true is supported`;
  }
  const square = (key: "image_size" | "patch_size") => {
    const edge = v[key];
    if (typeof edge === "number") return edge;
    return edge[0] === edge[1]
      ? edge[0]
      : `vision_config.${key} is ${edge[0]} by ${
        edge[1]
      }; squares are supported`;
  };
  const imageSize = square("image_size");
  if (typeof imageSize === "string") return imageSize;
  const patchSize = square("patch_size");
  if (typeof patchSize === "string") return patchSize;
  const { languageKey: key } = layoutOf("InternVLForConditionalGeneration");
  const language = readLanguage(languageFile(value[key]), key);
  if (typeof language === "string") return language;
  const edge = pictures?.tileSize ?? imageSize;
  const tokens = Math.round(edge / patchSize * file.downsample_ratio) ** 2;
  for (
    const [where, said] of [
      ["image_seq_length", file.image_seq_length],
      ["image_seq_length of processor_config.json", pictures?.tokensPerTile],
    ] as const
  ) {
    if (said != null && said !== tokens) {
      return `${where} is ${said}; a tile of ${edge} pixels has ${tokens} tokens`;
    }
  }
  return {
    edgeKey: pictures === undefined
      ? "vision_config.image_size"
      : "size of the preprocessor",
    layerKey: "vision_feature_layer",
    config: {
      architecture: "InternVLForConditionalGeneration",
      vision: {
        hiddenSize: v.hidden_size,
        layers: v.num_hidden_layers,
        heads: v.num_attention_heads,
        intermediateSize: v.intermediate_size,
        imageSize,
        patchSize,
        normType: v.norm_type,
        normEps: v.layer_norm_eps,
        qkNormalization: v.use_qk_norm,
        qkNormEps: qkNormEpsilon,
        qkvBias: v.attention_bias,
        hiddenAct: v.hidden_act,
      },
      // See `withHead`: only where both deny it there must be a head.
      language: {
        ...language,
        tieWordEmbeddings: language.tieWordEmbeddings ||
          file.tie_word_embeddings !== false,
      },
      downsampleRatio: file.downsample_ratio,
      psVersion: "v2",
      selectLayer: file.vision_feature_layer,
      template: null,
      dynamicImageSize: true,
      useThumbnail: true,
      minDynamicPatch: pictures?.minTiles ?? 1,
      maxDynamicPatch: pictures?.maxTiles ?? 12,
      forceImageSize: pictures?.tileSize ?? null,
      imageTokenId: file.image_token_id,
    },
  };
}

/** A part's configuration without the classes it names: `transformers` goes by `model_type` there. */
function byModelType(
  { architectures: _, ...rest }: Readonly<Record<string, unknown>>,
): Readonly<Record<string, unknown>> {
  return rest;
}

/**
 * `text_config` as a language model's own `config.json` would say it: without a `model_type` it is Qwen2's,
 * and newer versions have all of the rotary angles in one key.
 */
function languageFile(value: unknown): Readonly<Record<string, unknown>> {
  const text = {
    model_type: "qwen2",
    ...byModelType(isRecord(value) ? value : {}),
  };
  const rope: unknown =
    (text as Readonly<Record<string, unknown>>).rope_parameters;
  if (!isRecord(rope)) return text;
  const { rope_theta: theta } = rope;
  return {
    ...text,
    ...(theta === undefined ? {} : { rope_theta: theta }),
    rope_scaling: rope,
  };
}
