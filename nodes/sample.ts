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

/** Takes a sample apart; what it does not have comes out empty. */
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

/** The frames of several videos in one list. */
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
