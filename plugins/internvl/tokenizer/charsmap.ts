/**
 * SentencePiece's `precompiled_charsmap`: rules that rewrite character sequences (NFKC and the like),
 * as a Darts double-array trie over UTF-8 bytes whose values point into a pool of NUL-ended strings.
 * Layout: 32-bit little-endian size of the trie, the trie's 32-bit units, the pool
 * (google/sentencepiece `normalizer.cc`; units as in s-yata/darts-clone `darts.h`).
 * @module
 */

/** A checked charsmap. */
export interface Charsmap {
  /** The trie's units. */
  readonly units: Uint32Array<ArrayBuffer>;
  /** The replacements, each ended by NUL. */
  readonly pool: Uint8Array<ArrayBuffer>;
}

/** Set in a unit that holds a value instead of a label. */
const valueBit = 0x80000000;

/** Reads a charsmap; throws an `Error` with one line when it is damaged. */
export function parseCharsmap(bytes: Uint8Array): Charsmap {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const size = bytes.length < 4 ? -1 : view.getUint32(0, true);
  if (size <= 0 || size % 4 !== 0 || size >= bytes.length - 4) {
    throw new Error("damaged precompiled_charsmap: wrong size of its trie");
  }
  const units = new Uint32Array(size / 4);
  for (let i = 0; i < units.length; i++) {
    units[i] = view.getUint32(4 + 4 * i, true);
  }
  const pool = bytes.slice(4 + size);
  if (pool.at(-1) !== 0) {
    throw new Error("damaged precompiled_charsmap: its last string has no end");
  }
  for (const unit of units) {
    if (unit >= valueBit && unit - valueBit >= pool.length) {
      throw new Error("damaged precompiled_charsmap: a rule points outside it");
    }
  }
  return { units, pool };
}

/**
 * The longest rule that matches `bytes` from `at`: its replacement and how many bytes it takes the
 * place of; `undefined` when no rule matches.
 */
export function longestRule(
  map: Charsmap,
  bytes: Uint8Array,
  at: number,
): { readonly replacement: string; readonly length: number } | undefined {
  const { units, pool } = map;
  let length = 0;
  let value = 0;
  let position = offsetOf(units[0]!);
  for (let i = at; i < bytes.length; i++) {
    const byte = bytes[i]!;
    position = (position ^ byte) >>> 0;
    const unit = units[position];
    // A label has bit 31 clear, so a value's unit never matches.
    if (unit === undefined || (unit & 0x800000ff) >>> 0 !== byte) break;
    position = (position ^ offsetOf(unit)) >>> 0;
    if ((unit & 0x100) !== 0) {
      const leaf = units[position];
      if (leaf === undefined || leaf < valueBit) break;
      length = i + 1 - at;
      value = leaf - valueBit;
    }
  }
  if (length === 0) return undefined;
  const end = pool.indexOf(0, value);
  return {
    replacement: new TextDecoder().decode(pool.subarray(value, end)),
    length,
  };
}

function offsetOf(unit: number): number {
  return ((unit >>> 10) << ((unit & 0x200) >>> 6)) >>> 0;
}
