/**
 * Flags that several commands share, and what they become.
 * @module
 */
import * as Option from "effect/Option";
import * as Argument from "effect/cli/Argument";
import * as Flag from "effect/cli/Flag";
import type { AskOptions, LoadOptions } from "../mod.ts";
import type { GenerationSettings, History } from "../nodes/values.ts";
import {
  fileReason,
  InputError,
  requireFileFault,
  UsageError,
} from "./faults.ts";
import type { ModelChoice } from "./models.ts";

const defined = <A>(value: Option.Option<A>): A | undefined =>
  Option.getOrUndefined(value);

/** An object without its undefined fields. */
function compact<T extends Record<string, unknown>>(
  fields: T,
): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(
    Object.entries(fields).filter(([, value]) => value !== undefined),
  ) as { [K in keyof T]?: Exclude<T[K], undefined> };
}

/** An optional number in a range. */
export function ranged(
  flag: Flag.Flag<number>,
  metavar: string,
  text: string,
  range: {
    readonly min?: number;
    readonly above?: number;
    readonly max?: number;
  },
): Flag.Flag<Option.Option<number>> {
  const { min, above, max } = range;
  const wanted = [
    ...(min === undefined ? [] : [`at least ${min}`]),
    ...(above === undefined ? [] : [`greater than ${above}`]),
    ...(max === undefined ? [] : [`at most ${max}`]),
  ].join(" and ");
  return flag.pipe(
    Flag.filter(
      (value) =>
        (min === undefined || value >= min) &&
        (above === undefined || value > above) &&
        (max === undefined || value <= max),
      (value) => `Expected a number ${wanted}, got ${value}`,
    ),
    Flag.withMetavar(metavar),
    Flag.withDescription(text),
    Flag.optional,
  );
}

function text(
  flag: Flag.Flag<string>,
  metavar: string,
  description: string,
): Flag.Flag<Option.Option<string>> {
  return flag.pipe(
    Flag.withMetavar(metavar),
    Flag.withDescription(description),
    Flag.optional,
  );
}

/** A flag whose value names a file or a folder. */
export const path = (name: string): Flag.Flag<string> =>
  Flag.String(name).pipe(
    Flag.filter((value) => value !== "", () => "Expected a path"),
  );

/** An argument that names something, so that an empty one is a mistake. */
export const named = (name: string): Argument.Argument<string> =>
  Argument.String(name).pipe(
    Argument.filter((value) => value !== "", () => "Expected a name"),
  );

/** `--json`. */
export const json: Flag.Flag<boolean> = Flag.Boolean("json").pipe(
  Flag.withoutNegation,
  Flag.withDescription("Print one JSON object and nothing else on stdout"),
  Flag.withDefault(false),
);

/** Which model, where it computes, where runs are recorded. */
export const modelFlags = {
  model: path("model").pipe(
    Flag.withAlias("m"),
    Flag.withMetavar("DIR"),
    Flag.withDescription(
      "Checkpoint folder in the Hugging Face layout; default: the embedded nano",
    ),
    Flag.optional,
  ),
  device: Flag.Literals("device", ["cpu", "cuda", "webgpu"]).pipe(
    Flag.withDescription("Where the model computes; default: cpu"),
    Flag.withDefault("cpu" as const),
  ),
  threads: ranged(
    Flag.Int("threads"),
    "N",
    "Threads inside one operator; default: the cores",
    { min: 1, max: 1024 },
  ),
  slots: ranged(
    Flag.Int("slots"),
    "N",
    "Answers computed at once, the rest wait; default: 8",
    { min: 1, max: 1024 },
  ),
  kvCache: ranged(
    Flag.Int("kv-cache"),
    "MIB",
    "Memory for keys and values; default: 2048, or what one whole context takes",
    { min: 1 },
  ),
  backend: Flag.Literals("backend", ["ffi", "napi"]).pipe(
    Flag.withDescription(
      "Binding of ONNX Runtime; default: ffi where it can be opened",
    ),
    Flag.optional,
  ),
  store: text(
    path("store"),
    "FILE",
    "Record runs in this SQLite file, or `none`; default: .tessera/runs.sqlite",
  ),
};

/** What {@link modelFlags} parse to. */
export interface ModelFlags {
  /** `--model`. */
  readonly model: Option.Option<string>;
  /** `--device`. */
  readonly device: "cpu" | "cuda" | "webgpu";
  /** `--threads`. */
  readonly threads: Option.Option<number>;
  /** `--slots`. */
  readonly slots: Option.Option<number>;
  /** `--kv-cache`. */
  readonly kvCache: Option.Option<number>;
  /** `--backend`. */
  readonly backend: Option.Option<"ffi" | "napi">;
  /** `--store`. */
  readonly store: Option.Option<string>;
}

/** The model that {@link modelFlags} choose. */
export function modelChoice(flags: ModelFlags): ModelChoice {
  const slots = defined(flags.slots);
  const kvCache = defined(flags.kvCache);
  const engine = compact({
    slots,
    kvCacheBytes: kvCache === undefined ? undefined : kvCache * 2 ** 20,
  });
  const options: LoadOptions = {
    device: flags.device,
    ...compact({
      engine: Object.keys(engine).length === 0 ? undefined : engine,
      threads: defined(flags.threads),
      backend: defined(flags.backend),
    }),
  };
  return {
    model: defined(flags.model),
    options,
    store: defined(flags.store),
  };
}

/** How pictures are cut. */
export const tilingFlags = {
  maxTiles: ranged(
    Flag.Int("max-tiles"),
    "N",
    "Most tiles a picture is cut into, 1 to 40; default: the checkpoint's",
    { min: 1, max: 40 },
  ),
  minTiles: ranged(
    Flag.Int("min-tiles"),
    "N",
    "Fewest tiles a picture is cut into; default: the checkpoint's",
    { min: 1, max: 40 },
  ),
};

/** `--system`. */
export const system: Flag.Flag<Option.Option<string>> = text(
  Flag.String("system"),
  "TEXT",
  "System message in place of the checkpoint's",
);

/** `--dump`. */
export const dump: Flag.Flag<Option.Option<string>> = text(
  path("dump"),
  "DIR",
  "Store what passed every port: .npy tensors and .txt files",
);

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
  stop: Flag.String("stop").pipe(
    Flag.withMetavar("TEXT"),
    Flag.withDescription("End the answer before this text; may be repeated"),
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
  /** `--stop`. */
  readonly stop: readonly string[];
}

/** The settings that {@link generationFlags} ask for; only what was given. */
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
    stop: flags.stop.length === 0 ? undefined : flags.stop,
  });
}

/** A note about settings that do nothing, or nothing to note. */
export function idleSettings(flags: GenerationFlags): string | undefined {
  if (flags.doSample) return undefined;
  const idle = Object.entries({
    "--temperature": flags.temperature,
    "--top-k": flags.topK,
    "--top-p": flags.topP,
    "--min-p": flags.minP,
    "--seed": flags.seed,
  }).filter(([, value]) => Option.isSome(value)).map(([name]) => name);
  return idle.length === 0
    ? undefined
    : `${idle.join(", ")} ${
      idle.length === 1 ? "has" : "have"
    } no effect without --do-sample`;
}

/** What every question takes, from the flags. */
export function askOptions(
  flags: GenerationFlags & {
    readonly maxTiles?: Option.Option<number>;
    readonly minTiles?: Option.Option<number>;
    readonly system?: Option.Option<string>;
    readonly dump?: Option.Option<string>;
  },
): AskOptions {
  const of = <A>(value: Option.Option<A> | undefined) =>
    value === undefined ? undefined : defined(value);
  const maxTiles = of(flags.maxTiles);
  const minTiles = of(flags.minTiles);
  if (maxTiles !== undefined && minTiles !== undefined && minTiles > maxTiles) {
    throw new UsageError(
      `--min-tiles ${minTiles} is more than --max-tiles ${maxTiles}`,
    );
  }
  return {
    generation: generationSettings(flags),
    ...compact({
      maxTiles,
      minTiles,
      systemMessage: of(flags.system),
      dump: of(flags.dump),
    }),
  };
}

/** The QUESTION argument. */
export const question: Argument.Argument<string> = Argument.String("question")
  .pipe(
    Argument.withMetavar("QUESTION"),
    Argument.withDescription(
      "What to ask, in quotes; - reads it from standard input",
    ),
  );

/** Reads a list of counts such as `7,7`. */
export function parseCounts(value: string): readonly number[] {
  const counts = value.split(",").map((part) => part.trim());
  for (const part of counts) {
    if (!/^\d{1,4}$/.test(part)) {
      throw new UsageError(
        `--num-patches: "${value}" is no list of tile counts such as 7,7`,
      );
    }
  }
  return counts.map(Number);
}

const historyLimit = 64 << 20;

/**
 * Reads `--history`: a JSON list of [question, answer] pairs, or an object with such a list under
 * `history`, as `--json` prints it.
 */
export function readHistory(path: string): History {
  let text: string;
  requireFile("history", path);
  try {
    const { size } = Deno.statSync(path);
    if (size > historyLimit) {
      throw new InputError(
        `history ${path} has ${size} bytes; at most ${historyLimit} are read`,
      );
    }
    text = Deno.readTextFileSync(path);
  } catch (cause) {
    if (cause instanceof InputError) throw cause;
    throw new InputError(`cannot read history ${path}: ${fileReason(cause)}`, {
      cause,
    });
  }
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new InputError(
      `history ${path} is no JSON: ${fileReason(cause)}`,
      { cause },
    );
  }
  const list = Array.isArray(value)
    ? value
    : (value as { readonly history?: unknown } | null)?.history;
  const problem = historyProblem(list);
  if (problem !== undefined) {
    throw new InputError(`history ${path} ${problem}`);
  }
  return list as History;
}

/** What is wrong with a value that should be a history, if anything is. */
export function historyProblem(value: unknown): string | undefined {
  if (!Array.isArray(value)) {
    return "must be a list of [question, answer] pairs";
  }
  for (const [index, turn] of value.entries()) {
    if (
      !Array.isArray(turn) || turn.length !== 2 ||
      typeof turn[0] !== "string" || typeof turn[1] !== "string"
    ) {
      return `entry ${index + 1} must be a [question, answer] pair of strings`;
    }
  }
  return undefined;
}

/** Finds out early that a file is not there, before a model is loaded. */
export function requireFile(what: string, path: string): void {
  const fault = requireFileFault(what, path);
  if (fault !== undefined) throw fault;
}
