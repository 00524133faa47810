/**
 * Small random checkpoints for tests, and InternLM2 on them in plain float64, written from the
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

/** Logits of the last position, in float64, without a cache. */
export function referenceLogits(
  { config, numbers }: RandomCheckpoint,
  ids: ArrayLike<number>,
): Float64Array {
  const c = config.language;
  const top = "language_model.model";
  const get = (name: string) => numbers.get(`${top}.${name}`)!;
  const table = get("tok_embeddings.weight");
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
    const at = (name: string) => numbers.get(`${top}.layers.${layer}.${name}`);
    const fused = linear(
      rmsNorm(x, at("attention_norm.weight")!, c.rmsNormEps),
      at("attention.wqkv.weight")!,
      (c.heads + 2 * c.kvHeads) * c.headDim,
      at("attention.wqkv.bias"),
    );
    const slot = (row: Float64Array, kv: number, index: number) => {
      const start = (kv * (group + 2) + index) * c.headDim;
      return row.slice(start, start + c.headDim);
    };
    const mixed = fused.map((row, t) => {
      const out = new Float64Array(c.heads * c.headDim);
      for (let head = 0; head < c.heads; head++) {
        const kv = Math.floor(head / group);
        const q = rotate(slot(row, kv, head % group), t);
        const weights = fused.slice(0, t + 1).map((past, s) => {
          const k = rotate(slot(past, kv, group), s);
          return q.reduce((sum, value, i) => sum + value * k[i], 0) /
            Math.sqrt(c.headDim);
        });
        const largest = Math.max(...weights);
        const shares = weights.map((w) => Math.exp(w - largest));
        const total = shares.reduce((a, b) => a + b, 0);
        for (let s = 0; s <= t; s++) {
          const v = slot(fused[s], kv, group + 1);
          for (let i = 0; i < c.headDim; i++) {
            out[head * c.headDim + i] += shares[s] / total * v[i];
          }
        }
      }
      return out;
    });
    const attended = linear(
      mixed,
      at("attention.wo.weight")!,
      c.hiddenSize,
      at("attention.wo.bias"),
    );
    x = x.map((row, t) => row.map((value, i) => value + attended[t][i]));
    const normed = rmsNorm(x, at("ffn_norm.weight")!, c.rmsNormEps);
    const gate = linear(
      normed,
      at("feed_forward.w1.weight")!,
      c.intermediateSize,
    );
    const up = linear(
      normed,
      at("feed_forward.w3.weight")!,
      c.intermediateSize,
    );
    const down = linear(
      gate.map((row, t) =>
        row.map((value, i) => value / (1 + Math.exp(-value)) * up[t][i])
      ),
      at("feed_forward.w2.weight")!,
      c.hiddenSize,
    );
    x = x.map((row, t) => row.map((value, i) => value + down[t][i]));
  }
  const last = rmsNorm(x.slice(-1), get("norm.weight"), c.rmsNormEps);
  const head = numbers.get("language_model.output.weight") ?? table;
  return linear(last, head, c.vocabSize)[0];
}
