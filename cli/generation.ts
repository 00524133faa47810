/**
 * Flags of generation: what the model may choose, and how it chooses.
 * @module
 */
import type * as Option from "effect/Option";
import { isSome } from "effect/Option";
import * as Flag from "effect/cli/Flag";
import type { GenerationSettings, OutputConstraint } from "../nodes/values.ts";
import {
  fileReason,
  InputError,
  requireFileFault,
  UsageError,
} from "./faults.ts";
import { compact, defined, path, ranged } from "./flag_parts.ts";
import { readText } from "./text.ts";

/** Generation settings, named as in Hugging Face `generate`. */
export const generationFlags = {
  maxNewTokens: ranged(
    Flag.Int("max-new-tokens"),
    "N",
    "Longest answer in tokens; default: 1024",
    { min: 1 },
  ),
  doSample: Flag.Boolean("do-sample").pipe(
    Flag.withoutNegation,
    Flag.withDescription("Sample instead of taking the most likely token"),
    Flag.withDefault(false),
  ),
  temperature: ranged(
    Flag.Finite("temperature"),
    "X",
    "With --do-sample: divides the logits; default: 1",
    { above: 0 },
  ),
  topK: ranged(
    Flag.Int("top-k"),
    "N",
    "With --do-sample: keep the N most likely tokens, 0 for all; default: 50",
    { min: 0 },
  ),
  topP: ranged(
    Flag.Finite("top-p"),
    "X",
    "With --do-sample: keep this much probability; default: 1",
    { above: 0, max: 1 },
  ),
  minP: ranged(
    Flag.Finite("min-p"),
    "X",
    "With --do-sample: drop tokens below this share of the best; default: 0",
    { min: 0, max: 1 },
  ),
  repetitionPenalty: ranged(
    Flag.Finite("repetition-penalty"),
    "X",
    "Above 1: less repetition; default: 1",
    { above: 0 },
  ),
  seed: ranged(
    Flag.Int("seed"),
    "N",
    "With --do-sample: the same seed gives the same answer",
    { min: 0, max: Number.MAX_SAFE_INTEGER },
  ),
  presencePenalty: ranged(
    Flag.Finite("presence-penalty"),
    "X",
    "Taken off the logits of tokens already generated, -2 to 2; default: 0",
    { min: -2, max: 2 },
  ),
  frequencyPenalty: ranged(
    Flag.Finite("frequency-penalty"),
    "X",
    "The same for each time a token was generated, -2 to 2; default: 0",
    { min: -2, max: 2 },
  ),
  minNewTokens: ranged(
    Flag.Int("min-new-tokens"),
    "N",
    "The answer does not end before N tokens; default: 0",
    { min: 0 },
  ),
  logitBias: Flag.String("logit-bias").pipe(
    Flag.withMetavar("ID=X"),
    Flag.withDescription(
      "Add X (-100 to 100) to the logit of a token; may be repeated",
    ),
    Flag.atLeast(0),
  ),
  logprobs: ranged(
    Flag.Int("logprobs"),
    "N",
    "With --json: each token's log-probability, and the N (0 to 20) likeliest at its place",
    { min: 0, max: 20 },
  ),
  n: ranged(
    Flag.Int("n"),
    "N",
    "Answers, with --do-sample or --beams; default: 1",
    { min: 1, max: 128 },
  ),
  beams: ranged(
    Flag.Int("beams"),
    "N",
    "Beam search with N beams, 1 to 64; default: 1, none",
    { min: 1, max: 64 },
  ),
  lengthPenalty: ranged(
    Flag.Finite("length-penalty"),
    "X",
    "With --beams: above 0 favours long answers; default: 1",
    { min: -100, max: 100 },
  ),
  earlyStopping: Flag.Literals("early-stopping", ["true", "false", "never"])
    .pipe(
      Flag.withDescription(
        "With --beams: end at the first N answers, by a guess, or when surely none is better; default: false",
      ),
      Flag.optional,
    ),
  stop: Flag.String("stop").pipe(
    Flag.withMetavar("TEXT"),
    Flag.withDescription("End the answer before this text; may be repeated"),
    Flag.atLeast(0),
  ),
  jsonSchema: path("json-schema").pipe(
    Flag.withMetavar("FILE"),
    Flag.withDescription("The answer is JSON that is valid under this schema"),
    Flag.optional,
  ),
  jsonObject: Flag.Boolean("json-object").pipe(
    Flag.withoutNegation,
    Flag.withDescription("The answer is a JSON object"),
    Flag.withDefault(false),
  ),
  regex: Flag.String("regex").pipe(
    Flag.withMetavar("PATTERN"),
    Flag.withDescription("The whole answer matches this regular expression"),
    Flag.optional,
  ),
  choice: Flag.String("choice").pipe(
    Flag.withMetavar("TEXT"),
    Flag.withDescription("The answer is this text, or another --choice"),
    Flag.atLeast(0),
  ),
};

/** What {@link generationFlags} parse to. */
export interface GenerationFlags {
  /** `--max-new-tokens`. */
  readonly maxNewTokens: Option.Option<number>;
  /** `--do-sample`. */
  readonly doSample: boolean;
  /** `--temperature`. */
  readonly temperature: Option.Option<number>;
  /** `--top-k`. */
  readonly topK: Option.Option<number>;
  /** `--top-p`. */
  readonly topP: Option.Option<number>;
  /** `--min-p`. */
  readonly minP: Option.Option<number>;
  /** `--repetition-penalty`. */
  readonly repetitionPenalty: Option.Option<number>;
  /** `--seed`. */
  readonly seed: Option.Option<number>;
  /** `--presence-penalty`. */
  readonly presencePenalty: Option.Option<number>;
  /** `--frequency-penalty`. */
  readonly frequencyPenalty: Option.Option<number>;
  /** `--min-new-tokens`. */
  readonly minNewTokens: Option.Option<number>;
  /** `--logit-bias`. */
  readonly logitBias: readonly string[];
  /** `--logprobs`. */
  readonly logprobs: Option.Option<number>;
  /** `--n`. */
  readonly n: Option.Option<number>;
  /** `--beams`. */
  readonly beams: Option.Option<number>;
  /** `--length-penalty`. */
  readonly lengthPenalty: Option.Option<number>;
  /** `--early-stopping`. */
  readonly earlyStopping: Option.Option<"true" | "false" | "never">;
  /** `--stop`. */
  readonly stop: readonly string[];
  /** `--json-schema`. */
  readonly jsonSchema: Option.Option<string>;
  /** `--json-object`. */
  readonly jsonObject: boolean;
  /** `--regex`. */
  readonly regex: Option.Option<string>;
  /** `--choice`. */
  readonly choice: readonly string[];
}

/**
 * The settings that {@link generationFlags} ask for; only what was given. Throws a {@link UsageError} or an
 * `InputError` where they contradict each other or a file cannot be read.
 */
export function generationSettings(flags: GenerationFlags): GenerationSettings {
  return compact({
    maxNewTokens: defined(flags.maxNewTokens),
    doSample: flags.doSample ? true : undefined,
    temperature: defined(flags.temperature),
    topK: defined(flags.topK),
    topP: defined(flags.topP),
    minP: defined(flags.minP),
    repetitionPenalty: defined(flags.repetitionPenalty),
    seed: defined(flags.seed),
    presencePenalty: defined(flags.presencePenalty),
    frequencyPenalty: defined(flags.frequencyPenalty),
    minNewTokens: defined(flags.minNewTokens),
    logitBias: flags.logitBias.length === 0
      ? undefined
      : parseBias(flags.logitBias),
    logprobs: defined(flags.logprobs),
    n: defined(flags.n),
    numBeams: defined(flags.beams),
    lengthPenalty: defined(flags.lengthPenalty),
    earlyStopping: earlyStopping(defined(flags.earlyStopping)),
    stop: flags.stop.length === 0 ? undefined : flags.stop,
    constraint: constraint(flags),
  });
}

const earlyStopping = (value: "true" | "false" | "never" | undefined) =>
  value === undefined || value === "never" ? value : value === "true";

/** Reads `ID=X` pairs. */
function parseBias(pairs: readonly string[]): Record<number, number> {
  const bias: Record<number, number> = {};
  for (const pair of pairs) {
    const [, id, value] =
      /^(\d{1,9})=([+-]?(?:\d+\.?\d*|\.\d+))$/.exec(pair.trim()) ?? [];
    if (id === undefined) {
      throw new UsageError(
        `--logit-bias: "${pair}" is no token id and number such as 1234=-5`,
      );
    }
    bias[Number(id)] = Number(value);
  }
  return bias;
}

/** What the answer must be, by the one flag that says so. */
function constraint(flags: GenerationFlags): OutputConstraint | undefined {
  const regex = defined(flags.regex);
  const schema = defined(flags.jsonSchema);
  const given: [flag: string, of: () => OutputConstraint][] = [];
  if (schema !== undefined) {
    given.push([
      "--json-schema",
      () => ({ type: "json_schema", schema: readSchema(schema) }),
    ]);
  }
  if (flags.jsonObject) {
    given.push(["--json-object", () => ({ type: "json_object" })]);
  }
  if (regex !== undefined) {
    given.push(["--regex", () => ({ type: "regex", pattern: regex })]);
  }
  if (flags.choice.length > 0) {
    given.push([
      "--choice",
      () => ({ type: "choice", choices: flags.choice }),
    ]);
  }
  if (given.length > 1) {
    throw new UsageError(
      `${
        given.map(([name]) => name).join(" and ")
      } contradict each other; give one`,
    );
  }
  if (given.length === 1 && flags.stop.length > 0) {
    throw new UsageError(
      `--stop does not go with ${
        given[0][0]
      }, which says where the answer ends`,
    );
  }
  return given[0]?.[1]();
}

const schemaLimit = 1 << 20;

/** Reads a JSON schema; whether it can be followed is the model's to say. */
function readSchema(path: string): unknown {
  const fault = requireFileFault("JSON schema", path);
  if (fault !== undefined) throw fault;
  let text: string;
  try {
    const { size } = Deno.statSync(path);
    if (size > schemaLimit) {
      throw new InputError(
        `JSON schema ${path} has ${size} bytes; at most ${schemaLimit} are read`,
      );
    }
    text = readText(path);
  } catch (cause) {
    if (cause instanceof InputError) throw cause;
    throw new InputError(
      `cannot read JSON schema ${path}: ${fileReason(cause)}`,
      { cause },
    );
  }
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new InputError(
      `JSON schema ${path} is no JSON: ${fileReason(cause)}`,
      { cause },
    );
  }
}

/** A note about settings that do nothing, or nothing to note. */
export function idleSettings(flags: GenerationFlags): string | undefined {
  const notes = [
    idle(flags.doSample, "--do-sample", {
      "--temperature": flags.temperature,
      "--top-k": flags.topK,
      "--top-p": flags.topP,
      "--min-p": flags.minP,
      "--seed": flags.seed,
    }),
    idle((defined(flags.beams) ?? 1) > 1, "--beams", {
      "--length-penalty": flags.lengthPenalty,
      "--early-stopping": flags.earlyStopping,
    }),
  ].filter((note) => note !== undefined);
  return notes.length === 0 ? undefined : notes.join("; ");
}

/** Flags that were given though nothing reads them without another one. */
function idle(
  read: boolean,
  reader: string,
  flags: Readonly<Record<string, Option.Option<unknown>>>,
): string | undefined {
  if (read) return undefined;
  const names = Object.entries(flags)
    .filter(([, value]) => isSome(value)).map(([name]) => name);
  return names.length === 0
    ? undefined
    : `${names.join(", ")} ${
      names.length === 1 ? "has" : "have"
    } no effect without ${reader}`;
}
