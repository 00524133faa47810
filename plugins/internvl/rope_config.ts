/**
 * The change of rotary angles that a configuration asks for.
 * @module
 */
import { Result, Schema } from "effect";
import { atLeastOne, optional, positive, size } from "./config_parts.ts";
import { oneLine, quoted } from "./files.ts";

/**
 * Change of the rotary angles, by the name it has in `rope_scaling` (`modeling_rope_utils.py` of
 * `transformers`; `dynamic` and `linear` as `modeling_internlm2.py` has them).
 */
export type RopeScaling =
  | {
    /** `dynamic` changes the base past `maxPositionEmbeddings`, `linear` divides the positions. */
    readonly type: "dynamic" | "linear";
    /** At least 1. */
    readonly factor: number;
  }
  | {
    /** Divides low frequencies and leaves high ones as they are, with a slope between. */
    readonly type: "llama3";
    /** At least 1. */
    readonly factor: number;
    /** Waves longer than `originalLength` over this are divided. */
    readonly lowFrequencyFactor: number;
    /** Waves shorter than `originalLength` over this are left. */
    readonly highFrequencyFactor: number;
    /** Longest sequence before. */
    readonly originalLength: number;
  }
  | {
    /** Divides frequencies that turn seldom within `originalLength`, and leaves those that turn often (YaRN). */
    readonly type: "yarn";
    /** At least 1. */
    readonly factor: number;
    /** Turns within `originalLength` from which on a frequency is left. */
    readonly betaFast: number;
    /** Turns up to which it is divided. */
    readonly betaSlow: number;
    /** Longest sequence before. */
    readonly originalLength: number;
    /** Cosines and sines are this many times as large. */
    readonly magnitude: number;
  }
  | {
    /** Divides each frequency by a number of its own, of two sets: that for lengths up to `originalLength`, that beyond. */
    readonly type: "longrope";
    /** Half a head's width of them. */
    readonly shortFactors: readonly number[];
    /** As many. */
    readonly longFactors: readonly number[];
    /** Longest sequence before. */
    readonly originalLength: number;
    /** Cosines and sines are this many times as large, at all lengths. */
    readonly magnitude: number;
  };

/** What the rest of the configuration says about positions. */
export interface RopePlace {
  /** Width of a head. */
  readonly headDim: number;
  /** Longest sequence. */
  readonly length: number;
  /** Longest sequence before, where it stands beside `rope_scaling` instead of in it. */
  readonly originalLength: number | undefined;
}

type Reader = (value: unknown, place: RopePlace) => RopeScaling | string;

const reader = <S extends Schema.Decoder<unknown>>(
  schema: S,
  make: (read: S["Type"], place: RopePlace) => RopeScaling | string,
): Reader =>
(value, place) => {
  const read = Schema.decodeUnknownResult(schema)(value);
  return Result.isFailure(read)
    ? oneLine(read.failure.message)
    : make(read.success, place);
};

const simple = (type: "dynamic" | "linear") =>
  reader(
    Schema.Struct({ factor: atLeastOne }),
    ({ factor }) => ({ type, factor }),
  );

const llama3 = reader(
  Schema.Struct({
    factor: atLeastOne,
    low_freq_factor: positive,
    high_freq_factor: positive,
    original_max_position_embeddings: size,
  }),
  ({ factor, low_freq_factor: low, high_freq_factor: high, ...rest }) =>
    low >= high
      ? `low_freq_factor ${low} must be less than high_freq_factor ${high}`
      : {
        type: "llama3",
        factor,
        lowFrequencyFactor: low,
        highFrequencyFactor: high,
        originalLength: rest.original_max_position_embeddings,
      },
);

const yarn = reader(
  Schema.Struct({
    factor: atLeastOne,
    original_max_position_embeddings: optional(size),
    attention_factor: optional(positive),
    beta_fast: optional(positive),
    beta_slow: optional(positive),
    mscale: optional(Schema.Finite),
    mscale_all_dim: optional(Schema.Finite),
  }),
  ({ factor, mscale, mscale_all_dim: all, ...rest }, { length }) => {
    const scale = (by: number) =>
      factor <= 1 ? 1 : 0.1 * by * Math.log(factor) + 1;
    const magnitude = mscale && all ? scale(mscale) / scale(all) : scale(1);
    return {
      type: "yarn",
      factor,
      betaFast: rest.beta_fast ?? 32,
      betaSlow: rest.beta_slow ?? 1,
      originalLength: rest.original_max_position_embeddings ?? length,
      magnitude: rest.attention_factor ?? magnitude,
    };
  },
);

const longrope = reader(
  Schema.Struct({
    short_factor: Schema.Array(positive),
    long_factor: Schema.Array(positive),
    factor: optional(positive),
    original_max_position_embeddings: optional(size),
    attention_factor: optional(positive),
  }),
  (long, { headDim, length, originalLength: beside }) => {
    for (const name of ["short_factor", "long_factor"] as const) {
      if (long[name].length !== headDim / 2) {
        return `${name} has ${
          long[name].length
        } numbers; half a head's width, ${headDim / 2}, is expected`;
      }
    }
    const original = beside ?? long.original_max_position_embeddings;
    const originalLength = original ?? length;
    const factor = original == null ? long.factor ?? 1 : length / original;
    return {
      type: "longrope",
      shortFactors: long.short_factor,
      longFactors: long.long_factor,
      originalLength,
      magnitude: long.attention_factor ??
        (factor <= 1
          ? 1
          : Math.sqrt(1 + Math.log(factor) / Math.log(originalLength))),
    };
  },
);

const readers: ReadonlyMap<unknown, Reader> = new Map([
  ["linear", simple("linear")],
  ["dynamic", simple("dynamic")],
  ["llama3", llama3],
  ["yarn", yarn],
  ["longrope", longrope],
  // What Phi-3 called it first.
  ["su", longrope],
]);

/** The change of the angles that `rope_scaling` asks for, or what is wrong with it. */
export function decodeRope(
  value: Readonly<Record<string, unknown>> | null | undefined,
  place: RopePlace,
): RopeScaling | null | string {
  if (value == null) return null;
  const kind = value.rope_type ?? value.type;
  if (kind === "default") return null;
  return readers.get(kind)?.(value, place) ??
    `the type ${
      typeof kind === "string" ? quoted(kind) : `a value of ${typeof kind}`
    } is not supported; linear, dynamic, llama3, yarn and longrope are`;
}
