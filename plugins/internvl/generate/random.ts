/**
 * The pseudo-random numbers of sampling: xoshiro128** 1.1 (Blackman and Vigna, "Scrambled linear
 * pseudorandom number generators", 2021), its state filled by SplitMix32 from the seed. The same seed
 * gives the same numbers on every machine; they are not PyTorch's.
 * @module
 */

/** Draws numbers evenly from [0, 1), 53 bits each. */
export type Random = () => number;

/** Numbers passed over until every word of the state depends on all of the seed. */
const WARM_UP = 8;

/** A generator for a seed: a whole number from 0 to 2^53 - 1. */
export function seededRandom(seed: number): Random {
  const low = splitMix32(seed >>> 0);
  const high = splitMix32(Math.floor(seed / 2 ** 32) ^ 0x5851f42d);
  const next = xoshiro128(low(), high(), low(), high());
  // The first number is of the second word alone, which all seeds below 2^32 have in common: each draw must
  // depend on all of the seed.
  for (let i = 0; i < WARM_UP; i++) next();
  return () => ((next() >>> 5) * 2 ** 26 + (next() >>> 6)) / 2 ** 53;
}

/** The generator itself, from its state of four 32-bit words, not all zero: numbers from 0 to 2^32 - 1. */
export function xoshiro128(
  a: number,
  b: number,
  c: number,
  d: number,
): () => number {
  return () => {
    const result = Math.imul(rotate(Math.imul(b, 5), 7), 9) >>> 0;
    const t = b << 9;
    c ^= a;
    d ^= b;
    b ^= c;
    a ^= d;
    c ^= t;
    d = rotate(d, 11);
    return result;
  };
}

function rotate(x: number, bits: number): number {
  return (x << bits) | (x >>> (32 - bits));
}

function splitMix32(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x9e3779b9) | 0;
    let z = state ^ (state >>> 16);
    z = Math.imul(z, 0x21f0aaad);
    z ^= z >>> 15;
    z = Math.imul(z, 0x735a2d97);
    return (z ^ (z >>> 15)) >>> 0;
  };
}
