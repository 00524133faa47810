/**
 * Generation settings: defaults and ranges, with the meaning they have in Hugging Face `generate`.
 * @module
 */
import { Effect } from "effect";
import { PromptError } from "../../../nodes/errors.ts";
import type { GenerationSettings } from "../../../nodes/values.ts";

/** Settings with every default filled in; without a seed, one was drawn. */
export type ResolvedSettings = Required<GenerationSettings>;

/** Most stop strings; each generated piece of text is searched for all of them. */
const MAX_STOPS = 64;

interface Range {
  readonly holds: (value: number) => boolean;
  readonly text: string;
}

const wholeFrom = (least: number): Range => ({
  holds: (value) => Number.isSafeInteger(value) && value >= least,
  text: `a whole number from ${least}`,
});
const aboveZero: Range = {
  holds: (value) => Number.isFinite(value) && value > 0,
  text: "a number greater than 0",
};

const ranges: readonly (readonly [
  | "maxNewTokens"
  | "temperature"
  | "topK"
  | "topP"
  | "minP"
  | "repetitionPenalty"
  | "seed",
  Range,
])[] = [
  ["maxNewTokens", wholeFrom(1)],
  ["temperature", aboveZero],
  ["topK", wholeFrom(0)],
  ["topP", {
    holds: (value) => value > 0 && value <= 1,
    text: "a number greater than 0, at most 1",
  }],
  ["minP", {
    holds: (value) => value >= 0 && value <= 1,
    text: "a number from 0 to 1",
  }],
  ["repetitionPenalty", aboveZero],
  ["seed", wholeFrom(0)],
];

const names: readonly string[] = [
  ...ranges.map(([name]) => name),
  "doSample",
  "stop",
];

/**
 * Fills in the defaults. Fails with {@link PromptError} naming the setting and what is allowed; sampling
 * settings are checked even where `doSample` leaves them unused, and a name that is none of them is
 * refused: `max_new_tokens` would otherwise do nothing.
 */
export function resolveSettings(
  settings: GenerationSettings = {},
): Effect.Effect<ResolvedSettings, PromptError> {
  for (const name of Object.keys(settings)) {
    if (!names.includes(name)) {
      return Effect.fail(
        new PromptError({
          message: `there is no generation setting ${
            JSON.stringify(name.slice(0, 40))
          }; known: ${names.join(", ")}`,
        }),
      );
    }
  }
  const resolved: ResolvedSettings = {
    maxNewTokens: settings.maxNewTokens ?? 1024,
    doSample: settings.doSample ?? false,
    temperature: settings.temperature ?? 1,
    topK: settings.topK ?? 50,
    topP: settings.topP ?? 1,
    minP: settings.minP ?? 0,
    repetitionPenalty: settings.repetitionPenalty ?? 1,
    seed: settings.seed ?? randomSeed(),
    stop: settings.stop ?? [],
  };
  for (const [name, range] of ranges) {
    const value: unknown = resolved[name];
    if (typeof value !== "number" || !range.holds(value)) {
      return wrong(name, value, range.text);
    }
  }
  if (typeof resolved.doSample !== "boolean") {
    return wrong("doSample", resolved.doSample, "true or false");
  }
  const { stop } = resolved;
  if (
    !Array.isArray(stop) || stop.length > MAX_STOPS ||
    !stop.every((text) => typeof text === "string" && text !== "")
  ) {
    return wrong(
      "stop",
      stop,
      `a list of at most ${MAX_STOPS} strings, none of them empty`,
    );
  }
  return Effect.succeed(resolved);
}

function wrong(
  name: string,
  value: unknown,
  allowed: string,
): Effect.Effect<never, PromptError> {
  const shown = typeof value === "number"
    ? String(value)
    : JSON.stringify(value)?.slice(0, 80);
  return Effect.fail(
    new PromptError({
      message: `generation setting ${name} is ${shown}; it must be ${allowed}`,
    }),
  );
}

function randomSeed(): number {
  const [high, low] = crypto.getRandomValues(new Uint32Array(2));
  return (high & 0x1fffff) * 2 ** 32 + low;
}
