/**
 * The built-in nodes, their ports and services, and the ready-made pipelines.
 * @module
 */
import { definePlugin, type Plugin } from "../pipeline/mod.ts";
import { conversationTemplate, orderTokens } from "./conversation.ts";
import { completePipeline, conversePipeline } from "./converse.ts";
import { decode } from "./decode.ts";
import { joinTiles } from "./join_tiles.ts";
import { joinTokens } from "./join_tokens.ts";
import { load } from "./load.ts";
import {
  type AnswerError,
  answerPipeline,
  batchChatPipeline,
  chatPipeline,
  type ImageServices,
  videoChatPipeline,
} from "./pipelines.ts";
import { project } from "./project.ts";
import { promptTemplate } from "./prompt_template.ts";
import { joinFrames, sample } from "./sample.ts";
import type { VideoProcessor } from "./services.ts";
import { thumbnail } from "./thumbnail.ts";
import { tile } from "./tile.ts";
import { videoSample } from "./video_sample.ts";
import { visionEncode } from "./vision_encode.ts";

export { Conversation, PlaceList } from "./conversation.ts";
export * from "./converse.ts";
export * from "./errors.ts";
export * from "./pipelines.ts";
export * from "./ports.ts";
export {
  arrangePrompt,
  imagePlaceholder,
  type PromptParts,
  PromptTemplateParams,
} from "./prompt_template.ts";
export { FramesList, VideoClipList } from "./sample.ts";
export * from "./services.ts";
export * from "./tensor.ts";
export { TilingParams } from "./tile.ts";
// A port and its value share one name; the value's fields are documented under a second one.
export type {
  Completion as CompletionValue,
  CompletionTimings,
  Conversation as ConversationValue,
  FinishReason,
  GenerationSettings as GenerationSettingsValue,
  History as HistoryValue,
  Image as ImageValue,
  ImageSource as ImageSourceValue,
  ImageSpan,
  MediaGroup,
  Message,
  MessagePart,
  NamedPicture,
  OutputConstraint,
  PatchFeatures as PatchFeaturesValue,
  Prompt as PromptValue,
  Sample as SampleValue,
  Tiles as TilesValue,
  TokenAlternative,
  TokenLogprob as TokenLogprobValue,
  Turn,
  Usage,
  VideoClip as VideoClipValue,
  VideoFrames,
  VideoSource,
  VisualTokens as VisualTokensValue,
} from "./values.ts";
export { defaultSegments, VideoSampleParams } from "./video_sample.ts";
export {
  conversationTemplate,
  decode,
  joinFrames,
  joinTiles,
  joinTokens,
  load,
  orderTokens,
  project,
  promptTemplate,
  sample,
  thumbnail,
  tile,
  videoSample,
  visionEncode,
};

/**
 * The built-in plugin: every node kind and ready-made pipeline of this folder.
 *
 * ```ts
 * import { builtin, makeRegistry } from "@tessera/sdk";
 * import assert from "node:assert/strict";
 *
 * const registry = makeRegistry([builtin]);
 * assert.equal(registry.kind("tile")?.description.slice(0, 14), "Cuts a picture");
 * assert.equal(registry.port("List<Image>")?.name, "List<Image>");
 * ```
 */
export const builtin: Plugin<AnswerError, ImageServices | VideoProcessor> =
  definePlugin({
    name: "tessera",
    description: "The built-in nodes and pipelines.",
    nodes: [
      load,
      tile,
      thumbnail,
      joinTiles,
      videoSample,
      joinFrames,
      sample,
      visionEncode,
      project,
      joinTokens,
      promptTemplate,
      conversationTemplate,
      orderTokens,
      decode,
    ],
    pipelines: [
      chatPipeline(),
      videoChatPipeline(),
      answerPipeline(),
      batchChatPipeline(),
      conversePipeline(),
      completePipeline(),
    ],
  });
