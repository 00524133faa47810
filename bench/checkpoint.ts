/**
 * A checkpoint of random weights, large enough that a machine has to work: a language model of about
 * 150 M parameters, and six layers of the 300M kind's vision tower at 448 pixels. Its answers are
 * nonsense; its shapes, dtypes and files are those of a real one.
 * @module
 */
import { Effect } from "effect";
import { decodeConfig } from "../plugins/internvl/config.ts";
import { allExpectedTensors } from "../plugins/internvl/graphs/tensors.ts";
import { parseSentencePiece } from "../plugins/internvl/tokenizer/sentencepiece.ts";

const VOCABULARY = 16_384;

/** `config.json` of the random checkpoint. */
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
    vocab_size: VOCABULARY,
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

/** Writes the random checkpoint into `dir`; the tokenizer is the one in `tokenizerDir`, padded. */
export async function writeSyntheticCheckpoint(
  dir: string,
  tokenizerDir: string,
): Promise<void> {
  await Deno.writeTextFile(
    `${dir}/config.json`,
    JSON.stringify(syntheticConfig, null, 2),
  );
  await writePaddedTokenizer(dir, tokenizerDir, VOCABULARY);
  const config = await Effect.runPromise(
    decodeConfig(syntheticConfig, "config.json"),
  );
  const header: Record<string, unknown> = {};
  const values: [length: number, kind: Kind][] = [];
  let at = 0;
  for (const { name, shape } of allExpectedTensors(config)) {
    const length = shape.reduce((a, b) => a * b, 2);
    header[name] = {
      dtype: "BF16",
      shape,
      data_offsets: [at, at + length],
    };
    values.push([length, kindOf(name)]);
    at += length;
  }
  using file = await Deno.open(`${dir}/model.safetensors`, {
    write: true,
    create: true,
    truncate: true,
  });
  const json = new TextEncoder().encode(JSON.stringify(header));
  const head = new Uint8Array(8 + Math.ceil(json.length / 8) * 8).fill(0x20);
  new DataView(head.buffer).setBigUint64(0, BigInt(head.length - 8), true);
  head.set(json, 8);
  const out = file.writable.getWriter();
  await out.write(head);
  const blocks = { ones: constant(1), small: constant(0.1), noise: noise() };
  for (const [length, kind] of values) {
    const block = blocks[kind];
    for (let rest = length; rest > 0; rest -= block.length) {
      await out.write(block.subarray(0, Math.min(rest, block.length)));
    }
  }
  await out.close();
}

type Kind = "ones" | "small" | "noise";

/** Norms pass numbers through; the branches of the tower are scaled down; the rest is noise. */
function kindOf(name: string): Kind {
  if (/\.ls[12]$/.test(name)) return "small";
  return /norm\d?\.weight$|mlp1\.0\.weight$/.test(name) ? "ones" : "noise";
}

const BLOCK = 1 << 20;

const constant = (value: number) => bfloat16s(() => value);

/** Uniform between -0.03 and 0.03, of a period that divides no row. */
function noise(): Uint8Array<ArrayBuffer> {
  let state = 0x9e3779b9;
  return bfloat16s(() => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 32 * 0.06 - 0.03;
  }).subarray(0, BLOCK - 2 * 37);
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
