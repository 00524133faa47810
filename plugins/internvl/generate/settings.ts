/**
 * Generation settings: defaults and ranges, with the meaning they have in Hugging Face `generate`.
 * @module
 */
import { Effect } from "effect";
import { PromptError } from "../../../nodes/errors.ts";
import type { GenerationSettings } from "../../../nodes/values.ts";

/** Settings with every default filled in; without a seed, one was drawn. */
export type ResolvedSettings =
  & Required<Omit<GenerationSettings, Unset>>
  & Pick<GenerationSettings, Unset>;

/** Settings whose absence means something. */
type Unset = "logprobs" | "constraint";

/** Most stop strings; each generated piece of text is searched for all of them. */
const MAX_STOPS = 64;

/** Most texts of a choice. */
const MAX_CHOICES = 4096;

/** Most entries of `logitBias`. */
const MAX_BIASES = 4096;

interface Range {
  readonly holds: (value: number) => boolean;
  readonly text: string;
}

const wholeFrom = (least: number): Range => ({
  holds: (value) => Number.isSafeInteger(value) && value >= least,
  text: `a whole number from ${least}`,
});
const between = (least: number, most: number): Range => ({
  holds: (value) => value >= least && value <= most,
  text: `a number from ${least} to ${most}`,
});
const wholeBetween = (least: number, most: number): Range => ({
  holds: (value) => Number.isInteger(value) && value >= least && value <= most,
  text: `a whole number from ${least} to ${most}`,
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
  | "presencePenalty"
  | "frequencyPenalty"
  | "minNewTokens"
  | "logprobs"
  | "seed"
  | "n"
  | "numBeams"
  | "lengthPenalty",
  Range,
])[] = [
  ["maxNewTokens", wholeFrom(1)],
  ["temperature", aboveZero],
  ["topK", wholeFrom(0)],
  ["topP", {
    holds: (value) => value > 0 && value <= 1,
    text: "a number greater than 0, at most 1",
  }],
  ["minP", between(0, 1)],
  ["repetitionPenalty", aboveZero],
  ["presencePenalty", between(-2, 2)],
  ["frequencyPenalty", between(-2, 2)],
  ["minNewTokens", wholeFrom(0)],
  ["logprobs", wholeBetween(0, 20)],
  ["seed", wholeFrom(0)],
  ["n", wholeBetween(1, 128)],
  ["numBeams", wholeBetween(1, 64)],
  ["lengthPenalty", between(-100, 100)],
];

const names: readonly string[] = [
  ...ranges.map(([name]) => name),
  "doSample",
  "earlyStopping",
  "logitBias",
  "stop",
  "skipSpecialTokens",
  "constraint",
];

/**
 * Fills in the defaults. Fails with {@link PromptError} naming the setting and what is allowed; sampling
 * settings are checked even where `doSample` leaves them unused, and a name that is none of them is
 * refused: `max_new_tokens` would otherwise do nothing. `vocabSize` is one more than the highest id a
 * setting may name.
 */
export function resolveSettings(
  settings: GenerationSettings = {},
  vocabSize: number = Number.MAX_SAFE_INTEGER,
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
    presencePenalty: settings.presencePenalty ?? 0,
    frequencyPenalty: settings.frequencyPenalty ?? 0,
    logitBias: settings.logitBias ?? {},
    minNewTokens: settings.minNewTokens ?? 0,
    ...(settings.logprobs === undefined ? {} : { logprobs: settings.logprobs }),
    seed: settings.seed ?? randomSeed(),
    n: settings.n ?? 1,
    numBeams: settings.numBeams ?? 1,
    lengthPenalty: settings.lengthPenalty ?? 1,
    earlyStopping: settings.earlyStopping ?? false,
    stop: settings.stop ?? [],
    skipSpecialTokens: settings.skipSpecialTokens ?? true,
    ...(settings.constraint === undefined
      ? {}
      : { constraint: settings.constraint }),
  };
  for (const [name, range] of ranges) {
    const value: unknown = resolved[name];
    if (value === undefined) continue;
    if (typeof value !== "number" || !range.holds(value)) {
      return wrong(name, value, range.text);
    }
  }
  if (typeof resolved.doSample !== "boolean") {
    return wrong("doSample", resolved.doSample, "true or false");
  }
  if (typeof resolved.skipSpecialTokens !== "boolean") {
    return wrong(
      "skipSpecialTokens",
      resolved.skipSpecialTokens,
      "true or false",
    );
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
  const { n, numBeams, doSample, earlyStopping } = resolved;
  if (typeof earlyStopping !== "boolean" && earlyStopping !== "never") {
    return wrong("earlyStopping", earlyStopping, 'true, false or "never"');
  }
  if (numBeams > 1 && doSample) {
    return wrong("numBeams", numBeams, "1 where doSample is true");
  }
  if (numBeams > 1 && n > numBeams) {
    return wrong("n", n, `at most numBeams, ${numBeams}`);
  }
  if (numBeams === 1 && n > 1 && !doSample) {
    return wrong(
      "n",
      n,
      "1 without doSample or numBeams: all answers would be the same",
    );
  }
  if (resolved.minNewTokens > resolved.maxNewTokens) {
    return wrong(
      "minNewTokens",
      resolved.minNewTokens,
      `at most maxNewTokens, ${resolved.maxNewTokens}`,
    );
  }
  const problem = constraintProblem(resolved.constraint);
  if (problem !== undefined) {
    return wrong("constraint", resolved.constraint, problem);
  }
  if (resolved.constraint !== undefined && stop.length > 0) {
    return wrong(
      "stop",
      stop,
      "left out beside constraint, which says where the answer ends",
    );
  }
  return Effect.as(checkBias(resolved.logitBias, vocabSize), resolved);
}

/** What a constraint must be, where it is not. */
function constraintProblem(constraint: unknown): string | undefined {
  if (constraint === undefined) return undefined;
  const fields = typeof constraint === "object" && constraint !== null
    ? constraint as Record<string, unknown>
    : {};
  const { type, ...rest } = fields;
  const only = (key: string) =>
    Object.hasOwn(rest, key) && Object.keys(rest).length === 1;
  switch (type) {
    case "json_object":
      return Object.keys(rest).length === 0
        ? undefined
        : '{ type: "json_object" }';
    case "json_schema":
      return only("schema") ? undefined : '{ type: "json_schema", schema }';
    case "regex":
      return only("pattern") && typeof rest.pattern === "string"
        ? undefined
        : '{ type: "regex", pattern } with a string';
    case "choice": {
      const { choices } = rest;
      return only("choices") && Array.isArray(choices) && choices.length > 0 &&
          choices.length <= MAX_CHOICES &&
          choices.every((text) =>
            typeof text === "string" && text.isWellFormed()
          )
        ? undefined
        : `{ type: "choice", choices } with 1 to ${MAX_CHOICES} strings`;
    }
    default:
      return "of type json_schema, json_object, regex or choice";
  }
}

/** Fails where a bias is not a number in range for a token that there is. */
function checkBias(
  bias: unknown,
  vocabSize: number,
): Effect.Effect<void, PromptError> {
  if (typeof bias !== "object" || bias === null || Array.isArray(bias)) {
    return wrong("logitBias", bias, "an object of numbers by token id");
  }
  const entries = Object.entries(bias);
  if (entries.length > MAX_BIASES) {
    return wrong(
      "logitBias",
      entries.length,
      `an object of at most ${MAX_BIASES} numbers`,
    );
  }
  for (const [id, value] of entries) {
    if (!/^\d{1,15}$/.test(id) || Number(id) >= vocabSize) {
      return wrong(
        "logitBias",
        { [id]: value },
        `by token id: a whole number below ${vocabSize}`,
      );
    }
    if (!(typeof value === "number" && value >= -100 && value <= 100)) {
      return wrong(`logitBias[${id}]`, value, "a number from -100 to 100");
    }
  }
  return Effect.void;
}

function wrong(
  name: string,
  value: unknown,
  allowed: string,
): Effect.Effect<never, PromptError> {
  let shown: string | undefined = String(value);
  if (typeof value !== "number") {
    try {
      shown = JSON.stringify(value)?.slice(0, 80);
    } catch {
      // Cycles and big integers have no JSON.
    }
  }
  return Effect.fail(
    new PromptError({
      setting: name.split("[", 1)[0]!,
      message: `generation setting ${name} is ${shown}; it must be ${allowed}`,
    }),
  );
}

function randomSeed(): number {
  const [high, low] = crypto.getRandomValues(new Uint32Array(2));
  return (high & 0x1fffff) * 2 ** 32 + low;
}
