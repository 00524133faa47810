import assert from "node:assert/strict";
import { Effect } from "effect";
import {
  decodeConfig,
  type InternVLConfig,
  tileSize,
  tokensPerTile,
  withHead,
} from "./config.ts";
import type { PictureSettings } from "./preprocessor.ts";
import { failure } from "./testing.ts";

const pictures: PictureSettings = { tileSize: 448, minTiles: 1, maxTiles: 12 };

const decode = (value: unknown, settings = pictures) =>
  Effect.runPromise(decodeConfig(value, "dir/config.json", settings));

async function refusal(value: unknown, settings = pictures): Promise<string> {
  const { message } = await failure(
    decodeConfig(value, "dir/config.json", settings),
  );
  return message;
}

const text = {
  architectures: ["Qwen2ForCausalLM"],
  model_type: "qwen2",
  hidden_size: 896,
  intermediate_size: 4864,
  num_attention_heads: 14,
  num_key_value_heads: 2,
  num_hidden_layers: 24,
  vocab_size: 151_674,
  max_position_embeddings: 32_768,
  rope_theta: 1_000_000,
  rms_norm_eps: 1e-6,
  sliding_window: null,
  tie_word_embeddings: false,
};
/** The values of a published repack, as far as they decide anything. */
const published = {
  architectures: ["InternVLForConditionalGeneration"],
  model_type: "internvl",
  downsample_ratio: 0.5,
  image_seq_length: 256,
  image_token_id: 151_667,
  projector_hidden_act: "gelu",
  text_config: text,
  vision_config: {
    // Carried over from the original; its model_type is what counts.
    architectures: ["InternVisionModel"],
    attention_bias: true,
    hidden_act: "gelu",
    hidden_size: 1024,
    image_size: [448, 448],
    intermediate_size: 4096,
    layer_norm_eps: 1e-6,
    model_type: "internvl_vision",
    norm_type: "layer_norm",
    num_attention_heads: 16,
    num_hidden_layers: 24,
    patch_size: [14, 14],
    use_absolute_position_embeddings: true,
    use_mask_token: false,
    use_mean_pooling: true,
    use_qk_norm: false,
  },
  vision_feature_layer: -1,
  vision_feature_select_strategy: "default",
};
const vision = (change: object) => ({
  ...published,
  vision_config: { ...published.vision_config, ...change },
});
const language = (change: object) => ({
  ...published,
  text_config: { ...text, ...change },
});

Deno.test("the values of a published repack", async () => {
  const config = await decode(published);
  assert.deepEqual(config, {
    architecture: "InternVLForConditionalGeneration",
    vision: {
      hiddenSize: 1024,
      layers: 24,
      heads: 16,
      intermediateSize: 4096,
      imageSize: 448,
      patchSize: 14,
      normType: "layer_norm",
      normEps: 1e-6,
      qkNormalization: false,
      qkNormEps: 1e-6,
      qkvBias: true,
      hiddenAct: "gelu",
    },
    language: {
      architecture: "Qwen2ForCausalLM",
      hiddenSize: 896,
      layers: 24,
      heads: 14,
      kvHeads: 2,
      headDim: 64,
      intermediateSize: 4864,
      vocabSize: 151_674,
      maxPositionEmbeddings: 32_768,
      ropeTheta: 1e6,
      ropeScaling: null,
      rmsNormEps: 1e-6,
      qkvBias: true,
      outputBias: false,
      tieWordEmbeddings: true,
    },
    downsampleRatio: 0.5,
    psVersion: "v2",
    selectLayer: -1,
    template: null,
    dynamicImageSize: true,
    useThumbnail: true,
    minDynamicPatch: 1,
    maxDynamicPatch: 12,
    forceImageSize: 448,
    imageTokenId: 151_667,
  });
  assert.equal(tileSize(config), 448);
  assert.equal(tokensPerTile(config), 256);
});

Deno.test("missing values take the defaults of its classes", async () => {
  const config = await decode({ model_type: "internvl" });
  assert.deepEqual(
    [
      config.vision.hiddenSize,
      config.vision.layers,
      config.vision.normType,
      config.vision.qkvBias,
      config.vision.imageSize,
      config.vision.patchSize,
      config.language.architecture,
      config.imageTokenId,
    ],
    [1024, 24, "layer_norm", false, 448, 14, "Qwen2ForCausalLM", 151_667],
  );
});

Deno.test("the norms of q and k keep their epsilon, numbers may stand for pairs, tiles may be smaller", async () => {
  const config = await decode({
    ...vision({ layer_norm_eps: 1e-3, image_size: 448, patch_size: 14 }),
    image_seq_length: 64,
  }, { ...pictures, tileSize: 224, maxTiles: 4 });
  assert.equal(config.vision.normEps, 1e-3);
  assert.equal(config.vision.qkNormEps, 1e-6);
  assert.equal(tileSize(config), 224);
  assert.equal(config.vision.imageSize, 448);
  assert.equal(config.maxDynamicPatch, 4);
});

Deno.test("a language model goes by its model_type, and its angles may be in one key", async () => {
  const rope = async (change: object) => {
    const { language: found } = await decode(language(change));
    return [found.architecture, found.ropeTheta, found.ropeScaling?.type];
  };
  assert.deepEqual(
    await rope({ model_type: "qwen3", architectures: ["Qwen3Model"] }),
    ["Qwen3ForCausalLM", 1e6, undefined],
  );
  assert.deepEqual(
    await rope({
      rope_theta: undefined,
      rope_parameters: { rope_type: "default", rope_theta: 5e6 },
    }),
    ["Qwen2ForCausalLM", 5e6, undefined],
  );
  assert.deepEqual(
    await rope({
      rope_parameters: { rope_type: "linear", rope_theta: 5e6, factor: 2 },
    }),
    ["Qwen2ForCausalLM", 5e6, "linear"],
  );
});

Deno.test("a head is tied where there is none, unless both keys deny it", async () => {
  const tied = async (
    inside: boolean | undefined,
    top: boolean | undefined,
    head: boolean,
  ) => {
    const config = await decode({
      ...language({ tie_word_embeddings: inside }),
      ...(top === undefined ? {} : { tie_word_embeddings: top }),
    });
    return (withHead(config, head) as InternVLConfig).language
      .tieWordEmbeddings;
  };
  // Version 4 writes the key inside, version 5 that of the whole, which is true by default.
  assert.equal(await tied(true, undefined, false), true);
  assert.equal(await tied(false, true, false), true);
  assert.equal(await tied(false, undefined, false), true);
  assert.equal(await tied(false, false, false), false);
  assert.equal(await tied(false, undefined, true), false);
  assert.equal(await tied(true, true, true), false);
});

Deno.test("a head and an embedding that share their weights must be quantized alike, others need not", async () => {
  const blocks = (bits: number) => ({
    type: "blocks",
    bits,
    block_size: 32,
    symmetric: true,
  });
  const config = await decode({
    ...published,
    quantization_config: {
      quant_method: "tessera",
      version: 1,
      vision: { type: "float" },
      language: blocks(4),
      head: blocks(4),
      embedding: blocks(8),
    },
  });
  assert.notEqual(typeof withHead(config, true), "string");
  assert.match(
    String(withHead(config, false)),
    /head and embedding share their weights and must be alike/,
  );
});

Deno.test("what is not computed here is refused by its key", async () => {
  const cases: [object, RegExp][] = [
    [
      { ...published, projector_hidden_act: "relu" },
      /"gelu".*"projector_hidden_act"/,
    ],
    [
      { ...published, vision_feature_select_strategy: "full" },
      /"default".*"vision_feature_select_strategy"/,
    ],
    [
      { ...published, vision_feature_layer: [-2, -1] },
      /"vision_feature_layer"/,
    ],
    [
      { ...published, vision_feature_layer: 25 },
      /vision_feature_layer 25 does not exist; .* 25 hidden states/,
    ],
    [
      { ...published, image_seq_length: 100 },
      /image_seq_length is 100; a tile of 448 pixels has 256 tokens/,
    ],
    [
      { ...published, image_seq_length: null, downsample_ratio: 0.3 },
      /downsample_ratio 0\.3 does not divide/,
    ],
    [
      vision({ model_type: "siglip_vision_model" }),
      /vision architecture "siglip_vision_model" is not supported; internvl_vision is/,
    ],
    [vision({ hidden_act: "relu" }), /"hidden_act"/],
    [vision({ norm_type: "batch_norm" }), /"norm_type"/],
    [vision({ num_channels: 1 }), /num_channels is 1; 3 is/],
    [
      vision({ use_mean_pooling: false }),
      /vision_config\.use_mean_pooling is false; true is/,
    ],
    [
      vision({ use_absolute_position_embeddings: false }),
      /use_absolute_position_embeddings is false/,
    ],
    [
      vision({ image_size: [448, 336] }),
      /vision_config\.image_size is 448 by 336; squares/,
    ],
    [vision({ patch_size: [14, 16] }), /vision_config\.patch_size is 14 by 16/],
    [
      vision({ num_attention_heads: 3 }),
      /hidden_size 1024 is no multiple of num_attention_heads 3/,
    ],
    [
      language({ model_type: "gpt_oss" }),
      /language architecture "gpt_oss" is not supported; InternLM2ForCausalLM/,
    ],
    [
      language({ num_key_value_heads: 3 }),
      /text_config\.num_attention_heads 14 is no multiple/,
    ],
    [
      language({ rope_scaling: { rope_type: "odd" } }),
      /text_config\.rope_scaling: the type "odd"/,
    ],
  ];
  for (const [value, message] of cases) {
    assert.match(await refusal(value), message);
  }
  assert.match(
    await refusal(published, { ...pictures, tokensPerTile: 64 }),
    /image_seq_length of processor_config\.json is 64; a tile of 448 pixels has 256/,
  );
  assert.match(
    await refusal(
      { ...published, image_seq_length: null },
      { ...pictures, tileSize: 450 },
    ),
    /image size 450 is no multiple of patch_size 14/,
  );
});
