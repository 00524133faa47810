/**
 * Distributions that can be added up: counts of values by logarithmic class.
 * @module
 */

/** Classes to a doubling: a value is known to within 3 %. */
const perOctave = 12;

/** Class of zero and of what is too small to tell from it. */
export const zeroBin = -1000;

const smallest = 2 ** (zeroBin / perOctave + 1);

/**
 * The class of a value.
 *
 * ```ts
 * import { binOf } from "./histogram.ts";
 * import assert from "node:assert/strict";
 *
 * assert.equal(binOf(1), 0);
 * assert.equal(binOf(2), 12);
 * assert.equal(binOf(0), -1000);
 * ```
 */
export function binOf(value: number): number {
  return value > smallest
    ? Math.floor(perOctave * Math.log2(value) + 1e-9)
    : zeroBin;
}

/** The middle of a class. */
function middleOf(bin: number): number {
  return bin <= zeroBin ? 0 : 2 ** ((bin + 0.5) / perOctave);
}

/** A distribution. */
export class Histogram {
  /** Counts by class. */
  readonly bins: Map<number, number> = new Map();
  /** Number of values. */
  n = 0;
  /** Their sum. */
  sum = 0;
  /** The largest. */
  max = 0;

  /** Adds values: their classes, how many are in each, their sum and the largest. */
  add(
    bins: readonly number[],
    counts: readonly number[],
    sum: number,
    max: number,
  ): void {
    this.max = this.n === 0 ? max : Math.max(this.max, max);
    for (let i = 0; i < bins.length; i++) {
      const bin = bins[i]!;
      this.bins.set(bin, (this.bins.get(bin) ?? 0) + counts[i]!);
      this.n += counts[i]!;
    }
    this.sum += sum;
  }

  /** The mean; `undefined` without values. */
  mean(): number | undefined {
    return this.n === 0 ? undefined : this.sum / this.n;
  }

  /**
   * For each share, in rising order, the value that so many of all values do not exceed, to within 3 %;
   * `undefined` without values.
   *
   * ```ts
   * import { binOf, Histogram } from "./histogram.ts";
   * import assert from "node:assert/strict";
   *
   * const times = new Histogram();
   * for (let ms = 1; ms <= 100; ms++) times.add([binOf(ms)], [1], ms, ms);
   * const [median, most] = times.quantiles([0.5, 1]);
   * assert.ok(Math.abs(median! - 50) < 0.03 * 50);
   * assert.equal(most, 100);
   * ```
   */
  quantiles(shares: readonly number[]): (number | undefined)[] {
    if (this.n === 0) return shares.map(() => undefined);
    const bins = [...this.bins.keys()].sort((a, b) => a - b);
    let next = 0;
    let seen = 0;
    return shares.map((share) => {
      const rank = Math.max(1, Math.ceil(share * this.n));
      if (rank === this.n) return this.max;
      while (seen < rank) seen += this.bins.get(bins[next++]!)!;
      return Math.min(middleOf(bins[next - 1]!), this.max);
    });
  }
}
