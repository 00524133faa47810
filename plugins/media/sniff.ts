/**
 * What kind of picture some bytes are, by their signature. Only the kinds that are decoded exactly
 * get through; the others are refused by name before any decoder sees them.
 * @module
 */

/** The kinds of picture that can be read. */
export type PictureFormat = "jpeg" | "png" | "webp" | "gif" | "tiff" | "avif";

/** The kinds of picture, for messages. */
export const READABLE = "JPEG, PNG, WebP, GIF, TIFF and AVIF";

/** A kind that can be read, or what the bytes are instead. */
export type Sniffed =
  | { readonly format: PictureFormat }
  | { readonly format?: undefined; readonly refused: string };

const accept = (format: PictureFormat): Sniffed => ({ format });
const refuse = (what: string): Sniffed => ({
  refused: `${what}; ${READABLE} can be read`,
});

/** Looks at the first bytes of a file. */
export function sniff(bytes: Uint8Array): Sniffed {
  const ascii = (from: number, to: number) =>
    String.fromCharCode(...bytes.subarray(from, to));
  const starts = (...signature: number[]) =>
    signature.every((byte, i) => bytes[i] === byte);

  if (starts(0xff, 0xd8, 0xff)) return accept("jpeg");
  if (starts(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a)) {
    return accept("png");
  }
  if (ascii(0, 4) === "RIFF" && ascii(8, 12) === "WEBP") return accept("webp");
  if (ascii(0, 6) === "GIF87a" || ascii(0, 6) === "GIF89a") {
    return accept("gif");
  }
  // Classic TIFF is version 42, BigTIFF 43, in either byte order.
  if (starts(0x49, 0x49, 42, 0) || starts(0x4d, 0x4d, 0, 42)) {
    return accept("tiff");
  }
  if (starts(0x49, 0x49, 43, 0) || starts(0x4d, 0x4d, 0, 43)) {
    return accept("tiff");
  }
  if (ascii(4, 8) === "ftyp") {
    const brands = ascii(8, Math.min(bytes.length, 64));
    if (/avi[fs]/.test(brands)) return accept("avif");
    if (/hei[cxms]|hev[cxms]|mif1|msf1/.test(brands)) {
      return refuse("a HEIC picture, whose HEVC decoder is not included");
    }
    return refuse("a video or audio file, not a picture");
  }
  if (ascii(0, 2) === "BM") return refuse("a BMP picture");
  if (ascii(0, 4) === "8BPS") return refuse("a Photoshop document");
  if (starts(0, 0, 1, 0)) return refuse("an icon file");
  if (starts(0xff, 0x0a) || ascii(4, 8) === "JXL ") {
    return refuse("a JPEG XL picture");
  }
  if (starts(0xff, 0x4f, 0xff, 0x51) || ascii(4, 8) === "jP  ") {
    return refuse("a JPEG 2000 picture");
  }
  if (/^P[1-7]\s/.test(ascii(0, 3))) return refuse("a PNM picture");
  if (ascii(0, 4) === "%PDF") return refuse("a PDF document");
  if (starts(0x1f, 0x8b)) return refuse("a gzip archive");
  if (ascii(0, 2) === "PK") return refuse("a zip archive");
  const head = ascii(0, Math.min(bytes.length, 1024));
  if (/<svg[\s>]/i.test(head)) {
    return refuse("an SVG drawing, which is not a raster picture");
  }
  if (/^\s*(<!doctype html|<html)/i.test(head)) {
    return refuse("a web page, not a picture");
  }
  if (/^version https:\/\/git-lfs/.test(head)) {
    return refuse("a Git LFS pointer: the file itself was not downloaded");
  }
  if (/^[\t\n\r\x20-\x7e]+$/.test(head)) {
    return refuse("text, not a picture");
  }
  return refuse("not a picture of a kind that is known here");
}
