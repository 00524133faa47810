/**
 * The values that flow between the built-in nodes.
 * @module
 */
import type { HostTensor, Tensor } from "./tensor.ts";

/** A decoded picture: 8-bit RGB, row-major, no padding. */
export interface Image {
  /** Pixels across. */
  readonly width: number;
  /** Pixels down. */
  readonly height: number;
  /** `width · height · 3` bytes. */
  readonly data: Uint8Array<ArrayBuffer>;
  /** Where it came from, for messages and the run store. */
  readonly source?: string;
  /** A small picture of it for the run store, as a `data:` URL of a few KB. */
  readonly icon?: string;
}

/** The bytes of a picture's file that lies nowhere, such as an upload. */
export interface NamedPicture {
  /** What messages and the run store call it. */
  readonly name: string;
  /** The file's bytes. */
  readonly bytes: Uint8Array<ArrayBuffer>;
}

/** Whether a value is a picture's file with a name. */
export const isNamed = (value: unknown): value is NamedPicture =>
  typeof value === "object" && value !== null &&
  "name" in value && typeof value.name === "string" &&
  "bytes" in value && value.bytes instanceof Uint8Array;

/** A picture to load: a path, a `file:` URL, the file's bytes with or without a name, or decoded pixels. */
export type ImageSource =
  | string
  | URL
  | Uint8Array<ArrayBuffer>
  | NamedPicture
  | Image;

/** A video to sample: a path or a `file:` URL. */
export type VideoSource = string | URL;

/** A part of a video, with its own sampling. */
export interface VideoClip {
  /** The video. */
  readonly source: VideoSource;
  /** What messages and the run store call it, where its file's name says nothing; default: the source. */
  readonly name?: string;
  /** Number of segments; one frame from the middle of each. */
  readonly segments?: number;
  /** Start in seconds; default: the beginning. */
  readonly start?: number;
  /** End in seconds; default: the end. */
  readonly end?: number;
}

/** One independent question of a batch: text, pictures, a video, a history of its own. */
export interface Sample {
  /** The question. */
  readonly question: string;
  /** Pictures, in order. */
  readonly images?: readonly ImageSource[];
  /** A video, before the pictures. */
  readonly video?: VideoSource | VideoClip;
  /** Earlier rounds. */
  readonly history?: History;
  /** Tiles per `<image>`; default: see `arrangePrompt`. */
  readonly numPatchesList?: readonly number[];
}

/** Model-ready tiles of one picture, normalised, in the order the model sees them. */
export interface Tiles {
  /** float32 [n, 3, S, S]. */
  readonly pixels: HostTensor<"float32">;
  /** Tiles across and down, without the thumbnail; [0, 0] for a thumbnail alone. */
  readonly grid: readonly [columns: number, rows: number];
  /** Whether the last tile is the thumbnail. */
  readonly thumbnail: boolean;
}

/** Frames sampled from a video. */
export interface VideoFrames {
  /** The frames, in presentation order. */
  readonly frames: readonly Image[];
  /** Index of each frame in presentation order, from 0. */
  readonly indices: readonly number[];
  /** Frames per second of the stream. */
  readonly fps: number;
  /** Frames in the whole stream. */
  readonly frameCount: number;
}

/** One question and its answer; stored verbatim, `<image>` placeholders included. */
export type Turn = readonly [question: string, answer: string];

/** Earlier rounds, oldest first. */
export type History = readonly Turn[];

/** Which list of media a part of a message names; `small` are pictures seen as one tile. */
export type MediaGroup = "images" | "small" | "videos";

/** A part of a message. */
export type MessagePart =
  /** Words of the caller; control tokens of the template are refused in them. */
  | { readonly text: string }
  /** Markup of the template, whose control tokens count. */
  | { readonly markup: string }
  /** A picture, or the frames of a video. */
  | { readonly media: MediaGroup; readonly index: number };

/** One message. */
export interface Message {
  /** Who speaks; `environment` is a tool that answers. */
  readonly role: "system" | "user" | "assistant" | "environment";
  /** A name behind the role, such as `<|plugin|>`. */
  readonly name?: string;
  /** What is said. */
  readonly parts: readonly MessagePart[];
}

/** Messages to be answered. */
export interface Conversation {
  /** The messages, oldest first; without a system message in front the checkpoint's own is put there. */
  readonly messages: readonly Message[];
  /** Whether the answer goes on with the last message, which is the assistant's. Default false. */
  readonly continues?: boolean;
}

/** Where one picture's tokens stand in a prompt. */
export interface ImageSpan {
  /** Position of the first context token. */
  readonly start: number;
  /** Number of context tokens. */
  readonly length: number;
  /** Number of tiles. */
  readonly tiles: number;
}

/** A rendered and tokenized prompt. */
export interface Prompt {
  /** The rendered text, image placeholders replaced by `<img>` + context tokens + `</img>`. */
  readonly text: string;
  /** Token ids, BOS included. */
  readonly ids: Int32Array<ArrayBuffer>;
  /** One entry per picture (or per group of pictures, when combined). */
  readonly images: readonly ImageSpan[];
  /** The question as it is to be stored in the history (with the `<image>` that was put in front). */
  readonly question: string;
  /** Whether the answer goes on with this text: the white space at its ends then belongs to it. Default false. */
  readonly continues?: boolean;
}

/** Generation settings, with the names and the meaning of Hugging Face `generate`. */
export interface GenerationSettings {
  /** At most this many new tokens. Default 1024. */
  readonly maxNewTokens?: number;
  /** Sample instead of taking the most likely token. Default false. */
  readonly doSample?: boolean;
  /** Divides the logits; > 0. Default 1. */
  readonly temperature?: number;
  /** Keep the k most likely tokens; 0 keeps all. Default 50. */
  readonly topK?: number;
  /** Keep the smallest set with at least this probability mass; (0, 1]. Default 1. */
  readonly topP?: number;
  /** Drop tokens below this share of the most likely one's probability; [0, 1]. Default 0. */
  readonly minP?: number;
  /** Divides (positive) or multiplies (negative) logits of tokens already generated. Default 1. */
  readonly repetitionPenalty?: number;
  /** Taken off the logit of every token already generated; [-2, 2]. Default 0. */
  readonly presencePenalty?: number;
  /** Taken off a token's logit for each time it was generated; [-2, 2]. Default 0. */
  readonly frequencyPenalty?: number;
  /** Added to the logits of tokens, by their id; [-100, 100]. */
  readonly logitBias?: Readonly<Record<number, number>>;
  /** No end token before this many tokens. Default 0. */
  readonly minNewTokens?: number;
  /**
   * Report the probability of every generated token, and this many of the most likely ones at its place;
   * 0 to 20. They are the model's own (log-softmax of its logits), before any setting changes them.
   * Default: no report.
   */
  readonly logprobs?: number;
  /** Makes sampling repeatable. Default: random. */
  readonly seed?: number;
  /**
   * Answers, 1 to 128. Default 1. With `doSample` each has a seed of its own (`seed`, `seed + 1`, …), with
   * `numBeams` they are the best of the search; the others are `Completion.alternatives`. Only the first
   * one streams.
   */
  readonly n?: number;
  /** Beams of a beam search, 1 to 64; 1 is none. Not with `doSample`. Nothing streams. Default 1. */
  readonly numBeams?: number;
  /** A beam's sum of log-probabilities is divided by its length to this power. Default 1. */
  readonly lengthPenalty?: number;
  /**
   * When a beam search is over: as soon as there are `numBeams` answers (`true`), when a better one is
   * unlikely (`false`, the default), or when there can be none (`"never"`).
   */
  readonly earlyStopping?: boolean | "never";
  /** The answer ends before the first of these strings. */
  readonly stop?: readonly string[];
  /** Leave special tokens out of the text, such as the marks of boxes and of tool calls. Default true. */
  readonly skipSpecialTokens?: boolean;
  /** What the answer must be; not together with `stop`. */
  readonly constraint?: OutputConstraint;
}

/**
 * What an answer must be, token by token. One that ends with `finishReason` `"stop"` is whole and valid;
 * one cut at the token limit is the beginning of such an answer.
 *
 * ```ts
 * import { InternVL } from "@tessera/sdk";
 * import assert from "node:assert/strict";
 *
 * await using model = await InternVL.load("models/nano");
 * const { response } = await model.chat({
 *   images: ["examples/images/shapes.png"],
 *   question: "Which colours are in the picture?",
 *   generation: {
 *     constraint: {
 *       type: "json_schema",
 *       schema: {
 *         type: "object",
 *         properties: {
 *           left: { enum: ["red", "green", "blue"] },
 *           right: { enum: ["red", "green", "blue"] },
 *         },
 *         required: ["left", "right"],
 *       },
 *     },
 *   },
 * });
 * assert.deepEqual(Object.keys(JSON.parse(response)), ["left", "right"]);
 * ```
 */
export type OutputConstraint =
  | {
    /** JSON that is valid under a schema. */
    readonly type: "json_schema";
    /** The schema (2020-12, drafts 6 and 7 as far as they agree); keywords not offered are refused. */
    readonly schema: unknown;
  }
  | {
    /** Any JSON object. */
    readonly type: "json_object";
  }
  | {
    /** A text that matches a regular expression as a whole. */
    readonly type: "regex";
    /** In JavaScript's syntax, flag `u`; without look-around and back references. */
    readonly pattern: string;
  }
  | {
    /** One of some texts. */
    readonly type: "choice";
    /** The texts. */
    readonly choices: readonly string[];
  };

/** Token counts of one answer. */
export interface Usage {
  /** All tokens of the prompt, image tokens included. */
  readonly promptTokens: number;
  /** Image context tokens of the prompt. */
  readonly imageTokens: number;
  /** Generated tokens, the end token included. */
  readonly completionTokens: number;
  /** Prompt tokens whose keys and values were there from an earlier computation. */
  readonly cachedTokens?: number;
}

/** A token that might have been chosen. */
export interface TokenAlternative {
  /** Its id. */
  readonly id: number;
  /** Its text; not whole characters where `bytes` are not. */
  readonly text: string;
  /** Its bytes, which may be a part of a character. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Natural logarithm of its probability. */
  readonly logprob: number;
}

/** A chosen token with its probability. */
export interface TokenLogprob extends TokenAlternative {
  /** The most likely tokens at that place, the likeliest first; as many as were asked for. */
  readonly top: readonly TokenAlternative[];
}

/** Where the time of one answer went, in milliseconds. */
export interface CompletionTimings {
  /** From the request to the first work on it. */
  readonly queueMs: number;
  /** From there to the end of the prompt's computation. */
  readonly prefillMs: number;
  /** From there to the last token. */
  readonly decodeMs: number;
  /** From the request to the first token. */
  readonly firstTokenMs: number;
}

/** Why generation ended: an end token or stop string, or the token limit. */
export type FinishReason = "stop" | "length";

/** A finished answer. */
export interface Completion {
  /** The answer, trimmed, without special tokens. */
  readonly text: string;
  /** Generated token ids, the end token included. */
  readonly ids: Int32Array<ArrayBuffer>;
  /** Why it ended. */
  readonly finishReason: FinishReason;
  /** Token counts. */
  readonly usage: Usage;
  /** float32 [vocabulary]: logits from which the first token was chosen. */
  readonly firstLogits: HostTensor<"float32">;
  /** Probabilities of the generated tokens, where the settings ask for them; as many as `ids`. */
  readonly logprobs?: readonly TokenLogprob[];
  /** Where the time went. */
  readonly timings?: CompletionTimings;
  /** The other answers, where the settings ask for several. */
  readonly alternatives?: readonly Completion[];
}

/** The vision encoder's last hidden state, class token included: [n, 1 + g², Dv]. */
export type PatchFeatures = Tensor;

/** Visual tokens in the language model's space: [n, tokens per tile, Dl]. */
export type VisualTokens = Tensor;
