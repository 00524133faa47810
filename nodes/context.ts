/**
 * What fits into a model's context.
 * @module
 */
import { CapacityError } from "../pipeline/mod.ts";

/** Why a prompt of so many tokens leaves no room for an answer; `undefined` where it does. */
export const promptTooLong = (
  tokens: number,
  contextLength: number,
): CapacityError | undefined =>
  tokens < contextLength ? undefined : new CapacityError({
    kind: "length",
    message:
      `the prompt has ${tokens} tokens; the context holds ${contextLength}, one of them at least for the answer`,
  });
