/**
 * The language model's part of a `config.json`: one form for all families.
 * @module
 */
import { Result, Schema } from "effect";
import {
  depth,
  epsilon,
  optional,
  or,
  positive,
  size,
} from "./config_parts.ts";
import {
  families,
  type Family,
  familyOf,
  type LanguageArchitecture,
} from "./families.ts";
import { isRecord, oneLine, quoted } from "./files.ts";
import { decodeRope, type RopeScaling } from "./rope_config.ts";

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

/** The configuration under `key` of a language model, or what is wrong with it. */
export function readLanguage(
  value: unknown,
  key: string,
): LanguageConfig | string {
  const found = languageArchitecture(value, key);
  return typeof found === "string"
    ? found
    : decodeLanguage(value, found.architecture, key);
}

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
  const ropeScaling = decodeRope(file.rope_scaling, {
    headDim,
    length: file.max_position_embeddings,
    originalLength: file.original_max_position_embeddings ?? undefined,
  });
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
