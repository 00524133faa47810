/**
 * The arithmetic of quantization: rows of a matrix in, packed numbers and scales out. No files, no
 * effects; runs in a worker.
 *
 * Scales are searched for, not taken from the largest number: of several steps around it the one is
 * kept whose least-squares fit leaves the smallest squared error in the block, as in llama.cpp's
 * `make_qx_quants`. The scale is rounded to float16 before the numbers are, so that they are rounded
 * for the scale that is stored.
 * @module
 */
import type { WeightDType } from "../safetensors.ts";
import { type BlockScheme, blocksOf, w8a8Limit, zeroBytes } from "./scheme.ts";

/** Squared errors, for a report. */
export interface Loss {
  /** Sum of the squares of what was lost. */
  readonly lost: number;
  /** Sum of the squares of what was there. */
  readonly all: number;
}

/** Quantized rows. */
export interface QuantizedRows extends Loss {
  /** Packed numbers, row by row; of `w8a8` column by column. */
  readonly numbers: Uint8Array<ArrayBuffer>;
  /** float16 words. */
  readonly scales: Uint16Array<ArrayBuffer>;
  /** Packed zero points, unless symmetric. */
  readonly zeros?: Uint8Array<ArrayBuffer>;
}

/** Bytes of a checkpoint as float32 numbers. */
export function toFloats(
  bytes: ArrayBuffer,
  dtype: WeightDType,
): Float32Array<ArrayBuffer> {
  switch (dtype) {
    case "float32":
      return new Float32Array(bytes);
    case "float16":
      return new Float32Array(new Float16Array(bytes));
    case "bfloat16": {
      const words = new Uint16Array(bytes);
      const bits = new Uint32Array(words.length);
      for (let i = 0; i < words.length; i++) bits[i] = words[i]! << 16;
      return new Float32Array(bits.buffer);
    }
    default:
      throw new RangeError(`${dtype} is no float type`);
  }
}

/** Steps of the search, in tenths of a level beside the one that the largest number asks for. */
const SEARCH: readonly number[] = [-9, -7, -5, -3, -1, 1, 3, 5, 7, 9];
/** With 8 bits a step more or less changes next to nothing. */
const NO_SEARCH: readonly number[] = [];

const half = new Float16Array(1);
const halfBits = new Uint16Array(half.buffer);

/** Quantizes rows [rows, columns] in blocks. A number that is none makes {@link Loss} one. */
export function quantizeBlocks(
  x: Float32Array,
  columns: number,
  scheme: BlockScheme,
): QuantizedRows {
  const { bits, blockSize, symmetric } = scheme;
  const rows = x.length / columns;
  const blocks = blocksOf(columns, scheme);
  const blob = blockSize * bits / 8;
  const zeroWidth = zeroBytes(blocks, bits);
  const numbers = new Uint8Array(rows * blocks * blob);
  const scales = new Uint16Array(rows * blocks);
  const zeros = symmetric ? undefined : new Uint8Array(rows * zeroWidth);
  const levels = new Uint8Array(blockSize);
  const middle = 1 << (bits - 1);
  const steps = bits === 4 ? SEARCH : NO_SEARCH;
  let lost = 0;
  let all = 0;
  for (let row = 0; row < rows; row++) {
    for (let block = 0; block < blocks; block++) {
      const start = row * columns + block * blockSize;
      const end = Math.min(start + blockSize, (row + 1) * columns);
      const fit = symmetric
        ? fitSymmetric(x, start, end, middle, steps)
        : fitAsymmetric(x, start, end, 2 * middle - 1, steps);
      half[0] = fit.scale;
      const at = row * blocks + block;
      scales[at] = halfBits[0]!;
      const scale = half[0];
      const zero = fit.zero;
      const inverse = scale === 0 ? 0 : 1 / scale;
      const most = 2 * middle - 1;
      for (let i = start; i < end; i++) {
        const value = x[i]!;
        let q = Math.floor(value * inverse + zero + 0.5);
        if (!(q > 0)) q = 0;
        else if (q > most) q = most;
        levels[i - start] = q;
        const error = value - (q - zero) * scale;
        lost += error * error;
        all += value * value;
      }
      // Beyond the row's end stands what means zero.
      levels.fill(zero, end - start);
      if (bits === 8) numbers.set(levels, at * blob);
      else pack(levels, numbers, at * blob);
      if (zeros !== undefined) {
        if (bits === 8) zeros[row * zeroWidth + block] = zero;
        else {
          zeros[row * zeroWidth + (block >> 1)]! |= zero << (4 * (block & 1));
        }
      }
    }
  }
  return {
    numbers,
    scales,
    lost,
    all,
    ...(zeros === undefined ? {} : { zeros }),
  };
}

/** Two levels a byte, the first in the low half. */
function pack(levels: Uint8Array, into: Uint8Array, at: number): void {
  for (let i = 0; i < levels.length; i += 2) {
    into[at++] = levels[i]! | levels[i + 1]! << 4;
  }
}

interface Fit {
  scale: number;
  zero: number;
}

// One object for all blocks: a new one each would be garbage by the million.
const fit: Fit = { scale: 0, zero: 0 };

/** The scale for levels -middle … middle - 1; its sign puts the largest number at -middle. */
function fitSymmetric(
  x: Float32Array,
  start: number,
  end: number,
  middle: number,
  steps: readonly number[],
): Fit {
  let extreme = 0;
  let size = 0;
  for (let i = start; i < end; i++) {
    const value = x[i]!;
    const absolute = Math.abs(value);
    if (absolute > size) {
      size = absolute;
      extreme = value;
    }
  }
  fit.zero = middle;
  fit.scale = -extreme / middle;
  if (size === 0) return fit;
  let best = -1;
  for (let s = -1; s < steps.length; s++) {
    const inverse = -(middle + (s < 0 ? 0 : steps[s]! / 10)) / extreme;
    let along = 0;
    let square = 0;
    for (let i = start; i < end; i++) {
      const value = x[i]!;
      // Never below -0.9 before the half is added: truncation is the floor, and 0 the least level.
      let q = (value * inverse + middle + 0.5) | 0;
      if (q > 2 * middle - 1) q = 2 * middle - 1;
      q -= middle;
      along += value * q;
      square += q * q;
    }
    // The squared error of the least-squares scale is Σx² - along² / square.
    if (square > 0 && along * along > best * square) {
      best = along * along / square;
      if (steps.length > 0) fit.scale = along / square;
    }
  }
  return fit;
}

/** Scale and zero point for levels 0 … most. */
function fitAsymmetric(
  x: Float32Array,
  start: number,
  end: number,
  most: number,
  steps: readonly number[],
): Fit {
  let low = 0;
  let high = 0;
  for (let i = start; i < end; i++) {
    const value = x[i]!;
    if (value < low) low = value;
    if (value > high) high = value;
  }
  const range = high - low;
  fit.scale = range / most;
  fit.zero = range === 0 ? 0 : Math.round(-low / fit.scale);
  if (range === 0) return fit;
  let best = -1;
  for (let s = -1; s < steps.length; s++) {
    const inverse = (most + (s < 0 ? 0 : steps[s]! / 10)) / range;
    const zero = Math.min(most, Math.max(0, Math.round(-low * inverse)));
    let along = 0;
    let square = 0;
    for (let i = start; i < end; i++) {
      const value = x[i]!;
      let q = (value * inverse + zero + 0.5) | 0;
      if (q > most) q = most;
      else if (q < 0) q = 0;
      q -= zero;
      along += value * q;
      square += q * q;
    }
    if (square > 0 && along * along > best * square) {
      best = along * along / square;
      if (steps.length > 0) {
        fit.scale = along / square;
        fit.zero = zero;
      }
    }
  }
  return fit;
}

/**
 * Quantizes rows [rows, columns] to int8 with a scale a row, laid out as [columns, rows]: the rows
 * are the outputs, and `MatMulIntegerToFloat` wants those to lie side by side.
 */
export function quantizeBytes(
  x: Float32Array,
  columns: number,
): QuantizedRows {
  const rows = x.length / columns;
  const numbers = new Int8Array(rows * columns);
  const scales = new Uint16Array(rows);
  let lost = 0;
  let all = 0;
  for (let row = 0; row < rows; row++) {
    const start = row * columns;
    let size = 0;
    for (let i = 0; i < columns; i++) {
      const absolute = Math.abs(x[start + i]!);
      if (absolute > size) size = absolute;
    }
    half[0] = size / w8a8Limit;
    scales[row] = halfBits[0]!;
    const scale = half[0];
    const inverse = scale === 0 ? 0 : 1 / scale;
    for (let i = 0; i < columns; i++) {
      const value = x[start + i]!;
      let q = Math.round(value * inverse);
      if (q > w8a8Limit) q = w8a8Limit;
      else if (q < -w8a8Limit) q = -w8a8Limit;
      numbers[i * rows + row] = q;
      const error = value - q * scale;
      lost += error * error;
      all += value * value;
    }
  }
  return { numbers: new Uint8Array(numbers.buffer), scales, lost, all };
}
