/**
 * Tables of weights in the form that the kernel reads (see kernel.as).
 * @module
 */
import { type Coefficients, coefficients } from "./coefficients.ts";

/** A table of weights in the kernel's form. */
export interface PackedTable {
  /** First pair and number of pairs per output position. */
  readonly windows: Uint32Array<ArrayBuffer>;
  /** Per pair of positions: the high halves of two weights, then the low halves. */
  readonly halves: Uint16Array<ArrayBuffer>;
  /** Bytes of `halves` per output position. */
  readonly stride: number;
  /** Most pairs in any window. */
  readonly longest: number;
}

/** Packs weights in pairs that start at even positions, split into 256 · high + low. */
function pack(table: Coefficients): PackedTable {
  const size = table.starts.length;
  let longest = 1;
  for (let i = 0; i < size; i++) {
    const start = table.starts[i];
    const end = start + table.counts[i];
    longest = Math.max(longest, ((end + 1) >> 1) - (start >> 1));
  }
  const windows = new Uint32Array(2 * size);
  const halves = new Uint16Array(4 * longest * size);
  for (let i = 0; i < size; i++) {
    const start = table.starts[i];
    const count = table.counts[i];
    const first = start >> 1;
    windows[2 * i] = first;
    windows[2 * i + 1] = ((start + count + 1) >> 1) - first;
    for (let j = 0; j < count; j++) {
      const weight = table.weights[i * table.stride + j];
      const position = start + j - 2 * first;
      const at = 4 * (longest * i + (position >> 1)) + (position & 1);
      halves[at] = weight >> 8;
      halves[at + 2] = weight & 255;
    }
  }
  return { windows, halves, stride: 8 * longest, longest };
}

/** Tables of the sizes seen last, since pictures of one source tend to have one size. */
const tables = new Map<string, PackedTable>();
const TABLES = 16;
const LARGEST_CACHED = 1 << 20;

/** The table for resizing an axis of `inSize` positions to `outSize`. */
export function packedTable(inSize: number, outSize: number): PackedTable {
  const key = `${inSize}>${outSize}`;
  let table = tables.get(key);
  if (table === undefined) {
    table = pack(coefficients(inSize, outSize));
    if (table.halves.length > LARGEST_CACHED) return table;
  } else {
    tables.delete(key);
  }
  tables.set(key, table);
  if (tables.size > TABLES) tables.delete(tables.keys().next().value!);
  return table;
}
