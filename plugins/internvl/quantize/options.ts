/**
 * What a person asks for when quantizing, and what it means for each group of matrices.
 * @module
 */
import { Result, Schema } from "effect";
import type { InternVLConfig } from "../config.ts";
import { oneLine } from "../files.ts";
import type { Quantization, Scheme } from "./scheme.ts";

/** How a checkpoint is to be quantized. */
export interface QuantizeOptions {
  /**
   * The decoder: `int4` is the smallest and generates fastest, `int8` loses next to nothing, `w8a8` is as
   * large as that and reads long prompts fastest on a CPU.
   */
  readonly weights: "int4" | "int8" | "w8a8";
  /**
   * Numbers that share a scale. Default: what computes fastest on a CPU, 64 where they have 4 bits, 128
   * where they have 8.
   */
  readonly blockSize?: 32 | 64 | 128;
  /** Whether blocks have no zero point. Default `true`. */
  readonly symmetric?: boolean;
  /**
   * A second set of the decoder's layers, which prompts are computed with while answers are generated with
   * {@link weights} of `int4` or `int8`: a CPU reads prompts about as fast as with `w8a8` alone and
   * generates as fast as before, for the memory of both. Default: none.
   */
  readonly prefill?: "w8a8";
  /**
   * Vision tower and projector: `w8a8` computes in 8 bits and is the fastest on a CPU, `int8` and `int4`
   * only save memory. Default `"w8a8"`.
   */
  readonly vision?: "w8a8" | "int8" | "int4" | "float";
  /**
   * Output head. Default: `"int4"` where {@link weights} are, else `"int8"`. Where it shares the
   * embedding's weights, as that.
   */
  readonly head?: "int4" | "int8" | "float";
  /** Embedding table. Default `"int8"`: only rows are looked up, so bits cost no time. */
  readonly embedding?: "int4" | "int8" | "float";
}

/** What {@link QuantizeOptions} may hold, for callers whose types nobody has checked. */
const Options = Schema.Struct({
  weights: Schema.Literals(["int4", "int8", "w8a8"]),
  blockSize: Schema.optional(Schema.Literals([32, 64, 128])),
  symmetric: Schema.optional(Schema.Boolean),
  prefill: Schema.optional(Schema.Literal("w8a8")),
  vision: Schema.optional(Schema.Literals(["w8a8", "int8", "int4", "float"])),
  head: Schema.optional(Schema.Literals(["int4", "int8", "float"])),
  embedding: Schema.optional(Schema.Literals(["int4", "int8", "float"])),
});

/** The scheme of every group, or what is wrong with the options. */
export function resolveQuantization(
  options: QuantizeOptions,
  config: Pick<InternVLConfig, "language">,
): Quantization | string {
  const checked = Schema.decodeUnknownResult(Options)(options);
  if (Result.isFailure(checked)) {
    return `quantize: ${oneLine(checked.failure.message)}`;
  }
  const { weights, blockSize, symmetric = true } = options;
  const scheme = (kind: "w8a8" | "int8" | "int4" | "float"): Scheme =>
    kind === "float" || kind === "w8a8"
      ? { type: kind }
      : kind === "int4"
      ? { type: "blocks", bits: 4, blockSize: blockSize ?? 64, symmetric }
      : { type: "blocks", bits: 8, blockSize: blockSize ?? 128, symmetric };
  const { prefill } = options;
  if (prefill !== undefined && weights === "w8a8") {
    return "prefill w8a8 is a second set of weights beside int4 or int8; with weights w8a8 prompts are computed so already";
  }
  const tied = config.language.tieWordEmbeddings;
  const { head, embedding } = options;
  if (tied && head !== undefined && embedding !== undefined) {
    if (head !== embedding) {
      return `this model's head is its embedding table (tie_word_embeddings): head ${head} and embedding ${embedding} cannot both be had`;
    }
  }
  const usual = weights === "int4" ? "int4" : "int8";
  // A tied table is read whole for every token, as a head is.
  const table = embedding ?? (tied ? head ?? usual : "int8");
  return {
    vision: scheme(options.vision ?? "w8a8"),
    language: scheme(weights),
    ...(prefill === undefined ? {} : { prefill: scheme(prefill) }),
    head: scheme(tied ? table : head ?? usual),
    embedding: scheme(table),
  };
}
