/**
 * Settings of a conversation, from texts to what the model is asked with.
 * @module
 */
import { type ChatSettings, noSettings } from "../../components/chat.ts";
import type { AskOptions } from "../../sdk/mod.ts";

/** Why a conversation does not go on. */
export class ChatError extends Error {
  /** The discriminator. */
  readonly _tag = "ChatError" as const;
}

const longestSystem = 10_000;

/** The settings among the fields of a form, or of JSON; everything else is left alone. */
export function readSettings(
  field: (name: string) => unknown,
): ChatSettings {
  const text = (name: string, longest = 40): string => {
    const value = field(name);
    return typeof value === "string" || typeof value === "number"
      ? String(value).trim().slice(0, longest)
      : "";
  };
  const doSample = field("doSample");
  return {
    ...Object.fromEntries(
      Object.keys(noSettings).map((name) => [name, text(name)]),
    ) as unknown as ChatSettings,
    systemMessage: text("systemMessage", longestSystem),
    doSample: doSample === true || doSample === "on",
  };
}

/**
 * What the model is asked with. Throws a {@link ChatError} for a text that is no number, or a number that
 * is out of range here; other ranges are the model's affair.
 */
export function askOptions(settings: ChatSettings): AskOptions {
  const number = (
    name: keyof ChatSettings,
    label: string,
    whole: boolean,
    least: number,
    most: number,
  ): Record<string, number> => {
    const text = settings[name];
    if (typeof text !== "string" || text === "") return {};
    const value = Number(text);
    if (
      !Number.isFinite(value) || (whole && !Number.isInteger(value)) ||
      value < least || value > most
    ) {
      throw new ChatError(
        `${label}: ${JSON.stringify(text)} is no ${
          whole ? "whole number" : "number"
        } from ${least} to ${most}`,
      );
    }
    return { [name]: value };
  };
  return {
    ...number("maxTiles", "Tiles at most", true, 1, 40),
    ...(settings.systemMessage === ""
      ? {}
      : { systemMessage: settings.systemMessage }),
    generation: {
      ...number("maxNewTokens", "Tokens at most", true, 1, 100_000),
      ...(settings.doSample ? { doSample: true } : {}),
      ...number("temperature", "Temperature", false, 0.01, 100),
      ...number("topP", "Top p", false, 0.0001, 1),
      ...number("topK", "Top k", true, 0, 1_000_000),
      ...number("repetitionPenalty", "Repetition penalty", false, 0.1, 10),
      ...number("seed", "Seed", true, 0, Number.MAX_SAFE_INTEGER),
    },
  };
}
