/**
 * Checkpoints of random weights. Their answers are nonsense; their shapes, dtypes and files are those
 * of real ones.
 * @module
 */
import { Effect } from "effect";
import { decodeConfig } from "../plugins/internvl/config.ts";
import {
  expectedTensors,
  type Part,
  parts as allParts,
} from "../plugins/internvl/graphs/tensors.ts";
import { encodeQuantization } from "../plugins/internvl/quantize/config.ts";
import type {
  BlockScheme,
  Quantization,
} from "../plugins/internvl/quantize/scheme.ts";
import { parseSentencePiece } from "../plugins/internvl/tokenizer/sentencepiece.ts";

/**
 * `config.json` of a checkpoint that is large enough that a machine has to work: a language model of
 * about 150 M parameters, and six layers of the 300M kind's vision tower at 448 pixels.
 */
export const syntheticConfig = {
  architectures: ["InternVLChatModel"],
  model_type: "internvl_chat",
  template: "internlm2-chat",
  downsample_ratio: 0.5,
  dynamic_image_size: true,
  force_image_size: 448,
  use_thumbnail: true,
  min_dynamic_patch: 1,
  max_dynamic_patch: 6,
  ps_version: "v2",
  select_layer: -1,
  torch_dtype: "bfloat16",
  llm_config: {
    architectures: ["InternLM2ForCausalLM"],
    model_type: "internlm2",
    bias: false,
    bos_token_id: 1,
    eos_token_id: 2,
    pad_token_id: 2,
    hidden_act: "silu",
    hidden_size: 1024,
    intermediate_size: 4096,
    max_position_embeddings: 32_768,
    num_attention_heads: 16,
    num_hidden_layers: 8,
    num_key_value_heads: 8,
    rms_norm_eps: 1e-5,
    rope_scaling: { factor: 2, type: "dynamic" },
    rope_theta: 1_000_000,
    tie_word_embeddings: false,
    vocab_size: 16_384,
  },
  vision_config: {
    architectures: ["InternVisionModel"],
    model_type: "intern_vit_6b",
    hidden_act: "gelu",
    hidden_size: 1024,
    image_size: 448,
    intermediate_size: 4096,
    layer_norm_eps: 1e-6,
    norm_type: "layer_norm",
    num_attention_heads: 16,
    num_channels: 3,
    num_hidden_layers: 6,
    patch_size: 14,
    qk_normalization: false,
    qkv_bias: true,
  },
};

/** `config.json` of the shape of Mini-InternVL-Chat-2B-V1-5. */
export const mini2bConfig = {
  ...syntheticConfig,
  max_dynamic_patch: 12,
  llm_config: {
    ...syntheticConfig.llm_config,
    hidden_size: 2048,
    intermediate_size: 8192,
    num_hidden_layers: 24,
    vocab_size: 92_553,
  },
  vision_config: { ...syntheticConfig.vision_config, num_hidden_layers: 24 },
};

/** `config.json` of the shape of InternVL-Chat-V1-5: 25.5 B parameters. */
export const v15Config = {
  ...mini2bConfig,
  llm_config: {
    ...mini2bConfig.llm_config,
    hidden_size: 6144,
    intermediate_size: 16_384,
    num_attention_heads: 48,
    num_hidden_layers: 48,
  },
  vision_config: {
    ...syntheticConfig.vision_config,
    hidden_size: 3200,
    intermediate_size: 12_800,
    norm_type: "rms_norm",
    num_attention_heads: 25,
    num_hidden_layers: 45,
    qk_normalization: true,
    qkv_bias: false,
  },
};

/** Which checkpoint {@link writeNoise} writes. */
export interface NoiseOptions {
  /** `config.json`; default {@link syntheticConfig}. */
  readonly config?: typeof syntheticConfig;
  /** How its matrices are stored; default: bfloat16. */
  readonly quantization?: Quantization;
  /** Which parts are written; default: all. */
  readonly parts?: readonly Part[];
}

const blocks: BlockScheme = {
  type: "blocks",
  bits: 4,
  // In memory the scales are float32: 4.5 bits a weight, as in llama.cpp's q4_0.
  blockSize: 64,
  symmetric: true,
};

/** The language model in 4 bits, the tower as it is. */
export const int4Weights: Quantization = {
  vision: { type: "float" },
  language: blocks,
  head: blocks,
  embedding: blocks,
};

/** Writes a random checkpoint into `dir`; the tokenizer is the one in `tokenizerDir`, padded. */
export async function writeNoise(
  dir: string,
  tokenizerDir: string,
  options: NoiseOptions = {},
): Promise<void> {
  const { quantization, parts = allParts } = options;
  const json = {
    ...options.config ?? syntheticConfig,
    ...(quantization === undefined
      ? {}
      : { quantization_config: encodeQuantization(quantization) }),
  };
  await Deno.writeTextFile(
    `${dir}/config.json`,
    JSON.stringify(json, null, 2),
  );
  await writePaddedTokenizer(dir, tokenizerDir, json.llm_config.vocab_size);
  const config = await Effect.runPromise(decodeConfig(json, "config.json"));
  const header: Record<string, unknown> = {};
  const values: [length: number, kind: Kind][] = [];
  let at = 0;
  for (
    const { name, shape, dtypes } of parts.flatMap((part) =>
      expectedTensors(config, part)
    )
  ) {
    const dtype = FILE_TYPES[dtypes?.[0] ?? "bfloat16"];
    const length = shape.reduce((a, b) => a * b, dtype.bytes);
    header[name] = {
      dtype: dtype.name,
      shape,
      data_offsets: [at, at + length],
    };
    values.push([length, dtype.kind ?? kindOf(name)]);
    at += length;
  }
  using file = await Deno.open(`${dir}/model.safetensors`, {
    write: true,
    create: true,
    truncate: true,
  });
  const text = new TextEncoder().encode(JSON.stringify(header));
  const head = new Uint8Array(8 + Math.ceil(text.length / 8) * 8).fill(0x20);
  new DataView(head.buffer).setBigUint64(0, BigInt(head.length - 8), true);
  head.set(text, 8);
  const out = file.writable.getWriter();
  await out.write(head);
  const blocks: Record<Kind, Uint8Array<ArrayBuffer>> = {
    ones: constant(1),
    small: constant(0.1),
    noise: noise(),
    scale: scales(0.004),
    bytes: bytes(() => random() * 256),
    // What a w8a8 weight may be.
    signed: bytes(() => random() * 129 - 64),
  };
  for (const [length, kind] of values) {
    const block = blocks[kind];
    for (let rest = length; rest > 0; rest -= block.length) {
      await out.write(block.subarray(0, Math.min(rest, block.length)));
    }
  }
  await out.close();
}

type Kind = "ones" | "small" | "noise" | "scale" | "bytes" | "signed";

/** How safetensors names an element type, its width, and what stands in its place. */
const FILE_TYPES: Readonly<
  Record<string, { readonly name: string; bytes: number; kind?: Kind }>
> = {
  bfloat16: { name: "BF16", bytes: 2 },
  float16: { name: "F16", bytes: 2, kind: "scale" },
  uint8: { name: "U8", bytes: 1, kind: "bytes" },
  int8: { name: "I8", bytes: 1, kind: "signed" },
};

/** Norms pass numbers through; the branches of the tower are scaled down; the rest is noise. */
function kindOf(name: string): "ones" | "small" | "noise" {
  if (/\.ls[12]$/.test(name)) return "small";
  return /norm\d?\.weight$|mlp1\.0\.weight$/.test(name) ? "ones" : "noise";
}

const BLOCK = 1 << 20;

const constant = (value: number) => bfloat16s(() => value);

/** A length that divides no row, so that rows do not repeat each other. */
const ODD = BLOCK - 2 * 37;

let state = 0x9e3779b9;

/** Uniform from 0 to 1, the same sequence in every process. */
function random(): number {
  state ^= state << 13;
  state ^= state >>> 17;
  state ^= state << 5;
  return (state >>> 0) / 2 ** 32;
}

/** Uniform between -0.03 and 0.03. */
const noise = () => bfloat16s(() => random() * 0.06 - 0.03).subarray(0, ODD);

const bytes = (next: () => number) =>
  Uint8Array.from(new Int32Array(ODD).map(next));

/** A block of one float16. */
function scales(value: number): Uint8Array<ArrayBuffer> {
  return new Uint8Array(new Float16Array(BLOCK / 2).fill(value).buffer);
}

/** A block of bfloat16: the upper halves of float32. */
function bfloat16s(next: () => number): Uint8Array<ArrayBuffer> {
  const words = new Uint16Array(BLOCK / 2);
  const float = new Float32Array(1);
  const bits = new Uint32Array(float.buffer);
  for (let i = 0; i < words.length; i++) {
    float[0] = next();
    words[i] = bits[0] >>> 16;
  }
  return new Uint8Array(words.buffer);
}

/**
 * Copies a SentencePiece tokenizer so that every id below `size` has a text: pieces are appended to
 * the model (a protobuf: fields that repeat may stand anywhere), those of the added tokens first.
 */
async function writePaddedTokenizer(
  dir: string,
  from: string,
  size: number,
): Promise<void> {
  for (const name of ["tokenizer_config.json", "special_tokens_map.json"]) {
    await Deno.copyFile(`${from}/${name}`, `${dir}/${name}`);
  }
  const { added_tokens_decoder: added } = JSON.parse(
    await Deno.readTextFile(`${from}/tokenizer_config.json`),
  );
  const path = `${from}/tokenizer.model`;
  const model = await Deno.readFile(path);
  const { pieces } = await Effect.runPromise(parseSentencePiece(model, path));
  const parts: Uint8Array<ArrayBuffer>[] = [model];
  for (let id = pieces.length; id < size; id++) {
    parts.push(piece(added[id]?.content ?? `\u2581word${id}`, id in added));
  }
  await Deno.writeFile(
    `${dir}/tokenizer.model`,
    new Uint8Array(await new Blob(parts).arrayBuffer()),
  );
}

/** `ModelProto.pieces` (field 1): `piece` (1, string), `score` (2, float), `type` (3; 3 is control). */
function piece(text: string, control: boolean): Uint8Array<ArrayBuffer> {
  const bytes = new TextEncoder().encode(text);
  const message = new Uint8Array(2 + bytes.length + 5 + 2);
  message.set([0x0a, bytes.length]);
  message.set(bytes, 2);
  message[2 + bytes.length] = 0x15;
  new DataView(message.buffer).setFloat32(3 + bytes.length, -1e5, true);
  message.set([0x18, control ? 3 : 1], 7 + bytes.length);
  const field = new Uint8Array(2 + message.length);
  field.set([0x0a, message.length]);
  field.set(message, 2);
  return field;
}
