/**
 * The language model of Mini-InternVL-Chat-2B-V1-5 in 4 bits against llama.cpp, and against the speed
 * at which this machine reads memory.
 *
 * Both sides have the same shape, as many bits a weight (4.5: 4 and the scales), two files of noise and
 * the same number of threads. llama.cpp keeps its cache in float16, as it does unless told otherwise.
 * @module
 */
import { Effect, type Scope } from "effect";
import type { LanguageModel } from "../../nodes/services.ts";
import type { LanguageConfig } from "../../plugins/internvl/config.ts";
import { openCheckpoint } from "../../plugins/internvl/checkpoint.ts";
import {
  cacheBytesPerToken,
  memoryEstimate,
} from "../../plugins/internvl/graphs/tensors.ts";
import type { Quantization } from "../../plugins/internvl/quantize/scheme.ts";
import { type Backend, ffiBackend } from "../../plugins/onnx/mod.ts";
import { openBandwidthProbe } from "../bandwidth.ts";
import { bareSteps } from "../bare.ts";
import { int4Weights } from "../checkpoint.ts";
import {
  anyPrompt,
  endless,
  type Fixture,
  loadPart,
  openFixture,
  timed,
} from "../fixture.ts";
import type { Peer } from "../peer.ts";
import type { Scratch } from "../scratch.ts";
import { median, pairedRatio } from "../stats.ts";
import { writeGguf } from "./gguf.ts";
import { openLlama, peerProblem } from "./peer.ts";

/** Ours and theirs, tokens per second. */
export interface Pair {
  /** Ours. */
  readonly ours: number;
  /** llama.cpp's; absent where it was not measured. */
  readonly llama?: number;
  /** Ours over theirs: the median of the ratios of measurements in turns. */
  readonly ratio?: number;
}

/** One context's figures. */
export interface DecodeAt extends Pair {
  /** Tokens in the cache. */
  readonly context: number;
  /** Gigabytes a token reads: every weight but the embedding table, and the cache. */
  readonly gigabytes: number;
  /** The share of the machine's read bandwidth that a step reaches. */
  readonly bandwidthShare: number;
}

/** What both comparisons say. */
interface AgainstLlama {
  /** llama.cpp's own description; absent where it was not measured. */
  readonly system?: string;
  /** Why it was not measured. */
  readonly problem?: string;
  /** Threads of either side. */
  readonly threads: number;
}

/** What {@link benchLlama} finds. */
export interface LlamaBench extends AgainstLlama {
  /** Gigabytes (10⁹) as many threads read in a second: the median of all rounds. */
  readonly bandwidth: number;
  /** Answer tokens, by context. */
  readonly decode: readonly DecodeAt[];
}

/** What {@link benchPrefill} finds: prompt tokens. */
export interface PrefillBench extends AgainstLlama {
  /** Tokens of a prompt. */
  readonly length: number;
  /** In 4 bits. */
  readonly int4: Pair;
  /** Ours by a second set of weights, w8a8; theirs as before. */
  readonly bytes: Pair;
}

const CONTEXTS = [4096, 2048, 256];
const PROMPT = 512;
/** Tokens of a turn. */
const STEPS = 8;

/** Decodes behind several contexts. The files are large (1 GB each) and are deleted with the scratch. */
export function benchLlama(
  scratch: Scratch,
  rounds: number,
): Promise<LlamaBench> {
  const longest = CONTEXTS[0] + STEPS * (rounds + 2);
  return sideBySide(scratch, {}, longest, (sides) => decode(sides, rounds));
}

/** Reads prompts, ours with and without a second set of weights. */
export function benchPrefill(
  scratch: Scratch,
  rounds: number,
): Promise<PrefillBench> {
  const two = { prefill: { type: "w8a8" } } as const;
  return sideBySide(scratch, two, 64, (sides) => prefill(sides, rounds));
}

interface Sides {
  readonly fixture: Fixture;
  readonly language: LanguageConfig;
  /** Bytes of the weights that each token reads. */
  readonly weights: number;
  /** llama.cpp, where it is there. */
  readonly peer: Peer | undefined;
  /** Tokens there is to be room for. */
  readonly longest: number;
}

/** Makes the model for both, and has them measured. */
async function sideBySide<A>(
  scratch: Scratch,
  more: Pick<Quantization, "prefill">,
  longest: number,
  body: (
    sides: Sides,
  ) => Effect.Effect<A, unknown, Backend | Scope.Scope>,
): Promise<A & AgainstLlama> {
  const threads = navigator.hardwareConcurrency;
  const dir = await scratch.mini2b({
    parts: ["language"],
    quantization: { ...int4Weights, ...more },
  });
  const problem = await peerProblem();
  const { config, tensors } = await Effect.runPromise(openCheckpoint(dir));
  const language = config.language;
  let peer: Peer | undefined;
  if (problem === undefined) {
    const gguf = scratch.path("noise.gguf");
    await writeGguf(gguf, language);
    peer = await openLlama(gguf, threads, longest);
  }
  try {
    const weights = memoryEstimate(config, tensors).weights.language;
    const program = Effect.gen(function* () {
      const fixture = yield* openFixture(dir);
      return yield* body({ fixture, language, weights, peer, longest });
    });
    const found = await Effect.runPromise(
      Effect.scoped(program).pipe(Effect.provide(ffiBackend)),
    );
    return { ...found, threads, problem, system: peer?.about };
  } finally {
    await peer?.[Symbol.asyncDispose]();
  }
}

const decode = Effect.fnUntraced(function* (
  { fixture, language, weights, peer, longest }: Sides,
  rounds: number,
) {
  const session = yield* loadPart(fixture, "language");
  const bare = yield* bareSteps(session, language, longest);
  bare.fill();
  const probe = openBandwidthProbe(navigator.hardwareConcurrency);
  const bandwidths: number[] = [];
  const steps = (context: number) =>
    Effect.promise(async () => {
      const times: number[] = [];
      for (let i = 0; i < STEPS; i++) {
        const start = performance.now();
        await bare.step(context + i);
        times.push(performance.now() - start);
      }
      return median(times);
    });
  const theirs = (context: number) =>
    Effect.promise(async () =>
      peer === undefined
        ? NaN
        : median(await peer.ask<number[]>({ decode: STEPS, context }))
    );
  const found: DecodeAt[] = [];
  for (const context of CONTEXTS) {
    // The first turn brings llama.cpp to the context, and both sides into the caches.
    yield* theirs(context);
    yield* steps(context);
    const ours: number[] = [], llama: number[] = [], read: number[] = [];
    for (let round = 0; round < rounds; round++) {
      llama.push(yield* theirs(context));
      read.push(yield* Effect.promise(probe.measure));
      ours.push(yield* steps(context));
    }
    bandwidths.push(...read);
    const gigabytes = (weights + context * cacheBytesPerToken(language)) /
      1e9;
    found.push({
      context,
      gigabytes,
      bandwidthShare: pairedRatio(
        ours.map((ms) => gigabytes * 1000 / ms),
        read,
      ),
      ...pair(ours.map((ms) => 1000 / ms), llama.map((ms) => 1000 / ms)),
    });
  }
  return { bandwidth: median(bandwidths), decode: found.reverse() };
});

const prefill = Effect.fnUntraced(function* (
  { fixture, peer }: Sides,
  rounds: number,
) {
  const session = yield* loadPart(fixture, "language");
  const one = yield* endless(fixture, session);
  const two = yield* endless(fixture, session, {
    prefill: yield* loadPart(fixture, "language", { prefill: true }),
  });
  const read = Effect.fnUntraced(
    function* (model: LanguageModel, seed: number) {
      // Another prompt each time: a known one would not be computed again.
      const prompt = anyPrompt(fixture, PROMPT, seed * PROMPT);
      const settings = { maxNewTokens: 1 };
      const [ms] = yield* timed(
        model.generate({ prompt, visual: [], settings }),
      );
      return PROMPT * 1000 / ms;
    },
  );
  const int4: number[] = [], bytes: number[] = [], llama: number[] = [];
  for (let round = 0; round < rounds; round++) {
    llama.push(
      peer === undefined ? NaN : PROMPT * 1000 /
        (yield* Effect.promise(() => peer.ask<number>({ prefill: PROMPT }))),
    );
    int4.push(yield* read(one, round + 1));
    bytes.push(yield* read(two, round + 1));
  }
  return { length: PROMPT, int4: pair(int4, llama), bytes: pair(bytes, llama) };
});

function pair(ours: readonly number[], llama: readonly number[]): Pair {
  return llama.some(Number.isNaN) ? { ours: median(ours) } : {
    ours: median(ours),
    llama: median(llama),
    ratio: pairedRatio(ours, llama),
  };
}
