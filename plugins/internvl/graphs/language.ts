/**
 * The language model as an ONNX graph, InternLM2 (`modeling_internlm2.py`) and what differs from it in the
 * names of its weights, biases and norms (Llama, Qwen2, Qwen3, Phi-3): embeddings, decoder layers with
 * grouped-query attention over a key-value cache, logits of the last position.
 * @module
 */
import { attribute, GraphBuilder, type GraphValue } from "../../onnx/mod.ts";
import type { ModelSource } from "../../onnx/mod.ts";
import type { LanguageConfig } from "../config.ts";
import { type Family, familyOf } from "../families.ts";
import {
  cast,
  each,
  embed,
  type Emitter,
  linear,
  microsoft,
  reshape,
  rmsNorm,
  split,
} from "./operators.ts";
import type { ComputeType } from "./types.ts";
import {
  type GraphSettings,
  type GraphSource,
  type KvScales,
  stackOf,
  Weights,
} from "./weights.ts";

/** Names of layer n's cache inputs and outputs. */
export const cacheNames = (layer: number): {
  readonly pastKey: string;
  readonly pastValue: string;
  readonly presentKey: string;
  readonly presentValue: string;
} => ({
  pastKey: `past_key.${layer}`,
  pastValue: `past_value.${layer}`,
  presentKey: `present_key.${layer}`,
  presentValue: `present_value.${layer}`,
});

/** What a layer reads besides the hidden states. */
interface Shared {
  readonly family: Family;
  readonly seqlens: GraphValue;
  readonly total: GraphValue;
  readonly cos: GraphValue;
  readonly sin: GraphValue;
  /** Rows of a grouped matrix of queries, keys and values as the operator wants them. */
  readonly order: GraphValue | undefined;
  /** int64 [3]: b, s and the width of packed queries, keys and values. */
  readonly packed: GraphValue;
  /** Type of the attention. */
  readonly kvCache: ComputeType;
  /** Scales of a cache in int8. */
  readonly kvScales: KvScales | undefined;
  readonly calibrate: boolean;
}

/**
 * The language model for b sequences, each fed s tokens (1 while decoding) behind what its cache holds.
 *
 * Inputs, T being the type of keys and values:
 * - `input_ids` int64 [b, s]
 * - `visual_embeds` float32 [m, D] and `visual_rows` int64 [m, 1]: row `visual_rows[i]` of the b · s
 *   embeddings is overwritten by `visual_embeds[i]`; m may be 0
 * - `logit_rows` int64 [r]: which of the b · s rows logits are wanted of
 * - `seqlens_k` int32 [b]: tokens in a sequence's cache after this run, less one
 * - `total_sequence_length` int32 []: tokens in the fullest cache after this run
 * - `cos`, `sin` T [positions, headDim / 2]: the rotary table; at least `total_sequence_length` rows
 * - `past_key.N`, `past_value.N` T [b, kvHeads, capacity, headDim]
 *
 * Outputs: `logits` float32 [r, vocabulary], and `present_key.N`, `present_value.N`, which are meant to
 * be the same memory as the past.
 */
export function languageGraph(
  source: GraphSource,
  settings: GraphSettings = {},
): ModelSource {
  const dtype = settings.dtype ?? "float32";
  const kvCache = settings.kvCache ?? dtype;
  const config = source.config.language;
  const width = config.hiddenSize;
  const graph = new GraphBuilder({ name: "language" });
  const weights = new Weights(graph, source, dtype, settings.prefill);
  const e: Emitter = { graph, weights };
  const family = familyOf(config.architecture);
  const { names } = family;
  const prefix = "language_model.model";
  const norm = (layer: number) =>
    layer === config.layers
      ? `${prefix}.norm.weight`
      : `${prefix}.layers.${layer}.${names.attentionNorm}.weight`;
  const packedWidth = (config.heads + 2 * config.kvHeads) * config.headDim;

  const ids = graph.input("input_ids", "int64", ["b", "s"]);
  const visual = graph.input("visual_embeds", "float32", ["m", width]);
  const rows = graph.input("visual_rows", "int64", ["m", 1]);
  const wanted = graph.input("logit_rows", "int64", ["r"]);
  const rotary = ["positions", config.headDim / 2];
  const shared: Shared = {
    family,
    seqlens: graph.input("seqlens_k", "int32", ["b"]),
    total: graph.input("total_sequence_length", "int32", []),
    cos: graph.input("cos", kvCache, rotary),
    sin: graph.input("sin", kvCache, rotary),
    order: family.grouped
      ? graph.constant("int32", [packedWidth], qkvOrder(config), "qkv_order")
      : undefined,
    packed: graph.node("Concat", [
      graph.node("Shape", [ids]),
      graph.int64s([packedWidth]),
    ], { attributes: { axis: attribute.int(0) } }),
    kvCache,
    kvScales: settings.kvScales,
    calibrate: settings.calibrate ?? false,
  };

  const words = embed(
    e,
    reshape(e, ids, [-1]),
    `${prefix}.${names.embedding}.weight`,
  );
  let x = graph.node("ScatterND", [
    words,
    rows,
    cast(e, visual, "float32", dtype),
  ]);
  let normed = rmsNorm(e, x, norm(0), config.rmsNormEps);
  for (let i = 0; i < config.layers; i++) {
    const layer = `${prefix}.layers.${i}`;
    const last = i === config.layers - 1;
    let mixed = attention(e, normed, i, config, shared);
    if (last) {
      // Nothing that follows looks at other rows.
      mixed = graph.node("Gather", [mixed, wanted]);
      x = graph.node("Gather", [x, wanted]);
    }
    mixed = linear(
      e,
      mixed,
      `${layer}.${names.output}.weight`,
      config.outputBias ? `${layer}.${names.output}.bias` : undefined,
    );
    [normed, x] = addNorm(
      e,
      x,
      mixed,
      `${layer}.${names.mlpNorm}.weight`,
      config.rmsNormEps,
    );
    [normed, x] = addNorm(
      e,
      x,
      feedForward(e, normed, layer, config, family),
      norm(i + 1),
      config.rmsNormEps,
    );
  }
  const head = config.tieWordEmbeddings
    ? `${prefix}.${names.embedding}.weight`
    : `language_model.${names.head}.weight`;
  const logits = cast(e, linear(e, normed, head), dtype, "float32");
  graph.output("logits", logits, "float32", ["r", config.vocabSize]);
  return { bytes: graph.build(), externalDataFolder: source.folder };
}

/** x + branch, and its RMSNorm: [norm(x + branch), x + branch]. */
function addNorm(
  { graph, weights }: Emitter,
  x: GraphValue,
  branch: GraphValue,
  weight: string,
  epsilon: number,
): [GraphValue, GraphValue] {
  const [normed, , , sum] = graph.nodes("SkipSimplifiedLayerNormalization", [
    x,
    branch,
    weights.get(weight),
  ], {
    domain: microsoft,
    attributes: { epsilon: attribute.float(epsilon) },
    outputs: [true, false, false, true],
    name: `${weight}.rms`,
  });
  return [normed!, sum!];
}

/** SwiGLU: down(silu(gate x) · up x). */
function feedForward(
  e: Emitter,
  x: GraphValue,
  layer: string,
  { intermediateSize }: LanguageConfig,
  { names }: Family,
): GraphValue {
  const { graph } = e;
  const parts = names.gateUp.map((name) =>
    linear(e, x, `${layer}.${name}.weight`)
  );
  const [gate, up] = parts.length === 2
    ? parts as [GraphValue, GraphValue]
    : split(e, parts[0]!, [intermediateSize, intermediateSize]) as [
      GraphValue,
      GraphValue,
    ];
  // QuickGelu with alpha 1 is x · sigmoid(x), in one pass.
  const open = graph.node("QuickGelu", [gate], {
    domain: microsoft,
    attributes: { alpha: attribute.float(1) },
  });
  return linear(
    e,
    graph.node("Mul", [open, up]),
    `${layer}.${names.down}.weight`,
  );
}

/** Rows of `wqkv` in the order [all queries, all keys, all values] that the operator wants. */
export function qkvOrder(config: LanguageConfig): Int32Array<ArrayBuffer> {
  const { heads, kvHeads, headDim } = config;
  const group = heads / kvHeads;
  const order = new Int32Array((heads + 2 * kvHeads) * headDim);
  let at = 0;
  // Stored per KV head: its queries, its key, its value.
  for (const [first, count] of [[0, group], [group, 1], [group + 1, 1]]) {
    for (let kv = 0; kv < kvHeads; kv++) {
      const start = (kv * (group + 2) + first) * headDim;
      for (let i = 0; i < count * headDim; i++) order[at++] = start + i;
    }
  }
  return order;
}

/**
 * Queries, keys and values side by side: [rows, (heads + 2 · kvHeads) · headDim].
 *
 * A grouped matrix and its bias are reordered by `Gather` nodes that ONNX Runtime folds while it loads: in
 * the stored type, so that the second copy is small, and for good, so that no token pays for parting the
 * activations. Matrices of their own become one in the same way.
 */
function packedQkv(
  e: Emitter,
  x: GraphValue,
  layer: string,
  config: LanguageConfig,
  { family, order }: Shared,
): GraphValue {
  const { graph, weights } = e;
  const stack = stackOf(family.names.qkv);
  const weight = each(stack, (name) => `${layer}.${name}.weight`);
  const bias = config.qkvBias
    ? each(stack, (name) => `${layer}.${name}.bias`)
    : undefined;
  if (
    order === undefined || typeof weight !== "string" ||
    // Quantized weights and their bias are stored in the operator's order.
    weights.scheme(weight).type !== "float"
  ) return linear(e, x, weight, bias);
  const inOrder = (name: string) => {
    const { value, entry } = weights.stored(name);
    return cast(
      e,
      graph.node("Gather", [value, order]),
      entry.dtype,
      weights.dtype,
    );
  };
  return graph.node(
    "Gemm",
    typeof bias === "string"
      ? [x, inOrder(weight), inOrder(bias)]
      : [x, inOrder(weight)],
    { attributes: { transB: attribute.int(1) }, name: `${weight}.linear` },
  );
}

/** Each query and each key over the root of its mean square, times a weight they share; values as they are. */
function headNorms(
  e: Emitter,
  packed: GraphValue,
  layer: string,
  { heads, kvHeads, headDim, rmsNormEps }: LanguageConfig,
  { names }: Family,
): GraphValue {
  const { graph } = e;
  const [queries, keys, values] = split(
    e,
    packed,
    [heads, kvHeads, kvHeads].map((count) => count * headDim),
  );
  const normed = (x: GraphValue, name: string, count: number) =>
    reshape(
      e,
      rmsNorm(
        e,
        reshape(e, x, [-1, headDim]),
        `${layer}.${name}.weight`,
        rmsNormEps,
      ),
      [-1, count * headDim],
    );
  return graph.node("Concat", [
    normed(queries!, names.headNorms.query, heads),
    normed(keys!, names.headNorms.key, kvHeads),
    values!,
  ], { attributes: { axis: attribute.int(-1) } });
}

/**
 * Grouped-query attention, rotary inside, over the layer's cache.
 *
 * The operator has one type for queries, keys, values and cache: where the cache's is another than the
 * computation's, there is a cast before and behind it.
 */
function attention(
  e: Emitter,
  x: GraphValue,
  layer: number,
  config: LanguageConfig,
  shared: Shared,
): GraphValue {
  const { graph, weights } = e;
  const { heads, kvHeads, headDim } = config;
  const prefix = `language_model.model.layers.${layer}`;
  const projected = packedQkv(e, x, prefix, config, shared);
  const qkv = shared.family.headNorms
    ? headNorms(e, projected, prefix, config, shared.family)
    : projected;
  const names = cacheNames(layer);
  const cache = ["b", kvHeads, "capacity", headDim];
  const { kvCache, kvScales } = shared;
  const kept = kvScales === undefined ? kvCache : "int8";
  const width = (heads + 2 * kvHeads) * headDim;
  if (shared.calibrate) {
    graph.output(`qkv.${layer}`, qkv, weights.dtype, ["rows", width]);
  }
  const scale = (kind: keyof KvScales) =>
    graph.constant(
      "float32",
      [kvHeads * headDim],
      kvScales![kind][layer]!,
      `${kind}.${layer}.scale`,
    );
  const [mixed, presentKey, presentValue] = graph.nodes(
    "GroupQueryAttention",
    [
      cast(
        e,
        graph.node("Reshape", [qkv, shared.packed]),
        weights.dtype,
        kvCache,
      ),
      undefined,
      undefined,
      graph.input(names.pastKey, kept, cache),
      graph.input(names.pastValue, kept, cache),
      shared.seqlens,
      shared.total,
      shared.cos,
      shared.sin,
      ...kvScales === undefined ? [] : [
        // Positions, bias and sinks, of which there are none.
        undefined,
        undefined,
        undefined,
        scale("keys"),
        scale("values"),
      ],
    ],
    {
      domain: microsoft,
      attributes: {
        num_heads: attribute.int(heads),
        kv_num_heads: attribute.int(kvHeads),
        scale: attribute.float(headDim ** -0.5),
        do_rotary: attribute.int(1),
        rotary_interleaved: attribute.int(0),
        ...kvScales === undefined ? {} : {
          k_quant_type: attribute.text("PER_CHANNEL"),
          v_quant_type: attribute.text("PER_CHANNEL"),
          kv_cache_bit_width: attribute.int(8),
        },
      },
      outputs: 3,
      name: `${prefix}.attention.gqa`,
    },
  ) as [GraphValue, GraphValue, GraphValue];
  graph.output(names.presentKey, presentKey, kept, cache);
  graph.output(names.presentValue, presentValue, kept, cache);
  return reshape(
    e,
    cast(e, mixed, kvCache, weights.dtype),
    [-1, heads * headDim],
  );
}
