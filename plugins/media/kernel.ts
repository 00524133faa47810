/**
 * The WASM SIMD resampler: same bytes as resample.ts, several times faster, in bounded memory. Rows
 * go in, from the top, eight at a time; finished rows come out as soon as their window is complete.
 * @module
 */
import { type Coefficients, coefficients } from "./coefficients.ts";
import { KERNEL_WASM } from "./kernel_wasm.ts";

/** What kernel.as exports. */
interface Kernel {
  transpose(
    source: number,
    stride: number,
    width: number,
    pairs: number,
  ): void;
  horizontal(
    pairs: number,
    windows: number,
    table: number,
    tableStride: number,
    width: number,
    out: number,
    planeBytes: number,
    pairBytes: number,
  ): void;
  vertical(
    first: number,
    ring: number,
    ringEnd: number,
    pairBytes: number,
    table: number,
    count: number,
    entries: number,
    out: number,
  ): void;
  lookup(bytes: number, count: number, table: number, out: number): void;
}

/** Rows the kernel takes at a time. */
export const BLOCK_ROWS = 8;
/** Bytes of source rows that one input slot should hold at most (at least one block of rows). */
const SLOT_BYTES = 1 << 20;
/** Input slots: one is filled while the other is read. */
export const SLOTS = 2;
const PAGE = 65536;

/** A table of weights in the kernel's form. */
interface PackedTable {
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

function packedTable(inSize: number, outSize: number): PackedTable {
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

/** A resize in progress. */
export interface ResizePlan {
  /** Pixels across and down of the source. */
  readonly width: number;
  /** Rows of the source. */
  readonly height: number;
  /** Addresses of the input slots in the kernel's memory. */
  readonly slots: readonly number[];
  /** Rows one slot holds, a multiple of {@link BLOCK_ROWS}. */
  readonly slotRows: number;
  /** Bytes of one plane of a finished row: the width rounded up to 16. */
  readonly planeBytes: number;
}

/**
 * Called with the number of a finished row and the address of its three planes (red, green, blue) in
 * the kernel's memory, `planeBytes` apart. The memory is overwritten by the next row.
 */
export type RowSink = (row: number, address: number) => void;

/** Resizes pictures row by row in memory of its own: the kernel, or its plain TypeScript double. */
export interface RowResampler {
  /** The memory that addresses refer to; replaced when a plan needs more. */
  readonly memory: SharedArrayBuffer;
  /**
   * Begins a resize and lays out the memory for it, with `extra` bytes for the caller, whose address
   * is returned. A resize in progress is given up.
   */
  begin(
    width: number,
    height: number,
    outWidth: number,
    outHeight: number,
    extra?: number,
  ): ResizePlan & { readonly extra: number };
  /**
   * Takes the next `rows` rows from a slot (a multiple of eight, but for the last rows of the
   * picture) and hands out the rows that can be finished with them. Returns whether all are.
   */
  consume(address: number, rows: number, sink: RowSink): boolean;
  /**
   * Looks `count` bytes (a multiple of four) up in a table of 256 float32; `bytes`, `table` and `out`
   * are addresses.
   */
  lookup(bytes: number, count: number, table: number, out: number): void;
}

/** One instance of the kernel with its memory; does one resize at a time. */
export class Resampler implements RowResampler {
  readonly #memory: WebAssembly.Memory;
  readonly #kernel: Kernel;
  #plan: ResizePlan | undefined;
  #vertical: PackedTable | undefined;
  #at = {
    windows: 0,
    table: 0,
    tableStride: 0,
    verticalTable: 0,
    pairs: 0,
    ring: 0,
    ringPairs: 0,
    row: 0,
    outWidth: 0,
  };
  #rowsIn = 0;
  #rowsOut = 0;

  /** Compiles the kernel and gives it its own memory. Throws where WebAssembly SIMD is missing. */
  constructor() {
    this.#memory = new WebAssembly.Memory({
      initial: 1,
      maximum: 32768,
      shared: true,
    });
    const module = new WebAssembly.Module(Uint8Array.fromBase64(KERNEL_WASM));
    this.#kernel = new WebAssembly.Instance(module, {
      env: { memory: this.#memory },
    }).exports as unknown as Kernel;
  }

  /** See {@link RowResampler.memory}. */
  get memory(): SharedArrayBuffer {
    return this.#memory.buffer as unknown as SharedArrayBuffer;
  }

  /** See {@link RowResampler.begin}. */
  begin(
    width: number,
    height: number,
    outWidth: number,
    outHeight: number,
    extra = 0,
  ): ResizePlan & { readonly extra: number } {
    const horizontal = packedTable(width, outWidth);
    const vertical = packedTable(height, outHeight);
    const planeBytes = (outWidth + 15) & ~15;
    // A window may reach three pairs into the block that completes it.
    const ringPairs = (vertical.longest + 3 + 3) & ~3;
    const blockBytes = width * 3 * BLOCK_ROWS;
    const wanted = Math.max(1, Math.floor(SLOT_BYTES / blockBytes));
    const slotRows = BLOCK_ROWS *
      Math.min(wanted, Math.ceil(height / BLOCK_ROWS));
    let end = 0;
    const take = (bytes: number) => {
      const at = end;
      end = (end + bytes + 63) & ~63;
      return at;
    };
    const at = this.#at = {
      windows: take(horizontal.windows.byteLength),
      table: take(horizontal.halves.byteLength),
      tableStride: horizontal.stride,
      verticalTable: take(vertical.halves.byteLength),
      // The transposition writes whole groups of four columns.
      pairs: take(((width + 3) >> 2) * 192),
      ring: take(ringPairs * 12 * planeBytes),
      ringPairs,
      row: take(3 * planeBytes),
      outWidth,
    };
    const slots: number[] = [];
    // 16 bytes are loaded where 12 are needed, up to the last pixel.
    for (let i = 0; i < SLOTS; i++) slots.push(take(slotRows * width * 3 + 16));
    const own = take(extra);
    const missing = Math.ceil(end / PAGE) -
      this.#memory.buffer.byteLength / PAGE;
    if (missing > 0) this.#memory.grow(missing);
    const buffer = this.#memory.buffer;
    new Uint32Array(buffer, at.windows).set(horizontal.windows);
    new Uint16Array(buffer, at.table).set(horizontal.halves);
    new Uint16Array(buffer, at.verticalTable).set(vertical.halves);
    this.#vertical = vertical;
    this.#rowsIn = 0;
    this.#rowsOut = 0;
    this.#plan = { width, height, slots, slotRows, planeBytes };
    return { ...this.#plan, extra: own };
  }

  /** See {@link RowResampler.consume}. */
  consume(address: number, rows: number, sink: RowSink): boolean {
    const plan = this.#plan, vertical = this.#vertical;
    if (plan === undefined || vertical === undefined) {
      throw new Error("Resampler: consume before begin");
    }
    const { width, height, planeBytes } = plan;
    const last = this.#rowsIn + rows === height;
    if (
      rows < 1 || rows > plan.slotRows || this.#rowsIn + rows > height ||
      (!last && rows % BLOCK_ROWS !== 0)
    ) {
      throw new RangeError(
        `Resampler: ${rows} rows after ${this.#rowsIn} of ${height}`,
      );
    }
    const kernel = this.#kernel, at = this.#at;
    const pairBytes = 3 * planeBytes * 4;
    const ringEnd = at.ring + at.ringPairs * pairBytes;
    const outRows = vertical.windows.length / 2;
    for (let row = 0; row < rows; row += BLOCK_ROWS) {
      const pair = this.#rowsIn >> 1;
      // Rows past the end are whatever lies there; their weights are zero.
      kernel.transpose(
        address + row * width * 3,
        width * 3,
        width,
        at.pairs,
      );
      kernel.horizontal(
        at.pairs,
        at.windows,
        at.table,
        at.tableStride,
        at.outWidth,
        at.ring + (pair % at.ringPairs) * pairBytes,
        planeBytes * 4,
        pairBytes,
      );
      this.#rowsIn = Math.min(this.#rowsIn + BLOCK_ROWS, height);
      const ready = (this.#rowsIn + 1) >> 1;
      while (this.#rowsOut < outRows) {
        const first = vertical.windows[2 * this.#rowsOut];
        const count = vertical.windows[2 * this.#rowsOut + 1];
        if (first + count > ready) break;
        kernel.vertical(
          at.ring + (first % at.ringPairs) * pairBytes,
          at.ring,
          ringEnd,
          pairBytes,
          at.verticalTable + this.#rowsOut * vertical.stride,
          count,
          3 * planeBytes,
          at.row,
        );
        sink(this.#rowsOut++, at.row);
      }
    }
    return this.#rowsOut === outRows;
  }

  /** See {@link RowResampler.lookup}. */
  lookup(bytes: number, count: number, table: number, out: number): void {
    this.#kernel.lookup(bytes, count, table, out);
  }
}
