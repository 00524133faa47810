/**
 * Medians and ratios: the benchmark compares things measured in turns, on machines that are never quite
 * idle, so it reports the middle of several rounds and how far they lie apart.
 * @module
 */

/** What several measurements of one thing come to. */
export interface Summary {
  /** The middle one. */
  readonly median: number;
  /** The smallest. */
  readonly least: number;
  /** The largest. */
  readonly most: number;
  /** How many there were. */
  readonly count: number;
}

/** The value below which a share `q` of the numbers lies, interpolated; NaN of none. */
export function quantile(numbers: Iterable<number>, q: number): number {
  const sorted = Float64Array.from(numbers).sort();
  if (sorted.length === 0) return NaN;
  const at = (sorted.length - 1) * Math.min(1, Math.max(0, q));
  const below = Math.floor(at);
  const above = Math.ceil(at);
  return sorted[below] + (sorted[above] - sorted[below]) * (at - below);
}

/** The middle of the numbers; NaN of none. */
export function median(numbers: Iterable<number>): number {
  return quantile(numbers, 0.5);
}

/** Median, extremes and count. */
export function summarize(numbers: readonly number[]): Summary {
  return {
    median: median(numbers),
    least: numbers.reduce((a, b) => Math.min(a, b), Infinity),
    most: numbers.reduce((a, b) => Math.max(a, b), -Infinity),
    count: numbers.length,
  };
}

/**
 * The median, or another quantile, of the ratios `a[i] / b[i]` of measurements taken in the same turn: what
 * disturbs a turn disturbs both of its halves. Both lists must be equally long.
 */
export function pairedRatio(
  a: readonly number[],
  b: readonly number[],
  q = 0.5,
): number {
  if (a.length !== b.length) {
    throw new RangeError(
      `pairedRatio: ${a.length} measurements against ${b.length}`,
    );
  }
  return quantile(a.map((value, i) => value / b[i]), q);
}

/** Three significant digits, without an exponent for what a table holds. */
export function show(value: number): string {
  if (!Number.isFinite(value)) return "-";
  const size = Math.abs(value);
  if (size >= 100) {
    return Math.round(value).toLocaleString("en-US");
  }
  if (size === 0) return "0";
  const digits = Math.max(0, 2 - Math.floor(Math.log10(size)));
  return value.toFixed(Math.min(6, digits));
}
