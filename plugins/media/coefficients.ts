/**
 * Weights of the bicubic filter in 8-bit fixed point, as Pillow computes them
 * (`src/libImaging/Resample.c`: `precompute_coeffs`, `normalize_coeffs_8bpc`; bicubic with a = -0.5
 * whose support is widened by the scale when it shrinks). All arithmetic before the rounding is in
 * float64, in the same order, so the integers are equal.
 * @module
 */

/** Fraction bits of a weight. */
export const WEIGHT_BITS = 22;

/** For every output position the window of input positions and their weights. */
export interface Coefficients {
  /** First input position of each window. */
  readonly starts: Int32Array<ArrayBuffer>;
  /** Positions in each window, at most `stride`. */
  readonly counts: Int32Array<ArrayBuffer>;
  /** Weights of the window of output position i from `i · stride`, scaled by 2^22. */
  readonly weights: Int32Array<ArrayBuffer>;
  /** Room per window. */
  readonly stride: number;
}

/** The bicubic kernel with a = -0.5 (Keys 1981), support 2. */
export function bicubic(x: number): number {
  const a = -0.5;
  x = Math.abs(x);
  if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  if (x < 2) return (((x - 5) * x + 8) * x - 4) * a;
  return 0;
}

/** Weights for resizing an axis of `inSize` positions to `outSize`. */
export function coefficients(inSize: number, outSize: number): Coefficients {
  const scale = inSize / outSize;
  const filterScale = Math.max(scale, 1);
  const support = 2 * filterScale;
  const inverse = 1 / filterScale;
  const stride = Math.ceil(support) * 2 + 1;
  const starts = new Int32Array(outSize);
  const counts = new Int32Array(outSize);
  const weights = new Int32Array(outSize * stride);
  const window = new Float64Array(stride);
  for (let out = 0; out < outSize; out++) {
    const center = (out + 0.5) * scale;
    const start = Math.max(Math.trunc(center - support + 0.5), 0);
    const end = Math.min(Math.trunc(center + support + 0.5), inSize);
    const count = end - start;
    let sum = 0;
    for (let i = 0; i < count; i++) {
      const weight = bicubic((i + start - center + 0.5) * inverse);
      window[i] = weight;
      sum += weight;
    }
    for (let i = 0; i < count; i++) {
      const scaled = (sum === 0 ? window[i] : window[i] / sum) *
        (1 << WEIGHT_BITS);
      weights[out * stride + i] = Math.trunc(
        scaled < 0 ? scaled - 0.5 : scaled + 0.5,
      );
    }
    starts[out] = start;
    counts[out] = count;
  }
  return { starts, counts, weights, stride };
}
