/**
 * What the engine's tests share: a small random checkpoint, stored in several ways, and models over one
 * session of each.
 * @module
 */
import { Effect, type Scope } from "effect";
import type { BackendError } from "../../../nodes/errors.ts";
import type {
  GenerationRequest,
  LanguageModel,
} from "../../../nodes/services.ts";
import { type HostTensor, hostTensor } from "../../../nodes/tensor.ts";
import type { Prompt } from "../../../nodes/values.ts";
import { type Backend, ffiBackend, type Session } from "../../onnx/mod.ts";
import { makeLanguageModel } from "../generate/model.ts";
import { openModel } from "../graphs/testing.ts";
import { randomCheckpoint } from "../graphs/testing_checkpoint.ts";
import { quantize, type QuantizeOptions } from "../quantize/mod.ts";
import { random, withFolder } from "../testing.ts";
import { calibrate } from "./calibrate.ts";
import type { CacheType, EngineSettings } from "./options.ts";

const checkpoint = randomCheckpoint();
const { language } = checkpoint.config;
const silent = { push: () => "", end: () => "" };

/** Ids that depend on the seed alone. */
export function text(seed: number, length: number): number[] {
  const next = random(seed);
  return Array.from({ length }, () => 3 + Math.floor(next() * 290));
}

export function prompt(
  ids: readonly number[],
  images: Prompt["images"] = [],
): Prompt {
  return { text: "", question: "", ids: Int32Array.from(ids), images };
}

/** Visual tokens that depend on the seed alone. */
export function picture(seed: number, tokens: number): HostTensor<"float32"> {
  const next = random(seed);
  const size = tokens * language.hiddenSize;
  return hostTensor(
    "float32",
    [1, tokens, language.hiddenSize],
    Float32Array.from({ length: size }, () => next() - 0.5),
  );
}

/** A greedy answer to ids. */
export const request = (
  ids: readonly number[],
  maxNewTokens = 12,
): GenerationRequest => ({
  prompt: prompt(ids),
  visual: [],
  settings: { maxNewTokens },
});

/** Puts something between an engine and a session. */
export type Wrap = (session: Session) => Session;

/** Makes a model; each session it runs on may be wrapped. */
export type Open = (
  settings?: EngineSettings,
  wrap?: Wrap,
) => Effect.Effect<LanguageModel, never, Scope.Scope>;

/** Scales of an int8 cache, from random ids and visual tokens. */
const scalesOf = (dir: string) =>
  Effect.scoped(Effect.gen(function* () {
    const { language: session } = yield* openModel(dir, { calibrate: true });
    const embeds = picture(5, 20);
    const visual = {
      embeds: hostTensor("float32", embeds.shape.slice(1), embeds.data),
      rows: hostTensor(
        "int64",
        [20, 1],
        BigInt64Array.from({ length: 20 }, (_, i) => BigInt(i)),
      ),
    };
    return yield* calibrate(session, language, [
      { ids: Int32Array.from(text(1, 100)), visual },
    ]);
  }));

/** How the weights and the keys and values of a model are stored. */
export interface Kind {
  /** For the test's name. */
  readonly name: string;
  /** Type of keys and values. */
  readonly kvCache: CacheType;
  /** How the checkpoint is quantized, if it is. */
  readonly quantized?: QuantizeOptions;
}

/** Weights as they are. */
export const plain: Kind = { name: "float32 cache", kvCache: "float32" };

const both: QuantizeOptions = { weights: "int8", prefill: "w8a8" };

/** All of them promise the same answers, whatever else is computed or kept. */
export const kinds: readonly Kind[] = [
  plain,
  { name: "float16 cache", kvCache: "float16" },
  { name: "int8 cache", kvCache: "int8" },
  { name: "int8 and w8a8", kvCache: "float32", quantized: both },
  {
    name: "int4 and w8a8, float16 cache",
    kvCache: "float16",
    quantized: { ...both, weights: "int4" },
  },
];

/** The folder of a quantized copy, which goes with the scope. */
const quantizedCopy = Effect.fnUntraced(function* (
  dir: string,
  options: QuantizeOptions,
) {
  const folder = yield* Effect.acquireRelease(
    Effect.promise(() => Deno.makeTempDir({ prefix: "tessera-test-" })),
    (folder) => Effect.promise(() => Deno.remove(folder, { recursive: true })),
  );
  yield* quantize(dir, folder, { threads: 1, ...options });
  return folder;
});

/** Runs a program with a way to make models over the sessions of one checkpoint. */
export function overSessions(
  body: (
    open: Open,
  ) => Effect.Effect<void, unknown, Scope.Scope | Backend>,
  { kvCache, quantized }: Kind = plain,
): Promise<void> {
  const program = Effect.fnUntraced(function* (dir: string) {
    const folder = quantized === undefined
      ? dir
      : yield* quantizedCopy(dir, quantized);
    const { language: session, prefill } = yield* openModel(
      folder,
      kvCache === "int8" ? { kvScales: yield* scalesOf(folder) } : { kvCache },
    );
    yield* body((settings = {}, wrap = (session) => session) =>
      makeLanguageModel({
        session: wrap(session),
        ...(prefill === undefined ? {} : { prefill: wrap(prefill) }),
        config: language,
        endIds: [],
        detokenizer: () => silent,
        kvCache,
        // Weights in blocks are applied to rows in pairs.
        oddDiffers: quantized !== undefined,
        oddPromptDiffers: quantized !== undefined && prefill === undefined,
        steady: true,
        ...settings,
      })
    );
  });
  return withFolder(checkpoint.files, (dir) =>
    Effect.runPromise(
      Effect.scoped(program(dir)).pipe(Effect.provide(ffiBackend)),
    ));
}

/** The same as a test. */
export function withSession(
  name: string,
  body: Parameters<typeof overSessions>[0],
  kind: Kind = plain,
): void {
  Deno.test(
    `engine, ${kind.name}: ${name}`,
    () => overSessions(body, kind),
  );
}

/**
 * A model whose chunks have 16 tokens, and its runs as they come: the tokens of a prompt's part, or
 * `decode` with the rows of a step.
 */
export const recorded = Effect.fnUntraced(function* (open: Open) {
  const runs: string[] = [];
  const model = yield* open(
    { chunk: 16 },
    faulty((ids, rows) => {
      runs.push(ids.length === rows ? `decode ${rows}` : `${ids.length}`);
      return undefined;
    }),
  );
  return { model, runs };
});

/** Ids of each answer, every one computed by a model that has seen no other. */
export const alone = Effect.fnUntraced(function* (
  open: Open,
  requests: readonly GenerationRequest[],
) {
  const answers: number[][] = [];
  for (const request of requests) {
    const { ids } = yield* Effect.scoped(
      Effect.flatMap(open(), (model) => model.generate(request)),
    );
    answers.push([...ids]);
  }
  return answers;
});

/** The ids of an answer. */
export const idsOf = ({ ids }: { readonly ids: Int32Array }) => [...ids];

/** A session whose runs can be made to wait or to fail, by the ids they are fed. */
export function faulty(
  fault: (ids: readonly number[], rows: number) =>
    | Effect.Effect<void, BackendError>
    | undefined,
): Wrap {
  return (session) => ({
    ...session,
    prepare: undefined,
    run: (feeds, options) => {
      const { data, shape } = feeds.input_ids as HostTensor<"int64">;
      const wrong = fault([...data].map(Number), shape[0]);
      const run = session.run(feeds, options);
      return wrong === undefined ? run : Effect.andThen(wrong, run);
    },
  });
}
