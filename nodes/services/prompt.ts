/**
 * Prompts and tokens as services.
 * @module
 */
import { Context, type Effect } from "effect";
import type { PromptError } from "../errors.ts";
import type { Conversation, History, MediaGroup, Prompt } from "../values.ts";

/** What a prompt is made of. */
export interface PromptRequest {
  /** The question, with or without `<image>` placeholders. */
  readonly question: string;
  /** Earlier rounds; `undefined` for a first round (it decides whether `<image>` is put in front). */
  readonly history?: History;
  /** Tiles per `<image>`, in order; empty for text only. */
  readonly numPatchesList: readonly number[];
  /** Overrides the template's system message. */
  readonly systemMessage?: string;
}

/** What a conversation is rendered from. */
export interface ConversationRequest {
  /** The messages. */
  readonly conversation: Conversation;
  /** By group and place: tiles of each picture, of each frame where it is a video. */
  readonly tiles: Readonly<Record<MediaGroup, readonly (readonly number[])[]>>;
}

/** Renders and tokenizes prompts by the model's template. */
export interface PromptRenderer {
  /** Rules 1 to 4 of the reference's `chat()`, with typed errors where it fails later or silently. */
  readonly render: (
    request: PromptRequest,
  ) => Effect.Effect<Prompt, PromptError>;
  /** Messages in any order. Words of the caller may hold no control token of the template. */
  readonly converse: (
    request: ConversationRequest,
  ) => Effect.Effect<Prompt, PromptError>;
}

/**
 * The prompt renderer as a service.
 *
 * ```ts
 * import { InternVL, PromptRenderer } from "@tessera/sdk";
 * import { Effect } from "effect";
 * import assert from "node:assert/strict";
 *
 * await using model = await InternVL.load("models/nano");
 * const prompt = await model.effect(Effect.gen(function* () {
 *   const renderer = yield* PromptRenderer;
 *   return yield* renderer.render({ question: "What is it?", numPatchesList: [3] });
 * }));
 * assert.equal(prompt.question, "<image>\nWhat is it?");
 * assert.equal(prompt.images[0]?.length, 3 * model.info.tokensPerTile);
 * ```
 */
export const PromptRenderer: Context.Service<PromptRenderer, PromptRenderer> =
  Context.Service<
    PromptRenderer
  >("tessera/PromptRenderer");

/** Text to token ids and back. */
export interface TextTokenizer {
  /** One more than the highest id. */
  readonly vocabSize: number;
  /** Ids of a text; special tokens in it become their ids. `bos` puts the beginning in front. */
  readonly encode: (
    text: string,
    options?: { readonly bos?: boolean },
  ) => Int32Array<ArrayBuffer>;
  /** Text of ids; special tokens are left out unless `special`. */
  readonly decode: (
    ids: Iterable<number>,
    options?: { readonly special?: boolean },
  ) => string;
  /** Text of one token as the vocabulary has it. */
  readonly tokenOf: (id: number) => string | undefined;
}

/**
 * The model's tokenizer as a service.
 *
 * ```ts
 * import { InternVL, TextTokenizer } from "@tessera/sdk";
 * import assert from "node:assert/strict";
 *
 * await using model = await InternVL.load("models/nano");
 * const tokenizer = await model.effect(TextTokenizer);
 * const ids = tokenizer.encode("a red circle");
 * assert.equal(tokenizer.decode(ids), "a red circle");
 * ```
 */
export const TextTokenizer: Context.Service<TextTokenizer, TextTokenizer> =
  Context.Service<
    TextTokenizer
  >("tessera/TextTokenizer");
