// The arithmetic of quantization, in AssemblyScript. Its compiled form is committed in kernel_wasm.ts,
// which tools/quantize/build_kernel.ts makes and checks; nothing needs the compiler at run time.
//
// Blocks lie one after the other, `size` float32 each, filled up with zeros at the end of a row: a zero
// is always represented exactly, so it changes no fit and no error.

@inline
function sum(v: v128): f64 {
  return <f64>f32x4.extract_lane(v, 0) + <f64>f32x4.extract_lane(v, 1) +
    <f64>f32x4.extract_lane(v, 2) + <f64>f32x4.extract_lane(v, 3);
}

@inline
function least(v: v128): f32 {
  return min(
    min(f32x4.extract_lane(v, 0), f32x4.extract_lane(v, 1)),
    min(f32x4.extract_lane(v, 2), f32x4.extract_lane(v, 3)),
  );
}

/** bfloat16 to float32, eight at a time: writes up to seven more than `count`. */
export function widen(source: usize, target: usize, count: i32): void {
  const zero = i16x8.splat(0);
  for (let i = 0; i < count; i += 8) {
    const words = v128.load(source);
    v128.store(target, v128.shuffle<u16>(zero, words, 0, 8, 1, 9, 2, 10, 3, 11));
    v128.store(
      target + 16,
      v128.shuffle<u16>(zero, words, 4, 12, 5, 13, 6, 14, 7, 15),
    );
    source += 16;
    target += 32;
  }
}

// Added and taken away again, it leaves the nearest whole number, of anything below 2^22.
const NEAREST: f32 = 12582912;

/** Whole levels from `low` to `high`. */
@inline
function levelsOf(value: v128, factor: v128, low: v128, high: v128): v128 {
  const magic = f32x4.splat(NEAREST);
  // pmin and pmax are single instructions, min and max are not.
  return f32x4.pmax(
    low,
    f32x4.pmin(
      high,
      f32x4.sub(f32x4.add(f32x4.mul(value, factor), magic), magic),
    ),
  );
}

/** What a candidate's levels have in common with the numbers, and their own square. */
let along: f64 = 0;
let square: f64 = 0;

@inline
function measure(
  x: usize,
  size: i32,
  inverse: f32,
  zero: i32,
  most: i32,
): void {
  const factor = f32x4.splat(inverse);
  const low = f32x4.splat(<f32>-zero);
  const high = f32x4.splat(<f32>(most - zero));
  let dot = f32x4.splat(0);
  let norm = f32x4.splat(0);
  const end = x + (<usize>size << 2);
  while (x < end) {
    const value = v128.load(x);
    const q = levelsOf(value, factor, low, high);
    dot = f32x4.add(dot, f32x4.mul(value, q));
    norm = f32x4.add(norm, f32x4.mul(q, q));
    x += 16;
  }
  along = sum(dot);
  square = sum(norm);
}

/**
 * Finds scale and zero point of each block: of `steps` steps, 0.2 levels apart around the one that the
 * largest number asks for, the one whose least-squares fit leaves the least; with none, that step itself.
 */
export function fit(
  x: usize,
  blocks: i32,
  size: i32,
  bits: i32,
  symmetric: bool,
  steps: i32,
  scales: usize,
  zeros: usize,
): void {
  const most = (1 << bits) - 1;
  const half = 1 << (bits - 1);
  for (let block = 0; block < blocks; block++) {
    let low = f32x4.splat(0);
    let high = f32x4.splat(0);
    for (let i: usize = 0; i < <usize>size << 2; i += 16) {
      const value = v128.load(x + i);
      low = f32x4.min(low, value);
      high = f32x4.max(high, value);
    }
    const bottom = least(low);
    const top = -least(f32x4.neg(high));
    let scale: f32;
    let zero: i32;
    // Symmetric levels reach one further below zero: the sign of the scale puts the largest number there.
    const extreme: f32 = -bottom > top ? bottom : top;
    const span: f32 = symmetric ? -extreme : top - bottom;
    const levels: f32 = symmetric ? <f32>half : <f32>most;
    scale = span == 0 ? 0 : span / levels;
    zero = symmetric
      ? half
      : scale == 0
      ? 0
      : <i32>max(0, min(<f32>most, nearest<f32>(-bottom / scale)));
    if (span != 0 && steps > 0) {
      let best: f64 = 0;
      for (let step = -1; step < steps; step++) {
        const beside: f32 = step < 0
          ? 0
          : 0.2 * (<f32>step - 0.5 * <f32>(steps - 1));
        const inverse = (levels + beside) / span;
        const z = symmetric
          ? half
          : <i32>max(0, min(<f32>most, nearest<f32>(-bottom * inverse)));
        measure(x, size, inverse, z, most);
        // The squared error of the least-squares scale is the norm less along² / square.
        if (square > 0 && along * along > best * square) {
          best = along * along / square;
          scale = <f32>(along / square);
          zero = z;
        }
      }
    }
    store<f32>(scales, scale);
    store<u8>(zeros, <u8>zero);
    scales += 4;
    zeros++;
    x += <usize>size << 2;
  }
}

/**
 * Rounds the blocks for these scales and packs them. Adds to `sums` (two float64) what was lost, squared,
 * and what was there.
 */
export function pack(
  x: usize,
  blocks: i32,
  size: i32,
  bits: i32,
  scales: usize,
  zeros: usize,
  target: usize,
  sums: usize,
): void {
  const most = (1 << bits) - 1;
  let lost: f64 = 0;
  let all: f64 = 0;
  for (let block = 0; block < blocks; block++) {
    const scale = load<f32>(scales);
    const zero = <i32>load<u8>(zeros);
    const step = f32x4.splat(scale);
    const factor = f32x4.splat(scale == 0 ? 0 : 1 / scale);
    const low = f32x4.splat(<f32>-zero);
    const high = f32x4.splat(<f32>(most - zero));
    const middle = i32x4.splat(zero);
    let errors = f32x4.splat(0);
    let squares = f32x4.splat(0);
    const end = x + (<usize>size << 2);
    while (x < end) {
      let first = low;
      let second = low;
      let third = low;
      let fourth = low;
      for (let part = 0; part < 4; part++) {
        const value = v128.load(x);
        const q = levelsOf(value, factor, low, high);
        const level = i32x4.add(i32x4.trunc_sat_f32x4_s(q), middle);
        const error = f32x4.sub(value, f32x4.mul(q, step));
        errors = f32x4.add(errors, f32x4.mul(error, error));
        squares = f32x4.add(squares, f32x4.mul(value, value));
        if (part == 0) first = level;
        else if (part == 1) second = level;
        else if (part == 2) third = level;
        else fourth = level;
        x += 16;
      }
      const bytes = i8x16.narrow_i16x8_u(
        i16x8.narrow_i32x4_u(first, second),
        i16x8.narrow_i32x4_u(third, fourth),
      );
      if (bits == 8) {
        v128.store(target, bytes);
        target += 16;
      } else {
        // Of two bytes side by side the first one is the low half.
        const pairs = v128.and(
          v128.or(bytes, i16x8.shr_u(bytes, 4)),
          i16x8.splat(0xff),
        );
        v128.store64_lane(target, i8x16.narrow_i16x8_u(pairs, pairs), 0);
        target += 8;
      }
    }
    lost += sum(errors);
    all += sum(squares);
    scales += 4;
    zeros++;
  }
  store<f64>(sums, load<f64>(sums) + lost);
  store<f64>(sums + 8, load<f64>(sums + 8) + all);
}

/** The largest magnitude among `count` numbers (a multiple of 4). */
export function extent(x: usize, count: i32): f32 {
  let high = f32x4.splat(0);
  for (let i = 0; i < count; i += 4) {
    high = f32x4.max(high, f32x4.abs(v128.load(x)));
    x += 16;
  }
  return -least(f32x4.neg(high));
}

/** Rounds `count` numbers (a multiple of 16) to int8 within ±`limit`; `sums` as in `pack`. */
export function round(
  x: usize,
  count: i32,
  scale: f32,
  limit: i32,
  target: usize,
  sums: usize,
): void {
  const step = f32x4.splat(scale);
  const factor = f32x4.splat(scale == 0 ? 0 : 1 / scale);
  const high = f32x4.splat(<f32>limit);
  const low = f32x4.splat(<f32>-limit);
  let errors = f32x4.splat(0);
  let squares = f32x4.splat(0);
  let lost: f64 = 0;
  let all: f64 = 0;
  for (let i = 0; i < count; i += 16) {
    let first = low;
    let second = low;
    let third = low;
    let fourth = low;
    for (let part = 0; part < 4; part++) {
      const value = v128.load(x);
      const q = levelsOf(value, factor, low, high);
      const level = i32x4.trunc_sat_f32x4_s(q);
      const error = f32x4.sub(value, f32x4.mul(q, step));
      errors = f32x4.add(errors, f32x4.mul(error, error));
      squares = f32x4.add(squares, f32x4.mul(value, value));
      if (part == 0) first = level;
      else if (part == 1) second = level;
      else if (part == 2) third = level;
      else fourth = level;
      x += 16;
    }
    v128.store(
      target,
      i8x16.narrow_i16x8_s(
        i16x8.narrow_i32x4_s(first, second),
        i16x8.narrow_i32x4_s(third, fourth),
      ),
    );
    target += 16;
  }
  lost += sum(errors);
  all += sum(squares);
  store<f64>(sums, load<f64>(sums) + lost);
  store<f64>(sums + 8, load<f64>(sums + 8) + all);
}

/** Bytes [rows, width] to [columns, rows], of each row the first `columns`; tile by tile, for the cache. */
export function transpose(
  source: usize,
  rows: i32,
  width: i32,
  columns: i32,
  target: usize,
): void {
  for (let column = 0; column < columns; column += 64) {
    const lastColumn = min(columns, column + 64);
    for (let row = 0; row < rows; row += 64) {
      const lastRow = min(rows, row + 64);
      for (let c = column; c < lastColumn; c++) {
        let from = source + <usize>row * width + c;
        let to = target + <usize>c * rows + row;
        for (let r = row; r < lastRow; r++) {
          store<u8>(to++, load<u8>(from));
          from += width;
        }
      }
    }
  }
}
