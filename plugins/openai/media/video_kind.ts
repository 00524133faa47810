/**
 * Whether some bytes are a video by their signature. Playlists and scripts of FFmpeg, which name other
 * files, are not.
 * @module
 */

/** Whether the bytes begin like a container of video. */
export function isVideoFile(bytes: Uint8Array): boolean {
  const ascii = (from: number, to: number) =>
    String.fromCharCode(...bytes.subarray(from, to));
  const starts = (...signature: number[]) =>
    signature.every((byte, i) => bytes[i] === byte);
  if (bytes.length < 16) return false;
  return ["ftyp", "moov", "mdat", "free", "wide", "skip"].includes(
    ascii(4, 8),
  ) || // MP4, MOV
    starts(0x1a, 0x45, 0xdf, 0xa3) || // Matroska, WebM
    ascii(0, 4) === "RIFF" && ascii(8, 12) === "AVI " ||
    ascii(0, 4) === "OggS" ||
    ascii(0, 3) === "FLV" ||
    ascii(0, 4) === "GIF8" ||
    starts(0, 0, 1, 0xba) || // MPEG programme stream
    starts(0, 0, 1, 0xb3) ||
    starts(0x30, 0x26, 0xb2, 0x75) || // ASF
    bytes[0] === 0x47 && bytes.length > 376 && bytes[188] === 0x47 &&
      bytes[376] === 0x47; // MPEG transport stream
}
