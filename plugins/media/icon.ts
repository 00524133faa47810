/**
 * Small pictures that stand for large ones in run stores and dashboards.
 * @module
 */
import { loadSharp, type Sharp } from "./decode.ts";
import type { DecodedPixels, Pixels, RawPixels } from "./pixels.ts";

/** Longest edge of an icon in pixels. */
const EDGE = 192;

/**
 * A picture at most 192 pixels wide and high, as a `data:` URL of a WebP file of a few KB; nothing where
 * it could not be made, because nobody needs it to go on.
 */
export async function makeIcon(
  sharp: Sharp,
  pixels: Pixels,
): Promise<string | undefined> {
  try {
    const { width, height, data } = thin(pixels);
    const file = await sharp(data, { raw: { width, height, channels: 3 } })
      .resize(EDGE, EDGE, { fit: "inside", withoutEnlargement: true })
      .webp({ quality: 60, effort: 2 })
      .toBuffer();
    return `data:image/webp;base64,${new Uint8Array(file).toBase64()}`;
  } catch {
    return undefined;
  }
}

/** Frames that get icons: the preview of a list shows no more. */
const MOST_FRAMES = 16;

let sharp: Promise<Sharp> | undefined;

/** The same pixels; with icons, where they can be made. */
export async function withIcons(
  frames: readonly RawPixels[],
): Promise<DecodedPixels[]> {
  const decoder = await (sharp ??= loadSharp()).catch(() => undefined);
  return await Promise.all(frames.map(async (frame, index) => {
    if (decoder === undefined || index >= MOST_FRAMES) return frame;
    const { width, height, buffer } = frame;
    const data = new Uint8Array(buffer);
    const icon = await makeIcon(decoder, { width, height, data });
    return icon === undefined ? frame : { ...frame, icon };
  }));
}

/** Every so many pixels of a large picture: sharp would read them all. */
export function thin({ width, height, data }: Pixels): Pixels {
  const step = Math.floor(Math.max(width, height) / (3 * EDGE));
  if (step <= 1) return { width, height, data };
  const columns = Math.ceil(width / step);
  const rows = Math.ceil(height / step);
  const out = new Uint8Array(columns * rows * 3);
  for (let y = 0, at = 0; y < rows; y++) {
    for (let x = 0; x < columns; x++) {
      const from = (y * step * width + x * step) * 3;
      out[at++] = data[from]!;
      out[at++] = data[from + 1]!;
      out[at++] = data[from + 2]!;
    }
  }
  return { width: columns, height: rows, data: out };
}
