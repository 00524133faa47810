/**
 * Sampling frames of videos: with node-av in a worker, or with the `ffmpeg` program.
 * @module
 */
import { Effect, Layer } from "effect";
import { MediaError } from "../../nodes/errors.ts";
import { type SampleOptions, VideoProcessor } from "../../nodes/services.ts";
import type { Image, VideoFrames, VideoSource } from "../../nodes/values.ts";
import { DecodeError } from "./decode.ts";
import { sampleWithFfmpeg } from "./ffmpeg_reader.ts";
import { withIcons } from "./icon.ts";
import { checkRegularFile } from "./read.ts";
import { checkSampleOptions } from "./sample_indices.ts";
import { localPath } from "./source.ts";
import { Pool, ThreadError } from "./thread.ts";
import { type RawFrames, VideoError } from "./video_reader.ts";
import type { VideoAnswer, VideoMessage } from "./video_worker.ts";

/** How videos are read. */
export interface VideoProcessorOptions {
  /**
   * `"node-av"`: FFmpeg's libraries in this process; exact also where a stream is damaged, and faster.
   * Its binary is built with GPL parts. Needs `--allow-read --allow-env --allow-ffi`.
   *
   * `"ffmpeg"`: the programs `ffmpeg` and `ffprobe` on the PATH. Needs `--allow-read
   * --allow-run=ffmpeg,ffprobe`.
   *
   * `"auto"` (default): node-av when it loads, else ffmpeg.
   */
  readonly reader?: "auto" | "node-av" | "ffmpeg";
  /** Most videos that node-av reads at the same time; default 1. */
  readonly workers?: number;
}

/**
 * Video sampling with the default options; nothing is loaded before the first video.
 *
 * ```ts
 * import { VideoProcessor, videoProcessor } from "@tessera/sdk";
 * import { Effect } from "effect";
 * import assert from "node:assert/strict";
 *
 * const sampling = Effect.flatMap(
 *   VideoProcessor,
 *   (processor) => processor.sample("examples/videos/moving.mp4", { segments: 4 }),
 * );
 * const { frames, indices } = await Effect.runPromise(
 *   Effect.provide(sampling, videoProcessor),
 * );
 * assert.equal(frames.length, indices.length);
 * ```
 */
export const videoProcessor: Layer.Layer<VideoProcessor> = videoProcessorWith();

/**
 * Video sampling. The worker starts with the first video and ends with the layer's scope.
 *
 * ```ts
 * import { VideoProcessor, videoProcessorWith } from "@tessera/sdk";
 * import { Effect } from "effect";
 * import assert from "node:assert/strict";
 *
 * const processor = videoProcessorWith({ reader: "node-av", workers: 2 });
 * const sampling = Effect.flatMap(
 *   VideoProcessor,
 *   (video) => video.sample("no-such.mp4", { segments: 8 }),
 * );
 * const error = await Effect.runPromise(
 *   sampling.pipe(Effect.flip, Effect.provide(processor)),
 * );
 * assert.match(error.message, /does not exist/);
 * ```
 */
export function videoProcessorWith(
  options: VideoProcessorOptions = {},
): Layer.Layer<VideoProcessor> {
  const { reader = "auto", workers = 1 } = options;
  return Layer.effect(
    VideoProcessor,
    Effect.gen(function* () {
      const pool = yield* Effect.acquireRelease(
        Effect.sync(() =>
          new Pool<VideoMessage>(
            new URL("./video_worker.ts", import.meta.url),
            Math.max(1, workers),
          )
        ),
        (pool) => Effect.promise(() => pool.close()),
      );

      const withNodeAv = (path: string, options: SampleOptions) =>
        pool.use((thread) =>
          attempt((signal) => {
            const cancel = new SharedArrayBuffer(4);
            signal.addEventListener(
              "abort",
              () => Atomics.store(new Int32Array(cancel), 0, 1),
            );
            return thread.call<VideoAnswer>({ path, options, cancel });
          })
        );
      const withFfmpeg = (path: string, options: SampleOptions) =>
        attempt(async (signal) => {
          const sampled = await sampleWithFfmpeg(path, options, signal);
          return { ...sampled, frames: await withIcons(sampled.frames) };
        });

      const read = Effect.fnUntraced(
        function* (path: string, options: SampleOptions) {
          if (reader === "ffmpeg") return yield* withFfmpeg(path, options);
          const answer = yield* withNodeAv(path, options);
          if (answer.loaded) return answer.sampled;
          const missing = `node-av does not load (${answer.reason})`;
          if (reader === "node-av") {
            return yield* Effect.fail(
              new VideoError(`cannot be read: ${missing}`),
            );
          }
          return yield* Effect.mapError(
            withFfmpeg(path, options),
            (error) =>
              error.message.startsWith("cannot be read: ff")
                ? new VideoError(`${error.message}; ${missing}`)
                : error,
          );
        },
      );

      const sample = Effect.fn("VideoProcessor.sample")(
        function* (
          source: VideoSource,
          options: SampleOptions,
          name: string = String(source),
        ) {
          const path = yield* localPath(source);
          const raw = yield* Effect.gen(function* () {
            yield* attempt(async () => {
              checkSampleOptions(options);
              if (await checkRegularFile(path) === 0) {
                throw new VideoError("is empty");
              }
            });
            return yield* read(path, options);
          }).pipe(Effect.mapError((error) => mediaError(name, error)));
          return toFrames(name, raw);
        },
      );
      return VideoProcessor.of({ sample });
    }),
  );
}

/** A promise as an effect that fails with an `Error`. */
function attempt<A>(
  run: (signal: AbortSignal) => Promise<A>,
): Effect.Effect<A, Error> {
  return Effect.tryPromise({
    try: run,
    catch: (error) => error instanceof Error ? error : new Error(String(error)),
  });
}

function toFrames(name: string, raw: RawFrames): VideoFrames {
  const images = new Map<number, Image>();
  raw.unique.forEach((index, i) => {
    const { width, height, buffer, icon } = raw.frames[i];
    images.set(index, {
      width,
      height,
      data: new Uint8Array(buffer),
      source: `frame ${index} of ${name}`,
      ...(icon === undefined ? {} : { icon }),
    });
  });
  return {
    frames: raw.indices.map((index) => images.get(index)!),
    indices: raw.indices,
    fps: raw.fps,
    frameCount: raw.frameCount,
  };
}

function mediaError(source: string, error: Error): MediaError {
  // These continue a sentence that begins with the source's name.
  const predicate = error instanceof VideoError ||
    error instanceof DecodeError || error instanceof ThreadError;
  const [line] = error.message.split("\n");
  return new MediaError({
    source,
    message: predicate ? `${source} ${line}` : `${source}: ${line}`,
    cause: error,
  });
}
