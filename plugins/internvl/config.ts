/**
 * A checkpoint's `config.json`, decoded. Keys we do not use are passed over; missing ones take the
 * defaults of the reference's configuration classes (`configuration_internvl_chat.py`,
 * `configuration_intern_vit.py`); the language model's part is in `language_config.ts`.
 * @module
 */
import { Effect, Result, Schema } from "effect";
import { CheckpointError } from "../../nodes/errors.ts";
import { mostTiles } from "../../nodes/limits.ts";
import { isRecord, oneLine, quoted } from "./files.ts";
import { decodeQuantization } from "./quantize/config.ts";
import { type Quantization, schemeText } from "./quantize/scheme.ts";
import {
  decodeLanguage,
  depth,
  epsilon,
  languageArchitecture,
  type LanguageConfig,
  named,
  or,
  size,
} from "./language_config.ts";

export type { LanguageConfig, RopeScaling } from "./language_config.ts";
export { languageArchitectures } from "./language_config.ts";

/** The vision tower: InternViT. */
export interface VisionConfig {
  /** Width of the residual stream (Dv). */
  readonly hiddenSize: number;
  /** Transformer layers. */
  readonly layers: number;
  /** Attention heads; they divide `hiddenSize`. */
  readonly heads: number;
  /** Width of the MLP. */
  readonly intermediateSize: number;
  /** Edge in pixels that the stored position embedding was made for. */
  readonly imageSize: number;
  /** Edge of a patch in pixels. */
  readonly patchSize: number;
  /** Kind of the two norms of a layer. */
  readonly normType: "rms_norm" | "layer_norm";
  /** Epsilon of all norms of the tower, those of q and k included. */
  readonly normEps: number;
  /** Whether q and k pass an RMSNorm over the whole width. */
  readonly qkNormalization: boolean;
  /** Whether `attn.qkv` has a bias. */
  readonly qkvBias: boolean;
  /** Activation of the MLP; always `gelu`, the exact one. */
  readonly hiddenAct: "gelu";
}

/** A decoded `config.json` of the InternVL-Chat family. */
export interface InternVLConfig {
  /** Class name of the reference. */
  readonly architecture: "InternVLChatModel";
  /** The vision tower. */
  readonly vision: VisionConfig;
  /** The language model. */
  readonly language: LanguageConfig;
  /** Edge of the grid after pixel shuffle over the edge before; 1 over a whole number. */
  readonly downsampleRatio: number;
  /** Order of the pixel shuffle; `v1` leaves the grid transposed. */
  readonly psVersion: "v1" | "v2";
  /** Which hidden state of the tower is used; -1 is the last, 0 the embedding. */
  readonly selectLayer: number;
  /** Name of the prompt template. */
  readonly template: string;
  /** Whether pictures are cut into tiles. */
  readonly dynamicImageSize: boolean;
  /** Whether a thumbnail follows more than one tile. */
  readonly useThumbnail: boolean;
  /** Fewest tiles of a picture. */
  readonly minDynamicPatch: number;
  /** Most tiles of a picture. */
  readonly maxDynamicPatch: number;
  /** Edge of a tile in pixels when it is not the tower's own; `null` when it is. See {@link tileSize}. */
  readonly forceImageSize: number | null;
  /** System message, when the checkpoint has one of its own; it rules over the template's. */
  readonly systemMessage?: string;
  /** How the weights are quantized; absent where they are as they were trained. */
  readonly quantization?: Quantization;
}

/** Layers of the tower that have to run: hidden state k of `select_layer` is the output of k layers. */
export function visionLayersUsed(layers: number, selectLayer: number): number {
  return selectLayer < 0 ? layers + 1 + selectLayer : selectLayer;
}

/** Edge of a tile in pixels. */
export function tileSize(config: InternVLConfig): number {
  return config.forceImageSize ?? config.vision.imageSize;
}

/** Visual tokens per tile: `(tileSize / patchSize)² · downsampleRatio²`, 256 for V1-5. */
export function tokensPerTile(config: InternVLConfig): number {
  const grid = Math.floor(tileSize(config) / config.vision.patchSize);
  return Math.round(grid * config.downsampleRatio) ** 2;
}

/** The largest edge of a tile; beyond it one tile alone would fill the memory. */
const mostPixels = 4096;
const VisionFile = Schema.Struct({
  hidden_size: or(size, 3200),
  num_hidden_layers: or(depth, 48),
  num_attention_heads: or(size, 25),
  intermediate_size: or(size, 12800),
  image_size: or(size, 224),
  patch_size: or(size, 14),
  num_channels: or(Schema.Int, 3),
  norm_type: or(Schema.Literals(["rms_norm", "layer_norm"]), "rms_norm"),
  layer_norm_eps: or(epsilon, 1e-6),
  qk_normalization: or(Schema.Boolean, true),
  qkv_bias: or(Schema.Boolean, false),
  hidden_act: or(Schema.Literal("gelu"), "gelu"),
});

const ConfigFile = Schema.Struct({
  vision_config: or(VisionFile, {}),
  downsample_ratio: or(
    Schema.Finite.check(
      Schema.isGreaterThan(0),
      Schema.isLessThanOrEqualTo(1),
    ),
    0.5,
  ),
  ps_version: or(Schema.Literals(["v1", "v2"]), "v1"),
  select_layer: or(Schema.Int, -1),
  template: Schema.NonEmptyString,
  dynamic_image_size: or(Schema.Boolean, false),
  use_thumbnail: or(Schema.Boolean, false),
  min_dynamic_patch: or(size, 1),
  max_dynamic_patch: or(size, 6),
  force_image_size: or(Schema.NullOr(size), null),
  system_message: Schema.optionalKey(Schema.NullOr(Schema.String)),
  use_backbone_lora: or(Schema.Int, 0),
  use_llm_lora: or(Schema.Int, 0),
});

/**
 * Decodes the JSON of a `config.json`.
 * Fails with {@link CheckpointError}: an architecture we do not have, a missing or impossible value.
 */
export function decodeConfig(
  value: unknown,
  path: string,
): Effect.Effect<InternVLConfig, CheckpointError> {
  const wrong = check(value);
  if (typeof wrong === "string") {
    return Effect.fail(
      new CheckpointError({ path, message: `${path}: ${wrong}` }),
    );
  }
  return Effect.succeed(wrong);
}

/** The configuration, or what is wrong with it. */
function check(value: unknown): InternVLConfig | string {
  if (!isRecord(value)) return "a JSON object is expected";
  const foreign = foreignArchitecture(value);
  if (foreign !== undefined) return foreign;
  const decoded = Schema.decodeUnknownResult(ConfigFile)(value);
  if (Result.isFailure(decoded)) return oneLine(decoded.failure.message);
  const file = decoded.success;
  const { vision_config: v } = file;
  if (v.num_channels !== 3) {
    return `vision_config.num_channels is ${v.num_channels}; 3 is supported`;
  }
  if (v.hidden_size % v.num_attention_heads !== 0) {
    return `vision_config.hidden_size ${v.hidden_size} is no multiple of num_attention_heads ${v.num_attention_heads}`;
  }
  const found = languageArchitecture(value.llm_config);
  if (typeof found === "string") return found;
  const language = decodeLanguage(value.llm_config, found.architecture);
  if (typeof language === "string") return language;
  const edge = file.force_image_size ?? v.image_size;
  if (edge > mostPixels) {
    const key = file.force_image_size === null
      ? "vision_config.image_size"
      : "force_image_size";
    return `${key} is ${edge}; a tile of at most ${mostPixels} pixels is supported`;
  }
  if (edge % v.patch_size !== 0 || v.image_size % v.patch_size !== 0) {
    return `the image size ${
      edge % v.patch_size !== 0 ? edge : v.image_size
    } is no multiple of patch_size ${v.patch_size}`;
  }
  const grid = edge / v.patch_size;
  const block = 1 / file.downsample_ratio;
  if (!Number.isInteger(block) || grid % block !== 0) {
    return `downsample_ratio ${file.downsample_ratio} does not divide a grid of ${grid} × ${grid} patches`;
  }
  const states = v.num_hidden_layers + 1;
  if (file.select_layer < -states || file.select_layer >= states) {
    return `select_layer ${file.select_layer} does not exist; the vision tower has ${states} hidden states`;
  }
  if (file.min_dynamic_patch > file.max_dynamic_patch) {
    return `min_dynamic_patch ${file.min_dynamic_patch} is more than max_dynamic_patch ${file.max_dynamic_patch}`;
  }
  // Where pictures are not cut the counts mean nothing.
  if (file.dynamic_image_size && file.max_dynamic_patch > mostTiles) {
    return `max_dynamic_patch is ${file.max_dynamic_patch}; at most ${mostTiles} tiles are supported`;
  }
  if (file.use_backbone_lora !== 0 || file.use_llm_lora !== 0) {
    return "use_backbone_lora and use_llm_lora must be 0; merge the LoRA weights into the model first";
  }
  const quantization = value.quantization_config == null
    ? undefined
    : decodeQuantization(value.quantization_config);
  if (typeof quantization === "string") return quantization;
  if (
    quantization !== undefined && language.tieWordEmbeddings &&
    schemeText(quantization.head) !== schemeText(quantization.embedding)
  ) {
    return "quantization_config: head and embedding share their weights and must be alike";
  }
  return {
    architecture: "InternVLChatModel",
    vision: {
      hiddenSize: v.hidden_size,
      layers: v.num_hidden_layers,
      heads: v.num_attention_heads,
      intermediateSize: v.intermediate_size,
      imageSize: v.image_size,
      patchSize: v.patch_size,
      normType: v.norm_type,
      normEps: v.layer_norm_eps,
      qkNormalization: v.qk_normalization,
      qkvBias: v.qkv_bias,
      hiddenAct: v.hidden_act,
    },
    language,
    downsampleRatio: file.downsample_ratio,
    psVersion: file.ps_version,
    selectLayer: file.select_layer,
    template: file.template,
    dynamicImageSize: file.dynamic_image_size,
    useThumbnail: file.use_thumbnail,
    minDynamicPatch: file.min_dynamic_patch,
    maxDynamicPatch: file.max_dynamic_patch,
    forceImageSize: file.force_image_size,
    ...(file.system_message == null
      ? {}
      : { systemMessage: file.system_message }),
    ...(quantization === undefined ? {} : { quantization }),
  };
}

/** Says which part of a config is of an architecture we do not have. */
function foreignArchitecture(
  value: Readonly<Record<string, unknown>>,
): string | undefined {
  const whole = named(value, "InternVLChatModel", "internvl_chat");
  if (whole === "InternVLForConditionalGeneration" || whole === "internvl") {
    return `this is a "-HF" repack (${whole}), whose layout is not supported yet; take the checkpoint in the original InternVLChatModel layout`;
  }
  if (whole !== undefined) {
    return `architecture ${
      quoted(whole)
    } is not supported; InternVLChatModel is`;
  }
  const vision = isRecord(value.vision_config) ? value.vision_config : {};
  const tower = named(vision, "InternVisionModel", "intern_vit_6b");
  if (tower !== undefined) {
    return `vision architecture ${
      quoted(tower)
    } is not supported; InternVisionModel (intern_vit_6b) is`;
  }
}
