/**
 * What scripts get wrong where no compiler looks: `deno run` checks no types.
 * @module
 */
import { fileURLToPath } from "node:url";
import { BackendError, CheckpointError, PromptError } from "../nodes/errors.ts";
import { GenerationSettings } from "../nodes/ports.ts";
import type { Sample } from "../nodes/values.ts";
import { fits, kindOf, misfit } from "../pipeline/port.ts";
import { nearest } from "../pipeline/problem.ts";
import { isRecord } from "../plugins/internvl/files.ts";
import type { EngineSettings } from "../plugins/internvl/mod.ts";
import type { BatchRequest, ChatRequest, LoadOptions } from "./types.ts";

// The compiler holds these to the types: a new field is missed nowhere.
const sampleFields: Record<keyof Sample, true> = {
  question: true,
  images: true,
  video: true,
  history: true,
  numPatchesList: true,
};
const askFields: Record<Exclude<keyof ChatRequest, keyof Sample>, true> = {
  maxTiles: true,
  minTiles: true,
  systemMessage: true,
  generation: true,
  signal: true,
  onEvent: true,
  dump: true,
  attributes: true,
};
const batchFields: Record<keyof BatchRequest, true> = {
  ...askFields,
  samples: true,
};
const settingNames: Record<keyof GenerationSettings, true> = {
  maxNewTokens: true,
  doSample: true,
  temperature: true,
  topK: true,
  topP: true,
  minP: true,
  repetitionPenalty: true,
  presencePenalty: true,
  frequencyPenalty: true,
  logitBias: true,
  minNewTokens: true,
  logprobs: true,
  seed: true,
  n: true,
  numBeams: true,
  lengthPenalty: true,
  earlyStopping: true,
  stop: true,
  skipSpecialTokens: true,
  constraint: true,
};
const loadFields: Record<keyof LoadOptions, true> = {
  device: true,
  deviceId: true,
  threads: true,
  store: true,
  cacheBytes: true,
  contextLength: true,
  engine: true,
  backend: true,
  signal: true,
};
const engineFields: Record<keyof EngineSettings, true> = {
  slots: true,
  kvCacheBytes: true,
  kvCache: true,
  chunk: true,
  queue: true,
  reuseAnswers: true,
  steady: true,
  wideFrom: true,
  speculate: true,
};

/**
 * The first field that looks like a mistyped one. Other fields may carry what the caller needs; a mistyped
 * one would change the question.
 */
function mistyped(
  record: Readonly<Record<string, unknown>>,
  known: Record<string, true>,
): string | undefined {
  const free = Object.keys(known).filter((name) => !(name in record));
  for (const name of Object.keys(record)) {
    if (Object.hasOwn(known, name)) continue;
    const [guess] = nearest(name, free);
    if (guess !== undefined) {
      return `"${name}"; did you mean "${guess}"?`;
    }
  }
  return undefined;
}

/** A setting of `generation` that stands beside it, where nobody reads it. */
function misplaced(
  record: Readonly<Record<string, unknown>>,
): string | undefined {
  const plain = (name: string) => name.replaceAll("_", "").toLowerCase();
  for (const name of Object.keys(record)) {
    const setting = Object.keys(settingNames)
      .find((known) => plain(known) === plain(name));
    if (setting !== undefined) {
      return `"${name}"; "${setting}" belongs into "generation"`;
    }
  }
  return undefined;
}

function problemOf(
  request: unknown,
  known: Record<string, true>,
  needs: string,
): string | undefined {
  if (!isRecord(request)) {
    return `is ${kindOf(request)}; it must be an object with ${needs}`;
  }
  const name = mistyped(request, known) ?? misplaced(request);
  if (name !== undefined) return `has ${name}`;
  const { generation } = request;
  // An option that was not given reads as undefined, which is no value of a setting.
  const settings = isRecord(generation) ? settingsOf(generation) : generation;
  return settings === undefined || fits(GenerationSettings, settings)
    ? undefined
    : `has a wrong value: ${
      misfit(GenerationSettings, settings, "generation")
    }`;
}

/** The settings that are given: those that are `undefined` have their defaults. */
export const settingsOf = (
  generation: GenerationSettings = {},
): GenerationSettings =>
  Object.fromEntries(
    Object.entries(generation).filter(([, value]) => value !== undefined),
  );

/** Why this is no request for `chat`. */
export function chatProblem(request: unknown): PromptError | undefined {
  const problem = problemOf(
    request,
    { ...sampleFields, ...askFields },
    '"question"',
  );
  return problem === undefined
    ? undefined
    : new PromptError({ message: `chat: the request ${problem}` });
}

/** Why this is no request for `batchChat`. */
export function batchProblem(request: unknown): PromptError | undefined {
  let problem = problemOf(request, batchFields, '"samples"');
  const samples = (request as Partial<BatchRequest> | undefined)?.samples;
  if (problem === undefined && Array.isArray(samples)) {
    for (const [index, sample] of samples.entries()) {
      const wrong = isRecord(sample)
        ? mistyped(sample, sampleFields)
        : undefined;
      if (wrong !== undefined) {
        problem = `has in samples[${index}] ${wrong}`;
        break;
      }
    }
  }
  return problem === undefined
    ? undefined
    : new PromptError({ message: `batchChat: the request ${problem}` });
}

/** What is wrong with the names of the options that a model is loaded with. */
export function loadProblem(options: unknown): BackendError | undefined {
  let problem: string | undefined;
  if (!isRecord(options)) {
    problem = "what a model is loaded with must be an object of options";
  } else {
    const { engine } = options;
    const own = mistyped(options, loadFields);
    const inner = isRecord(engine) ? mistyped(engine, engineFields) : undefined;
    if (own !== undefined) problem = `there is no option ${own}`;
    else if (inner !== undefined) {
      problem = `there is no option of the engine ${inner}`;
    }
    const { store = "memory" } = options;
    if (typeof store !== "string" && !isRecord(store)) {
      problem ??= `store is ${
        store === null ? "null" : typeof store
      }; it must be a file's name, "memory" or a RunStore`;
    }
  }
  return problem === undefined
    ? undefined
    : new BackendError({ message: problem });
}

/** The path of a checkpoint's folder: a path or a `file:` URL, or why it is none. */
export function folderOf(
  dir: unknown,
  what = "the checkpoint",
): string | CheckpointError {
  const wrong = (message: string) =>
    new CheckpointError({ message, path: String(dir) });
  if (typeof dir !== "string" && !(dir instanceof URL)) {
    return wrong(
      `${what} is ${
        dir === null ? "null" : typeof dir
      }; the path or file: URL of its folder is needed`,
    );
  }
  const text = String(dir);
  if (!/^[a-z][a-z0-9+.-]+:\/\//i.test(text)) return text;
  try {
    return fileURLToPath(text);
  } catch {
    return wrong(
      `${text} is no folder of this machine; download the checkpoint and give its path`,
    );
  }
}
