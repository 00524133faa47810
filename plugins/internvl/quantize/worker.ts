/**
 * The worker that quantizes: a slab of rows in, packed numbers out.
 * @module
 */
import { quantizeBlocks, quantizeBytes, type Rows } from "./kernel.ts";
import type { BlockScheme, W8A8Scheme } from "./scheme.ts";

/** Rows to quantize. Bytes travel as buffers, which are handed over and not copied. */
export interface Slab extends Rows {
  /** What becomes of them. */
  readonly scheme: BlockScheme | W8A8Scheme;
}

/** The rows quantized. */
export interface Packed {
  /** Numbers, scales and, unless symmetric, zero points. */
  readonly parts: readonly ArrayBuffer[];
  /** Sum of the squares of what was lost. */
  readonly lost: number;
  /** Sum of the squares of what was there. */
  readonly all: number;
}

// The types of a worker's own scope are not those of a program, which this project is checked as.
const scope = globalThis as unknown as {
  onmessage: (event: MessageEvent<Slab>) => void;
  postMessage: (packed: Packed, transfer: readonly ArrayBuffer[]) => void;
};

scope.onmessage = ({ data }) => {
  const { scheme } = data;
  const { numbers, scales, zeros, lost, all } = scheme.type === "blocks"
    ? quantizeBlocks(data, scheme)
    : quantizeBytes(data);
  const parts = [numbers.buffer, scales.buffer];
  if (zeros !== undefined) parts.push(zeros.buffer);
  scope.postMessage({ parts, lost, all }, parts);
};
