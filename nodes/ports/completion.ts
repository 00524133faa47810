/**
 * Ports of answers and their tokens.
 * @module
 */
import { definePort, type PortType } from "../../pipeline/mod.ts";
import { digestText } from "../digest.ts";
import type {
  Completion as CompletionValue,
  TokenAlternative,
  TokenLogprob as TokenLogprobValue,
} from "../values.ts";
import { isRecord } from "./tensor.ts";

/** Tokens of an answer whose probabilities a preview shows. */
const mostTokens = 2000;

/** Other answers that a preview shows. */
const mostAnswers = 8;

/** A finished answer. */
export type Completion = CompletionValue;

/** A finished answer. */
export const Completion: PortType<"Completion", CompletionValue> = definePort({
  name: "Completion",
  is: (value: unknown): value is CompletionValue =>
    isRecord(value) && typeof value.text === "string" &&
    value.ids instanceof Int32Array,
  digest: (completion: CompletionValue) =>
    digestText(`${completion.text}\u0000${completion.ids.join(",")}`),
  preview: (completion: CompletionValue) => ({
    text: completion.text,
    finishReason: completion.finishReason,
    usage: { ...completion.usage },
    ...(completion.logprobs === undefined ? {} : {
      logprobs: completion.logprobs.slice(0, mostTokens)
        .map(({ text, logprob }) => [text, Math.round(logprob * 1e4) / 1e4]),
    }),
    ...(completion.alternatives === undefined ? {} : {
      alternatives: completion.alternatives.slice(0, mostAnswers)
        .map(({ text }) => text),
    }),
  }),
});

/** A generated token with its probability. */
export type TokenLogprob = TokenLogprobValue;

/** A generated token with its probability and the likeliest others; bytes as lists in JSON. */
export const TokenLogprob: PortType<"TokenLogprob", TokenLogprobValue> =
  definePort({
    name: "TokenLogprob",
    is: (value: unknown): value is TokenLogprobValue =>
      isRecord(value) && typeof value.logprob === "number" &&
      Array.isArray(value.top),
    preview: ({ top, ...chosen }: TokenLogprobValue) => ({
      ...alternativePreview(chosen),
      top: top.map(alternativePreview),
    }),
  });

// JSON has no infinity; the least probability is written as OpenAI writes it.
const alternativePreview = (
  { id, text, bytes, logprob }: TokenAlternative,
) => ({
  id,
  text,
  bytes: [...bytes],
  logprob: Number.isFinite(logprob) ? logprob : -9999,
});
