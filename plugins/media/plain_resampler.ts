/**
 * The kernel's double in plain TypeScript, for machines without WebAssembly SIMD. It takes the whole
 * picture in one slot and resizes it with resample.ts.
 * @module
 */
import type {
  ResizePlan,
  ResizeTarget,
  RowResampler,
  RowSink,
} from "./kernel.ts";
import { normaliseByte } from "./normalise.ts";
import { resizeBicubic } from "./resample.ts";

/** Resizes one picture at a time, without WebAssembly. */
export class PlainResampler implements RowResampler {
  #memory = new SharedArrayBuffer(0);
  #plan: ResizePlan | undefined;
  #targets: readonly ResizeTarget[] = [];
  /** Address of the finished row. */
  #row = 0;

  /** See {@link RowResampler.memory}. */
  get memory(): SharedArrayBuffer {
    return this.#memory;
  }

  /** See {@link RowResampler.begin}. */
  begin(
    width: number,
    height: number,
    targets: readonly ResizeTarget[],
  ): ResizePlan {
    let end = 0;
    const take = (bytes: number) => {
      const at = end;
      end = (end + bytes + 15) & ~15;
      return at;
    };
    const planned = targets.map((target) => ({
      planeBytes: (target.width + 15) & ~15,
      extra: take(target.extra ?? 0),
    }));
    const widest = Math.max(...planned.map(({ planeBytes }) => planeBytes));
    this.#row = take(3 * widest + 16);
    const slot = take(width * height * 3);
    this.#memory = new SharedArrayBuffer(end);
    this.#targets = targets;
    return this.#plan = {
      width,
      height,
      slots: [slot],
      slotRows: height,
      targets: planned,
    };
  }

  /** See {@link RowResampler.consume}. */
  consume(address: number, rows: number, sink: RowSink): boolean {
    const plan = this.#plan;
    if (plan === undefined || rows !== plan.height) {
      throw new RangeError("PlainResampler: takes all rows at once");
    }
    const { width, height } = plan;
    const bytes = new Uint8Array(this.#memory);
    const data = new Uint8Array(
      bytes.subarray(address, address + width * height * 3),
    );
    this.#targets.forEach((target, number) => {
      const { planeBytes } = plan.targets[number];
      const image = { width, height, data };
      const out = resizeBicubic(image, target.width, target.height);
      for (let y = 0, from = 0; y < target.height; y++) {
        for (let x = 0; x < target.width; x++) {
          for (let channel = 0; channel < 3; channel++) {
            bytes[this.#row + channel * planeBytes + x] = out.data[from++];
          }
        }
        sink(number, y, this.#row);
      }
    });
    return true;
  }

  /** See {@link RowResampler.normalise}. */
  normalise(
    bytes: number,
    count: number,
    mean: number,
    deviation: number,
    out: number,
  ): void {
    const from = new Uint8Array(this.#memory, bytes, count);
    const to = new Float32Array(this.#memory, out, count);
    for (let i = 0; i < count; i++) {
      to[i] = normaliseByte(from[i], mean, deviation);
    }
  }
}
