/**
 * Small random checkpoints for tests, and the language models on them in plain float64, written from the
 * specification without regard to the graphs.
 * @module
 */
import { allExpectedTensors } from "./tensors.ts";
import { decodeConfig, type InternVLConfig } from "../config.ts";
import {
  configJson,
  random,
  safetensors,
  type TensorSketch,
} from "../testing.ts";
import { Effect } from "effect";

/** A checkpoint in memory: its files, its configuration, its numbers. */
export interface RandomCheckpoint {
  readonly config: InternVLConfig;
  /** `config.json` and `model.safetensors`. */
  readonly files: Readonly<Record<string, string | Uint8Array>>;
  readonly numbers: ReadonlyMap<string, Float32Array<ArrayBuffer>>;
}

/** Random float32 weights for a configuration. */
export function randomCheckpoint(
  changes: Parameters<typeof configJson>[0] = {},
  seed = 1,
): RandomCheckpoint {
  const json = configJson({
    ...changes,
    // Heads of 16, the least the attention operator takes.
    language: { hidden_size: 64, ...changes.language },
  });
  const config = Effect.runSync(decodeConfig(json, "config.json"));
  const next = random(seed);
  const numbers = new Map<string, Float32Array<ArrayBuffer>>();
  const tensors: Record<string, TensorSketch> = {};
  for (const { name, shape } of allExpectedTensors(config)) {
    const count = shape.reduce((a, b) => a * b, 1);
    // Keeps the size of what passes through a matrix; norms' weights lie around 1.
    const scale = shape.length === 2 ? Math.sqrt(3 / shape[1]) : 0.5;
    const centre = /norm\d?\.weight|^mlp1\.0\.weight|ls[12]$/.test(name)
      ? 1
      : 0;
    const data = Float32Array.from(
      { length: count },
      () => centre + scale * (2 * next() - 1),
    );
    numbers.set(name, data);
    tensors[name] = {
      dtype: "F32",
      shape,
      bytes: new Uint8Array(data.buffer),
    };
  }
  return {
    config,
    numbers,
    files: {
      "config.json": JSON.stringify(json),
      "model.safetensors": safetensors(tensors),
    },
  };
}

/** Rows [m, out] of a linear layer with weight [out, in]. */
function linear(
  x: readonly Float64Array[],
  weight: ArrayLike<number>,
  out: number,
  bias?: ArrayLike<number>,
): Float64Array[] {
  return x.map((row) =>
    Float64Array.from({ length: out }, (_, o) => {
      let sum = bias === undefined ? 0 : bias[o];
      for (let i = 0; i < row.length; i++) {
        sum += row[i] * weight[o * row.length + i];
      }
      return sum;
    })
  );
}

function rmsNorm(
  x: readonly Float64Array[],
  weight: ArrayLike<number>,
  epsilon: number,
): Float64Array[] {
  return x.map((row) => {
    const square = row.reduce((sum, value) => sum + value * value, 0);
    const scale = 1 / Math.sqrt(square / row.length + epsilon);
    return row.map((value, i) => value * scale * weight[i]);
  });
}

type Numbers = ArrayLike<number>;

/** A projection of every head. */
interface Projection {
  readonly weight: Numbers;
  readonly bias: Numbers | undefined;
}

/** A layer's weights, whatever the family calls them and however it keeps them together. */
interface LayerWeights {
  readonly attentionNorm: Numbers;
  readonly mlpNorm: Numbers;
  readonly query: Projection;
  readonly key: Projection;
  readonly value: Projection;
  readonly queryNorm: Numbers | undefined;
  readonly keyNorm: Numbers | undefined;
  readonly output: Projection;
  readonly gate: Numbers;
  readonly up: Numbers;
  readonly down: Numbers;
}

/** Rows [from, to) of a matrix, or of its bias where `columns` is 1. */
function rowsOf(all: Numbers, columns: number, from: number, to: number) {
  return Array.from(all).slice(from * columns, to * columns);
}

function layerWeights(
  { config: { language: c }, numbers }: RandomCheckpoint,
  layer: number,
): LayerWeights {
  const at = (name: string): Numbers | undefined =>
    numbers.get(`language_model.model.layers.${layer}.${name}`);
  const whole = (name: string): Projection => ({
    weight: at(`${name}.weight`)!,
    bias: at(`${name}.bias`),
  });
  const queries = c.heads * c.headDim;
  const keys = c.kvHeads * c.headDim;
  if (c.architecture === "InternLM2ForCausalLM") {
    // For each KV head its queries, its key, its value.
    const group = c.heads / c.kvHeads;
    const wqkv = whole("attention.wqkv");
    const some = (first: number, count: number): Projection => {
      const part = (all: Numbers, columns: number) =>
        Array.from({ length: c.kvHeads }, (_, kv) => {
          const start = (kv * (group + 2) + first) * c.headDim;
          return rowsOf(all, columns, start, start + count * c.headDim);
        }).flat();
      return {
        weight: part(wqkv.weight, c.hiddenSize),
        bias: wqkv.bias && part(wqkv.bias, 1),
      };
    };
    return {
      attentionNorm: at("attention_norm.weight")!,
      mlpNorm: at("ffn_norm.weight")!,
      query: some(0, group),
      key: some(group, 1),
      value: some(group + 1, 1),
      queryNorm: undefined,
      keyNorm: undefined,
      output: whole("attention.wo"),
      gate: at("feed_forward.w1.weight")!,
      up: at("feed_forward.w3.weight")!,
      down: at("feed_forward.w2.weight")!,
    };
  }
  const packed = at("self_attn.qkv_proj.weight");
  const both = at("mlp.gate_up_proj.weight");
  const part = (name: string, from: number, to: number): Projection =>
    packed === undefined ? whole(`self_attn.${name}_proj`) : {
      weight: rowsOf(packed, c.hiddenSize, from, to),
      bias: undefined,
    };
  const inner = c.intermediateSize;
  return {
    attentionNorm: at("input_layernorm.weight")!,
    mlpNorm: at("post_attention_layernorm.weight")!,
    query: part("q", 0, queries),
    key: part("k", queries, queries + keys),
    value: part("v", queries + keys, queries + 2 * keys),
    queryNorm: at("self_attn.q_norm.weight"),
    keyNorm: at("self_attn.k_norm.weight"),
    output: whole("self_attn.o_proj"),
    gate: both === undefined
      ? at("mlp.gate_proj.weight")!
      : rowsOf(both, c.hiddenSize, 0, inner),
    up: both === undefined
      ? at("mlp.up_proj.weight")!
      : rowsOf(both, c.hiddenSize, inner, 2 * inner),
    down: at("mlp.down_proj.weight")!,
  };
}

/** Logits of the last position, in float64, without a cache. */
export function referenceLogits(
  checkpoint: RandomCheckpoint,
  ids: ArrayLike<number>,
): Float64Array {
  const { config, numbers } = checkpoint;
  const c = config.language;
  const internlm2 = c.architecture === "InternLM2ForCausalLM";
  const top = "language_model.model";
  const table = numbers.get(
    `${top}.${internlm2 ? "tok_embeddings" : "embed_tokens"}.weight`,
  )!;
  let x = Array.from(
    ids,
    (id) =>
      Float64Array.from(
        table.subarray(id * c.hiddenSize, (id + 1) * c.hiddenSize),
      ),
  );
  const half = c.headDim / 2;
  const divisor = c.ropeScaling?.type === "linear" ? c.ropeScaling.factor : 1;
  const rotate = (head: Float64Array, position: number) =>
    head.map((value, i) => {
      const pair = i % half;
      const angle = position / divisor * c.ropeTheta ** (-2 * pair / c.headDim);
      return i < half
        ? value * Math.cos(angle) - head[i + half] * Math.sin(angle)
        : value * Math.cos(angle) + head[i - half] * Math.sin(angle);
    });
  const group = c.heads / c.kvHeads;
  for (let layer = 0; layer < c.layers; layer++) {
    const w = layerWeights(checkpoint, layer);
    const normed = rmsNorm(x, w.attentionNorm, c.rmsNormEps);
    const project = (
      { weight, bias }: Projection,
      heads: number,
      norm?: Numbers,
    ) =>
      linear(normed, weight, heads * c.headDim, bias).map((row) =>
        Array.from({ length: heads }, (_, head) => {
          const one = row.slice(head * c.headDim, (head + 1) * c.headDim);
          return norm === undefined
            ? one
            : rmsNorm([one], norm, c.rmsNormEps)[0];
        })
      );
    const queries = project(w.query, c.heads, w.queryNorm);
    const keys = project(w.key, c.kvHeads, w.keyNorm);
    const values = project(w.value, c.kvHeads);
    const mixed = queries.map((row, t) => {
      const out = new Float64Array(c.heads * c.headDim);
      for (let head = 0; head < c.heads; head++) {
        const kv = Math.floor(head / group);
        const q = rotate(row[head], t);
        const weights = keys.slice(0, t + 1).map((past, s) => {
          const k = rotate(past[kv], s);
          return q.reduce((sum, value, i) => sum + value * k[i], 0) /
            Math.sqrt(c.headDim);
        });
        const largest = Math.max(...weights);
        const shares = weights.map((w) => Math.exp(w - largest));
        const total = shares.reduce((a, b) => a + b, 0);
        for (let s = 0; s <= t; s++) {
          const v = values[s][kv];
          for (let i = 0; i < c.headDim; i++) {
            out[head * c.headDim + i] += shares[s] / total * v[i];
          }
        }
      }
      return out;
    });
    const attended = linear(
      mixed,
      w.output.weight,
      c.hiddenSize,
      w.output.bias,
    );
    x = x.map((row, t) => row.map((value, i) => value + attended[t][i]));
    const hidden = rmsNorm(x, w.mlpNorm, c.rmsNormEps);
    const gate = linear(hidden, w.gate, c.intermediateSize);
    const up = linear(hidden, w.up, c.intermediateSize);
    const down = linear(
      gate.map((row, t) =>
        row.map((value, i) => value / (1 + Math.exp(-value)) * up[t][i])
      ),
      w.down,
      c.hiddenSize,
    );
    x = x.map((row, t) => row.map((value, i) => value + down[t][i]));
  }
  const last = rmsNorm(
    x.slice(-1),
    numbers.get(`${top}.norm.weight`)!,
    c.rmsNormEps,
  );
  const head = numbers.get(
    `language_model.${internlm2 ? "output" : "lm_head"}.weight`,
  ) ?? table;
  return linear(last, head, c.vocabSize)[0];
}
