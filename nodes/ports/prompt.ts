/**
 * Ports of what an answer is made from: earlier rounds, settings, the prompt.
 * @module
 */
import { Schema } from "effect";
import { cutText } from "../../pipeline/json.ts";
import { definePort, type PortType } from "../../pipeline/mod.ts";
import { digestBytes } from "../digest.ts";
import { mostShown, shownEach } from "../limits.ts";
import type {
  GenerationSettings as GenerationSettingsValue,
  History as HistoryValue,
  OutputConstraint,
  Prompt as PromptValue,
} from "../values.ts";
import { isRecord } from "./tensor.ts";

const TurnSchema: Schema.Codec<readonly [string, string]> = Schema.Tuple([
  Schema.String,
  Schema.String,
]);

/** Earlier rounds, oldest first. */
export type History = HistoryValue;

/**
 * Earlier rounds as pairs of question and answer, oldest first.
 *
 * ```ts
 * import { History } from "@tessera/sdk";
 * import { Schema } from "effect";
 * import assert from "node:assert/strict";
 *
 * const decode = Schema.decodeUnknownSync(History.schema!);
 * const rounds = decode([["<image>\nWhat is it?", "A circle."]]);
 * assert.equal(rounds[0]?.[1], "A circle.");
 * ```
 */
export const History: PortType<"History", HistoryValue> = definePort({
  name: "History",
  schema: Schema.Array(TurnSchema) as Schema.Codec<HistoryValue>,
  expects: "a list of pairs [question, answer], as a result has it",
  preview: (history: HistoryValue) => {
    const most = shownEach(2 * history.length);
    return history.map((turn) => turn.map((text) => cutText(text, most)));
  },
});

const OutputConstraintSchema: Schema.Codec<OutputConstraint> = Schema.Union([
  Schema.Struct({
    type: Schema.Literal("json_schema"),
    schema: Schema.Unknown,
  }),
  Schema.Struct({ type: Schema.Literal("json_object") }),
  Schema.Struct({ type: Schema.Literal("regex"), pattern: Schema.String }),
  Schema.Struct({
    type: Schema.Literal("choice"),
    choices: Schema.Array(Schema.String),
  }),
]);

/**
 * JSON codec of {@link GenerationSettings}; ranges are checked by the language model.
 *
 * ```ts
 * import { GenerationSettingsSchema } from "@tessera/sdk";
 * import { Schema } from "effect";
 * import assert from "node:assert/strict";
 *
 * const decode = Schema.decodeUnknownSync(GenerationSettingsSchema);
 * assert.deepEqual(decode({ topK: 20, seed: 7 }), { topK: 20, seed: 7 });
 * assert.throws(() => decode({ topK: "many" }));
 * ```
 */
export const GenerationSettingsSchema: Schema.Codec<GenerationSettingsValue> =
  Schema.Struct({
    maxNewTokens: Schema.optionalKey(Schema.Int),
    doSample: Schema.optionalKey(Schema.Boolean),
    temperature: Schema.optionalKey(Schema.Finite),
    topK: Schema.optionalKey(Schema.Int),
    topP: Schema.optionalKey(Schema.Finite),
    minP: Schema.optionalKey(Schema.Finite),
    repetitionPenalty: Schema.optionalKey(Schema.Finite),
    presencePenalty: Schema.optionalKey(Schema.Finite),
    frequencyPenalty: Schema.optionalKey(Schema.Finite),
    logitBias: Schema.optionalKey(
      Schema.Record(Schema.String, Schema.Finite),
    ),
    minNewTokens: Schema.optionalKey(Schema.Int),
    logprobs: Schema.optionalKey(Schema.Int),
    n: Schema.optionalKey(Schema.Int),
    numBeams: Schema.optionalKey(Schema.Int),
    lengthPenalty: Schema.optionalKey(Schema.Finite),
    earlyStopping: Schema.optionalKey(
      Schema.Union([Schema.Boolean, Schema.Literal("never")]),
    ),
    seed: Schema.optionalKey(Schema.Int),
    stop: Schema.optionalKey(Schema.Array(Schema.String)),
    skipSpecialTokens: Schema.optionalKey(Schema.Boolean),
    constraint: Schema.optionalKey(OutputConstraintSchema),
  });

/** Generation settings, with the names and the meaning of Hugging Face `generate`. */
export type GenerationSettings = GenerationSettingsValue;

/** Generation settings. */
export const GenerationSettings: PortType<
  "GenerationSettings",
  GenerationSettingsValue
> = definePort({
  name: "GenerationSettings",
  schema: GenerationSettingsSchema,
});

/** A rendered and tokenized prompt. */
export type Prompt = PromptValue;

/** A rendered, tokenized prompt. */
export const Prompt: PortType<"Prompt", PromptValue> = definePort({
  name: "Prompt",
  is: (value: unknown): value is PromptValue =>
    isRecord(value) && value.ids instanceof Int32Array &&
    typeof value.text === "string",
  digest: (prompt: PromptValue) =>
    digestBytes(
      new Uint8Array(
        prompt.ids.buffer,
        prompt.ids.byteOffset,
        prompt.ids.byteLength,
      ),
    ),
  preview: (prompt: PromptValue) => ({
    text: cutText(foldContextTokens(prompt.text), mostShown),
    tokens: prompt.ids.length,
    images: prompt.images.map((span) => ({ ...span })),
  }),
});

/** `<IMG_CONTEXT>` repeated 3,328 times reads badly: shows it once, with its count. */
function foldContextTokens(text: string): string {
  return text.replace(
    /(?:<IMG_CONTEXT>){2,}/g,
    (run) => `<IMG_CONTEXT>×${run.length / "<IMG_CONTEXT>".length}`,
  );
}
