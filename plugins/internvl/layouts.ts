/**
 * The layouts of a checkpoint: what the class of the whole model is called and where it keeps the weights of
 * the vision tower and the projector. The names in the language model are those of its family.
 *
 * Sources: `modeling_intern_vit.py` and `modeling_internvl_chat.py` of the checkpoints; `modeling_internvl.py`
 * of `transformers`, whose layout the "-HF" repacks have.
 * @module
 */

/** Where a layout keeps its weights. Names of matrices and norms are without `.weight`. */
export interface Layout {
  /** Name of the class. */
  readonly architecture: string;
  /** `model_type` of its configurations. */
  readonly modelType: string;
  /** Key of the language model's configuration. */
  readonly languageKey: "llm_config" | "text_config";
  /** Class token. */
  readonly classToken: string;
  /** Position embedding. */
  readonly positions: string;
  /** Convolution that makes patches. */
  readonly patches: string;
  /** In front of the number of a layer; the names of its tensors follow behind the number and a dot. */
  readonly layers: string;
  /** Norm in front of the attention. */
  readonly attentionNorm: string;
  /** Norm in front of the MLP. */
  readonly mlpNorm: string;
  /** What the attention's output is multiplied by. */
  readonly attentionScale: string;
  /** What the MLP's output is multiplied by. */
  readonly mlpScale: string;
  /** Queries, keys and values: one matrix of all of them, or one of each. */
  readonly qkv: readonly string[];
  /** Norm of the queries, where there is one. */
  readonly queryNorm: string;
  /** Norm of the keys, where there is one. */
  readonly keyNorm: string;
  /** Output of the attention. */
  readonly output: string;
  /** First and second matrix of the MLP. */
  readonly mlp: readonly [first: string, second: string];
  /** The projector: its norm, its two matrices. */
  readonly projector: {
    readonly norm: string;
    readonly first: string;
    readonly second: string;
  };
  /** Names that files of this layout have had besides, and what they are called here; the first that fits counts. */
  readonly aliases: readonly (readonly [pattern: RegExp, name: string])[];
}

const chat = {
  architecture: "InternVLChatModel",
  modelType: "internvl_chat",
  languageKey: "llm_config",
  classToken: "vision_model.embeddings.class_embedding",
  positions: "vision_model.embeddings.position_embedding",
  patches: "vision_model.embeddings.patch_embedding",
  layers: "vision_model.encoder.layers.",
  attentionNorm: "norm1",
  mlpNorm: "norm2",
  attentionScale: "ls1",
  mlpScale: "ls2",
  qkv: ["attn.qkv"],
  queryNorm: "attn.q_norm",
  keyNorm: "attn.k_norm",
  output: "attn.proj",
  mlp: ["mlp.fc1", "mlp.fc2"],
  projector: { norm: "mlp1.0", first: "mlp1.1", second: "mlp1.3" },
  aliases: [],
} as const satisfies Layout;

const transformers = {
  architecture: "InternVLForConditionalGeneration",
  modelType: "internvl",
  languageKey: "text_config",
  classToken: "vision_tower.embeddings.cls_token",
  positions: "vision_tower.embeddings.position_embeddings",
  patches: "vision_tower.embeddings.patch_embeddings.projection",
  layers: "vision_tower.encoder.layer.",
  attentionNorm: "layernorm_before",
  mlpNorm: "layernorm_after",
  attentionScale: "lambda_1",
  mlpScale: "lambda_2",
  qkv: ["attention.q_proj", "attention.k_proj", "attention.v_proj"],
  queryNorm: "attention.q_norm",
  keyNorm: "attention.k_norm",
  output: "attention.projection_layer",
  mlp: ["mlp.fc1", "mlp.fc2"],
  projector: {
    norm: "multi_modal_projector.layer_norm",
    first: "multi_modal_projector.linear_1",
    second: "multi_modal_projector.linear_2",
  },
  // What `save_pretrained` writes has changed, and `from_pretrained` reads all of it.
  aliases: [
    [/^model\.(vision_tower|multi_modal_projector)\./, "$1."],
    [/^model\.language_model\./, "language_model.model."],
    [/^lm_head\./, "language_model.lm_head."],
    [/^language_model\.(?!model\.|lm_head\.)/, "language_model.model."],
  ],
} as const satisfies Layout;

const all = [chat, transformers] as const;

/** The layouts there are, the original one first. */
export const layouts: readonly Layout[] = all;

/** Class name of a whole model. */
export type ModelArchitecture = (typeof all)[number]["architecture"];

const byArchitecture = new Map<string, Layout>(
  all.map((layout) => [layout.architecture, layout]),
);

/** The layout of a class. */
export function layoutOf(architecture: ModelArchitecture): Layout {
  return byArchitecture.get(architecture)!;
}

/** What a tensor of a file is called in the layout. */
export function layoutName({ aliases }: Layout, stored: string): string {
  const alias = aliases.find(([pattern]) => pattern.test(stored));
  return alias === undefined ? stored : stored.replace(...alias);
}

/** The layout that has a tensor of this name in its vision tower or its projector, if one has. */
export function layoutWith(stored: string): Layout | undefined {
  return layouts.find((layout) => {
    const name = layoutName(layout, stored);
    const [tower, projector] = [layout.classToken, layout.projector.norm]
      .map((name) => name.slice(0, name.indexOf(".") + 1));
    return name.startsWith(tower!) || name.startsWith(projector!);
  });
}
