/**
 * Quantized weights back as numbers in float64, written from the operators' documentation (ONNX
 * Runtime, ContribOperators.md: MatMulNBits) without regard to the code that packs them.
 * @module
 */
import { Effect } from "effect";
import type { Checkpoint } from "../checkpoint.ts";
import type { InternVLConfig } from "../config.ts";
import { parts, partTensors } from "../graphs/tensors.ts";
import {
  type BlockScheme,
  inPrefill,
  prefillName,
  schemeOf,
} from "./scheme.ts";

/** IEEE half precision, from its bits. */
export function halfToNumber(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  if (exponent === 31) return fraction === 0 ? sign * Infinity : NaN;
  return exponent === 0
    ? sign * fraction * 2 ** -24
    : sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

/** Unpacks number `i` of a packed row. */
function packed(bytes: Uint8Array, start: number, i: number, bits: 4 | 8) {
  if (bits === 8) return bytes[start + i]!;
  const byte = bytes[start + (i >> 1)]!;
  return i % 2 === 0 ? byte & 15 : byte >> 4;
}

/** Rows of a matrix in blocks. */
export function unpackBlocks(
  numbers: Uint8Array,
  scales: Uint16Array,
  zeros: Uint8Array | undefined,
  rows: number,
  columns: number,
  { bits, blockSize }: BlockScheme,
): Float64Array<ArrayBuffer> {
  const blocks = Math.ceil(columns / blockSize);
  const zeroBytes = Math.ceil(blocks * bits / 8);
  const result = new Float64Array(rows * columns);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      const block = Math.floor(column / blockSize);
      const start = (row * blocks + block) * blockSize * bits / 8;
      const q = packed(numbers, start, column % blockSize, bits);
      const z = zeros === undefined
        ? 2 ** (bits - 1)
        : packed(zeros, row * zeroBytes, block, bits);
      result[row * columns + column] = (q - z) *
        halfToNumber(scales[row * blocks + block]!);
    }
  }
  return result;
}

/** A weight matrix of a checkpoint, whatever it is stored as, in the original order of its rows. */
export async function readMatrix(
  checkpoint: Checkpoint,
  name: string,
  rows: number,
  columns: number,
): Promise<Float64Array<ArrayBuffer>> {
  const { config } = checkpoint;
  const read = async (tensor: string) =>
    (await Effect.runPromise(checkpoint.readTensor(tensor))).data;
  const scheme = schemeOf(config.quantization, name);
  const base = name.slice(0, -".weight".length);
  let matrix: Float64Array<ArrayBuffer>;
  switch (scheme.type) {
    case "float":
      return Float64Array.from(await read(name) as Float32Array);
    case "w8a8": {
      const numbers = await read(`${base}.qweight`) as Int8Array;
      const scales = await read(`${base}.scales`) as Uint16Array;
      matrix = Float64Array.from(
        { length: rows * columns },
        (_, i) =>
          numbers[(i % columns) * rows + Math.floor(i / columns)]! *
          halfToNumber(scales[Math.floor(i / columns)]!),
      );
      break;
    }
    case "blocks":
      matrix = unpackBlocks(
        await read(`${base}.qweight`) as Uint8Array,
        await read(`${base}.scales`) as Uint16Array,
        scheme.symmetric
          ? undefined
          : await read(`${base}.qzeros`) as Uint8Array,
        rows,
        columns,
        scheme,
      );
  }
  return /\.wqkv(\.prefill)?\.weight$/.test(name)
    ? asStored(matrix, columns, config)
    : matrix;
}

/** Rows in the order queries, keys, values, back to: each KV head's queries, its key, its value. */
function asStored(
  matrix: Float64Array<ArrayBuffer>,
  columns: number,
  { language: { heads, kvHeads, headDim } }: InternVLConfig,
): Float64Array<ArrayBuffer> {
  const result = new Float64Array(matrix.length);
  const size = headDim * columns;
  const group = heads / kvHeads;
  const move = (from: number, to: number) =>
    result.set(matrix.subarray(from * size, (from + 1) * size), to * size);
  for (let head = 0; head < heads; head++) {
    const kv = Math.floor(head / group);
    move(head, kv * (group + 2) + head % group);
  }
  for (let kv = 0; kv < kvHeads; kv++) {
    move(heads + kv, kv * (group + 2) + group);
    move(heads + kvHeads + kv, kv * (group + 2) + group + 1);
  }
  return result;
}

/**
 * All matrices of a checkpoint by their original names, as float32; those that a prompt is computed with
 * where there are two.
 */
export async function readMatrices(
  checkpoint: Checkpoint,
): Promise<Map<string, Float32Array<ArrayBuffer>>> {
  const result = new Map<string, Float32Array<ArrayBuffer>>();
  for (
    const { name, shape, matrix } of parts.flatMap((part) =>
      partTensors(checkpoint.config, part)
    )
  ) {
    if (!matrix) continue;
    const [rows, columns] = shape as readonly [number, number];
    const stored = inPrefill(checkpoint.config.quantization, name)
      ? prefillName(name)
      : name;
    const numbers = await readMatrix(checkpoint, stored, rows, columns);
    result.set(name, new Float32Array(numbers));
  }
  return result;
}
