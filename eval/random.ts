/**
 * Chance from a seed: the same on every machine.
 * @module
 */

/** A stream of chance. */
export interface Random {
  /** A number from 0 up to 1. */
  next(): number;
  /** A number between two. */
  between(low: number, high: number): number;
  /** A whole number, both ends included. */
  int(low: number, high: number): number;
  /** True with a probability. */
  chance(p: number): boolean;
  /** One of a list that is not empty. */
  pick<T>(items: ArrayLike<T>): T;
  /** `n` different ones of a list, in a random order. */
  sample<T>(items: readonly T[], n: number): T[];
}

/** The stream of a text: every task has its own, so that leaving one out changes no other. */
export function random(seed: string): Random {
  // FNV-1a of the text, then splitmix32: small, well mixed, and the same everywhere.
  let state = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(seed)) {
    state = Math.imul(state ^ byte, 0x01000193);
  }
  const next = (): number => {
    state = (state + 0x9e3779b9) | 0;
    let z = state;
    z = Math.imul(z ^ (z >>> 16), 0x21f0aaad);
    z = Math.imul(z ^ (z >>> 15), 0x735a2d97);
    return ((z ^ (z >>> 15)) >>> 0) / 2 ** 32;
  };
  const int = (low: number, high: number) =>
    low + Math.floor(next() * (high - low + 1));
  return {
    next,
    int,
    between: (low, high) => low + (high - low) * next(),
    chance: (p) => next() < p,
    pick: (items) => items[int(0, items.length - 1)]!,
    sample: (items, n) => {
      const rest = [...items];
      return Array.from(
        { length: n },
        () => rest.splice(int(0, rest.length - 1), 1)[0]!,
      );
    },
  };
}
