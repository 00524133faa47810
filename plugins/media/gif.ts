/**
 * What sharp and Pillow do differently with a GIF's first frame. Pixels that the frame leaves
 * transparent, or that it does not cover, are black in sharp; Pillow, when it converts to RGB, gives
 * them the colour of the transparent index, or of index 0 when the frame has none. And sharp takes a
 * canvas of 640x480, 800x600 and the like, or of more than 2048 pixels an edge, for a mistake of whoever
 * wrote the file and gives the frame's part only; Pillow believes it.
 * @module
 */
import type { Pixels } from "./pixels.ts";

/** Red, green and blue. */
export type Rgb = readonly [number, number, number];

/** The canvas, the first frame's place on it, and the colour of what it does not paint. */
export interface GifFrame {
  /** The canvas, pixels across: enough for the frame, whatever the file says. */
  readonly canvasWidth: number;
  /** The canvas, pixels down. */
  readonly canvasHeight: number;
  /** Distance from the left edge of the canvas. */
  readonly left: number;
  /** Distance from the top edge of the canvas. */
  readonly top: number;
  /** Pixels across. */
  readonly width: number;
  /** Pixels down. */
  readonly height: number;
  /** Colour of transparent and uncovered pixels. */
  readonly background: Rgb;
  /** Whether there is a palette; without one the two decoders disagree on every pixel. */
  readonly palette: boolean;
}

/** Reads a GIF up to its first frame; `undefined` when the file ends before. */
export function firstGifFrame(bytes: Uint8Array): GifFrame | undefined {
  const byte = (at: number) => at < bytes.length ? bytes[at] : 0;
  const word = (at: number) => byte(at) | byte(at + 1) << 8;
  let palette = 13, entries = byte(10) & 0x80 ? 2 << (byte(10) & 7) : 0;
  let at = palette + 3 * entries;
  let index = 0;
  while (at < bytes.length) {
    if (byte(at) === 0x21) { // extension: label, then sub-blocks up to an empty one
      const graphicControl = byte(at + 1) === 0xf9 && byte(at + 2) >= 4;
      if (graphicControl && byte(at + 3) & 1) index = byte(at + 6);
      at += 2;
      while (at < bytes.length && byte(at) !== 0) at += byte(at) + 1;
      at += 1;
    } else if (byte(at) === 0x2c) { // image descriptor
      if (byte(at + 9) & 0x80) {
        palette = at + 10;
        entries = 2 << (byte(at + 9) & 7);
      }
      const entry = palette + 3 * index;
      const left = word(at + 1), top = word(at + 3);
      const width = word(at + 5), height = word(at + 7);
      return {
        canvasWidth: Math.max(word(6), left + width),
        canvasHeight: Math.max(word(8), top + height),
        left,
        top,
        width,
        height,
        background: index < entries
          ? [byte(entry), byte(entry + 1), byte(entry + 2)]
          : [0, 0, 0],
        palette: entries > 0,
      };
    } else {
      return undefined; // the trailer, or something that is no GIF
    }
  }
  return undefined;
}

/** Paints what the frame does not, on all of the canvas, from RGB or RGBA. */
export function paintBackground(
  source: {
    readonly width: number;
    readonly height: number;
    readonly channels: number;
    readonly data: Uint8Array;
  },
  frame: GifFrame,
): Pixels {
  const { channels, data } = source;
  const { canvasWidth: width, canvasHeight: height } = frame;
  const [red, green, blue] = frame.background;
  const out = new Uint8Array(width * height * 3);
  const right = Math.min(frame.left + frame.width, source.width);
  const bottom = Math.min(frame.top + frame.height, source.height);
  for (let y = 0, to = 0; y < height; y++) {
    const rowInside = y >= frame.top && y < bottom;
    let from = y * source.width * channels;
    for (let x = 0; x < width; x++, from += channels, to += 3) {
      const painted = rowInside && x >= frame.left && x < right &&
        (channels === 3 || data[from + 3] !== 0);
      out[to] = painted ? data[from] : red;
      out[to + 1] = painted ? data[from + 1] : green;
      out[to + 2] = painted ? data[from + 2] : blue;
    }
  }
  return { width, height, data: out };
}
