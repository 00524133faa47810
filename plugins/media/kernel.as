// The resampling kernel, in AssemblyScript. Its compiled form is committed in kernel_wasm.ts, which
// tools/media/build_kernel.ts makes and checks; nothing needs the compiler at run time.
//
// Bicubic resampling in 8-bit fixed point, bit for bit as Pillow's ImagingResample: a horizontal pass
// to bytes, then a vertical pass to bytes, with 22-bit coefficients. A coefficient k is split into
// k = 256 * hi + lo (hi signed, lo 0..255) so that both halves fit 16 bits and two
// i32x4.dot_i16x8_s instructions give the exact 32-bit sum.
//
// Everything runs on blocks of eight source rows, so memory is bounded by the width of the picture
// and the height of the vertical window, never by the size of the picture:
//
//   pairs  [column pair][channel][8 rows][2 columns]            the eight rows transposed
//   ring   [row pair mod ring size][channel][column][2 rows]    the horizontally resized rows
//   row    [channel][column]                                    bytes, one finished row
//
// Values of pairs and ring are bytes kept as 16-bit words, which spares the dot products a widening.
//
// A coefficient table holds, per output position, the pairs of 16-bit halves (hi0, hi1, lo0, lo1) of
// its window; windows start at an even position, with a zero coefficient in front where they must.

@inline
function finish(hi: v128, lo: v128): v128 {
  // (256 * hi + lo) >> 22; the sum of the low halves starts at one half, 2^21.
  return i32x4.shr_s(i32x4.add(i32x4.shl(hi, 8), lo), 22);
}

/** Transposes eight rows of RGB bytes, `stride` bytes apart, into column pairs. */
export function transpose(
  source: usize,
  stride: usize,
  width: i32,
  pairs: usize,
): void {
  for (let x = 0; x < width; x += 4) {
    // Two columns of one channel become one 16-bit lane: r0r1 g0g1 b0b1 r2r3 g2g3 b2b3.
    let p = source;
    const a0 = gather(p);
    const a1 = gather(p += stride);
    const a2 = gather(p += stride);
    const a3 = gather(p += stride);
    const a4 = gather(p += stride);
    const a5 = gather(p += stride);
    const a6 = gather(p += stride);
    const a7 = gather(p += stride);
    const b0 = v128.shuffle<u16>(a0, a1, 0, 8, 1, 9, 2, 10, 3, 11);
    const b1 = v128.shuffle<u16>(a2, a3, 0, 8, 1, 9, 2, 10, 3, 11);
    const b2 = v128.shuffle<u16>(a4, a5, 0, 8, 1, 9, 2, 10, 3, 11);
    const b3 = v128.shuffle<u16>(a6, a7, 0, 8, 1, 9, 2, 10, 3, 11);
    const c0 = v128.shuffle<u16>(a0, a1, 4, 12, 5, 13, 6, 14, 7, 15);
    const c1 = v128.shuffle<u16>(a2, a3, 4, 12, 5, 13, 6, 14, 7, 15);
    const c2 = v128.shuffle<u16>(a4, a5, 4, 12, 5, 13, 6, 14, 7, 15);
    const c3 = v128.shuffle<u16>(a6, a7, 4, 12, 5, 13, 6, 14, 7, 15);
    const d0 = v128.shuffle<u32>(b0, b1, 0, 4, 1, 5);
    const d1 = v128.shuffle<u32>(b0, b1, 2, 6, 3, 7);
    const d2 = v128.shuffle<u32>(b2, b3, 0, 4, 1, 5);
    const d3 = v128.shuffle<u32>(b2, b3, 2, 6, 3, 7);
    const e0 = v128.shuffle<u32>(c0, c1, 0, 4, 1, 5);
    const e1 = v128.shuffle<u32>(c2, c3, 0, 4, 1, 5);
    put(pairs + 0, v128.shuffle<u64>(d0, d2, 0, 2));
    put(pairs + 32, v128.shuffle<u64>(d0, d2, 1, 3));
    put(pairs + 64, v128.shuffle<u64>(d1, d3, 0, 2));
    put(pairs + 96, v128.shuffle<u64>(d1, d3, 1, 3));
    put(pairs + 128, v128.shuffle<u64>(e0, e1, 0, 2));
    put(pairs + 160, v128.shuffle<u64>(e0, e1, 1, 3));
    source += 12;
    pairs += 192;
  }
}

@inline
function gather(p: usize): v128 {
  const v = v128.load(p);
  return v128.shuffle<u8>(v, v, 0, 3, 1, 4, 2, 5, 6, 9, 7, 10, 8, 11, 12, 13, 14, 15);
}

@inline
function put(p: usize, bytes: v128): void {
  v128.store(p, i16x8.extend_low_i8x16_u(bytes));
  v128.store(p, i16x8.extend_high_i8x16_u(bytes), 16);
}

/** Resizes eight transposed rows to `width` columns, into four row pairs of the ring. */
export function horizontal(
  pairs: usize,
  windows: usize,
  table: usize,
  tableStride: usize,
  width: i32,
  out: usize,
  planeBytes: usize,
  pairBytes: usize,
): void {
  const plane2 = planeBytes << 1;
  for (let x = 0; x < width; x++) {
    const first = pairs + <usize>load<u32>(windows) * 96;
    const count = load<u32>(windows, 4);
    // Rows 0 to 3, then rows 4 to 7: six sums at a time fit the registers.
    let p = first, k = table, n = count;
    let h0 = i32x4.splat(0), h1 = h0, h2 = h0;
    let l0 = i32x4.splat(1 << 21), l1 = l0, l2 = l0;
    do {
      const kh = v128.load_splat<u32>(k);
      const kl = v128.load_splat<u32>(k, 4);
      const r = v128.load(p);
      h0 = i32x4.add(h0, i32x4.dot_i16x8_s(r, kh));
      l0 = i32x4.add(l0, i32x4.dot_i16x8_s(r, kl));
      const g = v128.load(p, 32);
      h1 = i32x4.add(h1, i32x4.dot_i16x8_s(g, kh));
      l1 = i32x4.add(l1, i32x4.dot_i16x8_s(g, kl));
      const b = v128.load(p, 64);
      h2 = i32x4.add(h2, i32x4.dot_i16x8_s(b, kh));
      l2 = i32x4.add(l2, i32x4.dot_i16x8_s(b, kl));
      k += 8;
      p += 96;
    } while (--n);
    const r0 = finish(h0, l0), g0 = finish(h1, l1), b0 = finish(h2, l2);
    p = first, k = table, n = count;
    h0 = i32x4.splat(0), h1 = h0, h2 = h0;
    l0 = i32x4.splat(1 << 21), l1 = l0, l2 = l0;
    do {
      const kh = v128.load_splat<u32>(k);
      const kl = v128.load_splat<u32>(k, 4);
      const r = v128.load(p, 16);
      h0 = i32x4.add(h0, i32x4.dot_i16x8_s(r, kh));
      l0 = i32x4.add(l0, i32x4.dot_i16x8_s(r, kl));
      const g = v128.load(p, 48);
      h1 = i32x4.add(h1, i32x4.dot_i16x8_s(g, kh));
      l1 = i32x4.add(l1, i32x4.dot_i16x8_s(g, kl));
      const b = v128.load(p, 80);
      h2 = i32x4.add(h2, i32x4.dot_i16x8_s(b, kh));
      l2 = i32x4.add(l2, i32x4.dot_i16x8_s(b, kl));
      k += 8;
      p += 96;
    } while (--n);
    let r = i16x8.narrow_i32x4_s(r0, finish(h0, l0));
    let g = i16x8.narrow_i32x4_s(g0, finish(h1, l1));
    let b = i16x8.narrow_i32x4_s(b0, finish(h2, l2));
    // Clipped to bytes, and widened again for the vertical pass.
    const rg = i8x16.narrow_i16x8_u(r, g);
    const bb = i8x16.narrow_i16x8_u(b, b);
    r = i16x8.extend_low_i8x16_u(rg);
    g = i16x8.extend_high_i8x16_u(rg);
    b = i16x8.extend_low_i8x16_u(bb);
    let o = out;
    v128.store_lane<u32>(o, r, 0);
    v128.store_lane<u32>(o + planeBytes, g, 0);
    v128.store_lane<u32>(o + plane2, b, 0);
    o += pairBytes;
    v128.store_lane<u32>(o, r, 1);
    v128.store_lane<u32>(o + planeBytes, g, 1);
    v128.store_lane<u32>(o + plane2, b, 1);
    o += pairBytes;
    v128.store_lane<u32>(o, r, 2);
    v128.store_lane<u32>(o + planeBytes, g, 2);
    v128.store_lane<u32>(o + plane2, b, 2);
    o += pairBytes;
    v128.store_lane<u32>(o, r, 3);
    v128.store_lane<u32>(o + planeBytes, g, 3);
    v128.store_lane<u32>(o + plane2, b, 3);
    out += 4;
    windows += 8;
    table += tableStride;
  }
}

/** One finished row from `count` row pairs of the ring, the first at `first`. */
export function vertical(
  first: usize,
  ring: usize,
  ringEnd: usize,
  pairBytes: usize,
  table: usize,
  count: i32,
  entries: i32,
  out: usize,
): void {
  const ringBytes = ringEnd - ring;
  for (let x = 0; x < entries; x += 16) {
    let p = first + 4 * x;
    const end = ringEnd + 4 * x;
    let k = table;
    let h0 = i32x4.splat(0), h1 = h0, h2 = h0, h3 = h0;
    let l0 = i32x4.splat(1 << 21), l1 = l0, l2 = l0, l3 = l0;
    let n = count;
    do {
      const kh = v128.load_splat<u32>(k);
      const kl = v128.load_splat<u32>(k, 4);
      const v0 = v128.load(p);
      h0 = i32x4.add(h0, i32x4.dot_i16x8_s(v0, kh));
      l0 = i32x4.add(l0, i32x4.dot_i16x8_s(v0, kl));
      const v1 = v128.load(p, 16);
      h1 = i32x4.add(h1, i32x4.dot_i16x8_s(v1, kh));
      l1 = i32x4.add(l1, i32x4.dot_i16x8_s(v1, kl));
      const v2 = v128.load(p, 32);
      h2 = i32x4.add(h2, i32x4.dot_i16x8_s(v2, kh));
      l2 = i32x4.add(l2, i32x4.dot_i16x8_s(v2, kl));
      const v3 = v128.load(p, 48);
      h3 = i32x4.add(h3, i32x4.dot_i16x8_s(v3, kh));
      l3 = i32x4.add(l3, i32x4.dot_i16x8_s(v3, kl));
      k += 8;
      p += pairBytes;
      if (p >= end) p -= ringBytes;
    } while (--n);
    v128.store(
      out + x,
      i8x16.narrow_i16x8_u(
        i16x8.narrow_i32x4_s(finish(h0, l0), finish(h1, l1)),
        i16x8.narrow_i32x4_s(finish(h2, l2), finish(h3, l3)),
      ),
    );
  }
}

/**
 * Bytes to floats: ((v / 255) - mean) / deviation, rounded to float32 after each step, as torchvision
 * computes. `count` is a multiple of eight.
 */
export function normalise(
  bytes: usize,
  count: i32,
  mean: f32,
  deviation: f32,
  out: usize,
): void {
  const end = bytes + count;
  const most = f32x4.splat(255);
  const m = f32x4.splat(mean), d = f32x4.splat(deviation);
  while (bytes < end) {
    const v = v128.load_ext<u8>(bytes);
    const a = f32x4.convert_i32x4_u(i32x4.extend_low_i16x8_u(v));
    const b = f32x4.convert_i32x4_u(i32x4.extend_high_i16x8_u(v));
    v128.store(out, f32x4.div(f32x4.sub(f32x4.div(a, most), m), d));
    v128.store(out, f32x4.div(f32x4.sub(f32x4.div(b, most), m), d), 16);
    bytes += 8;
    out += 32;
  }
}
