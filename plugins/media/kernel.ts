/**
 * The WASM SIMD resampler: same bytes as resample.ts, several times faster, in bounded memory. Rows
 * go in, from the top, eight at a time; finished rows come out as soon as their window is complete.
 * @module
 */
import { KERNEL_WASM } from "./kernel_wasm.ts";
import { type PackedTable, packedTable } from "./packed_table.ts";

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
  normalise(
    bytes: number,
    count: number,
    mean: number,
    deviation: number,
    out: number,
  ): void;
}

/** Rows the kernel takes at a time. */
export const BLOCK_ROWS = 8;
/** Bytes of source rows that one input slot should hold at most (at least one block of rows). */
const SLOT_BYTES = 1 << 20;
/** Input slots: one is filled while the other is read. */
export const SLOTS = 2;
const PAGE = 65536;

/** A size that the source is resized to. */
export interface ResizeTarget {
  /** Pixels across. */
  readonly width: number;
  /** Pixels down. */
  readonly height: number;
  /** Bytes of memory that the caller wants for itself. */
  readonly extra?: number;
}

/** A resize in progress, of one source to one or more sizes. */
export interface ResizePlan {
  /** Pixels across the source. */
  readonly width: number;
  /** Rows of the source. */
  readonly height: number;
  /** Addresses of the input slots in the kernel's memory. */
  readonly slots: readonly number[];
  /** Rows one slot holds, a multiple of {@link BLOCK_ROWS}. */
  readonly slotRows: number;
  /** Per target. */
  readonly targets: readonly {
    /** Bytes of one plane of a finished row: the width rounded up to 16. */
    readonly planeBytes: number;
    /** Address of the caller's memory. */
    readonly extra: number;
  }[];
}

/**
 * Called with the number of the target, the number of its finished row, and the address of the row's
 * three planes (red, green, blue) in the kernel's memory, `planeBytes` apart. The memory is overwritten
 * by the next row.
 */
export type RowSink = (target: number, row: number, address: number) => void;

/** Resizes pictures row by row in memory of its own: the kernel, or its plain TypeScript double. */
export interface RowResampler {
  /** The memory that addresses refer to; replaced when a plan needs more. */
  readonly memory: SharedArrayBuffer;
  /** Begins a resize and lays out the memory for it. A resize in progress is given up. */
  begin(
    width: number,
    height: number,
    targets: readonly ResizeTarget[],
  ): ResizePlan;
  /**
   * Takes the next `rows` rows from a slot (a multiple of eight, but for the last rows of the
   * picture) and hands out the rows that can be finished with them. Returns whether all are.
   */
  consume(address: number, rows: number, sink: RowSink): boolean;
  /**
   * Writes `((v / 255) - mean) / deviation` in float32 for `count` bytes, rounded up to a multiple of
   * eight; `bytes` and `out` are addresses.
   */
  normalise(
    bytes: number,
    count: number,
    mean: number,
    deviation: number,
    out: number,
  ): void;
}

/** What the kernel keeps for one target. */
interface TargetState {
  readonly width: number;
  readonly height: number;
  readonly planeBytes: number;
  readonly vertical: PackedTable;
  /** Addresses. */
  readonly windows: number;
  readonly table: number;
  readonly tableStride: number;
  readonly verticalTable: number;
  readonly ring: number;
  readonly row: number;
  readonly ringPairs: number;
  /** Rows finished. */
  done: number;
}

/** One instance of the kernel with its memory; does one resize at a time. */
export class Resampler implements RowResampler {
  readonly #memory: WebAssembly.Memory;
  readonly #kernel: Kernel;
  #plan: ResizePlan | undefined;
  #targets: TargetState[] = [];
  /** Address of the transposed rows. */
  #pairs = 0;
  #rowsIn = 0;

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
    targets: readonly ResizeTarget[],
  ): ResizePlan {
    const blockBytes = width * 3 * BLOCK_ROWS;
    const slotRows = BLOCK_ROWS *
      Math.min(
        Math.max(1, Math.floor(SLOT_BYTES / blockBytes)),
        Math.ceil(height / BLOCK_ROWS),
      );
    let end = 0;
    const take = (bytes: number) => {
      const at = end;
      end = (end + bytes + 63) & ~63;
      return at;
    };
    // The transposition writes whole groups of four columns.
    this.#pairs = take(((width + 3) >> 2) * 192);
    const horizontals = targets.map((t) => packedTable(width, t.width));
    this.#targets = targets.map((target, i) => {
      const horizontal = horizontals[i];
      const vertical = packedTable(height, target.height);
      const planeBytes = (target.width + 15) & ~15;
      // A window may reach three pairs into the block that completes it.
      const ringPairs = (vertical.longest + 3 + 3) & ~3;
      return {
        width: target.width,
        height: target.height,
        planeBytes,
        vertical,
        windows: take(horizontal.windows.byteLength),
        table: take(horizontal.halves.byteLength),
        tableStride: horizontal.stride,
        verticalTable: take(vertical.halves.byteLength),
        ring: take(ringPairs * 12 * planeBytes),
        row: take(3 * planeBytes + 16),
        ringPairs,
        done: 0,
      };
    });
    const extras = targets.map(({ extra = 0 }) => take(extra));
    // 16 bytes are loaded where 12 are needed, up to the last pixel.
    const slots = Array.from(
      { length: SLOTS },
      () => take(slotRows * width * 3 + 16),
    );
    const missing = Math.ceil(end / PAGE) -
      this.#memory.buffer.byteLength / PAGE;
    if (missing > 0) this.#memory.grow(missing);
    const buffer = this.#memory.buffer;
    this.#targets.forEach((target, i) => {
      const { windows, halves } = horizontals[i];
      new Uint32Array(buffer, target.windows).set(windows);
      new Uint16Array(buffer, target.table).set(halves);
      new Uint16Array(buffer, target.verticalTable).set(target.vertical.halves);
    });
    this.#rowsIn = 0;
    return this.#plan = {
      width,
      height,
      slots,
      slotRows,
      targets: this.#targets.map(({ planeBytes }, i) => ({
        planeBytes,
        extra: extras[i],
      })),
    };
  }

  /** See {@link RowResampler.consume}. */
  consume(address: number, rows: number, sink: RowSink): boolean {
    const plan = this.#plan;
    if (plan === undefined) throw new Error("Resampler: consume before begin");
    const { width, height } = plan;
    const last = this.#rowsIn + rows === height;
    if (
      rows < 1 || rows > plan.slotRows || this.#rowsIn + rows > height ||
      (!last && rows % BLOCK_ROWS !== 0)
    ) {
      throw new RangeError(
        `Resampler: ${rows} rows after ${this.#rowsIn} of ${height}`,
      );
    }
    for (let row = 0; row < rows; row += BLOCK_ROWS) {
      // Rows past the end are whatever lies there; their weights are zero.
      const source = address + row * width * 3;
      this.#kernel.transpose(source, width * 3, width, this.#pairs);
      const pair = this.#rowsIn >> 1;
      this.#rowsIn = Math.min(this.#rowsIn + BLOCK_ROWS, height);
      for (let i = 0; i < this.#targets.length; i++) {
        this.#advance(this.#targets[i], i, pair, sink);
      }
    }
    return this.#targets.every(({ done, height }) => done === height);
  }

  /** Resizes the transposed block, whose first row pair is `pair`, and hands out what is finished. */
  #advance(
    target: TargetState,
    number: number,
    pair: number,
    sink: RowSink,
  ): void {
    const { planeBytes, ring, ringPairs, vertical } = target;
    const kernel = this.#kernel;
    const pairBytes = 3 * planeBytes * 4;
    kernel.horizontal(
      this.#pairs,
      target.windows,
      target.table,
      target.tableStride,
      target.width,
      ring + (pair % ringPairs) * pairBytes,
      planeBytes * 4,
      pairBytes,
    );
    const ready = (this.#rowsIn + 1) >> 1;
    for (; target.done < target.height; target.done++) {
      const first = vertical.windows[2 * target.done];
      const count = vertical.windows[2 * target.done + 1];
      if (first + count > ready) break;
      kernel.vertical(
        ring + (first % ringPairs) * pairBytes,
        ring,
        ring + ringPairs * pairBytes,
        pairBytes,
        target.verticalTable + target.done * vertical.stride,
        count,
        3 * planeBytes,
        target.row,
      );
      sink(number, target.done, target.row);
    }
  }

  /** See {@link RowResampler.normalise}. */
  normalise(
    bytes: number,
    count: number,
    mean: number,
    deviation: number,
    out: number,
  ): void {
    this.#kernel.normalise(bytes, (count + 7) & ~7, mean, deviation, out);
  }
}
