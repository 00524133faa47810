/**
 * The families of language models: what their classes are called, where they keep their weights, and the
 * defaults of their configuration classes. Everything else about them is in their `config.json`.
 *
 * Sources: `modeling_internlm2.py` of the checkpoints; `modeling_*.py` and `configuration_*.py` of Llama,
 * Qwen2, Qwen3 and Phi-3 in `transformers`.
 * @module
 */

/** Where a family keeps its weights. Names of a layer's tensors are relative to `layers.N.`, without `.weight`. */
export interface TensorNames {
  /** Embedding table, behind `language_model.model.`. */
  readonly embedding: string;
  /** Output head, behind `language_model.`. */
  readonly head: string;
  /** Norm in front of the attention. */
  readonly attentionNorm: string;
  /** Norm in front of the MLP. */
  readonly mlpNorm: string;
  /** Queries, keys and values: one matrix of all of them, or one of each. */
  readonly qkv: readonly string[];
  /** Output of the attention. */
  readonly output: string;
  /** Norms of each query and each key before they are rotated, where there are any. */
  readonly headNorms: { readonly query: string; readonly key: string };
  /** Gate and up: one matrix of both, or one of each. */
  readonly gateUp: readonly string[];
  /** Output of the MLP. */
  readonly down: string;
}

/** One family. */
export interface Family {
  /** Name of the class. */
  readonly architecture: string;
  /** `model_type` of its configurations. */
  readonly modelType: string;
  /** Where its weights are. */
  readonly names: TensorNames;
  /** Whether the rows of its one matrix of queries, keys and values go by KV head: its queries, its key, its value. */
  readonly grouped: boolean;
  /** Which biases its attention has: always those, or all of them where this key of a configuration says so. */
  readonly biases:
    | { readonly qkv: boolean; readonly output: boolean }
    | "bias"
    | "attention_bias";
  /** Whether queries and keys are normalised head by head. */
  readonly headNorms: boolean;
  /** What a missing key means. */
  readonly defaults: {
    readonly hidden_size: number;
    readonly intermediate_size: number;
    readonly vocab_size: number;
    readonly max_position_embeddings: number;
    readonly rms_norm_eps: number;
    readonly num_key_value_heads?: number;
    readonly head_dim?: number;
    readonly bias?: boolean;
  };
}

const llamaNames: TensorNames = {
  embedding: "embed_tokens",
  head: "lm_head",
  attentionNorm: "input_layernorm",
  mlpNorm: "post_attention_layernorm",
  qkv: ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"],
  output: "self_attn.o_proj",
  headNorms: { query: "self_attn.q_norm", key: "self_attn.k_norm" },
  gateUp: ["mlp.gate_proj", "mlp.up_proj"],
  down: "mlp.down_proj",
};

const internlm2 = {
  architecture: "InternLM2ForCausalLM",
  modelType: "internlm2",
  names: {
    embedding: "tok_embeddings",
    head: "output",
    attentionNorm: "attention_norm",
    mlpNorm: "ffn_norm",
    qkv: ["attention.wqkv"],
    output: "attention.wo",
    headNorms: llamaNames.headNorms,
    gateUp: ["feed_forward.w1", "feed_forward.w3"],
    down: "feed_forward.w2",
  },
  grouped: true,
  biases: "bias",
  headNorms: false,
  defaults: {
    hidden_size: 4096,
    intermediate_size: 11_008,
    vocab_size: 103_168,
    max_position_embeddings: 2048,
    rms_norm_eps: 1e-6,
    bias: true,
  },
} as const satisfies Family;

const llama = {
  architecture: "LlamaForCausalLM",
  modelType: "llama",
  names: llamaNames,
  grouped: false,
  biases: "attention_bias",
  headNorms: false,
  defaults: {
    hidden_size: 4096,
    intermediate_size: 11_008,
    vocab_size: 32_000,
    max_position_embeddings: 2048,
    rms_norm_eps: 1e-6,
  },
} as const satisfies Family;

const qwen2 = {
  architecture: "Qwen2ForCausalLM",
  modelType: "qwen2",
  names: llamaNames,
  grouped: false,
  biases: { qkv: true, output: false },
  headNorms: false,
  defaults: {
    hidden_size: 4096,
    intermediate_size: 22_016,
    vocab_size: 151_936,
    max_position_embeddings: 32_768,
    rms_norm_eps: 1e-6,
    num_key_value_heads: 32,
  },
} as const satisfies Family;

const qwen3 = {
  architecture: "Qwen3ForCausalLM",
  modelType: "qwen3",
  names: llamaNames,
  grouped: false,
  biases: "attention_bias",
  headNorms: true,
  defaults: { ...qwen2.defaults, head_dim: 128 },
} as const satisfies Family;

const phi3 = {
  architecture: "Phi3ForCausalLM",
  modelType: "phi3",
  names: {
    ...llamaNames,
    qkv: ["self_attn.qkv_proj"],
    gateUp: ["mlp.gate_up_proj"],
  },
  grouped: false,
  biases: { qkv: false, output: false },
  headNorms: false,
  defaults: {
    hidden_size: 3072,
    intermediate_size: 8192,
    vocab_size: 32_064,
    max_position_embeddings: 4096,
    rms_norm_eps: 1e-5,
  },
} as const satisfies Family;

const all = [internlm2, llama, qwen2, qwen3, phi3] as const;

/** The families there are, that of V1-5 first. */
export const families: readonly Family[] = all;

/** Class name of a language model. */
export type LanguageArchitecture = (typeof all)[number]["architecture"];

const byArchitecture = new Map<string, Family>(
  all.map((family) => [family.architecture, family]),
);

/** The family of a class. */
export function familyOf(architecture: LanguageArchitecture): Family {
  return byArchitecture.get(architecture)!;
}
