/**
 * Constraints of the output on the way from the settings to a chooser.
 * @module
 */
import { Effect } from "effect";
import { PromptError } from "../../../nodes/errors.ts";
import type { Prompt } from "../../../nodes/values.ts";
import {
  type Constrainer,
  makeConstrainer,
  type Matcher,
} from "../../grammar/mod.ts";
import type { Tokenizer } from "../tokenizer/tokenizer.ts";
import type { ResolvedSettings } from "./settings.ts";
import { AnswerText } from "./text.ts";

/** A constrainer over the ids of a model, which may have more rows of logits than tokens. */
export function tokenizerConstrainer(
  tokenizer: Tokenizer,
  vocabSize: number,
): Constrainer {
  return makeConstrainer({
    size: vocabSize,
    bytesOf: tokenizer.bytesOf,
    decodeFirst: (id) => tokenizer.decode([id], { skipSpecialTokens: true }),
  });
}

/**
 * The matcher of an answer, where its settings ask for one. Fails with {@link PromptError} for a
 * constraint that cannot be followed, or that this model does not offer.
 */
export function answerMatcher(
  settings: ResolvedSettings,
  constrainer: Constrainer | undefined,
): Effect.Effect<Matcher | undefined, PromptError> {
  if (settings.constraint === undefined) return Effect.succeed(undefined);
  return constrainer === undefined
    ? Effect.fail(
      new PromptError({
        setting: "constraint",
        message: "this model offers no constrained output",
      }),
    )
    : constrainer.matcher(settings.constraint);
}

/**
 * The text of an answer to a prompt, which ends before these texts and those of the settings. What goes
 * on with its prompt is not trimmed. Under a constraint nothing is trimmed or cut: an end text may be a
 * part of a JSON string, a space the whole of a choice.
 */
export const answerText = (
  settings: ResolvedSettings,
  endTexts: readonly string[],
  { continues = false }: Pick<Prompt, "continues">,
): AnswerText =>
  settings.constraint === undefined
    ? new AnswerText([...endTexts, ...settings.stop], !continues)
    : new AnswerText([], false);
