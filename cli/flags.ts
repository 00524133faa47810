/**
 * Flags that several commands share, and what they become.
 * @module
 */
import type * as Option from "effect/Option";
import * as Argument from "effect/cli/Argument";
import * as Flag from "effect/cli/Flag";
import type { AskOptions, LoadOptions } from "../mod.ts";
import { mostTiles } from "../nodes/limits.ts";
import type { History } from "../nodes/values.ts";
import {
  fileReason,
  InputError,
  requireFileFault,
  UsageError,
} from "./faults.ts";
import { compact, defined, path, ranged } from "./flag_parts.ts";
import { type GenerationFlags, generationSettings } from "./generation.ts";
import type { ModelChoice } from "./models.ts";
import { readText } from "./text.ts";

export { path, ranged } from "./flag_parts.ts";

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

function parseDeviceId(value: string): NonNullable<LoadOptions["deviceId"]> {
  const [vision, language] = value.split(",").map(Number) as [number, number?];
  return language === undefined ? vision : { vision, language };
}

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
  deviceId: Flag.String("device-id").pipe(
    Flag.filter(
      (value) => /^\d{1,4}(,\d{1,4})?$/.test(value),
      () => "Expected an index of a GPU such as 1, or two such as 0,1",
    ),
    Flag.map(parseDeviceId),
    Flag.withMetavar("N[,N]"),
    Flag.withDescription(
      "Index of the GPU; two, such as 0,1, for the vision half and the language half; default: 0",
    ),
    Flag.optional,
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
  kvType: Flag.Literals("kv-type", ["float32", "float16", "int8"]).pipe(
    Flag.withDescription(
      "Type of keys and values; float16 takes half the memory, int8 (CPU) a quarter; default: float32 on the CPU",
    ),
    Flag.optional,
  ),
  speculate: ranged(
    Flag.Int("speculate"),
    "N",
    "Guess up to N tokens from what was said before, while that saves time; default: off",
    { min: 1, max: 64 },
  ),
  wideFrom: ranged(
    Flag.Int("wide-from"),
    "N",
    "From N answers at once on, generate with the weights of --prefill too: faster together, and an " +
      "answer then depends on how many there are; default: never",
    { min: 1, max: 1024 },
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
  /** `--device-id`. */
  readonly deviceId: Option.Option<NonNullable<LoadOptions["deviceId"]>>;
  /** `--threads`. */
  readonly threads: Option.Option<number>;
  /** `--slots`. */
  readonly slots: Option.Option<number>;
  /** `--kv-cache`. */
  readonly kvCache: Option.Option<number>;
  /** `--kv-type`. */
  readonly kvType: Option.Option<"float32" | "float16" | "int8">;
  /** `--speculate`. */
  readonly speculate: Option.Option<number>;
  /** `--wide-from`. */
  readonly wideFrom: Option.Option<number>;
  /** `--backend`. */
  readonly backend: Option.Option<"ffi" | "napi">;
  /** `--store`. */
  readonly store: Option.Option<string>;
}

/** The model that {@link modelFlags} choose. */
export function modelChoice(flags: ModelFlags): ModelChoice {
  const slots = defined(flags.slots);
  const kvCache = defined(flags.kvCache);
  const speculate = defined(flags.speculate);
  const engine = compact({
    slots,
    kvCache: defined(flags.kvType),
    speculate: speculate === undefined ? undefined : { tokens: speculate },
    wideFrom: defined(flags.wideFrom),
    kvCacheBytes: kvCache === undefined ? undefined : kvCache * 2 ** 20,
  });
  const options: LoadOptions = {
    device: flags.device,
    ...compact({
      deviceId: defined(flags.deviceId),
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
    `Most tiles a picture is cut into, 1 to ${mostTiles}; default: the checkpoint's`,
    { min: 1, max: mostTiles },
  ),
  minTiles: ranged(
    Flag.Int("min-tiles"),
    "N",
    "Fewest tiles a picture is cut into; default: the checkpoint's",
    { min: 1, max: mostTiles },
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
    text = readText(path);
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
