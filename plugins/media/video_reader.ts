/**
 * What both video readers share: their contract, their limits, and how they say what is wrong.
 * @module
 */
import type { SampleOptions } from "../../nodes/services.ts";
import type { DecodedPixels } from "./pixels.ts";
import { sampleIndices } from "./sample_indices.ts";

/** The frames that were asked for, on their way between threads. */
export interface RawFrames {
  /** Each frame once, in presentation order. */
  readonly frames: readonly DecodedPixels[];
  /** Indices of `frames`, ascending. */
  readonly unique: readonly number[];
  /** Index of each sampled frame; repeats are possible. */
  readonly indices: readonly number[];
  /** Frames per second, the stream's average. */
  readonly fps: number;
  /** Frames in the whole stream. */
  readonly frameCount: number;
}

/** A video that cannot be read; the message is the rest of a sentence that begins with its name. */
export class VideoError extends Error {
  /** The class's name. */
  override readonly name = "VideoError";
}

/** The reading was given up. */
export class CancelledError extends Error {
  /** The class's name. */
  override readonly name = "CancelledError";
}

/**
 * Containers that hold a video by themselves. Playlists and scripts, which name other files, are not
 * among them, whatever a file calls itself.
 */
export const CONTAINERS: string =
  "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,flv,gif,ogg,asf,ivf,mxf,nut";

/** What FFmpeg says is wrong with a file it does not open, for a `reason` that tells nothing in words that do. */
export function unreadable(reason: string): VideoError {
  // So it calls what is on no list of allowed containers: a picture, a playlist, a bare stream.
  const said = reason === "Invalid argument"
    ? "it is not MP4, MOV, Matroska, WebM, AVI, MPEG, FLV, GIF, Ogg, ASF, IVF, MXF or NUT"
    : reason;
  return new VideoError(`is no video that can be read (${said})`);
}

/** Most pixels of one frame. */
export const MAX_FRAME_PIXELS = 178_956_970;
/** Most bytes of all sampled frames together. */
export const MAX_TOTAL_BYTES: number = 2 * 2 ** 30;

/** Chooses the frames; throws {@link VideoError}. */
export function chooseFrames(
  frameCount: number,
  fps: number,
  options: SampleOptions,
): { readonly indices: number[]; readonly unique: number[] } {
  let indices: number[];
  try {
    indices = sampleIndices(frameCount, fps, options);
  } catch (error) {
    if (error instanceof RangeError) {
      throw new VideoError(`cannot be sampled: ${error.message}`);
    }
    throw error;
  }
  return { indices, unique: [...new Set(indices)].sort((a, b) => a - b) };
}

/** Refuses what would not fit the limits; throws {@link VideoError}. */
export function checkSize(width: number, height: number, frames: number): void {
  if (width < 1 || height < 1) {
    throw new VideoError(`has frames of ${width}x${height} pixels`);
  }
  if (width * height > MAX_FRAME_PIXELS) {
    throw new VideoError(
      `has frames of ${width}x${height} pixels; ${MAX_FRAME_PIXELS} pixels are possible`,
    );
  }
  const bytes = width * height * 3 * frames;
  if (bytes > MAX_TOTAL_BYTES) {
    throw new VideoError(
      `would need ${bytes} bytes for ${frames} frames of ${width}x${height} pixels; ${MAX_TOTAL_BYTES} are possible: ask for fewer segments`,
    );
  }
}

/** Says that a sampled frame does not decode; throws {@link VideoError}. */
export function undecodable(index: number, frameCount: number): never {
  throw new VideoError(
    `is damaged: frame ${index} of ${frameCount} cannot be decoded; another range or number of segments may avoid it`,
  );
}
