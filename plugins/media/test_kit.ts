/**
 * Helpers of this folder's tests.
 * @module
 */
import type { Image } from "../../nodes/values.ts";
import type { RowResampler } from "./kernel.ts";

/** SHA-256 as lower-case hexadecimal digits. */
export async function sha256(
  bytes: Uint8Array<ArrayBuffer> | Float32Array<ArrayBuffer>,
): Promise<string> {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)).toHex();
}

/** Repeatable numbers in [0, 1) (mulberry32). */
export function random(seed: number): () => number {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let x = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    x = (x + Math.imul(x ^ (x >>> 7), 61 | x)) ^ x;
    return ((x ^ (x >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Resizes by feeding rows, and puts the planes together again. */
export function throughRows(
  resampler: RowResampler,
  { width, height, data }: Image,
  outWidth: number,
  outHeight: number,
): Uint8Array<ArrayBuffer> {
  const plan = resampler.begin(width, height, [
    { width: outWidth, height: outHeight },
  ]);
  const { planeBytes } = plan.targets[0];
  const memory = new Uint8Array(resampler.memory);
  const out = new Uint8Array(outWidth * outHeight * 3);
  for (let row = 0, i = 0; row < height; row += plan.slotRows, i++) {
    const rows = Math.min(plan.slotRows, height - row);
    const slot = plan.slots[i % plan.slots.length];
    memory.set(data.subarray(row * width * 3, (row + rows) * width * 3), slot);
    resampler.consume(slot, rows, (_, y, at) => {
      for (let channel = 0; channel < 3; channel++) {
        const plane = at + channel * planeBytes;
        for (let x = 0; x < outWidth; x++) {
          out[(y * outWidth + x) * 3 + channel] = memory[plane + x];
        }
      }
    });
  }
  return out;
}
