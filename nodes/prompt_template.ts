/**
 * `prompt-template`: question, history and tile counts become token ids.
 * @module
 */
import { Effect, Schema } from "effect";
import {
  type CapacityError,
  defineNode,
  type NodeKind,
  Text,
} from "../pipeline/mod.ts";
import { promptTooLong } from "./context.ts";
import { PromptError } from "./errors.ts";
import {
  OptionalCounts,
  OptionalHistory,
  OptionalTilesList,
  Prompt,
} from "./ports.ts";
import { ModelInfo, PromptRenderer, type PromptRequest } from "./services.ts";
import type { History as HistoryValue, Tiles as TilesValue } from "./values.ts";

/** The placeholder that stands for a picture (or a group of pictures) in a question. */
export const imagePlaceholder = "<image>";

/** Parameters of `prompt-template`. */
export interface PromptTemplateParams {
  /** Overrides the checkpoint's system message. */
  readonly systemMessage?: string;
}

/** Schema of {@link PromptTemplateParams}. */
export const PromptTemplateParams: Schema.Codec<PromptTemplateParams> = Schema
  .Struct({
    systemMessage: Schema.optionalKey(Schema.String),
  });

/** What a prompt is arranged from. */
export interface PromptParts {
  /** The question as asked. */
  readonly question: string;
  /** Earlier rounds; `undefined` in a first round. */
  readonly history: HistoryValue | undefined;
  /** Tiles of each picture. */
  readonly images: readonly number[];
  /** Tiles of each video frame. */
  readonly frames: readonly number[];
  /** The caller's `num_patches_list` for the pictures. */
  readonly numPatchesList: readonly number[] | undefined;
}

/**
 * Arranges frames and pictures for the template, in this order. Frames are announced by the model
 * card's `Frame{k}: <image>` lines in a first round, one placeholder each. Pictures are one group behind one
 * placeholder (*combined*, the reference's default), or one placeholder each (*separate*) when the
 * text has as many placeholders as pictures; `numPatchesList` decides when it is given.
 *
 * ```ts
 * import { arrangePrompt, PromptError } from "@tessera/sdk";
 * import assert from "node:assert/strict";
 *
 * const parts = {
 *   history: undefined,
 *   images: [7, 5],
 *   frames: [],
 *   numPatchesList: undefined,
 * };
 * const combined = arrangePrompt({ ...parts, question: "What differs?" });
 * const separate = arrangePrompt({
 *   ...parts,
 *   question: "Image-1: <image>\nImage-2: <image>\nWhat differs?",
 * });
 * assert.ok(!(combined instanceof PromptError));
 * assert.ok(!(separate instanceof PromptError));
 * assert.deepEqual(combined.numPatchesList, [12]);
 * assert.deepEqual(separate.numPatchesList, [7, 5]);
 * ```
 */
export function arrangePrompt(parts: PromptParts): PromptRequest | PromptError {
  const { history, images, frames, numPatchesList } = parts;
  const announced = history === undefined
    ? frames.map((_, k) => `Frame${k + 1}: ${imagePlaceholder}\n`).join("")
    : "";
  const question = announced + parts.question;
  const sum = images.reduce((total, count) => total + count, 0);
  if (numPatchesList !== undefined) {
    const listed = numPatchesList.reduce((total, count) => total + count, 0);
    if (listed !== sum) {
      return new PromptError({
        message:
          `numPatchesList [${
            numPatchesList.join(", ")
          }] adds up to ${listed} tiles, ` +
          `the pictures have ${sum} ([${images.join(", ")}])`,
      });
    }
    return {
      question,
      history,
      numPatchesList: [...frames, ...numPatchesList],
    };
  }
  const rendered = [...(history ?? []).flat(), question].join("\n");
  const placeholders = rendered.split(imagePlaceholder).length - 1 -
    frames.length;
  // The template would refuse it, but in terms of a list that the caller never gave.
  if (placeholders > 1 && images.length > 0 && placeholders !== images.length) {
    return new PromptError({
      message:
        `the prompt has ${placeholders} ${imagePlaceholder} placeholders but ${images.length} ${
          images.length === 1 ? "picture is" : "pictures are"
        } given; write one for each picture or one for all, history included, or say in numPatchesList ` +
        "how many tiles each stands for",
    });
  }
  const combined = images.length < 2 || placeholders !== images.length;
  // The reference puts `<image>` in front only where a question has none at all; here the frames have.
  const bare = history === undefined && images.length > 0 &&
    frames.length > 0 && placeholders === 0;
  return {
    question: bare
      ? `${announced}${imagePlaceholder}\n${parts.question}`
      : question,
    history,
    numPatchesList: [
      ...frames,
      ...(images.length > 0 && combined ? [sum] : images),
    ],
  };
}

/**
 * Renders the checkpoint's template and tokenizes it; image context tokens stand where pictures go. Fails
 * with `PromptError` for an empty question and for placeholders that do not match the pictures, and with
 * `CapacityError` for a prompt that the model's context does not hold.
 *
 * ```ts
 * import { InternVL, pipeline, promptTemplate, Text } from "@tessera/sdk";
 * import assert from "node:assert/strict";
 *
 * await using model = await InternVL.load("models/nano");
 * const render = pipeline("render", (g) =>
 *   g.add(promptTemplate, {
 *     question: g.input("question", Text),
 *   }));
 * const { outputs } = await model.run(render, { question: "Hello!" });
 * assert.match(outputs.prompt.text, /Hello!/);
 * ```
 */
export const promptTemplate: NodeKind<
  "prompt-template",
  {
    readonly question: typeof Text;
    readonly history: typeof OptionalHistory;
    readonly images: typeof OptionalTilesList;
    readonly frames: typeof OptionalTilesList;
    readonly numPatchesList: typeof OptionalCounts;
  },
  { readonly prompt: typeof Prompt },
  PromptTemplateParams,
  PromptTemplateParams,
  PromptError | CapacityError,
  PromptRenderer | ModelInfo
> = defineNode({
  kind: "prompt-template",
  version: 1,
  description:
    "Renders question, history and pictures by the checkpoint's template; tokenizes.",
  inputs: {
    question: Text,
    history: OptionalHistory,
    images: OptionalTilesList,
    frames: OptionalTilesList,
    numPatchesList: OptionalCounts,
  },
  outputs: { prompt: Prompt },
  params: PromptTemplateParams,
  lane: "cpu",
  memoize: false,
  identity: Effect.map(ModelInfo, (info) => info.digest),
  run: (
    { question, history, images = [], frames = [], numPatchesList },
    params,
  ) =>
    Effect.gen(function* () {
      const renderer = yield* PromptRenderer;
      const tiles = (set: TilesValue) => set.pixels.shape[0];
      const request = arrangePrompt({
        question,
        history,
        images: images.map(tiles),
        frames: frames.map(tiles),
        numPatchesList,
      });
      if (request instanceof PromptError) return yield* request;
      const prompt = yield* renderer.render({ ...request, ...params });
      // Here already: the pictures are being encoded meanwhile, which takes long and would be for nothing.
      const { contextLength } = yield* ModelInfo;
      const tooLong = promptTooLong(prompt.ids.length, contextLength);
      if (tooLong !== undefined) return yield* tooLong;
      return { prompt };
    }),
});
