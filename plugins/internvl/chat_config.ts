/**
 * A `config.json` in the original layout (`InternVLChatModel`), with the defaults of its classes
 * (`configuration_internvl_chat.py`, `configuration_intern_vit.py`).
 * @module
 */
import { Result, Schema } from "effect";
import { mostTiles } from "../../nodes/limits.ts";
import type { ReadConfig } from "./config.ts";
import { isRecord, oneLine, quoted } from "./files.ts";
import { depth, epsilon, or, ratio, size } from "./config_parts.ts";
import { named, readLanguage } from "./language_config.ts";
import { layoutOf } from "./layouts.ts";

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
  downsample_ratio: or(ratio, 0.5),
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

/** The configuration, or what is wrong with it. */
export function readChatConfig(
  value: Readonly<Record<string, unknown>>,
): ReadConfig | string {
  const foreign = named(
    isRecord(value.vision_config) ? value.vision_config : {},
    "InternVisionModel",
    "intern_vit_6b",
  );
  if (foreign !== undefined) {
    return `vision architecture ${
      quoted(foreign)
    } is not supported; InternVisionModel (intern_vit_6b) is`;
  }
  const decoded = Schema.decodeUnknownResult(ConfigFile)(value);
  if (Result.isFailure(decoded)) return oneLine(decoded.failure.message);
  const file = decoded.success;
  const { vision_config: v } = file;
  if (v.num_channels !== 3) {
    return `vision_config.num_channels is ${v.num_channels}; 3 is supported`;
  }
  const { languageKey: key } = layoutOf("InternVLChatModel");
  const language = readLanguage(value[key], key);
  if (typeof language === "string") return language;
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
  return {
    edgeKey: file.force_image_size === null
      ? "vision_config.image_size"
      : "force_image_size",
    layerKey: "select_layer",
    config: {
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
        qkNormEps: v.layer_norm_eps,
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
    },
  };
}
