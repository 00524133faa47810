/**
 * The kernel's double in plain TypeScript, for machines without WebAssembly SIMD. It takes the whole
 * picture in one slot and resizes it with resample.ts.
 * @module
 */
import type { ResizePlan, RowResampler, RowSink } from "./kernel.ts";
import { resizeBicubic } from "./resample.ts";

/** Resizes one picture at a time, without WebAssembly. */
export class PlainResampler implements RowResampler {
  #memory = new SharedArrayBuffer(0);
  #plan: ResizePlan | undefined;
  #out = { width: 0, height: 0, row: 0 };

  /** See {@link RowResampler.memory}. */
  get memory(): SharedArrayBuffer {
    return this.#memory;
  }

  /** See {@link RowResampler.begin}. */
  begin(
    width: number,
    height: number,
    outWidth: number,
    outHeight: number,
    extra = 0,
  ): ResizePlan & { readonly extra: number } {
    const planeBytes = (outWidth + 15) & ~15;
    // The extra bytes come first, where floats are aligned.
    const row = (extra + 15) & ~15;
    const slot = row + 3 * planeBytes;
    this.#memory = new SharedArrayBuffer(slot + width * height * 3);
    this.#out = { width: outWidth, height: outHeight, row };
    this.#plan = { width, height, slots: [slot], slotRows: height, planeBytes };
    return { ...this.#plan, extra: 0 };
  }

  /** See {@link RowResampler.consume}. */
  consume(address: number, rows: number, sink: RowSink): boolean {
    const plan = this.#plan;
    if (plan === undefined || rows !== plan.height) {
      throw new RangeError("PlainResampler: takes all rows at once");
    }
    const { width, height, planeBytes } = plan;
    const { width: outWidth, height: outHeight, row } = this.#out;
    const bytes = new Uint8Array(this.#memory);
    const data = new Uint8Array(
      bytes.subarray(address, address + width * height * 3),
    );
    const out = resizeBicubic({ width, height, data }, outWidth, outHeight);
    for (let y = 0, from = 0; y < outHeight; y++) {
      for (let x = 0; x < outWidth; x++) {
        for (let channel = 0; channel < 3; channel++) {
          bytes[row + channel * planeBytes + x] = out.data[from++];
        }
      }
      sink(y, row);
    }
    return true;
  }

  /** See {@link RowResampler.lookup}. */
  lookup(bytes: number, count: number, table: number, out: number): void {
    const from = new Uint8Array(this.#memory, bytes, count);
    const values = new Float32Array(this.#memory, table, 256);
    const to = new Float32Array(this.#memory, out, count);
    for (let i = 0; i < count; i++) to[i] = values[from[i]];
  }
}
