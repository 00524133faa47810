/**
 * Conversations of any shape: roles in any order, pictures and videos where they stand in a message, tools.
 * The `chat` pipelines take a question and a history, as the reference does; this is what an API's
 * messages need.
 * @module
 */
import { Effect, Schema } from "effect";
import { cutText } from "../pipeline/json.ts";
import {
  type CapacityError,
  defineNode,
  definePort,
  list,
  type NodeKind,
  type NoParams,
  Num,
  type Omittable,
  optional,
  type PortType,
} from "../pipeline/mod.ts";
import { promptTooLong } from "./context.ts";
import { PromptError } from "./errors.ts";
import { shownEach } from "./limits.ts";
import { OptionalTilesList, Prompt, VisualTokensList } from "./ports.ts";
import { FramesList } from "./sample.ts";
import { ModelInfo, PromptRenderer } from "./services.ts";
import type {
  Conversation as ConversationValue,
  Image as ImageValue,
  MediaGroup,
  MessagePart,
  Tiles as TilesValue,
  VisualTokens as VisualTokensValue,
} from "./values.ts";

/** Messages to be answered. */
export type Conversation = ConversationValue;

const groups = ["images", "small", "videos"] as const;

const PartSchema = Schema.Union([
  Schema.Struct({ text: Schema.String }),
  Schema.Struct({ markup: Schema.String }),
  Schema.Struct({
    media: Schema.Literals(groups),
    index: Schema.Int,
  }),
]);

/**
 * Messages to be answered; pictures and videos are named by their place in the pipeline's inputs.
 *
 * ```ts
 * import { Conversation } from "@tessera/sdk";
 * import { Schema } from "effect";
 * import assert from "node:assert/strict";
 *
 * const decode = Schema.decodeUnknownSync(Conversation.schema!);
 * const asked = decode({
 *   messages: [{
 *     role: "user",
 *     parts: [{ media: "images", index: 0 }, { text: "\nWhat is it?" }],
 *   }],
 * });
 * assert.equal(asked.messages[0]?.parts.length, 2);
 * ```
 */
export const Conversation: PortType<"Conversation", ConversationValue> =
  definePort({
    name: "Conversation",
    schema: Schema.Struct({
      messages: Schema.Array(Schema.Struct({
        role: Schema.Literals(["system", "user", "assistant", "environment"]),
        name: Schema.optionalKey(Schema.String),
        parts: Schema.Array(PartSchema),
      })),
      continues: Schema.optionalKey(Schema.Boolean),
    }) as Schema.Codec<ConversationValue, unknown>,
    preview: ({ messages }: ConversationValue) => {
      const most = shownEach(messages.length);
      return {
        messages: messages.map(({ role, parts }) => ({
          role,
          text: cutText(parts.map(shown).join(""), most),
        })),
      };
    },
  });

const shown = (part: MessagePart): string =>
  "media" in part
    ? `<${part.media}[${part.index}]>`
    : "text" in part
    ? part.text
    : part.markup;

const OptionalFramesList: Omittable<
  PortType<
    "Optional<List<List<Image>>>",
    readonly (readonly ImageValue[])[] | undefined
  >
> = optional(FramesList);

/** Places in a list. */
export const PlaceList: PortType<"List<Num>", readonly number[]> = list(Num);

/**
 * Renders a conversation by the checkpoint's template and tokenizes it. `order` says which visual tokens
 * come first: places in the list of all frames, then all pictures, then all small pictures. Fails with
 * `PromptError` for an empty conversation, a picture that is not there, and a control token in a text, and
 * with `CapacityError` for a prompt that the model's context does not hold.
 *
 * ```ts
 * import { Conversation, conversationTemplate, InternVL, pipeline } from "@tessera/sdk";
 * import assert from "node:assert/strict";
 *
 * await using model = await InternVL.load("models/nano");
 * const render = pipeline("render", (g) =>
 *   g.add(conversationTemplate, {
 *     conversation: g.input("conversation", Conversation),
 *   }));
 * const { outputs } = await model.run(render, {
 *   conversation: { messages: [{ role: "user", parts: [{ text: "Hello!" }] }] },
 * });
 * assert.match(outputs.prompt.text, /Hello!/);
 * ```
 */
export const conversationTemplate: NodeKind<
  "conversation-template",
  {
    readonly conversation: typeof Conversation;
    readonly images: typeof OptionalTilesList;
    readonly small: typeof OptionalTilesList;
    readonly videos: typeof OptionalFramesList;
  },
  { readonly prompt: typeof Prompt; readonly order: typeof PlaceList },
  NoParams,
  NoParams,
  PromptError | CapacityError,
  PromptRenderer | ModelInfo
> = defineNode({
  kind: "conversation-template",
  version: 1,
  description:
    "Renders messages with their pictures and videos by the checkpoint's template; tokenizes.",
  inputs: {
    conversation: Conversation,
    images: OptionalTilesList,
    small: OptionalTilesList,
    videos: OptionalFramesList,
  },
  outputs: { prompt: Prompt, order: PlaceList },
  lane: "cpu",
  memoize: false,
  identity: Effect.map(ModelInfo, (info) => info.digest),
  run: ({ conversation, images = [], small = [], videos = [] }) =>
    Effect.gen(function* () {
      const renderer = yield* PromptRenderer;
      const tiles = (set: TilesValue) => set.pixels.shape[0];
      // A frame is one tile.
      const tilesOf: Record<MediaGroup, readonly (readonly number[])[]> = {
        images: images.map((set) => [tiles(set)]),
        small: small.map((set) => [tiles(set)]),
        videos: videos.map((frames) => frames.map(() => 1)),
      };
      const places = placesOf(tilesOf);
      const order: number[] = [];
      for (const { parts } of conversation.messages) {
        for (const part of parts) {
          if (!("media" in part)) continue;
          const place = places[part.media][part.index];
          if (place === undefined) {
            return yield* new PromptError({
              message: `a message names ${part.media}[${part.index}], but ${
                places[part.media].length
              } are given`,
            });
          }
          order.push(...place);
        }
      }
      const prompt = yield* renderer.converse({ conversation, tiles: tilesOf });
      const { contextLength } = yield* ModelInfo;
      const tooLong = promptTooLong(prompt.ids.length, contextLength);
      if (tooLong !== undefined) return yield* tooLong;
      return { prompt, order };
    }),
});

/** Where the tokens of each picture and video stand: frames first, then pictures, then small pictures. */
function placesOf(
  tiles: Record<MediaGroup, readonly (readonly number[])[]>,
): Record<MediaGroup, readonly (readonly number[])[]> {
  let next = 0;
  const place = (group: MediaGroup) =>
    tiles[group].map((pictures) => pictures.map(() => next++));
  const videos = place("videos");
  return { videos, images: place("images"), small: place("small") };
}

/**
 * Puts visual tokens in the order in which a prompt needs them.
 *
 * ```ts
 * import {
 *   hostTensor,
 *   orderTokens,
 *   pipeline,
 *   PlaceList,
 *   run,
 *   VisualTokensList,
 * } from "@tessera/sdk";
 * import { Effect } from "effect";
 * import assert from "node:assert/strict";
 *
 * const one = hostTensor("float32", [1, 1, 1], Float32Array.of(1));
 * const two = hostTensor("float32", [1, 1, 1], Float32Array.of(2));
 * const arrange = pipeline("arrange", (g) =>
 *   g.add(orderTokens, {
 *     order: g.input("order", PlaceList),
 *     frames: g.input("frames", VisualTokensList),
 *     images: g.input("images", VisualTokensList),
 *     small: g.input("small", VisualTokensList),
 *   }));
 * const { outputs } = await Effect.runPromise(
 *   run(arrange, { order: [1, 0], frames: [one], images: [two], small: [] }),
 * );
 * assert.deepEqual(outputs.tokens, [two, one]);
 * ```
 */
export const orderTokens: NodeKind<
  "order-tokens",
  {
    readonly order: typeof PlaceList;
    readonly frames: typeof VisualTokensList;
    readonly images: typeof VisualTokensList;
    readonly small: typeof VisualTokensList;
  },
  { readonly tokens: typeof VisualTokensList },
  NoParams
> = defineNode({
  kind: "order-tokens",
  version: 1,
  description: "Visual tokens in the order of their places in the prompt.",
  inputs: {
    order: PlaceList,
    frames: VisualTokensList,
    images: VisualTokensList,
    small: VisualTokensList,
  },
  outputs: { tokens: VisualTokensList },
  memoize: false,
  run: ({ order, frames, images, small }) => {
    const all: readonly VisualTokensValue[] = [...frames, ...images, ...small];
    return Effect.succeed({ tokens: order.map((place) => all[place]!) });
  },
});
