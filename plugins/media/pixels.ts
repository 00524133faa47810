/**
 * Decoded pictures, here and on their way between threads.
 * @module
 */

/** 8-bit RGB pixels on their way between threads. */
export interface RawPixels {
  /** Pixels across. */
  readonly width: number;
  /** Pixels down. */
  readonly height: number;
  /** `width · height · 3` bytes. */
  readonly buffer: ArrayBuffer;
}

/** A decoded picture on its way between threads. */
export interface DecodedPixels extends RawPixels {
  /** A small picture for run stores, as a `data:` URL. */
  readonly icon?: string;
}

/** 8-bit RGB pixels. */
export interface Pixels {
  /** Pixels across. */
  readonly width: number;
  /** Pixels down. */
  readonly height: number;
  /** `width · height · 3` bytes. */
  readonly data: Uint8Array<ArrayBuffer>;
}
