/**
 * Decodes a picture with sharp to the bytes that Pillow's `open(…).convert("RGB")` gives: no rotation
 * by EXIF, no colour management, alpha dropped and not composited. Runs inside a worker.
 * @module
 */
import type sharp from "sharp";
import { firstGifFrame, paintBackground } from "./gif.ts";
import type { Pixels } from "./pixels.ts";
import { type PictureFormat, sniff } from "./sniff.ts";
import { firstTiffTags, TiffTag } from "./tiff.ts";

/** The sharp module's function. */
export type Sharp = typeof sharp;

/** A picture that cannot be decoded; the message is one line without the source's name. */
export class DecodeError extends Error {
  /** The class's name. */
  override readonly name = "DecodeError";
}

/** Longest edge in pixels; the tables of the resampler grow with it. */
export const LONGEST_EDGE = 1_000_000;
/** Seconds after which a decoder that makes no end is stopped. */
const TIMEOUT_SECONDS = 60;
/** While another thread of the process loads sharp, every loader is blocked for a moment: see {@link loadSharp}. */
const TRIES = 4;
/** What sharp says then: before it has chosen the loader, after it, between, and with the reason lost. */
export const BLOCKED =
  /operation is blocked|unsupported image format|not in a known format|corrupt header:\s*$/;

/**
 * Loads sharp and narrows libvips to the loaders of the kinds that are read. The setting is
 * process-wide: a program that uses sharp on its own for other kinds must unblock them again.
 */
export async function loadSharp(): Promise<Sharp> {
  const { default: sharp } = await import("sharp");
  sharp.cache(false);
  sharp.concurrency(1);
  sharp.block({ operation: ["VipsForeignLoad"] });
  sharp.unblock({
    operation: ["Jpeg", "Png", "Webp", "Nsgif", "Tiff", "Heif", "Uhdr"]
      .map((kind) => `VipsForeignLoad${kind}`),
  });
  return sharp;
}

/** Decodes a picture file's bytes; throws {@link DecodeError}. */
export async function decodePicture(
  sharp: Sharp,
  bytes: Uint8Array<ArrayBuffer>,
  maxPixels: number,
): Promise<Pixels> {
  if (bytes.length === 0) throw new DecodeError("is empty");
  const sniffed = sniff(bytes);
  if (sniffed.format === undefined) {
    throw new DecodeError(`is ${sniffed.refused}`);
  }
  for (let tries = 1;; tries++) {
    try {
      return await decodeKnown(sharp, bytes, sniffed.format, maxPixels);
    } catch (error) {
      if (error instanceof DecodeError) throw error;
      if (tries < TRIES && BLOCKED.test(`${error}`)) {
        await new Promise((resolve) => setTimeout(resolve, 10 * tries));
        continue;
      }
      throw new DecodeError(explain(error, sniffed.format, maxPixels));
    }
  }
}

/** What sharp returns for `.raw().toBuffer({ resolveWithObject: true })`. */
interface Raw {
  readonly data: Uint8Array;
  readonly width: number;
  readonly height: number;
  readonly channels: number;
}

async function decodeKnown(
  sharp: Sharp,
  bytes: Uint8Array<ArrayBuffer>,
  format: PictureFormat,
  maxPixels: number,
): Promise<Pixels> {
  const open = () =>
    sharp(bytes, { ignoreIcc: true, limitInputPixels: maxPixels })
      .timeout({ seconds: TIMEOUT_SECONDS });
  const read = async (
    pipeline: ReturnType<Sharp>,
    depth: "uchar" | "ushort" = "uchar",
  ): Promise<Raw> => {
    const { data, info } = await pipeline.raw({ depth })
      .toBuffer({ resolveWithObject: true });
    return { data, ...info };
  };
  const { width, height, depth, space, channels } = await open().metadata();
  if (Math.max(width, height) > LONGEST_EDGE) {
    throw new DecodeError(
      `is ${width}x${height} pixels; an edge may have at most ${LONGEST_EDGE}`,
    );
  }

  let pixels: Pixels;
  const tags = format === "tiff" ? firstTiffTags(bytes) : undefined;
  if (tags !== undefined) refuseTiff(tags, channels, depth);
  if (space === "cmyk") {
    pixels = cmykToRgb(
      await read(open().pipelineColourspace("cmyk").toColourspace("cmyk")),
    );
  } else if (
    format === "png" && isWideGreyPng(bytes) ||
    format === "tiff" && channels === 1 && depth === "ushort"
  ) {
    // Pillow leaves 16-bit TIFFs with "white is zero" (0) as they are, sharp inverts them.
    pixels = clippedGrey(
      await read(open().toColourspace("grey16"), "ushort"),
      tags?.get(TiffTag.photometric) === 0 ? 65535 : 0,
    );
  } else if (format === "gif") {
    const frame = firstGifFrame(bytes);
    if (frame === undefined || !frame.palette) {
      throw new DecodeError("is a GIF without a frame or without a palette");
    }
    if (frame.canvasWidth * frame.canvasHeight > maxPixels) {
      throw new DecodeError(tooManyPixels(maxPixels));
    }
    const raw = await read(open().toColourspace("srgb"));
    pixels = paintBackground(raw, frame);
  } else {
    const raw = await read(open().toColourspace("srgb").removeAlpha());
    if (raw.channels !== 3) {
      throw new DecodeError(
        `has ${raw.channels} colour channels; 1, 3 and 4 can be read`,
      );
    }
    pixels = { ...raw, data: owned(raw.data) };
  }
  if (pixels.data.length !== pixels.width * pixels.height * 3) {
    throw new DecodeError(
      `was decoded to ${pixels.data.length} bytes for ${pixels.width}x${pixels.height} pixels`,
    );
  }
  const orientation = tags?.get(TiffTag.orientation) ?? 1;
  return orientation === 1
    ? { width: pixels.width, height: pixels.height, data: pixels.data }
    : turn(pixels, orientation);
}

/** Refuses the kinds of TIFF that sharp reads otherwise than Pillow. */
function refuseTiff(
  tags: ReadonlyMap<number, number>,
  channels: number,
  depth: string,
): void {
  const SEPARATED = 5, YCBCR = 6, JPEG = 7, UNSIGNED = 1, FLOAT = 3;
  if (
    tags.get(TiffTag.photometric) === YCBCR &&
    tags.get(TiffTag.compression) !== JPEG
  ) {
    throw new DecodeError(
      "is a TIFF in YCbCr without JPEG compression; RGB, grey, palette and CMYK can be read",
    );
  }
  const sampleFormat = tags.get(TiffTag.sampleFormat) ?? UNSIGNED;
  const narrow = depth === "uchar" ||
    depth === "ushort" && tags.get(TiffTag.photometric) !== SEPARATED;
  if (
    (channels === 1 && !narrow && sampleFormat !== FLOAT && depth !== "int" &&
      depth !== "uint") || (channels > 1 && !narrow)
  ) {
    throw new DecodeError(
      `is a TIFF with ${channels} samples of type ${depth} per pixel; 8 bits can be read, and 16 bits of grey or RGB`,
    );
  }
}

/** Whether a PNG is 16-bit grey without an alpha channel (IHDR: bit depth 16, colour type 0). */
function isWideGreyPng(bytes: Uint8Array): boolean {
  return bytes[24] === 16 && bytes[25] === 0;
}

/** Pillow's conversion: `nk = 255 - k; out = clip(nk - c * nk / 255)`, the division rounded. */
function cmykToRgb({ data, width, height, channels }: Raw): Pixels {
  if (channels !== 4) {
    throw new DecodeError(`is CMYK with ${channels} channels; 4 can be read`);
  }
  const out = new Uint8Array(width * height * 3);
  for (let from = 0, to = 0; to < out.length; from += 4) {
    const white = 255 - data[from + 3];
    for (let c = 0; c < 3; c++) {
      const product = data[from + c] * white + 128;
      out[to++] = white - (((product >> 8) + product) >> 8);
    }
  }
  return { width, height, data: out };
}

/**
 * Pillow clips 16-bit grey at 255 instead of scaling it. An alpha channel made from tRNS is dropped.
 * `mask` is combined with each sample by exclusive or.
 */
function clippedGrey(
  { data, width, height, channels }: Raw,
  mask: number,
): Pixels {
  const wide = new Uint16Array(
    data.buffer as ArrayBuffer,
    data.byteOffset,
    data.byteLength / 2,
  );
  const out = new Uint8Array(width * height * 3);
  for (let from = 0, to = 0; to < out.length; from += channels) {
    const grey = Math.min(wide[from] ^ mask, 255);
    out[to++] = grey;
    out[to++] = grey;
    out[to++] = grey;
  }
  return { width, height, data: out };
}

/** The same bytes as a view of a whole buffer of their own, so that it can be handed to another thread. */
function owned(data: Uint8Array): Uint8Array<ArrayBuffer> {
  return data.byteLength === data.buffer.byteLength
    ? new Uint8Array(data.buffer as ArrayBuffer)
    : new Uint8Array(data);
}

/** Pillow turns a TIFF by its orientation tag (2 to 8), and no other kind of picture. */
function turn({ width, height, data }: Pixels, orientation: number): Pixels {
  if (orientation < 2 || orientation > 8) return { width, height, data };
  const swap = orientation >= 5;
  const outWidth = swap ? height : width, outHeight = swap ? width : height;
  const out = new Uint8Array(data.length);
  const fromRight = [2, 3, 7, 8].includes(orientation);
  const fromBottom = [3, 4, 6, 7].includes(orientation);
  for (let y = 0, to = 0; y < outHeight; y++) {
    for (let x = 0; x < outWidth; x++) {
      const along = swap ? y : x, down = swap ? x : y;
      const column = fromRight ? width - 1 - along : along;
      const row = fromBottom ? height - 1 - down : down;
      const from = (row * width + column) * 3;
      out[to++] = data[from];
      out[to++] = data[from + 1];
      out[to++] = data[from + 2];
    }
  }
  return { width: outWidth, height: outHeight, data: out };
}

const tooManyPixels = (maxPixels: number): string =>
  `has more pixels than the limit of ${maxPixels}`;

/** One line about what sharp said, in words that help. */
function explain(
  error: unknown,
  format: PictureFormat,
  maxPixels: number,
): string {
  const name = format === "webp" ? "WebP" : format.toUpperCase();
  const said = (error instanceof Error ? error.message : String(error))
    .split("\n")[0].replace(/[^\x20-\x7e]+/g, " ").trim().slice(0, 160);
  if (/pixel limit/i.test(said)) {
    return tooManyPixels(maxPixels);
  }
  if (/timeout/i.test(said)) {
    return `could not be decoded in ${TIMEOUT_SECONDS} seconds`;
  }
  if (format === "avif" && /unsupported image format/i.test(said)) {
    return "is an AVIF picture of a kind that cannot be read (an image sequence, perhaps)";
  }
  if (/premature end|truncat|end of (file|stream|input)/i.test(said)) {
    return `is a ${name} file that is cut short (${said})`;
  }
  return `is a damaged or unusual ${name} file (${said})`;
}
