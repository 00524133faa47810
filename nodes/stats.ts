/**
 * How the numbers of a tensor are spread, for previews.
 * @module
 */
import type { Tensor } from "./tensor.ts";

/** Numbers that are looked at: a preview must not cost what the node did. */
const most = 4096;

const bins = 24;

/** How numbers are spread. */
export type Stats = {
  /** The least. */
  readonly min: number;
  /** The greatest. */
  readonly max: number;
  /** Their mean. */
  readonly mean: number;
  /** How many there are in each of 24 equal parts from the least to the greatest. */
  readonly histogram: readonly number[];
  /** How many were looked at. */
  readonly of: number;
};

/** A tensor as its preview shows it. */
export type TensorPreview = {
  /** Type of its numbers. */
  readonly dtype: string;
  /** Its shape. */
  readonly shape: readonly number[];
  /** How they are spread, where they are on the host. */
  readonly stats?: Stats;
};

/**
 * The spread of a host tensor, of at most 4,096 of its numbers at equal distances; nothing for one on a
 * device, which is not read for this, nor for one without finite numbers.
 *
 * ```ts
 * import { tensorStats } from "./stats.ts";
 * import { hostTensor } from "./tensor.ts";
 * import assert from "node:assert/strict";
 *
 * const { stats } = tensorStats(hostTensor("float32", [4], Float32Array.of(0, 1, 2, 5)));
 * assert.deepEqual([stats?.min, stats?.max, stats?.mean, stats?.of], [0, 5, 2, 4]);
 * ```
 */
export function tensorStats(tensor: Tensor): Pick<TensorPreview, "stats"> {
  let stats = known.get(tensor);
  if (stats === undefined) known.set(tensor, stats = spread(tensor));
  return stats;
}

/** A tensor that is remembered comes by again and again, and what is in it stays. */
const known = new WeakMap<Tensor, Pick<TensorPreview, "stats">>();

function spread(tensor: Tensor): Pick<TensorPreview, "stats"> {
  const { data, dtype } = tensor as { data?: unknown; dtype: string };
  // 16-bit floats come as their bits.
  if (!ArrayBuffer.isView(data) || /16/.test(dtype)) return {};
  const numbers = data as unknown as ArrayLike<number | bigint>;
  const step = Math.max(1, Math.floor(numbers.length / most));
  let min = Infinity;
  let max = -Infinity;
  let sum = 0;
  let of = 0;
  const seen: number[] = [];
  for (let i = 0; i < numbers.length && seen.length < most; i += step) {
    const value = Number(numbers[i]);
    if (!Number.isFinite(value)) continue;
    seen.push(value);
    min = Math.min(min, value);
    max = Math.max(max, value);
    sum += value;
    of++;
  }
  if (of === 0) return {};
  const histogram = new Array<number>(bins).fill(0);
  const width = (max - min) / bins || 1;
  for (const value of seen) {
    const bin = Math.min(bins - 1, Math.floor((value - min) / width));
    histogram[bin] = histogram[bin]! + 1;
  }
  const short = (value: number) => Number(value.toPrecision(5));
  return {
    stats: {
      min: short(min),
      max: short(max),
      mean: short(sum / of),
      histogram,
      of,
    },
  };
}
