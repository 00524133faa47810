/**
 * The arithmetic of quantization: rows of a matrix in, packed numbers and scales out. No files, no
 * effects; runs in a worker. The loops are in WebAssembly (kernel.as).
 *
 * Scales are searched for, not taken from the largest number: of several steps around it the one is
 * kept whose least-squares fit leaves the smallest squared error in the block, as in llama.cpp's
 * `make_qx_quants`. The scale is rounded to float16 before the numbers are, so that they are rounded
 * for the scale that is stored.
 * @module
 */
import type { WeightDType } from "../safetensors.ts";
import { KERNEL_WASM } from "./kernel_wasm.ts";
import { type BlockScheme, blocksOf, w8a8Limit, zeroBytes } from "./scheme.ts";

/** Squared errors, for a report. */
export interface Loss {
  /** Sum of the squares of what was lost; no number where the weights are none. */
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

/** Rows as a checkpoint stores them. */
export interface Rows {
  /** Their bytes, row by row. */
  readonly bytes: ArrayBuffer;
  /** Their element type. */
  readonly dtype: WeightDType;
  /** Numbers in a row. */
  readonly columns: number;
}

/** Steps tried beside the one that the largest number asks for; with 8 bits they change next to nothing. */
const searchSteps = { 4: 10, 8: 0 } as const;

/** What kernel.as exports. Addresses are bytes in the memory. */
interface Exports {
  readonly widen: (source: number, target: number, count: number) => void;
  readonly fit: (
    x: number,
    blocks: number,
    size: number,
    bits: number,
    symmetric: boolean,
    steps: number,
    scales: number,
    zeros: number,
  ) => void;
  readonly pack: (
    x: number,
    blocks: number,
    size: number,
    bits: number,
    scales: number,
    zeros: number,
    target: number,
    sums: number,
  ) => void;
  readonly extent: (x: number, count: number) => number;
  readonly round: (
    x: number,
    count: number,
    scale: number,
    limit: number,
    target: number,
    sums: number,
  ) => void;
  readonly transpose: (
    source: number,
    rows: number,
    width: number,
    columns: number,
    target: number,
  ) => void;
}

const PAGE = 1 << 16;
let loaded:
  | { readonly memory: WebAssembly.Memory; readonly kernel: Exports }
  | undefined;

/** Gives out addresses one after the other, with room to read and write a little past the end. */
function arena() {
  if (loaded === undefined) {
    const memory = new WebAssembly.Memory({ initial: 1 });
    const { exports } = new WebAssembly.Instance(
      new WebAssembly.Module(Uint8Array.fromBase64(KERNEL_WASM)),
      { env: { memory } },
    );
    loaded = { memory, kernel: exports as unknown as Exports };
  }
  const { memory, kernel } = loaded;
  let next = 64;
  return {
    kernel,
    take: (bytes: number): number => {
      const at = next;
      next = Math.ceil((at + bytes + 64) / 64) * 64;
      const missing = next - memory.buffer.byteLength;
      if (missing > 0) memory.grow(Math.ceil(missing / PAGE));
      return at;
    },
    bytes: (at: number, length: number) =>
      new Uint8Array(memory.buffer as ArrayBuffer, at, length),
    floats: (at: number, length: number) =>
      new Float32Array(memory.buffer as ArrayBuffer, at, length),
    sums: (at: number) => new Float64Array(memory.buffer as ArrayBuffer, at, 2),
  };
}

type Arena = ReturnType<typeof arena>;

/** Puts the rows into the memory as float32, each filled up with zeros to `width`. */
function place(
  { take, bytes, floats, kernel }: Arena,
  rows: Rows,
  count: number,
  width: number,
): number {
  const { columns, dtype } = rows;
  const source = take(dtype === "bfloat16" ? rows.bytes.byteLength : 0);
  const x = take(count * width * 4);
  if (dtype === "bfloat16") {
    bytes(source, rows.bytes.byteLength).set(new Uint8Array(rows.bytes));
    if (width === columns) kernel.widen(source, x, count * columns);
    else {
      // What is written past a row's end is overwritten by the zeros.
      for (let row = 0; row < count; row++) {
        kernel.widen(
          source + row * columns * 2,
          x + row * width * 4,
          columns,
        );
        fill(floats(x, count * width), row, columns, width);
      }
    }
    return x;
  }
  const from = dtype === "float32"
    ? new Float32Array(rows.bytes)
    : new Float16Array(rows.bytes);
  const to = floats(x, count * width);
  if (width === columns) to.set(from);
  else {
    for (let row = 0; row < count; row++) {
      to.set(from.subarray(row * columns, (row + 1) * columns), row * width);
      fill(to, row, columns, width);
    }
  }
  return x;
}

function fill(
  x: Float32Array,
  row: number,
  columns: number,
  width: number,
): void {
  x.fill(0, row * width + columns, (row + 1) * width);
}

function countOf({ bytes, dtype, columns }: Rows): number {
  return bytes.byteLength / (dtype === "float32" ? 4 : 2) / columns;
}

/** Quantizes rows in blocks. */
export function quantizeBlocks(
  rows: Rows,
  { bits, blockSize, symmetric }: Omit<BlockScheme, "type">,
): QuantizedRows {
  const count = countOf(rows);
  const blocks = blocksOf(rows.columns, blockSize);
  const all = count * blocks;
  const memory = arena();
  const { take, kernel } = memory;
  const x = place(memory, rows, count, blocks * blockSize);
  const scales = take(all * 4);
  const zeros = take(all);
  const target = take(all * blockSize * bits / 8);
  const sums = take(16);
  memory.sums(sums).fill(0);
  const steps = searchSteps[bits];
  kernel.fit(x, all, blockSize, bits, symmetric, steps, scales, zeros);
  const halves = Float16Array.from(memory.floats(scales, all));
  memory.floats(scales, all).set(halves);
  kernel.pack(x, all, blockSize, bits, scales, zeros, target, sums);
  const [lost, there] = memory.sums(sums);
  return {
    numbers: memory.bytes(target, all * blockSize * bits / 8).slice(),
    scales: new Uint16Array(halves.buffer),
    lost: lost!,
    all: there!,
    ...(symmetric
      ? {}
      : { zeros: packZeros(memory.bytes(zeros, all), count, blocks, bits) }),
  };
}

/** Zero points side by side in a row's bytes, the first of two 4-bit ones in the low half. */
function packZeros(
  zeros: Uint8Array<ArrayBuffer>,
  rows: number,
  blocks: number,
  bits: 4 | 8,
): Uint8Array<ArrayBuffer> {
  if (bits === 8) return zeros.slice();
  const width = zeroBytes(blocks, bits);
  const packed = new Uint8Array(rows * width);
  for (let row = 0; row < rows; row++) {
    for (let block = 0; block < blocks; block++) {
      const zero = zeros[row * blocks + block]!;
      packed[row * width + (block >> 1)]! |= zero << (4 * (block & 1));
    }
  }
  return packed;
}

/**
 * Quantizes rows to int8 with a scale a row, laid out as [columns, rows]: the rows are the outputs, and
 * `MatMulIntegerToFloat` wants those to lie side by side.
 */
export function quantizeBytes(rows: Rows): QuantizedRows {
  const { columns } = rows;
  const count = countOf(rows);
  const width = Math.ceil(columns / 16) * 16;
  const memory = arena();
  const { take, kernel } = memory;
  const x = place(memory, rows, count, width);
  const rounded = take(count * width);
  const target = take(count * columns);
  const sums = take(16);
  memory.sums(sums).fill(0);
  const halves = new Float16Array(count);
  for (let row = 0; row < count; row++) {
    const at = x + row * width * 4;
    halves[row] = kernel.extent(at, width) / w8a8Limit;
    const scale = halves[row]!;
    kernel.round(at, width, scale, w8a8Limit, rounded + row * width, sums);
  }
  kernel.transpose(rounded, count, width, columns, target);
  const [lost, all] = memory.sums(sums);
  return {
    numbers: memory.bytes(target, count * columns).slice(),
    scales: new Uint16Array(halves.buffer),
    lost: lost!,
    all: all!,
  };
}
