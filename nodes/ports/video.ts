/**
 * The port of videos.
 * @module
 */
import { Effect, Schema, SchemaTransformation } from "effect";
import { definePort, type PortType } from "../../pipeline/mod.ts";
import { digestFileStat, digestText } from "../digest.ts";
import type {
  VideoClip as VideoClipValue,
  VideoSource as VideoSourceValue,
} from "../values.ts";
import { isRecord } from "./tensor.ts";

const VideoClipSchema = Schema.Struct({
  source: Schema.String,
  name: Schema.optionalKey(Schema.String),
  segments: Schema.optionalKey(Schema.Int),
  start: Schema.optionalKey(Schema.Finite),
  end: Schema.optionalKey(Schema.Finite),
});

const isVideo = (value: unknown): value is VideoSourceValue | VideoClipValue =>
  typeof value === "string" || value instanceof URL ||
  (isRecord(value) &&
    (typeof value.source === "string" || value.source instanceof URL) &&
    (value.name === undefined || typeof value.name === "string"));

const videoFile = (
  video: VideoSourceValue | VideoClipValue,
): VideoSourceValue =>
  typeof video === "string" || video instanceof URL ? video : video.source;

const VideoClipValueSchema: Schema.Codec<VideoSourceValue | VideoClipValue> =
  Schema.declare<
    VideoSourceValue | VideoClipValue
  >(isVideo, { title: "VideoClip" });

/** A part of a video, with its own sampling. */
export type VideoClip = VideoClipValue;

/**
 * A video or a part of one. In JSON: a path, or `{source, name?, segments?, start?, end?}`.
 *
 * ```ts
 * import { VideoClip } from "@tessera/sdk";
 * import { Schema } from "effect";
 * import assert from "node:assert/strict";
 *
 * const decode = Schema.decodeUnknownSync(VideoClip.schema!);
 * const clip = decode({ source: "clip.mp4", segments: 4, start: 2 });
 * assert.deepEqual(clip, { source: "clip.mp4", segments: 4, start: 2 });
 * ```
 */
export const VideoClip: PortType<
  "VideoClip",
  VideoSourceValue | VideoClipValue
> = definePort({
  name: "VideoClip",
  schema: Schema.Union([Schema.String, VideoClipSchema]).pipe(Schema.decodeTo(
    VideoClipValueSchema,
    SchemaTransformation.transform<
      VideoSourceValue | VideoClipValue,
      string | typeof VideoClipSchema.Type
    >({
      decode: (json) => json,
      encode: (video) =>
        typeof video === "string" || video instanceof URL
          ? String(video)
          : { ...video, source: String(video.source) },
    }),
  )),
  is: isVideo,
  expects:
    "a path, a file: URL, or { source, segments, start, end } of which source is one",
  digest: (video: VideoSourceValue | VideoClipValue) =>
    Effect.flatMap(digestFileStat(videoFile(video)), (file) =>
      digestText(
        typeof video === "string" || video instanceof URL
          ? file
          : `${file} ${video.segments} ${video.start} ${video.end}`,
      )),
  preview: (video: VideoSourceValue | VideoClipValue) => {
    if (typeof video === "string" || video instanceof URL) return String(video);
    const { source, name = String(source), ...part } = video;
    return { source: name, ...part };
  },
});
