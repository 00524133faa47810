import assert from "node:assert/strict";
import { Effect } from "effect";
import { bytesPerElement } from "../../../nodes/tensor.ts";
import { expectTensors } from "../checkpoint.ts";
import { decodeConfig, type InternVLConfig } from "../config.ts";
import type { TensorEntry, WeightDType } from "../safetensors.ts";
import { configJson } from "../testing.ts";
import {
  allExpectedTensors,
  cacheBytesPerToken,
  expectedTensors,
  memoryEstimate,
  partSizes,
} from "./tensors.ts";

function config(json: unknown): InternVLConfig {
  return Effect.runSync(decodeConfig(json, "config.json"));
}

/** InternVL-Chat-V1-5, by its published configuration. */
const large = config(configJson({
  top: { force_image_size: 448 },
  vision: {
    hidden_size: 3200,
    num_hidden_layers: 45,
    num_attention_heads: 25,
    intermediate_size: 12800,
    image_size: 448,
    patch_size: 14,
    norm_type: "rms_norm",
    qk_normalization: true,
    qkv_bias: false,
  },
  language: {
    hidden_size: 6144,
    num_hidden_layers: 48,
    num_attention_heads: 48,
    num_key_value_heads: 8,
    intermediate_size: 16384,
    vocab_size: 92553,
    max_position_embeddings: 32768,
  },
}));

/** Mini-InternVL-Chat-2B-V1-5. */
const mini = config(configJson({
  top: { force_image_size: 448 },
  vision: {
    hidden_size: 1024,
    num_hidden_layers: 24,
    num_attention_heads: 16,
    intermediate_size: 4096,
    image_size: 448,
    patch_size: 14,
    norm_type: "layer_norm",
    qk_normalization: false,
    qkv_bias: true,
  },
  language: {
    hidden_size: 2048,
    num_hidden_layers: 24,
    num_attention_heads: 16,
    num_key_value_heads: 8,
    intermediate_size: 8192,
    vocab_size: 92553,
    max_position_embeddings: 32768,
  },
}));

/** The tensors a configuration asks for, as if a checkpoint had them. */
function tensorsOf(
  config: InternVLConfig,
  dtype: WeightDType,
): Map<string, TensorEntry> {
  const width = dtype === "float32" ? 4 : 2;
  return new Map(
    allExpectedTensors(config).map(({ name, shape }) => [name, {
      name,
      dtype,
      shape,
      file: "model.safetensors",
      offset: 0,
      length: shape.reduce((a, b) => a * b, width),
    }]),
  );
}

Deno.test("parameters of the published models, in billions", () => {
  const rounded = (config: InternVLConfig) => {
    const sizes = partSizes(config, tensorsOf(config, "bfloat16"));
    return [sizes.language, sizes.vision, sizes.projector].map((part) => {
      assert.equal(part.bytes, 2 * part.parameters);
      assert.deepEqual(part.byType, { bfloat16: part.parameters });
      return (part.parameters / 1e9).toFixed(3);
    });
  };
  assert.deepEqual(rounded(large), ["19.861", "5.536", "0.116"]);
  assert.deepEqual(rounded(mini), ["1.889", "0.304", "0.013"]);
});

Deno.test("key-value cache of the published models in 16 bits, bytes a token", () => {
  assert.equal(cacheBytesPerToken(large.language, "bfloat16"), 196_608);
  assert.equal(cacheBytesPerToken(mini.language, "float16"), 98_304);
  assert.equal(cacheBytesPerToken(mini.language), 196_608);
});

Deno.test("the memory estimate adds up, and follows type, context and tying", () => {
  const tensors = tensorsOf(mini, "bfloat16");
  const estimate = memoryEstimate(mini, tensors, { contextLength: 4096 });
  const table = 92553 * 2048;
  assert.equal(estimate.embeddingTable, 2 * table);
  assert.equal(estimate.cache, 4096 * 196_608);
  const { language, vision, projector } = estimate.weights;
  assert.equal(
    language,
    4 * (partSizes(mini, tensors).language.parameters - table),
  );
  assert.equal(
    estimate.total,
    language + vision + projector + estimate.embeddingTable + estimate.cache +
      estimate.activations,
  );
  const half = memoryEstimate(mini, tensors, {
    dtype: "float16",
    contextLength: 4096,
  });
  assert.equal(2 * half.weights.vision, vision);
  assert.equal(2 * half.cache, estimate.cache);
  const tied = {
    ...mini,
    language: { ...mini.language, tieWordEmbeddings: true },
  };
  const tiedTensors = tensorsOf(tied, "bfloat16");
  // A tied head is one more copy of the table, in the type of the computation.
  assert.equal(memoryEstimate(tied, tiedTensors).weights.language, language);
});

Deno.test("biases, q/k norms, norm kinds, tying and select_layer decide which tensors are read", () => {
  const names = (config: InternVLConfig) =>
    new Set(allExpectedTensors(config).map(({ name }) => name));
  const base = config(configJson());
  const other = config(configJson({
    top: { select_layer: -2 },
    vision: {
      norm_type: "layer_norm",
      qk_normalization: false,
      qkv_bias: true,
    },
    language: { bias: true, tie_word_embeddings: true },
  }));
  const layer = "vision_model.encoder.layers.0";
  const wqkv = "language_model.model.layers.1.attention.wqkv";
  const only = (a: InternVLConfig, b: InternVLConfig) => {
    const second = names(b);
    return [...names(a)].filter((name) => !second.has(name));
  };
  const added = only(other, base);
  assert.ok(added.includes(`${layer}.norm1.bias`));
  assert.ok(added.includes(`${layer}.attn.qkv.bias`));
  assert.ok(added.includes(`${wqkv}.bias`));
  assert.ok(added.includes("language_model.model.layers.1.attention.wo.bias"));
  const dropped = only(base, other);
  assert.ok(dropped.includes(`${layer}.attn.q_norm.weight`));
  assert.ok(dropped.includes("language_model.output.weight"));
  assert.ok(dropped.includes("vision_model.encoder.layers.1.ls1"));
  assert.equal(
    dropped.filter((name) => name.includes("encoder.layers.0")).length,
    2,
  );
});

Deno.test("a wrong or missing tensor is named with both shapes before anything is loaded", async () => {
  const { language } = large;
  const tensors = tensorsOf(large, "bfloat16");
  const name = "language_model.model.layers.7.attention.wqkv.weight";
  const expected = [
    (language.heads + 2 * language.kvHeads) * language.headDim,
    language.hiddenSize,
  ];
  assert.deepEqual(tensors.get(name)!.shape, expected);
  const check = () =>
    Effect.runPromise(
      Effect.flip(
        expectTensors(
          { dir: "model", tensors },
          expectedTensors(large, "language"),
        ),
      ),
    );
  tensors.set(name, { ...tensors.get(name)!, shape: [18432, 6144] });
  const wrong = await check();
  assert.equal(wrong.tensor, name);
  assert.match(wrong.message, /\[18432, 6144\].*\[8192, 6144\]/);
  tensors.delete(name);
  const missing = await check();
  assert.equal(missing.tensor, name);
});

Deno.test("quantized: what is stored, and what it takes in memory", () => {
  const config = {
    ...mini,
    quantization: {
      vision: { type: "w8a8" },
      language: { type: "blocks", bits: 4, blockSize: 64, symmetric: false },
      head: { type: "blocks", bits: 8, blockSize: 32, symmetric: true },
      embedding: { type: "float" },
    },
  } as const;
  const tensors = new Map(
    allExpectedTensors(config).map(({ name, shape, dtypes }) => {
      const dtype = dtypes?.[0] ?? "bfloat16";
      const length = shape.reduce((a, b) => a * b, bytesPerElement[dtype]);
      return [name, { name, dtype, shape, file: "f", offset: 0, length }];
    }),
  );
  const sizes = partSizes(config, tensors);
  const plain = partSizes(mini, tensorsOf(mini, "bfloat16"));
  for (const part of ["vision", "projector", "language"] as const) {
    assert.equal(sizes[part].parameters, plain[part].parameters);
  }
  const table = 92553 * 2048;
  assert.equal(sizes.language.byType.int8, table);
  assert.equal(sizes.language.byType.bfloat16! - table, 49 * 2048);
  const decoder = sizes.language.byType.int4!;
  const { language, vision } = memoryEstimate(config, tensors).weights;
  // Half a byte, a float32 scale and half a byte of zero point for 64 numbers; a byte and a scale for 32.
  const expected = decoder * (1 / 2 + 4 / 64 + 1 / 128) +
    table * (1 + 4 / 32) + 49 * 2048 * 4;
  assert.ok(Math.abs(language - expected) < 1e-9 * expected);
  assert.ok(vision < 1.1 * plain.vision.parameters);
  // On a GPU the tower's bytes are unpacked.
  const half = memoryEstimate(config, tensors, { dtype: "float16" }).weights;
  assert.ok(half.vision > 2 * plain.vision.parameters - 10);
  assert.ok(half.language < language);
});
