/**
 * `video-sample`: frames from the middles of a video's segments.
 * @module
 */
import { Effect, Schema } from "effect";
import { defineNode, type NodeKind } from "../pipeline/mod.ts";
import type { MediaError } from "./errors.ts";
import { ImageList, VideoClip } from "./ports.ts";
import type { VideoClip as VideoClipValue } from "./values.ts";
import { type SampleOptions, VideoProcessor } from "./services.ts";

/** Parameters of `video-sample`. */
export type VideoSampleParams = Partial<SampleOptions>;

const seconds = Schema.Finite.check(Schema.isGreaterThanOrEqualTo(0));

/**
 * Schema of {@link VideoSampleParams}.
 *
 * ```ts
 * import { VideoSampleParams } from "@tessera/sdk";
 * import { Schema } from "effect";
 * import assert from "node:assert/strict";
 *
 * const decode = Schema.decodeUnknownSync(VideoSampleParams);
 * assert.deepEqual(decode({ segments: 8, start: 2.5 }), { segments: 8, start: 2.5 });
 * assert.throws(() => decode({ segments: 0 }));
 * ```
 */
export const VideoSampleParams: Schema.Codec<VideoSampleParams> = Schema.Struct(
  {
    segments: Schema.optionalKey(
      Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 4096 })),
    ),
    start: Schema.optionalKey(seconds),
    end: Schema.optionalKey(seconds),
  },
);

/** Segments when none are asked for: the model card's example. */
export const defaultSegments = 8;

/**
 * One frame from the middle of each segment, by the model card's `get_index`; frame i is the i-th in
 * presentation order. Fails with `MediaError` for what cannot be read and for a range outside the video.
 *
 * ```ts
 * import { pipeline, run, VideoClip, videoProcessor, videoSample } from "@tessera/sdk";
 * import { Effect } from "effect";
 * import assert from "node:assert/strict";
 *
 * const look = pipeline("look", (g) =>
 *   g.add(videoSample, { video: g.input("video", VideoClip) }, { segments: 4 }));
 * const { outputs } = await Effect.runPromise(
 *   run(look, { video: "examples/videos/moving.mp4" }).pipe(
 *     Effect.provide(videoProcessor),
 *   ),
 * );
 * assert.equal(outputs.frames.length, 4);
 * ```
 */
export const videoSample: NodeKind<
  "video-sample",
  { readonly video: typeof VideoClip },
  { readonly frames: typeof ImageList },
  VideoSampleParams,
  VideoSampleParams,
  MediaError,
  VideoProcessor
> = defineNode({
  kind: "video-sample",
  version: 1,
  description: "Takes one frame from the middle of each segment of a video.",
  inputs: { video: VideoClip },
  outputs: { frames: ImageList },
  params: VideoSampleParams,
  lane: "cpu",
  memoize: true,
  run: ({ video }, params) =>
    Effect.gen(function* () {
      const processor = yield* VideoProcessor;
      const clip: VideoClipValue =
        typeof video === "string" || video instanceof URL
          ? { source: video }
          : video;
      const { frames } = yield* processor.sample(clip.source, {
        segments: clip.segments ?? params.segments ?? defaultSegments,
        start: clip.start ?? params.start,
        end: clip.end ?? params.end,
      }, clip.name);
      return { frames };
    }),
});
