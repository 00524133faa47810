/**
 * The large picture of the benchmarks: a photograph's size, and noise, which a JPEG decoder likes least.
 * @module
 */
import sharp from "sharp";

/** Writes a JPEG of 4000 by 3000 pixels. */
export async function writePicture(path: string): Promise<void> {
  const [width, height] = [4000, 3000];
  const data = new Uint8Array(width * height * 3);
  let state = 1;
  for (let i = 0; i < data.length; i++) {
    state = Math.imul(state, 1_664_525) + 1_013_904_223 | 0;
    // A slow wave, and noise on it.
    data[i] = 128 + 90 * Math.sin(i / 7000) + (state >>> 27);
  }
  await sharp(data, { raw: { width, height, channels: 3 } })
    .jpeg({ quality: 90 }).toFile(path);
}
