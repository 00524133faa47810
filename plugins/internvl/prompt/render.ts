/**
 * Rendering by rules 1 to 4 and 7 of the reference's `chat()`
 * (`InternVL:internvl_chat/internvl/model/internvl_chat/modeling_internvl_chat.py`), with a typed error
 * where the reference fails later or not at all.
 *
 * Special tokens in texts of the caller. The reference tokenizes them as what they are, wherever they
 * stand, and so do we, with one exception: `<IMG_CONTEXT>` is refused, because a visual token would be
 * put in its place and every later one would be one off. A text that is not trusted can thus end its
 * message by `<|im_end|>` and go on as another role; `controlTokens: "refuse"` refuses the tokens that
 * carry structure (those of the template, BOS, EOS, padding, `<img>` and `</img>`) and leaves the rest
 * (`<ref>`, `<box>` and the like, which belong in grounding questions).
 * @module
 */
import { Effect } from "effect";
import { PromptError } from "../../../nodes/errors.ts";
import type { PromptRequest } from "../../../nodes/services.ts";
import type { ImageSpan, Prompt } from "../../../nodes/values.ts";
import type { Tokenizer } from "../tokenizer/tokenizer.ts";
import { strip } from "../text.ts";
import { type Message, renderConversation, type Template } from "./template.ts";

/** The placeholder of a picture in a text. */
export const imagePlaceholder = "<image>";

/** What a prompt is rendered with. */
export interface RenderContext {
  /** The checkpoint's tokenizer. */
  readonly tokenizer: Tokenizer;
  /** The checkpoint's template. */
  readonly template: Template;
  /** Visual tokens per tile. */
  readonly tokensPerTile: number;
  /** What to do with control tokens in the caller's texts. Default `"allow"`, as in the reference. */
  readonly controlTokens?: "allow" | "refuse";
}

/** One question of a batch. */
export interface BatchQuestion {
  /** The question, with or without `<image>`. */
  readonly question: string;
  /** Its tiles; 0 for a question without a picture. */
  readonly tiles: number;
  /** Whether any question of the batch has a picture. */
  readonly batchHasImages: boolean;
  /** Overrides the template's system message. */
  readonly systemMessage?: string;
}

/** More image tokens than any model's context, so that a wrong count cannot fill the memory. */
export const maxContextTokens = 1 << 22;

/**
 * Renders and tokenizes a prompt. Fails with {@link PromptError}: an empty question, placeholders and
 * pictures that do not match (with both numbers), a count below 1, a typed `<IMG_CONTEXT>`.
 */
export function renderPrompt(
  request: PromptRequest,
  context: RenderContext,
): Effect.Effect<Prompt, PromptError> {
  const { history, numPatchesList } = request;
  const wrong = numPatchesList.find((count) =>
    !Number.isSafeInteger(count) || count < 1
  );
  if (wrong !== undefined) {
    return refuse(
      `numPatchesList [${
        numPatchesList.join(", ")
      }] has ${wrong}; every entry is a number of tiles, a whole number from 1`,
    );
  }
  // Rule 1: only in a first round, only with pictures, only where the question has none.
  const question = history === undefined && numPatchesList.length > 0
    ? withPlaceholder(request.question)
    : request.question;
  return render(request, question, numPatchesList, context);
}

/**
 * Renders and tokenizes one question of a batch by the rules of `batch_chat()`: a batch with pictures
 * puts `<image>` in front of every question that lacks it, so one with 0 tiles becomes
 * `<img></img>` and the question. That is the reference's behaviour and kept here to the letter; ask
 * with {@link renderPrompt} to have such a question rendered as `chat()` renders text.
 */
export function renderBatchQuestion(
  sample: BatchQuestion,
  context: RenderContext,
): Effect.Effect<Prompt, PromptError> {
  if (!Number.isSafeInteger(sample.tiles) || sample.tiles < 0) {
    return refuse(
      `a question of the batch has ${sample.tiles} tiles; a whole number from 0 is needed`,
    );
  }
  const question = sample.batchHasImages
    ? withPlaceholder(sample.question)
    : sample.question;
  const counts = sample.batchHasImages || sample.tiles > 0
    ? [sample.tiles]
    : [];
  return render(sample, question, counts, context);
}

function withPlaceholder(question: string): string {
  return question.includes(imagePlaceholder)
    ? question
    : `${imagePlaceholder}\n${question}`;
}

/** Rules 2 to 4: renders, replaces the placeholders in order, tokenizes, finds the pictures. */
function render(
  request: Pick<PromptRequest, "question" | "history" | "systemMessage">,
  question: string,
  counts: readonly number[],
  context: RenderContext,
): Effect.Effect<Prompt, PromptError> {
  const { tokenizer, template, tokensPerTile } = context;
  if (strip(request.question) === "") {
    return refuse("the question is empty");
  }
  const total = counts.reduce((sum, count) => sum + count, 0) * tokensPerTile;
  if (total > maxContextTokens) {
    return refuse(
      `${counts.length} pictures need ${total} image tokens; at most ${maxContextTokens} can be rendered`,
    );
  }
  const systemMessage = request.systemMessage ?? template.systemMessage;
  const history = request.history ?? [];
  const forbidden = forbiddenToken(request, systemMessage, context);
  if (forbidden !== undefined) return refuse(forbidden);

  const messages: Message[] = [];
  for (const [asked, answered] of history) {
    messages.push({ role: "user", text: asked });
    messages.push({ role: "assistant", text: answered });
  }
  messages.push({ role: "user", text: question });
  messages.push({ role: "assistant", text: undefined });
  const parts = renderConversation(template, systemMessage, messages)
    .split(imagePlaceholder);
  if (parts.length - 1 !== counts.length) {
    return refuse(mismatch(parts.length - 1, counts.length));
  }
  let text = parts[0]!;
  for (const [i, count] of counts.entries()) {
    text += pictureText(count, context) + parts[i + 1]!;
  }
  // Rule 7. A model file may have a second name for the token, so that only the ids tell.
  const tokens = tokenize(text, counts, context);
  if (tokens === undefined) {
    return refuse(
      `a text of the prompt tokenizes to ${
        tokenizer.tokenOf(tokenizer.special.imageContext)
      }, where a visual token would be put; leave it out`,
    );
  }
  return Effect.succeed({ text, ...tokens, question });
}

/**
 * Tokenizes a rendered text and finds its pictures; `undefined` when a text of the caller made context
 * tokens of its own.
 */
export function tokenize(
  text: string,
  counts: readonly number[],
  { tokenizer, tokensPerTile }: RenderContext,
): Pick<Prompt, "ids" | "images"> | undefined {
  const ids = tokenizer.encode(text, { bos: tokenizer.addBos });
  const { imageContext } = tokenizer.special;
  const images = findImages(ids, counts, tokensPerTile, imageContext);
  return images && { ids, images };
}

/** A picture's place in a rendered text. */
export function pictureText(
  tiles: number,
  { tokenizer, tokensPerTile }: RenderContext,
): string {
  const { special } = tokenizer;
  return tokenizer.tokenOf(special.imageStart)! +
    tokenizer.tokenOf(special.imageContext)!.repeat(tiles * tokensPerTile) +
    tokenizer.tokenOf(special.imageEnd)!;
}

/** Where the runs of context tokens stand; `undefined` when they are not one run per picture. */
function findImages(
  ids: Int32Array,
  counts: readonly number[],
  tokensPerTile: number,
  contextId: number,
): readonly ImageSpan[] | undefined {
  const images: ImageSpan[] = [];
  let at = ids.indexOf(contextId);
  for (const tiles of counts) {
    const length = tiles * tokensPerTile;
    if (length === 0) continue;
    if (at < 0) return undefined;
    for (let i = at; i < at + length; i++) {
      if (ids[i] !== contextId) return undefined;
    }
    images.push({ start: at, length, tiles });
    at = ids.indexOf(contextId, at + length);
  }
  return at < 0 ? images : undefined;
}

/** Says which text has a token that may not stand in it. */
function forbiddenToken(
  request: Pick<PromptRequest, "question" | "history">,
  systemMessage: string | null,
  context: RenderContext,
): string | undefined {
  const { tokenizer } = context;
  const filler = tokenizer.tokenOf(tokenizer.special.imageContext)!;
  const texts: (readonly [place: string, text: string])[] = [
    ["the question", request.question],
    ...(request.history ?? []).flatMap(([asked, answered], i) =>
      [
        [`question ${i + 1} of the history`, asked],
        [`answer ${i + 1} of the history`, answered],
      ] as const
    ),
    ["the system message", systemMessage ?? ""],
  ];
  for (const [place, text] of texts) {
    if (text.includes(filler)) {
      return `${place} has ${filler}, where a visual token would be put; write ${imagePlaceholder} for a picture`;
    }
  }
  if (context.controlTokens !== "refuse") return undefined;
  return controlToken(texts, context);
}

/** Says which text has a token that carries structure. */
export function controlToken(
  texts: readonly (readonly [place: string, text: string])[],
  { tokenizer, template }: RenderContext,
): string | undefined {
  const { special } = tokenizer;
  const control = new Set<number>([
    special.imageStart,
    special.imageEnd,
    special.imageContext,
  ]);
  for (const id of [special.bos, special.eos, special.pad]) {
    if (id !== undefined) control.add(id);
  }
  const markup = template.systemPrefix + template.user + template.assistant +
    template.separator;
  for (const text of tokenizer.specialTexts) {
    const id = tokenizer.idOf(text);
    if (markup.includes(text) && id !== undefined) control.add(id);
  }
  for (const [place, text] of texts) {
    const id = tokenizer.encode(text).find((id) => control.has(id));
    if (id !== undefined) {
      return `${place} has the control token ${
        tokenizer.tokenOf(id)
      }, which is not allowed here`;
    }
  }
}

function mismatch(placeholders: number, pictures: number): string {
  const has = `the prompt has ${placeholders} ${imagePlaceholder} ${
    placeholders === 1 ? "placeholder" : "placeholders"
  } but ${
    pictures === 0
      ? "no picture is given"
      : `numPatchesList has ${pictures} ${pictures === 1 ? "entry" : "entries"}`
  }`;
  return placeholders > pictures
    ? `${has}; give as many pictures as placeholders, history and system message included`
    : `${has}; write one ${imagePlaceholder} for each entry, history included`;
}

function refuse(message: string): Effect.Effect<never, PromptError> {
  return Effect.fail(new PromptError({ message }));
}
