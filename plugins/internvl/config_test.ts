import assert from "node:assert/strict";
import { Effect } from "effect";
import { mostTiles } from "../../nodes/limits.ts";
import { decodeConfig, tileSize, tokensPerTile } from "./config.ts";
import { configJson, failure } from "./testing.ts";

const decode = (value: unknown) =>
  Effect.runPromise(decodeConfig(value, "dir/config.json"));

async function refusal(value: unknown): Promise<string> {
  const { message } = await failure(decodeConfig(value, "dir/config.json"));
  assert.match(message, /^dir\/config\.json: /);
  assert.ok(!message.includes("\n"), message);
  return message;
}

/** V1-5's published values, as far as they decide anything (specification, section 8). */
const v15 = {
  architectures: ["InternVLChatModel"],
  auto_map: { AutoConfig: "configuration_internvl_chat.InternVLChatConfig" },
  downsample_ratio: 0.5,
  dynamic_image_size: true,
  force_image_size: 448,
  llm_config: {
    architectures: ["InternLM2ForCausalLM"],
    attn_implementation: "eager",
    bias: false,
    bos_token_id: 1,
    eos_token_id: 2,
    hidden_act: "silu",
    hidden_size: 6144,
    intermediate_size: 16384,
    max_position_embeddings: 32768,
    model_type: "internlm2",
    num_attention_heads: 48,
    num_hidden_layers: 48,
    num_key_value_heads: 8,
    pad_token_id: 2,
    rms_norm_eps: 1e-5,
    rope_scaling: { factor: 3.0, type: "dynamic" },
    rope_theta: 1000000,
    tie_word_embeddings: false,
    vocab_size: 92553,
  },
  max_dynamic_patch: 12,
  min_dynamic_patch: 1,
  model_type: "internvl_chat",
  ps_version: "v2",
  select_layer: -1,
  template: "internlm2-chat",
  use_thumbnail: true,
  vision_config: {
    architectures: ["InternVisionModel"],
    hidden_size: 3200,
    image_size: 448,
    intermediate_size: 12800,
    model_type: "intern_vit_6b",
    norm_type: "rms_norm",
    num_attention_heads: 25,
    num_hidden_layers: 45,
    patch_size: 14,
    qk_normalization: true,
    qkv_bias: false,
  },
};

Deno.test("the values of V1-5", async () => {
  const config = await decode(v15);
  assert.deepEqual(config, {
    architecture: "InternVLChatModel",
    vision: {
      hiddenSize: 3200,
      layers: 45,
      heads: 25,
      intermediateSize: 12800,
      imageSize: 448,
      patchSize: 14,
      normType: "rms_norm",
      normEps: 1e-6,
      qkNormalization: true,
      qkNormEps: 1e-6,
      qkvBias: false,
      hiddenAct: "gelu",
    },
    language: {
      architecture: "InternLM2ForCausalLM",
      hiddenSize: 6144,
      layers: 48,
      heads: 48,
      kvHeads: 8,
      headDim: 128,
      intermediateSize: 16384,
      vocabSize: 92553,
      maxPositionEmbeddings: 32768,
      ropeTheta: 1e6,
      ropeScaling: { type: "dynamic", factor: 3 },
      rmsNormEps: 1e-5,
      qkvBias: false,
      outputBias: false,
      tieWordEmbeddings: false,
    },
    downsampleRatio: 0.5,
    psVersion: "v2",
    selectLayer: -1,
    template: "internlm2-chat",
    dynamicImageSize: true,
    useThumbnail: true,
    minDynamicPatch: 1,
    maxDynamicPatch: 12,
    forceImageSize: 448,
  });
  assert.equal(tileSize(config), 448);
  assert.equal(tokensPerTile(config), 256);
});

Deno.test("missing values take the defaults of the reference's classes", async () => {
  const config = await decode({
    template: "internlm2-chat",
    vision_config: {},
    llm_config: { model_type: "internlm2" },
  });
  assert.deepEqual(config.vision, {
    hiddenSize: 3200,
    layers: 48,
    heads: 25,
    intermediateSize: 12800,
    imageSize: 224,
    patchSize: 14,
    normType: "rms_norm",
    normEps: 1e-6,
    qkNormalization: true,
    qkNormEps: 1e-6,
    qkvBias: false,
    hiddenAct: "gelu",
  });
  assert.equal(config.language.kvHeads, 32);
  assert.equal(config.language.vocabSize, 103168);
  assert.equal(config.language.qkvBias, true);
  assert.equal(config.language.outputBias, true);
  assert.equal(config.language.ropeTheta, 10000);
  assert.equal(config.language.ropeScaling, null);
  assert.equal(config.psVersion, "v1");
  assert.equal(config.maxDynamicPatch, 6);
  assert.equal(config.dynamicImageSize, false);
  assert.equal(config.forceImageSize, null);
  assert.equal(tileSize(config), 224);
  assert.equal("systemMessage" in config, false);
});

Deno.test("the most tiles and pixels that there can be are taken, and counts that do not count", async () => {
  const most = await decode(configJson({
    top: {
      dynamic_image_size: true,
      min_dynamic_patch: 40,
      max_dynamic_patch: mostTiles,
      force_image_size: 4096,
    },
    vision: { image_size: 4096, patch_size: 8 },
  }));
  assert.equal(most.maxDynamicPatch, 40);
  assert.equal(tileSize(most), 4096);
  const whole = await decode(configJson({
    top: { dynamic_image_size: false, max_dynamic_patch: 50 },
  }));
  assert.equal(whole.maxDynamicPatch, 50);
});

Deno.test("nulls stand for nothing where the classes allow them", async () => {
  const config = await decode(configJson({
    top: { force_image_size: null, system_message: null },
    language: {
      num_key_value_heads: null,
      rope_scaling: null,
    },
  }));
  assert.equal(config.forceImageSize, null);
  assert.equal(config.language.kvHeads, 4);
  assert.equal(config.systemMessage, undefined);
});

Deno.test("a system message is kept, an empty one too", async () => {
  for (const message of ["Be brief.", ""]) {
    const config = await decode(
      configJson({ top: { system_message: message } }),
    );
    assert.equal(config.systemMessage, message);
  }
});

Deno.test("architectures we do not have are named, with those we have", async () => {
  const cases: [object, RegExp][] = [
    [
      { architectures: ["LlavaForConditionalGeneration"] },
      /architecture "LlavaForConditionalGeneration" is not supported; InternVLChatModel and InternVLForConditionalGeneration are/,
    ],
    [
      { architectures: [["InternVLChatModel"]] },
      /architecture "a value of type object" is not supported/,
    ],
    [
      { architectures: undefined, model_type: "llava" },
      /architecture "llava" is not supported/,
    ],
    [
      { llm_config: { architectures: ["GptOssForCausalLM"] } },
      /language architecture "GptOssForCausalLM" is not supported; InternLM2ForCausalLM, .*Phi3ForCausalLM are/,
    ],
    [
      { llm_config: { model_type: "internlm3" } },
      /language architecture "internlm3" is not supported/,
    ],
    [{ llm_config: {} }, /llm_config\.architectures is missing/],
    [{ llm_config: undefined }, /llm_config\.architectures is missing/],
    [
      { vision_config: { architectures: ["SiglipVisionModel"] } },
      /vision architecture "SiglipVisionModel" is not supported; InternVisionModel/,
    ],
    [
      { vision_config: { model_type: "clip_vision_model" } },
      /vision architecture "clip_vision_model"/,
    ],
  ];
  for (const [top, message] of cases) {
    assert.match(await refusal(configJson({ top })), message);
  }
});

Deno.test("values that are missing, mistyped or impossible are named", async () => {
  const cases: [Parameters<typeof configJson>[0], RegExp][] = [
    [{ top: { template: undefined } }, /"template"/],
    [{ top: { ps_version: "v3" } }, /"v1" \| "v2".*"ps_version"/],
    [{ language: { num_hidden_layers: "2" } }, /"num_hidden_layers"/],
    [{ language: { num_hidden_layers: 1e9 } }, /"num_hidden_layers"/],
    [{ language: { hidden_size: 1.5 } }, /"hidden_size"/],
    [{ language: { hidden_act: "gelu" } }, /"hidden_act"/],
    [
      { language: { rope_scaling: { type: "dynamic", factor: 0.5 } } },
      /factor/,
    ],
    [
      { language: { num_attention_heads: 3 } },
      /llm_config\.hidden_size 16 is no multiple of num_attention_heads 3/,
    ],
    [
      { language: { num_key_value_heads: 3 } },
      /num_attention_heads 4 is no multiple of num_key_value_heads 3/,
    ],
    [
      { language: { num_attention_heads: 16, num_key_value_heads: 16 } },
      /heads of width 1 cannot be rotated/,
    ],
    [{ vision: { hidden_act: "quick_gelu" } }, /"hidden_act"/],
    [{ vision: { norm_type: "batch_norm" } }, /"norm_type"/],
    [{ vision: { num_channels: 1 } }, /num_channels is 1; 3 is supported/],
    [
      { vision: { num_attention_heads: 3 } },
      /vision_config\.hidden_size 8 is no multiple of num_attention_heads 3/,
    ],
    [
      { vision: { patch_size: 5 } },
      /image size 28 is no multiple of patch_size 5/,
    ],
    [
      { top: { downsample_ratio: 0.4 } },
      /downsample_ratio 0\.4 does not divide a grid of 4 × 4/,
    ],
    [
      { top: { select_layer: 3 } },
      /select_layer 3 does not exist; .* 3 hidden states/,
    ],
    [{ top: { select_layer: -4 } }, /select_layer -4 does not exist/],
    [
      { top: { min_dynamic_patch: 13 } },
      /min_dynamic_patch 13 is more than max_dynamic_patch 12/,
    ],
    [
      { top: { dynamic_image_size: true, max_dynamic_patch: 41 } },
      /max_dynamic_patch is 41; at most 40 tiles/,
    ],
    [
      {
        top: {
          dynamic_image_size: true,
          min_dynamic_patch: 41,
          max_dynamic_patch: 50,
        },
      },
      /max_dynamic_patch is 50; at most 40 tiles/,
    ],
    [
      { top: { force_image_size: 4102 } },
      /force_image_size is 4102; a tile of at most 4096 pixels/,
    ],
    [
      {
        top: { force_image_size: null },
        vision: { image_size: 1 << 24, patch_size: 1 << 20 },
      },
      /vision_config\.image_size is 16777216; a tile of at most 4096 pixels/,
    ],
    [{ top: { use_llm_lora: 16 } }, /merge the LoRA weights/],
  ];
  for (const [changes, message] of cases) {
    assert.match(await refusal(configJson(changes)), message);
  }
  assert.match(await refusal([]), /a JSON object is expected/);
});
