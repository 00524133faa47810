/**
 * Reads single tags of a TIFF's first directory: those that decide whether sharp reads the picture
 * as Pillow does.
 * @module
 */

/** Tags that are asked for (TIFF 6.0, section 8 and 21). */
export const TiffTag = {
  compression: 259,
  photometric: 262,
  orientation: 274,
  sampleFormat: 339,
} as const;

/**
 * The first value of each of the tags above that are there, from the first directory. An unreadable
 * directory gives an empty map: the decoder will refuse it with its own message.
 */
export function firstTiffTags(
  bytes: Uint8Array<ArrayBuffer>,
): ReadonlyMap<number, number> {
  const tags = new Map<number, number>();
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  try {
    const little = bytes[0] === 0x49;
    const big = view.getUint16(2, little) === 43;
    const long = (at: number) =>
      big ? Number(view.getBigUint64(at, little)) : view.getUint32(at, little);
    let at = long(big ? 8 : 4);
    const count = big ? long(at) : view.getUint16(at, little);
    at += big ? 8 : 2;
    const wanted: readonly number[] = Object.values(TiffTag);
    // A directory has at most one entry per tag number.
    for (let i = 0; i < Math.min(count, 65536); i++, at += big ? 20 : 12) {
      const tag = view.getUint16(at, little);
      if (!wanted.includes(tag)) continue;
      const type = view.getUint16(at + 2, little);
      const size = type === 1 ? 1 : type === 3 ? 2 : type === 4 ? 4 : 0;
      if (size === 0) continue;
      // Values that fit lie in the entry itself, others where it points to.
      const field = at + (big ? 12 : 8);
      const inside = long(at + 4) * size <= (big ? 8 : 4);
      const value = inside ? field : long(field);
      tags.set(
        tag,
        size === 1
          ? view.getUint8(value)
          : size === 2
          ? view.getUint16(value, little)
          : view.getUint32(value, little),
      );
    }
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
  }
  return tags;
}
