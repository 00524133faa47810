/**
 * `sample`: one question of a batch comes apart into what the other nodes take.
 * @module
 */
import { Effect } from "effect";
import {
  defineNode,
  list,
  type NodeKind,
  type NoParams,
  type PortType,
  Text,
} from "../pipeline/mod.ts";
import {
  ImageList,
  ImageSourceList,
  OptionalCounts,
  OptionalHistory,
  Sample,
  VideoClip,
} from "./ports.ts";
import type {
  Image,
  VideoClip as VideoClipValue,
  VideoSource,
} from "./values.ts";

/** No video or one. */
export const VideoClipList: PortType<
  "List<VideoClip>",
  readonly (VideoSource | VideoClipValue)[]
> = list(VideoClip);

/** The frames of several videos. */
export const FramesList: PortType<
  "List<List<Image>>",
  readonly (readonly Image[])[]
> = list(
  ImageList,
);

/**
 * Takes a sample apart; what it does not have comes out empty.
 *
 * ```ts
 * import { pipeline, run, sample, Sample } from "@tessera/sdk";
 * import { Effect } from "effect";
 * import assert from "node:assert/strict";
 *
 * const apart = pipeline("apart", (g) => {
 *   const parts = g.add(sample, { sample: g.input("sample", Sample) });
 *   return { question: parts.question, images: parts.images };
 * });
 * const { outputs } = await Effect.runPromise(
 *   run(apart, { sample: { question: "Hello!" } }),
 * );
 * assert.deepEqual(outputs, { question: "Hello!", images: [] });
 * ```
 */
export const sample: NodeKind<
  "sample",
  { readonly sample: typeof Sample },
  {
    readonly question: typeof Text;
    readonly history: typeof OptionalHistory;
    readonly images: typeof ImageSourceList;
    readonly videos: typeof VideoClipList;
    readonly numPatchesList: typeof OptionalCounts;
  },
  NoParams
> = defineNode({
  kind: "sample",
  description:
    "Takes one question of a batch apart: text, history, pictures, video.",
  inputs: { sample: Sample },
  outputs: {
    question: Text,
    history: OptionalHistory,
    images: ImageSourceList,
    videos: VideoClipList,
    numPatchesList: OptionalCounts,
  },
  run: ({ sample }) =>
    Effect.succeed({
      question: sample.question,
      history: sample.history,
      images: sample.images ?? [],
      videos: sample.video === undefined ? [] : [sample.video],
      numPatchesList: sample.numPatchesList,
    }),
});

/**
 * The frames of several videos in one list.
 *
 * ```ts
 * import { FramesList, joinFrames, pipeline, run } from "@tessera/sdk";
 * import { Effect } from "effect";
 * import assert from "node:assert/strict";
 *
 * const frame = { width: 1, height: 1, data: new Uint8Array(3) };
 * const flatten = pipeline("flatten", (g) =>
 *   g.add(joinFrames, { videos: g.input("videos", FramesList) }));
 * const { outputs } = await Effect.runPromise(
 *   run(flatten, { videos: [[frame, frame], [frame]] }),
 * );
 * assert.equal(outputs.frames.length, 3);
 * ```
 */
export const joinFrames: NodeKind<
  "join-frames",
  { readonly videos: typeof FramesList },
  { readonly frames: typeof ImageList },
  NoParams
> = defineNode({
  kind: "join-frames",
  description: "Puts the frames of several videos one behind the other.",
  inputs: { videos: FramesList },
  outputs: { frames: ImageList },
  run: ({ videos }) => Effect.succeed({ frames: videos.flat() }),
});
