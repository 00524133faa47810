/**
 * Ready-made pipelines of the built-in nodes: `chat`, `video-chat`, `answer` (pictures and a video
 * together) and `batch-chat`.
 * @module
 */
import {
  type CapacityError,
  list,
  type Omittable,
  type Pipeline,
  pipeline,
  type PortType,
  Text,
} from "../pipeline/mod.ts";
import { decode } from "./decode.ts";
import type { BackendError, MediaError, PromptError } from "./errors.ts";
import { joinTokens } from "./join_tokens.ts";
import {
  type Completion,
  GenerationSettings,
  ImageSourceList,
  OptionalCounts,
  OptionalHistory,
  type Prompt,
  Sample,
  VideoClip,
} from "./ports.ts";
import { promptTemplate } from "./prompt_template.ts";
import { joinFrames, sample } from "./sample.ts";
import type {
  ImageProcessor,
  LanguageModel,
  ModelInfo,
  Projector,
  PromptRenderer,
  VideoProcessor,
  VisionEncoder,
} from "./services.ts";
import type { TilingParams } from "./tile.ts";
import { see, tilingOf, watch } from "./see.ts";
import type {
  Completion as CompletionValue,
  GenerationSettings as GenerationSettingsValue,
  Prompt as PromptValue,
  Sample as SampleValue,
} from "./values.ts";
import { videoSample, type VideoSampleParams } from "./video_sample.ts";

/** What every ready-made pipeline can be told when it is made. */
export interface ChatPipelineOptions extends TilingParams {
  /** Overrides the checkpoint's system message. */
  readonly systemMessage?: string;
}

/** What a pipeline with a video can be told when it is made. */
export interface VideoPipelineOptions extends ChatPipelineOptions {
  /** Sampling where the clip itself does not say. */
  readonly video?: VideoSampleParams;
}

/** What goes wrong in a pipeline that answers. */
export type AnswerError =
  | MediaError
  | PromptError
  | CapacityError
  | BackendError;

/** What a pipeline that answers about pictures asks for. */
export type ImageServices =
  | ImageProcessor
  | ModelInfo
  | VisionEncoder
  | Projector
  | PromptRenderer
  | LanguageModel;

/** The `settings` input: may be left out. */
export type SettingsInput = Omittable<
  PortType<"GenerationSettings", GenerationSettingsValue>
>;

/** Pictures and a question. */
export type ChatPipeline = Pipeline<
  {
    readonly images: Omittable<typeof ImageSourceList>;
    readonly question: typeof Text;
    readonly history: typeof OptionalHistory;
    readonly numPatchesList: typeof OptionalCounts;
    readonly settings: SettingsInput;
  },
  { readonly completion: typeof Completion; readonly prompt: typeof Prompt },
  AnswerError,
  ImageServices
>;

/** A video and a question. */
export type VideoChatPipeline = Pipeline<
  {
    readonly video: typeof VideoClip;
    readonly question: typeof Text;
    readonly history: typeof OptionalHistory;
    readonly settings: SettingsInput;
  },
  { readonly completion: typeof Completion; readonly prompt: typeof Prompt },
  AnswerError,
  ImageServices | VideoProcessor
>;

/** One {@link SampleValue}: pictures, a video, a history, a question. */
export type AnswerPipeline = Pipeline<
  { readonly sample: typeof Sample; readonly settings: SettingsInput },
  { readonly completion: typeof Completion; readonly prompt: typeof Prompt },
  AnswerError,
  ImageServices | VideoProcessor
>;

/** Several independent samples. */
export type BatchChatPipeline = Pipeline<
  {
    readonly samples: PortType<"List<Sample>", readonly SampleValue[]>;
    readonly settings: SettingsInput;
  },
  {
    readonly completions: PortType<
      "List<Completion>",
      readonly CompletionValue[]
    >;
    readonly prompts: PortType<"List<Prompt>", readonly PromptValue[]>;
  },
  AnswerError,
  ImageServices | VideoProcessor
>;

const templateOf = ({ systemMessage }: ChatPipelineOptions) =>
  systemMessage === undefined ? {} : { systemMessage };

/**
 * `chat`: any number of pictures (none for text only), a question, a history.
 *
 * ```ts
 * import { chatPipeline, InternVL } from "@tessera/sdk";
 * import assert from "node:assert/strict";
 *
 * await using model = await InternVL.load("models/nano");
 * const { outputs } = await model.run(chatPipeline({ maxTiles: 4 }), {
 *   images: ["examples/images/shapes.png"],
 *   question: "What is in the picture?",
 *   settings: { maxNewTokens: 8 },
 * });
 * assert.ok(outputs.completion.usage.imageTokens > 0);
 * ```
 */
export function chatPipeline(options: ChatPipelineOptions = {}): ChatPipeline {
  return pipeline("chat", (g) => {
    const images = g.input("images", ImageSourceList, { default: [] });
    const question = g.input("question", Text);
    const history = g.input("history", OptionalHistory);
    const numPatchesList = g.input("numPatchesList", OptionalCounts);
    const settings = g.input("settings", GenerationSettings, { default: {} });
    const { tiles, tokens } = see(g, images, tilingOf(options));
    const { prompt } = g.add(promptTemplate, {
      question,
      history,
      numPatchesList,
      images: tiles,
    }, templateOf(options));
    const { completion } = g.add(decode, { prompt, tokens, settings });
    return { completion, prompt };
  }, { description: "Asks about pictures, or without any." });
}

/**
 * `video-chat`: a video, a question, a history.
 *
 * ```ts
 * import { InternVL, videoChatPipeline } from "@tessera/sdk";
 * import assert from "node:assert/strict";
 *
 * await using model = await InternVL.load("models/nano");
 * const { outputs } = await model.run(
 *   videoChatPipeline({ video: { segments: 4 } }),
 *   {
 *     video: "examples/videos/moving.mp4",
 *     question: "Which way does it move?",
 *     settings: { maxNewTokens: 8 },
 *   },
 * );
 * assert.equal(outputs.prompt.images.length, 4);
 * ```
 */
export function videoChatPipeline(
  options: VideoPipelineOptions = {},
): VideoChatPipeline {
  return pipeline("video-chat", (g) => {
    const video = g.input("video", VideoClip);
    const question = g.input("question", Text);
    const history = g.input("history", OptionalHistory);
    const settings = g.input("settings", GenerationSettings, { default: {} });
    const { frames } = g.add(videoSample, { video }, options.video ?? {});
    const { tiles, tokens } = watch(g, frames);
    const { prompt } = g.add(promptTemplate, {
      question,
      history,
      frames: tiles,
    }, templateOf(options));
    const { completion } = g.add(decode, { prompt, tokens, settings });
    return { completion, prompt };
  }, { description: "Asks about a video." });
}

/**
 * `answer`: one sample, whatever it holds.
 *
 * ```ts
 * import { answerPipeline, InternVL } from "@tessera/sdk";
 * import assert from "node:assert/strict";
 *
 * await using model = await InternVL.load("models/nano");
 * const { outputs } = await model.run(answerPipeline(), {
 *   sample: {
 *     question: "Is it in the video?",
 *     images: ["examples/images/shapes.png"],
 *     video: { source: "examples/videos/moving.mp4", segments: 2 },
 *   },
 *   settings: { maxNewTokens: 8 },
 * });
 * assert.equal(outputs.prompt.images.length, 3);
 * ```
 */
export function answerPipeline(
  options: VideoPipelineOptions = {},
): AnswerPipeline {
  return pipeline("answer", (g) => {
    const parts = g.add(sample, { sample: g.input("sample", Sample) });
    const settings = g.input("settings", GenerationSettings, { default: {} });
    const videos = g.each(
      videoSample,
      { video: parts.videos },
      options.video ?? {},
    );
    const { frames } = g.add(joinFrames, { videos: videos.frames });
    const pictures = see(g, parts.images, tilingOf(options));
    const moving = watch(g, frames, {
      tile: "tile-frames",
      encode: "vision-encode-frames",
      project: "project-frames",
    });
    const { prompt } = g.add(promptTemplate, {
      question: parts.question,
      history: parts.history,
      numPatchesList: parts.numPatchesList,
      images: pictures.tiles,
      frames: moving.tiles,
    }, templateOf(options));
    const { tokens } = g.add(joinTokens, {
      frames: moving.tokens,
      images: pictures.tokens,
    });
    const { completion } = g.add(decode, { prompt, tokens, settings });
    return { completion, prompt };
  }, {
    description: "Asks about a sample: pictures, a video, both or neither.",
  });
}

/**
 * `batch-chat`: the `answer` pipeline over independent samples; their stages overlap.
 *
 * ```ts
 * import { batchChatPipeline, InternVL } from "@tessera/sdk";
 * import assert from "node:assert/strict";
 *
 * await using model = await InternVL.load("models/nano");
 * const { outputs } = await model.run(batchChatPipeline(), {
 *   samples: [{ question: "Hello!" }, { question: "Who are you?" }],
 *   settings: { maxNewTokens: 8 },
 * });
 * assert.equal(outputs.completions.length, 2);
 * ```
 */
export function batchChatPipeline(
  options: VideoPipelineOptions = {},
): BatchChatPipeline {
  const answer = answerPipeline(options);
  return pipeline("batch-chat", (g) => {
    const samples = g.input("samples", list(Sample));
    const settings = g.input("settings", GenerationSettings, { default: {} });
    const { completion, prompt } = g.each(answer, {
      sample: samples,
      settings,
    });
    return { completions: completion, prompts: prompt };
  }, { description: "Asks about independent samples." });
}
