/**
 * Ready-made pipelines for an API: `converse` answers messages of any shape, `complete` goes on with a text.
 * @module
 */
import { list, type Pipeline, pipeline } from "../pipeline/mod.ts";
import {
  Conversation,
  conversationTemplate,
  orderTokens,
} from "./conversation.ts";
import { decode } from "./decode.ts";
import { load } from "./load.ts";
import type { AnswerError, ImageServices, SettingsInput } from "./pipelines.ts";
import {
  type Completion,
  GenerationSettings,
  ImageSourceList,
  Prompt,
  VideoClip,
} from "./ports.ts";
import { joinFrames, type VideoClipList } from "./sample.ts";
import { see, tilingOf, watch } from "./see.ts";
import type { LanguageModel, VideoProcessor } from "./services.ts";
import type { TilingParams } from "./tile.ts";
import { videoSample } from "./video_sample.ts";

/** Messages with pictures, small pictures (one tile each) and videos. */
export type ConversePipeline = Pipeline<
  {
    readonly conversation: typeof Conversation;
    readonly images: typeof ImageSourceList;
    readonly small: typeof ImageSourceList;
    readonly videos: typeof VideoClipList;
    readonly settings: SettingsInput;
  },
  { readonly completion: typeof Completion; readonly prompt: typeof Prompt },
  AnswerError,
  ImageServices | VideoProcessor
>;

/** A prompt that is tokenized already. */
export type CompletePipeline = Pipeline<
  {
    readonly prompt: typeof Prompt;
    readonly settings: SettingsInput;
  },
  { readonly completion: typeof Completion },
  AnswerError,
  LanguageModel
>;

/**
 * `converse`: messages in any order, with pictures and videos where they stand.
 *
 * ```ts
 * import { conversePipeline, InternVL } from "@tessera/sdk";
 * import assert from "node:assert/strict";
 *
 * await using model = await InternVL.load("models/nano");
 * const { outputs } = await model.run(conversePipeline(), {
 *   conversation: {
 *     messages: [{
 *       role: "user",
 *       parts: [
 *         { text: "First " },
 *         { media: "images", index: 0 },
 *         { text: ", then " },
 *         { media: "small", index: 0 },
 *         { text: ". Which has more shapes?" },
 *       ],
 *     }],
 *   },
 *   images: ["examples/images/shapes.png"],
 *   small: ["examples/images/shapes.png"],
 *   videos: [],
 *   settings: { maxNewTokens: 8 },
 * });
 * assert.equal(outputs.prompt.images.length, 2);
 * assert.equal(outputs.prompt.images[1]?.tiles, 1);
 * ```
 */
export function conversePipeline(options: TilingParams = {}): ConversePipeline {
  return pipeline("converse", (g) => {
    const conversation = g.input("conversation", Conversation);
    const images = g.input("images", ImageSourceList);
    const small = g.input("small", ImageSourceList);
    const videos = g.input("videos", list(VideoClip));
    const settings = g.input("settings", GenerationSettings, { default: {} });
    const pictures = see(g, images, tilingOf(options));
    const { image } = g.each(load, { source: small }, undefined, {
      id: "load-small",
    });
    const glimpses = watch(g, image, {
      tile: "tile-small",
      encode: "vision-encode-small",
      project: "project-small",
    });
    const sampled = g.each(videoSample, { video: videos }, {});
    const { frames } = g.add(joinFrames, { videos: sampled.frames });
    const moving = watch(g, frames, {
      tile: "tile-frames",
      encode: "vision-encode-frames",
      project: "project-frames",
    });
    const { prompt, order } = g.add(conversationTemplate, {
      conversation,
      images: pictures.tiles,
      small: glimpses.tiles,
      videos: sampled.frames,
    });
    const { tokens } = g.add(orderTokens, {
      order,
      frames: moving.tokens,
      images: pictures.tokens,
      small: glimpses.tokens,
    });
    const { completion } = g.add(decode, { prompt, tokens, settings });
    return { completion, prompt };
  }, { description: "Answers messages with pictures and videos in them." });
}

/**
 * `complete`: goes on with a prompt of your own, without a template.
 *
 * ```ts
 * import { completePipeline, InternVL, TextTokenizer } from "@tessera/sdk";
 * import assert from "node:assert/strict";
 *
 * await using model = await InternVL.load("models/nano");
 * const text = "The circle is";
 * const { encode } = await model.effect(TextTokenizer);
 * const { outputs } = await model.run(completePipeline(), {
 *   prompt: {
 *     text,
 *     ids: encode(text, { bos: true }),
 *     images: [],
 *     question: text,
 *     continues: true,
 *   },
 *   settings: { maxNewTokens: 4 },
 * });
 * assert.ok(outputs.completion.ids.length <= 4);
 * ```
 */
export function completePipeline(): CompletePipeline {
  return pipeline("complete", (g) => {
    const prompt = g.input("prompt", Prompt);
    const settings = g.input("settings", GenerationSettings, { default: {} });
    return g.add(decode, { prompt, settings });
  }, { description: "Goes on with a text, without a template." });
}
