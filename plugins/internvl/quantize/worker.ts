/**
 * The worker that quantizes: a slab of rows in, packed numbers out.
 * @module
 */
import type { WeightDType } from "../safetensors.ts";
import { quantizeBlocks, quantizeBytes, toFloats } from "./kernel.ts";
import type { BlockScheme, W8A8Scheme } from "./scheme.ts";

/** Rows to quantize. Bytes travel as buffers, which are handed over and not copied. */
export interface Slab {
  /** The rows as they are stored. */
  readonly bytes: ArrayBuffer;
  /** Their element type. */
  readonly dtype: WeightDType;
  /** Numbers in a row. */
  readonly columns: number;
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

scope.onmessage = ({ data: { bytes, dtype, columns, scheme } }) => {
  const rows = toFloats(bytes, dtype);
  const { numbers, scales, zeros, lost, all } = scheme.type === "blocks"
    ? quantizeBlocks(rows, columns, scheme)
    : quantizeBytes(rows, columns);
  const parts = [numbers.buffer, scales.buffer];
  if (zeros !== undefined) parts.push(zeros.buffer);
  scope.postMessage({ parts, lost, all }, parts);
};
