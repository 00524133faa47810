/**
 * InternLM2 as an ONNX graph (`modeling_internlm2.py`): embeddings, decoder layers with grouped-query
 * attention over a key-value cache, logits of the last position.
 * @module
 */
import { attribute, GraphBuilder, type GraphValue } from "../../onnx/mod.ts";
import type { ModelSource } from "../../onnx/mod.ts";
import type { LanguageConfig } from "../config.ts";
import {
  cast,
  embed,
  type Emitter,
  linear,
  microsoft,
  reshape,
  rmsNorm,
} from "./operators.ts";
import type { ComputeType } from "./types.ts";
import {
  type GraphSettings,
  type GraphSource,
  type KvScales,
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
  readonly seqlens: GraphValue;
  readonly total: GraphValue;
  readonly cos: GraphValue;
  readonly sin: GraphValue;
  readonly order: GraphValue;
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
  const prefix = "language_model.model";

  const ids = graph.input("input_ids", "int64", ["b", "s"]);
  const visual = graph.input("visual_embeds", "float32", ["m", width]);
  const rows = graph.input("visual_rows", "int64", ["m", 1]);
  const wanted = graph.input("logit_rows", "int64", ["r"]);
  const rotary = ["positions", config.headDim / 2];
  const shared: Shared = {
    seqlens: graph.input("seqlens_k", "int32", ["b"]),
    total: graph.input("total_sequence_length", "int32", []),
    cos: graph.input("cos", kvCache, rotary),
    sin: graph.input("sin", kvCache, rotary),
    order: graph.constant(
      "int32",
      [(config.heads + 2 * config.kvHeads) * config.headDim],
      qkvOrder(config),
      "qkv_order",
    ),
    packed: graph.node("Concat", [
      graph.node("Shape", [ids]),
      graph.int64s([(config.heads + 2 * config.kvHeads) * config.headDim]),
    ], { attributes: { axis: attribute.int(0) } }),
    kvCache,
    kvScales: settings.kvScales,
    calibrate: settings.calibrate ?? false,
  };

  const words = embed(
    e,
    reshape(e, ids, [-1]),
    `${prefix}.tok_embeddings.weight`,
  );
  let x = graph.node("ScatterND", [
    words,
    rows,
    cast(e, visual, "float32", dtype),
  ]);
  let normed = rmsNorm(
    e,
    x,
    `${prefix}.layers.0.attention_norm.weight`,
    config.rmsNormEps,
  );
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
      `${layer}.attention.wo.weight`,
      config.bias ? `${layer}.attention.wo.bias` : undefined,
    );
    [normed, x] = addNorm(
      e,
      x,
      mixed,
      `${layer}.ffn_norm.weight`,
      config.rmsNormEps,
    );
    [normed, x] = addNorm(
      e,
      x,
      feedForward(e, normed, `${layer}.feed_forward`),
      last
        ? `${prefix}.norm.weight`
        : `${prefix}.layers.${i + 1}.attention_norm.weight`,
      config.rmsNormEps,
    );
  }
  const head = config.tieWordEmbeddings
    ? `${prefix}.tok_embeddings.weight`
    : "language_model.output.weight";
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

/** SwiGLU: w2(silu(w1 x) · w3 x). */
function feedForward(e: Emitter, x: GraphValue, prefix: string): GraphValue {
  const { graph } = e;
  // QuickGelu with alpha 1 is x · sigmoid(x), in one pass.
  const gate = graph.node("QuickGelu", [linear(e, x, `${prefix}.w1.weight`)], {
    domain: microsoft,
    attributes: { alpha: attribute.float(1) },
  });
  const up = linear(e, x, `${prefix}.w3.weight`);
  return linear(e, graph.node("Mul", [gate, up]), `${prefix}.w2.weight`);
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
 * Grouped-query attention, rotary inside, over the layer's cache. `wqkv` and its bias are reordered by
 * `Gather` nodes that ONNX Runtime folds while it loads: in the stored type, so that the second copy is
 * small, and for good, so that no token pays for parting the activations.
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
  const prefix = `language_model.model.layers.${layer}.attention`;
  const inOrder = (name: string) => {
    const { value, entry } = weights.stored(name);
    return cast(
      e,
      graph.node("Gather", [value, shared.order]),
      entry.dtype,
      weights.dtype,
    );
  };
  const weight = `${prefix}.wqkv.weight`;
  const bias = config.bias ? `${prefix}.wqkv.bias` : undefined;
  const qkv = weights.scheme(weight).type === "float"
    ? graph.node(
      "Gemm",
      bias === undefined
        ? [x, inOrder(weight)]
        : [x, inOrder(weight), inOrder(bias)],
      { attributes: { transB: attribute.int(1) }, name: `${prefix}.wqkv` },
    )
    // Quantized weights and their bias are stored in the operator's order.
    : linear(e, x, weight, bias);
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
      name: `${prefix}.gqa`,
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
