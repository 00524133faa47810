/**
 * The language model's part of a `config.json`: one form for all families.
 * @module
 */
import { Effect, Result, Schema } from "effect";
import {
  families,
  type Family,
  familyOf,
  type LanguageArchitecture,
} from "./families.ts";
import { isRecord, oneLine, quoted } from "./files.ts";

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

/** The language model. */
export interface LanguageConfig {
  /** Class name of the reference. */
  readonly architecture: LanguageArchitecture;
  /** Width of the residual stream (Dl). */
  readonly hiddenSize: number;
  /** Transformer layers. */
  readonly layers: number;
  /** Query heads. */
  readonly heads: number;
  /** Key and value heads; they divide `heads`. */
  readonly kvHeads: number;
  /** Width of a head. */
  readonly headDim: number;
  /** Width of the MLP. */
  readonly intermediateSize: number;
  /** Rows of the embedding and of the output. */
  readonly vocabSize: number;
  /** Longest sequence. */
  readonly maxPositionEmbeddings: number;
  /** Base of the rotary angles. */
  readonly ropeTheta: number;
  /** Change of the angles; `null` for none. */
  readonly ropeScaling: RopeScaling | null;
  /** Epsilon of the RMSNorms. */
  readonly rmsNormEps: number;
  /** Whether queries, keys and values have biases. */
  readonly qkvBias: boolean;
  /** Whether the output of the attention has a bias. */
  readonly outputBias: boolean;
  /** Whether the output shares the embedding's weights. */
  readonly tieWordEmbeddings: boolean;
}

/** Language architectures that have graph builders. */
export const languageArchitectures: readonly string[] = families.map((
  { architecture },
) => architecture);

// Bounds keep a hostile config from asking for a graph of a billion layers.
/** A width, a length, a count. */
export const size = Schema.Int.check(
  Schema.isBetween({ minimum: 1, maximum: 1 << 24 }),
);
/** A number of layers. */
export const depth = Schema.Int.check(
  Schema.isBetween({ minimum: 1, maximum: 1024 }),
);
/** The epsilon of a norm. */
export const epsilon = Schema.Finite.check(
  Schema.isBetween({ minimum: 0, maximum: 1 }),
);
/** Edge of the grid after pixel shuffle over the edge before. */
export const ratio = Schema.Finite.check(
  Schema.isGreaterThan(0),
  Schema.isLessThanOrEqualTo(1),
);
const positive = Schema.Finite.check(Schema.isGreaterThan(0));
const atLeastOne = Schema.Finite.check(Schema.isGreaterThanOrEqualTo(1));

/** A key that may be missing, and what that means. */
export function or<S extends Schema.Top>(schema: S, value: S["Encoded"]) {
  return schema.pipe(Schema.withDecodingDefaultKey(Effect.succeed(value)));
}

const optional = <S extends Schema.Top>(schema: S) =>
  Schema.optionalKey(Schema.NullOr(schema));

const languageFile = ({ defaults }: Family) =>
  Schema.Struct({
    hidden_size: or(size, defaults.hidden_size),
    num_hidden_layers: or(depth, 32),
    num_attention_heads: or(size, 32),
    num_key_value_heads: or(
      Schema.NullOr(size),
      defaults.num_key_value_heads ?? null,
    ),
    head_dim: or(Schema.NullOr(size), defaults.head_dim ?? null),
    intermediate_size: or(size, defaults.intermediate_size),
    vocab_size: or(size, defaults.vocab_size),
    max_position_embeddings: or(size, defaults.max_position_embeddings),
    original_max_position_embeddings: optional(size),
    rope_theta: or(positive, 10_000),
    rope_scaling: optional(Schema.Record(Schema.String, Schema.Unknown)),
    partial_rotary_factor: optional(Schema.Finite),
    rms_norm_eps: or(epsilon, defaults.rms_norm_eps),
    bias: or(Schema.Boolean, defaults.bias ?? false),
    attention_bias: or(Schema.Boolean, false),
    mlp_bias: or(Schema.Boolean, false),
    tie_word_embeddings: or(Schema.Boolean, false),
    sliding_window: optional(size),
    use_sliding_window: optional(Schema.Boolean),
    hidden_act: or(Schema.Literal("silu"), "silu"),
  });

const files = new Map(
  families.map((family) => [family.architecture, languageFile(family)]),
);

type LanguageFile = ReturnType<typeof languageFile>["Type"];

/** The configuration under `key` of a language model of this class, or what is wrong with it. */
export function decodeLanguage(
  value: unknown,
  architecture: LanguageArchitecture,
  key: string,
): LanguageConfig | string {
  const decoded = Schema.decodeUnknownResult(files.get(architecture)!)(value);
  if (Result.isFailure(decoded)) {
    return `${key}: ${oneLine(decoded.failure.message)}`;
  }
  const file = decoded.success;
  const family = familyOf(architecture);
  const heads = file.num_attention_heads;
  const kvHeads = file.num_key_value_heads ?? heads;
  if (file.head_dim === null && file.hidden_size % heads !== 0) {
    return `${key}.hidden_size ${file.hidden_size} is no multiple of num_attention_heads ${heads}`;
  }
  if (heads % kvHeads !== 0) {
    return `${key}.num_attention_heads ${heads} is no multiple of num_key_value_heads ${kvHeads}`;
  }
  const headDim = file.head_dim ?? file.hidden_size / heads;
  if (headDim % 2 !== 0) {
    return `${key}: heads of width ${headDim} cannot be rotated; the width must be even`;
  }
  const other = notComputed(file, family);
  if (other !== undefined) return `${key}.${other}`;
  const ropeScaling = decodeRope(file, headDim);
  if (typeof ropeScaling === "string") {
    return `${key}.rope_scaling: ${ropeScaling}`;
  }
  const { biases } = family;
  const { qkv, output } = typeof biases === "string"
    ? { qkv: file[biases], output: file[biases] }
    : biases;
  return {
    architecture,
    hiddenSize: file.hidden_size,
    layers: file.num_hidden_layers,
    heads,
    kvHeads,
    headDim,
    intermediateSize: file.intermediate_size,
    vocabSize: file.vocab_size,
    maxPositionEmbeddings: file.max_position_embeddings,
    ropeTheta: file.rope_theta,
    ropeScaling,
    rmsNormEps: file.rms_norm_eps,
    qkvBias: qkv,
    outputBias: output,
    tieWordEmbeddings: file.tie_word_embeddings,
  };
}

/** What a configuration asks for that no graph computes. */
function notComputed(file: LanguageFile, family: Family): string | undefined {
  if (file.mlp_bias) return "mlp_bias is true; false is supported";
  if ((file.partial_rotary_factor ?? 1) !== 1) {
    return `partial_rotary_factor is ${file.partial_rotary_factor}; 1 is supported`;
  }
  // Where the key that switches it on is missing, Phi-3 has it on and the others off.
  const on = file.use_sliding_window ?? family.modelType === "phi3";
  const window = file.sliding_window;
  if (on && window != null && window < file.max_position_embeddings) {
    return `sliding_window is ${window}; one of max_position_embeddings (${file.max_position_embeddings}) or more is supported`;
  }
}

const ropeKinds = {
  linear: Schema.Struct({ factor: atLeastOne }),
  dynamic: Schema.Struct({ factor: atLeastOne }),
  llama3: Schema.Struct({
    factor: atLeastOne,
    low_freq_factor: positive,
    high_freq_factor: positive,
    original_max_position_embeddings: size,
  }),
  yarn: Schema.Struct({
    factor: atLeastOne,
    original_max_position_embeddings: optional(size),
    attention_factor: optional(positive),
    beta_fast: optional(positive),
    beta_slow: optional(positive),
    mscale: optional(Schema.Finite),
    mscale_all_dim: optional(Schema.Finite),
  }),
  longrope: Schema.Struct({
    short_factor: Schema.Array(positive),
    long_factor: Schema.Array(positive),
    factor: optional(positive),
    original_max_position_embeddings: optional(size),
    attention_factor: optional(positive),
  }),
} as const;

/** The change of the angles, or what is wrong with it. */
function decodeRope(
  file: LanguageFile,
  headDim: number,
): RopeScaling | null | string {
  const value = file.rope_scaling;
  if (value == null) return null;
  const kind = value.rope_type ?? value.type;
  const decode = <K extends keyof typeof ropeKinds>(kind: K) =>
    Schema.decodeUnknownResult(
      ropeKinds[kind] as Schema.Decoder<(typeof ropeKinds)[K]["Type"]>,
    )(value);
  switch (kind) {
    case "default":
      return null;
    case "linear":
    case "dynamic": {
      const read = decode(kind);
      if (Result.isFailure(read)) return oneLine(read.failure.message);
      return { type: kind, factor: read.success.factor };
    }
    case "llama3": {
      const read = decode(kind);
      if (Result.isFailure(read)) return oneLine(read.failure.message);
      const { low_freq_factor: low, high_freq_factor: high } = read.success;
      if (low >= high) {
        return `low_freq_factor ${low} must be less than high_freq_factor ${high}`;
      }
      return {
        type: kind,
        factor: read.success.factor,
        lowFrequencyFactor: low,
        highFrequencyFactor: high,
        originalLength: read.success.original_max_position_embeddings,
      };
    }
    case "yarn": {
      const read = decode(kind);
      if (Result.isFailure(read)) return oneLine(read.failure.message);
      const yarn = read.success;
      const scale = (by: number) =>
        yarn.factor <= 1 ? 1 : 0.1 * by * Math.log(yarn.factor) + 1;
      const magnitude = yarn.mscale && yarn.mscale_all_dim
        ? scale(yarn.mscale) / scale(yarn.mscale_all_dim)
        : scale(1);
      return {
        type: kind,
        factor: yarn.factor,
        betaFast: yarn.beta_fast ?? 32,
        betaSlow: yarn.beta_slow ?? 1,
        originalLength: yarn.original_max_position_embeddings ??
          file.max_position_embeddings,
        magnitude: yarn.attention_factor ?? magnitude,
      };
    }
    case "su":
    case "longrope": {
      const read = decode("longrope");
      if (Result.isFailure(read)) return oneLine(read.failure.message);
      const long = read.success;
      for (const name of ["short_factor", "long_factor"] as const) {
        if (long[name].length !== headDim / 2) {
          return `${name} has ${
            long[name].length
          } numbers; half a head's width, ${headDim / 2}, is expected`;
        }
      }
      const original = file.original_max_position_embeddings ??
        long.original_max_position_embeddings;
      const originalLength = original ?? file.max_position_embeddings;
      const factor = original == null
        ? long.factor ?? 1
        : file.max_position_embeddings / original;
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
    }
    default:
      return `the type ${
        typeof kind === "string" ? quoted(kind) : `a value of ${typeof kind}`
      } is not supported; linear, dynamic, llama3, yarn and longrope are`;
  }
}

/** The class of the language model under `key`; or what is wrong. */
export function languageArchitecture(
  value: unknown,
  key: string,
): { readonly architecture: LanguageArchitecture } | string {
  const config = isRecord(value) ? value : {};
  const known = `${languageArchitectures.join(", ")} are supported`;
  // No class has this name: what is declared, if anything.
  const declared = named(config, "\0", "\0");
  if (declared === undefined) {
    return `${key}.architectures is missing; ${known}`;
  }
  const family = families.find(({ architecture, modelType }) =>
    named(config, architecture, modelType) === undefined
  );
  return family === undefined
    ? `language architecture ${quoted(declared)} is not supported; ${known}`
    : { architecture: family.architecture as LanguageArchitecture };
}

/**
 * What a config names itself, unless it is the wanted class: the first of `architectures`, as the
 * reference dispatches, or `model_type` where there are none.
 */
export function named(
  value: Readonly<Record<string, unknown>>,
  architecture: string,
  modelType: string,
): string | undefined {
  const first: unknown = Array.isArray(value.architectures)
    ? value.architectures[0]
    : undefined;
  if (first !== undefined) {
    return first === architecture ? undefined : shown(first);
  }
  const type = value.model_type;
  if (type === undefined || type === modelType) return undefined;
  return shown(type);
}

function shown(value: unknown): string {
  return typeof value === "string" ? value : `a value of type ${typeof value}`;
}
