/**
 * Writes a GGUF file of noise: a Llama-shaped decoder whose matrices are all `q4_0`.
 *
 * Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md. A `q4_0` block holds 32 weights of
 * a row: a float16 scale d and 32 nibbles q, weight = (q - 8) · d; 18 bytes, 4.5 bits a weight.
 * @module
 */
import type { LanguageConfig } from "../../plugins/internvl/config.ts";

const ALIGNMENT = 32;
const VERSION = 3;

/** Numbers of `gguf_type`. */
const TYPE = {
  uint32: 4,
  int32: 5,
  float32: 6,
  text: 8,
  array: 9,
} as const;
/** Numbers of `ggml_type`. */
const GGML = { f32: 0, q4_0: 2 } as const;

type Meta =
  | readonly [key: string, type: "uint32" | "float32", value: number]
  | readonly [key: string, type: "text", value: string]
  | readonly [key: string, type: "array", value: readonly string[]]
  | readonly [
    key: string,
    type: "array",
    value: Int32Array<ArrayBuffer> | Float32Array<ArrayBuffer>,
  ];

interface TensorInfo {
  readonly name: string;
  /** Fastest axis first: [inputs, outputs], or [length]. */
  readonly extents: readonly number[];
  readonly type: keyof typeof GGML;
  readonly bytes: number;
}

/** The parts of a language model's configuration that the file needs. */
export type Shape = Pick<
  LanguageConfig,
  | "layers"
  | "hiddenSize"
  | "heads"
  | "kvHeads"
  | "headDim"
  | "intermediateSize"
  | "vocabSize"
  | "maxPositionEmbeddings"
>;

/** Writes the file; its bytes depend on the shape alone. */
export async function writeGguf(path: string, shape: Shape): Promise<void> {
  const tensors = tensorsOf(shape);
  using file = await Deno.open(path, {
    write: true,
    create: true,
    truncate: true,
  });
  const out = file.writable.getWriter();
  const head = header(metadata(shape), tensors);
  await out.write(head);
  const noise = noisyBlocks();
  for (const { type, bytes } of tensors) {
    const block = type === "f32" ? ONES : noise;
    for (let rest = bytes; rest > 0; rest -= block.length) {
      await out.write(block.subarray(0, Math.min(rest, block.length)));
    }
    await out.write(new Uint8Array(padding(bytes)));
  }
  await out.close();
}

function metadata(shape: Shape): readonly Meta[] {
  return [
    ["general.architecture", "text", "llama"],
    ["general.name", "text", "noise"],
    ["general.alignment", "uint32", ALIGNMENT],
    ["general.file_type", "uint32", 2],
    ["llama.block_count", "uint32", shape.layers],
    ["llama.context_length", "uint32", shape.maxPositionEmbeddings],
    ["llama.embedding_length", "uint32", shape.hiddenSize],
    ["llama.feed_forward_length", "uint32", shape.intermediateSize],
    ["llama.attention.head_count", "uint32", shape.heads],
    ["llama.attention.head_count_kv", "uint32", shape.kvHeads],
    ["llama.attention.layer_norm_rms_epsilon", "float32", 1e-5],
    ["llama.rope.dimension_count", "uint32", shape.headDim],
    ["llama.rope.freq_base", "float32", 1e6],
    ["llama.vocab_size", "uint32", shape.vocabSize],
    ...tokenizer(shape.vocabSize),
  ];
}

/** A SentencePiece vocabulary without meaning: llama.cpp loads no model that has none. */
function tokenizer(size: number): readonly Meta[] {
  const special = ["<unk>", "<s>", "</s>"];
  const bytes = Array.from(
    { length: 256 },
    (_, i) => `<0x${i.toString(16).toUpperCase().padStart(2, "0")}>`,
  );
  const first = special.length + bytes.length;
  const words = Array.from({ length: size - first }, (_, i) => `\u2581w${i}`);
  // 1 normal, 2 unknown, 3 control, 6 byte.
  const kinds = Int32Array.from(
    { length: size },
    (_, i) => i === 0 ? 2 : i < special.length ? 3 : i < first ? 6 : 1,
  );
  return [
    ["tokenizer.ggml.model", "text", "llama"],
    ["tokenizer.ggml.tokens", "array", [...special, ...bytes, ...words]],
    ["tokenizer.ggml.scores", "array", new Float32Array(size)],
    ["tokenizer.ggml.token_type", "array", kinds],
    ["tokenizer.ggml.bos_token_id", "uint32", 1],
    ["tokenizer.ggml.eos_token_id", "uint32", 2],
  ];
}

function tensorsOf(shape: Shape): readonly TensorInfo[] {
  const { hiddenSize: width, intermediateSize: inner, vocabSize } = shape;
  const queries = shape.heads * shape.headDim;
  const keys = shape.kvHeads * shape.headDim;
  const matrix = (name: string, rows: number, columns: number): TensorInfo => ({
    name: `${name}.weight`,
    extents: [columns, rows],
    type: "q4_0",
    bytes: rows * columns / 32 * 18,
  });
  const norm = (name: string): TensorInfo => ({
    name: `${name}.weight`,
    extents: [width],
    type: "f32",
    bytes: width * 4,
  });
  const list = [
    matrix("token_embd", vocabSize, width),
    norm("output_norm"),
    matrix("output", vocabSize, width),
  ];
  for (let i = 0; i < shape.layers; i++) {
    list.push(
      norm(`blk.${i}.attn_norm`),
      matrix(`blk.${i}.attn_q`, queries, width),
      matrix(`blk.${i}.attn_k`, keys, width),
      matrix(`blk.${i}.attn_v`, keys, width),
      matrix(`blk.${i}.attn_output`, width, queries),
      norm(`blk.${i}.ffn_norm`),
      matrix(`blk.${i}.ffn_gate`, inner, width),
      matrix(`blk.${i}.ffn_up`, inner, width),
      matrix(`blk.${i}.ffn_down`, width, inner),
    );
  }
  return list;
}

const padding = (bytes: number) => (ALIGNMENT - bytes % ALIGNMENT) % ALIGNMENT;

function header(
  meta: readonly Meta[],
  tensors: readonly TensorInfo[],
): Uint8Array<ArrayBuffer> {
  const parts: Uint8Array<ArrayBuffer>[] = [];
  let length = 0;
  const add = (bytes: Uint8Array<ArrayBuffer>) => {
    parts.push(bytes);
    length += bytes.length;
  };
  const u32 = (value: number) =>
    add(new Uint8Array(Uint32Array.of(value).buffer));
  const u64 = (value: number) =>
    add(new Uint8Array(BigUint64Array.of(BigInt(value)).buffer));
  const text = (value: string) => {
    const bytes = new TextEncoder().encode(value);
    u64(bytes.length);
    add(bytes);
  };
  add(new TextEncoder().encode("GGUF"));
  u32(VERSION);
  u64(tensors.length);
  u64(meta.length);
  for (const [key, type, value] of meta) {
    text(key);
    u32(TYPE[type]);
    if (type === "text") text(value);
    else if (type === "uint32") u32(value);
    else if (type === "float32") {
      add(new Uint8Array(Float32Array.of(value).buffer));
    } else {
      u32(
        Array.isArray(value)
          ? TYPE.text
          : value instanceof Int32Array
          ? TYPE.int32
          : TYPE.float32,
      );
      u64((value as { length: number }).length);
      if (Array.isArray(value)) value.forEach(text);
      else add(new Uint8Array((value as Int32Array<ArrayBuffer>).buffer));
    }
  }
  let offset = 0;
  for (const { name, extents, type, bytes } of tensors) {
    text(name);
    u32(extents.length);
    for (const extent of extents) u64(extent);
    u32(GGML[type]);
    u64(offset);
    offset += bytes + padding(bytes);
  }
  const all = new Uint8Array(length + padding(length));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

const ONES = new Uint8Array(new Float32Array(1 << 12).fill(1).buffer);

/** `q4_0` blocks whose weights have a standard deviation of 0.02, as trained ones about have. */
function noisyBlocks(): Uint8Array<ArrayBuffer> {
  const blocks = 58_313; // a prime: rows do not repeat each other
  const bytes = new Uint8Array(blocks * 18);
  const view = new DataView(bytes.buffer);
  let state = 0x9e3779b9;
  for (let i = 0; i < blocks; i++) {
    view.setFloat16(i * 18, 0.02 / 4.61, true);
    for (let j = 2; j < 18; j++) {
      state ^= state << 13;
      state ^= state >>> 17;
      state ^= state << 5;
      bytes[i * 18 + j] = state;
    }
  }
  return bytes;
}
