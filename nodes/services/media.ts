/**
 * Services for pictures and videos.
 * @module
 */
import { Context, type Effect } from "effect";
import type { MediaError } from "../errors.ts";
import type {
  Image,
  ImageSource,
  Tiles,
  VideoFrames,
  VideoSource,
} from "../values.ts";

/** Decodes and tiles pictures exactly as the reference does. */
export interface ImageProcessor {
  /** Decodes a picture as Pillow's `open(…).convert("RGB")` does. */
  readonly decode: (source: ImageSource) => Effect.Effect<Image, MediaError>;
  /** The grid `tile` would cut a picture of this size into. */
  readonly grid: (
    size: { readonly width: number; readonly height: number },
    options: TileOptions,
  ) => readonly [columns: number, rows: number];
  /** Dynamic tiling, resize and normalisation; no thumbnail. */
  readonly tile: (
    image: Image,
    options: TileOptions,
  ) => Effect.Effect<Tiles, MediaError>;
  /** The whole picture as one tile. */
  readonly thumbnail: (
    image: Image,
    tileSize: number,
  ) => Effect.Effect<Tiles, MediaError>;
}

/** How a picture is cut. */
export interface TileOptions {
  /** Edge of a tile in pixels (448). */
  readonly tileSize: number;
  /** Fewest tiles, default 1. */
  readonly minTiles: number;
  /** Most tiles, 1 to 40. */
  readonly maxTiles: number;
}

/**
 * Picture processing as a service.
 *
 * ```ts
 * import { ImageProcessor, imageProcessor } from "@tessera/sdk";
 * import { Effect } from "effect";
 * import assert from "node:assert/strict";
 *
 * const grid = Effect.gen(function* () {
 *   const processor = yield* ImageProcessor;
 *   const options = { tileSize: 448, minTiles: 1, maxTiles: 12 };
 *   return processor.grid({ width: 800, height: 600 }, options);
 * });
 * assert.deepEqual(
 *   await Effect.runPromise(Effect.provide(grid, imageProcessor)),
 *   [4, 3],
 * );
 * ```
 */
export const ImageProcessor: Context.Service<ImageProcessor, ImageProcessor> =
  Context.Service<
    ImageProcessor
  >("tessera/ImageProcessor");

/** Which frames of a video. */
export interface SampleOptions {
  /** Number of segments; one frame from the middle of each. */
  readonly segments: number;
  /** Start of the range in seconds; default: the beginning. */
  readonly start?: number;
  /** End of the range in seconds; default: the end. */
  readonly end?: number;
}

/** Samples frames of a video exactly. */
export interface VideoProcessor {
  /** Frame i is the i-th in presentation order. `name` is what messages call the video; default: the source. */
  readonly sample: (
    source: VideoSource,
    options: SampleOptions,
    name?: string,
  ) => Effect.Effect<VideoFrames, MediaError>;
}

/**
 * Video processing as a service.
 *
 * ```ts
 * import { pipeline, run, VideoClip, VideoProcessor, videoSample } from "@tessera/sdk";
 * import { Effect, Layer } from "effect";
 * import assert from "node:assert/strict";
 *
 * // Frames that come from somewhere else: a service of your own in place of the video plugin.
 * const black = { width: 8, height: 8, data: new Uint8Array(192) };
 * const dark = Layer.succeed(VideoProcessor, {
 *   sample: (_source, { segments }) =>
 *     Effect.succeed({
 *       frames: Array.from({ length: segments }, () => black),
 *       indices: Array.from({ length: segments }, (_, index) => index),
 *       fps: 1,
 *       frameCount: segments,
 *     }),
 * });
 * const look = pipeline("look", (g) =>
 *   g.add(videoSample, { video: g.input("video", VideoClip) }, { segments: 3 }));
 * const { outputs } = await Effect.runPromise(
 *   run(look, { video: "camera" }).pipe(Effect.provide(dark)),
 * );
 * assert.equal(outputs.frames.length, 3);
 * ```
 */
export const VideoProcessor: Context.Service<VideoProcessor, VideoProcessor> =
  Context.Service<
    VideoProcessor
  >("tessera/VideoProcessor");
