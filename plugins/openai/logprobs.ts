/**
 * Probabilities of tokens in OpenAI's form.
 * @module
 */
import type { CompletionValue, TokenAlternative } from "../../nodes/mod.ts";
import type { LogprobEntry } from "./schema/chat.ts";

/** A token as it comes out of a run's events: bytes as a list. */
interface EventToken {
  readonly text: string;
  readonly bytes: readonly number[] | Uint8Array;
  readonly logprob: number;
  readonly top: readonly Omit<EventToken, "top">[];
}

const one = ({ text, bytes, logprob }: Omit<EventToken, "top">) => ({
  token: text,
  // JSON has no infinity; OpenAI writes this for a token that cannot be.
  logprob: Number.isFinite(logprob) ? logprob : -9999,
  bytes: [...bytes],
});

/** A token of a run's event. */
export function logprobEntry(token: unknown): LogprobEntry {
  const { top, ...rest } = token as EventToken;
  return { ...one(rest), top_logprobs: top.map(one) };
}

/** The tokens of an answer. */
export function logprobEntries(
  { logprobs = [] }: CompletionValue,
): LogprobEntry[] {
  return logprobs.map(({ top, ...rest }) => ({
    ...one(rest),
    top_logprobs: top.map((other: TokenAlternative) => one(other)),
  }));
}
