/**
 * Builders of small files for this plugin's tests: safetensors files, SentencePiece models, folders.
 * @module
 */
import { Effect } from "effect";
import type { Piece, PieceType } from "./tokenizer/sentencepiece.ts";

/** Runs an effect that must fail and returns its error. */
export function failure<A, E>(effect: Effect.Effect<A, E>): Promise<E> {
  return Effect.runPromise(Effect.flip(effect));
}

/** Makes a folder of files, hands it to `use`, and removes it. */
export async function withFolder<A>(
  files: Readonly<Record<string, string | Uint8Array>>,
  use: (dir: string) => Promise<A>,
): Promise<A> {
  const dir = await Deno.makeTempDir({ prefix: "tessera-test-" });
  try {
    for (const [name, content] of Object.entries(files)) {
      if (typeof content === "string") {
        await Deno.writeTextFile(`${dir}/${name}`, content);
      } else {
        await Deno.writeFile(`${dir}/${name}`, content);
      }
    }
    return await use(dir);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

/** Reads a golden file. */
export async function readGzipJson(path: string | URL): Promise<unknown> {
  const file = await Deno.open(path, { read: true });
  const stream = file.readable.pipeThrough(new DecompressionStream("gzip"));
  return await new Response(stream).json();
}

/** A tensor for {@link safetensors}: dtype, shape, and its bytes (zeros by default). */
export interface TensorSketch {
  readonly dtype: "F32" | "F16" | "BF16";
  readonly shape: readonly number[];
  readonly bytes?: Uint8Array;
}

/** A whole safetensors file. */
export function safetensors(
  tensors: Readonly<Record<string, TensorSketch>>,
): Uint8Array<ArrayBuffer> {
  const header: Record<string, unknown> = { __metadata__: { format: "pt" } };
  const data: Uint8Array[] = [];
  let at = 0;
  for (const [name, { dtype, shape, bytes }] of Object.entries(tensors)) {
    const length = shape.reduce((a, b) => a * b, dtype === "F32" ? 4 : 2);
    header[name] = { dtype, shape, data_offsets: [at, at + length] };
    data.push(bytes ?? new Uint8Array(length));
    at += length;
  }
  return withHeader(JSON.stringify(header), concat(data));
}

/** A safetensors file with any text as header. */
export function withHeader(
  header: string,
  data: Uint8Array = new Uint8Array(0),
): Uint8Array<ArrayBuffer> {
  const bytes = new TextEncoder().encode(header);
  const length = new Uint8Array(8);
  new DataView(length.buffer).setBigUint64(0, BigInt(bytes.length), true);
  return concat([length, bytes, data]);
}

/** What a {@link modelFile} is like. */
export interface ModelSketch {
  readonly pieces: readonly (readonly [text: string, type?: PieceType])[];
  readonly byteFallback?: boolean;
  readonly addDummyPrefix?: boolean;
  readonly removeExtraWhitespaces?: boolean;
  readonly modelType?: number;
}

const typeNumbers: Readonly<Record<PieceType, number>> = {
  normal: 1,
  unknown: 2,
  control: 3,
  user_defined: 4,
  unused: 5,
  byte: 6,
};

/** A serialized SentencePiece model; scores fall from piece to piece. */
export function modelFile(sketch: ModelSketch): Uint8Array<ArrayBuffer> {
  const pieces = [
    ...sketch.pieces,
    ...(sketch.byteFallback === true ? bytePieces : []),
  ];
  const flag = (number: number, on: boolean) => [number << 3, on ? 1 : 0];
  return concat([
    ...pieces.map(([text, type = "normal"], id) =>
      pieceField({ text, type, score: -id })
    ),
    message(2, [
      3 << 3,
      sketch.modelType ?? 2,
      ...varint(35 << 3),
      sketch.byteFallback === true ? 1 : 0,
    ]),
    message(3, [
      ...flag(3, sketch.addDummyPrefix ?? false),
      ...flag(4, sketch.removeExtraWhitespaces ?? false),
      ...flag(5, true),
    ]),
  ]);
}

/** One `pieces` field. */
export function pieceField(piece: Piece): Uint8Array<ArrayBuffer> {
  const text = new TextEncoder().encode(piece.text);
  const score = new Uint8Array(new Float32Array([piece.score]).buffer);
  return message(1, [
    ...message(1, text),
    2 << 3 | 5,
    ...score,
    3 << 3,
    typeNumbers[piece.type],
  ]);
}

/** A length-delimited protobuf field. */
export function message(
  number: number,
  body: ArrayLike<number>,
): Uint8Array<ArrayBuffer> {
  return concat([
    varint(number << 3 | 2),
    varint(body.length),
    Uint8Array.from(body),
  ]);
}

/** A protobuf varint. */
export function varint(value: number): Uint8Array<ArrayBuffer> {
  const out: number[] = [];
  while (value >= 0x80) {
    out.push(value % 0x80 | 0x80);
    value = Math.floor(value / 0x80);
  }
  return Uint8Array.from([...out, value]);
}

/** Joins byte arrays. */
export function concat(
  parts: readonly Uint8Array[],
): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

const bytePieces = Array.from(
  { length: 256 },
  (_, byte) =>
    [
      `<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`,
      "byte",
    ] as const,
);

/** A small `config.json` of the InternVL-Chat family. */
export function configJson(
  changes: {
    readonly top?: object;
    readonly vision?: object;
    readonly language?: object;
  } = {},
): Record<string, unknown> {
  return {
    architectures: ["InternVLChatModel"],
    model_type: "internvl_chat",
    template: "internlm2-chat",
    downsample_ratio: 0.5,
    ps_version: "v2",
    dynamic_image_size: true,
    use_thumbnail: true,
    max_dynamic_patch: 12,
    force_image_size: 28,
    vision_config: {
      architectures: ["InternVisionModel"],
      model_type: "intern_vit_6b",
      hidden_size: 8,
      num_attention_heads: 2,
      intermediate_size: 16,
      num_hidden_layers: 2,
      image_size: 28,
      patch_size: 7,
      ...changes.vision,
    },
    llm_config: {
      architectures: ["InternLM2ForCausalLM"],
      model_type: "internlm2",
      hidden_size: 16,
      num_attention_heads: 4,
      num_key_value_heads: 2,
      intermediate_size: 24,
      num_hidden_layers: 2,
      vocab_size: 300,
      max_position_embeddings: 512,
      rope_theta: 1000000,
      rope_scaling: { type: "dynamic", factor: 2.0 },
      rms_norm_eps: 1e-5,
      bias: false,
      ...changes.language,
    },
    ...changes.top,
  };
}

/** Random numbers in [0, 1) that are the same for the same seed (mulberry32). */
export function random(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Changes some bytes: flips, overwrites, cuts, doubles a stretch, puts in a hostile number. */
export function mutate(
  bytes: Uint8Array,
  next: () => number,
): Uint8Array<ArrayBuffer> {
  let out = new Uint8Array(bytes);
  const pick = (limit: number) => Math.floor(next() * limit);
  const hostile = [0, 0x7f, 0x80, 0xff, 0x22, 0x7b, 0x5b, 0x2d, 0x39];
  for (let edits = 1 + pick(4); edits > 0; edits--) {
    const at = pick(out.length + 1);
    switch (pick(6)) {
      case 0:
        if (at < out.length) out[at] = out[at]! ^ (1 << pick(8));
        break;
      case 1:
        if (at < out.length) out[at] = hostile[pick(hostile.length)]!;
        break;
      case 2:
        out = out.slice(0, at);
        break;
      case 3: {
        const part = out.slice(at, at + 1 + pick(24));
        out = concat([out.slice(0, at), part, out.slice(at)]);
        break;
      }
      case 4:
        out = concat([out.slice(0, at), out.slice(at + 1 + pick(12))]);
        break;
      case 5: {
        const number = Uint8Array.from(
          { length: 1 + pick(10) },
          () => next() < 0.5 ? 0xff : pick(256),
        );
        out = concat([out.slice(0, at), number, out.slice(at + number.length)]);
        break;
      }
    }
  }
  return out;
}
