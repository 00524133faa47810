/**
 * What a generated token costs beyond ONNX Runtime's own work.
 * @module
 */
import { Effect } from "effect";
import { argMax } from "../plugins/internvl/generate/sampling.ts";
import { openRuntime } from "../plugins/onnx/ffi/runtime.ts";
import { ffiBackend } from "../plugins/onnx/mod.ts";
import { bareSteps, tap } from "./bare.ts";
import { anyPrompt, endless, loadPart, openFixture } from "./fixture.ts";
import { median, pairedRatio, quantile } from "./stats.ts";

/** Milliseconds per step, and what lies between steps. */
export interface StepBench {
  /** The loop of the language model, whole. */
  readonly loopMs: number;
  /** Bare `Run`, off the event loop, at the same positions. */
  readonly bareMs: number;
  /** Bare `Run` on the calling thread. */
  readonly blockingMs: number;
  /** Whole loop over bare `Run` in turns, less one. */
  readonly overhead: number;
  /** Microseconds between the end of one native run and the start of the next. */
  readonly betweenUs: number;
  /** The same, of 19 steps in 20 at most. */
  readonly betweenUs95: number;
  /** That time as a share of a bare step. */
  readonly betweenShare: number;
  /** Native runs of the loop over bare runs, step by step in turns, less one. */
  readonly nativeShare: number;
  /** Microseconds to choose the likeliest of a vocabulary of logits. */
  readonly chooseUs: number;
  /** Logits. */
  readonly vocabulary: number;
}

/** Measures at a context of about 256 tokens. */
export async function benchStep(
  dir: string,
  rounds: number,
  steps: number,
): Promise<StepBench> {
  const program = Effect.gen(function* () {
    const fixture = yield* openFixture(dir);
    const session = yield* loadPart(fixture, "language");
    const runtime = yield* openRuntime;
    const { language } = fixture.config;
    const start = 256 - Math.min(128, steps / 2);
    const bare = yield* bareSteps(session, language, start + steps + 64);
    const model = endless(fixture, session);
    const prompt = anyPrompt(fixture, start);
    const watch = yield* Effect.acquireRelease(
      Effect.sync(() => tap(runtime)),
      ({ remove }) => Effect.sync(remove),
    );

    /** One answer; milliseconds per step of its second and later tokens. */
    const answer = Effect.suspend(() => {
      let first = 0;
      return Effect.map(
        model.generate({
          prompt,
          visual: [],
          settings: { maxNewTokens: steps + 1 },
          observer: { onFirstToken: () => first = performance.now() },
        }),
        () => (performance.now() - first) / steps,
      );
    });
    const bareLoop = Effect.promise(async () => {
      const began = performance.now();
      for (let i = 0; i < steps; i++) await bare.step(start + i);
      return (performance.now() - began) / steps;
    });
    const blockingLoop = Effect.sync(() => {
      const began = performance.now();
      for (let i = 0; i < steps; i++) bare.blockingStep(start + i);
      return (performance.now() - began) / steps;
    });

    // Whole loops in turns.
    yield* answer;
    yield* bareLoop;
    const loops: number[] = [];
    const bares: number[] = [];
    const blockings: number[] = [];
    for (let round = 0; round < rounds; round++) {
      // Each goes first as often as the other.
      if (round % 2 === 0) bares.push(yield* bareLoop);
      loops.push(yield* answer);
      if (round % 2 === 1) bares.push(yield* bareLoop);
      blockings.push(yield* blockingLoop);
    }

    // Single steps in turns: a bare one between any two of the loop.
    const between: number[] = [];
    const native: number[] = [];
    const beside: number[] = [];
    let ended = 0;
    let decoding = false;
    let position = start;
    watch.before = async () => {
      if (!decoding) return;
      const now = performance.now();
      if (ended > 0) between.push((now - ended) * 1000);
      await bare.step(position++);
      beside.push(performance.now() - now);
    };
    watch.after = (began, end) => {
      if (decoding) {
        native.push(end - began);
        ended = end;
      }
    };
    for (let round = 0; round < Math.max(2, rounds / 2); round++) {
      decoding = false;
      ended = 0;
      position = start;
      yield* model.generate({
        prompt,
        visual: [],
        settings: { maxNewTokens: steps + 1 },
        observer: { onFirstToken: () => decoding = true },
      });
    }
    watch.before = watch.after = undefined;

    const bareMs = median(bares);
    return {
      loopMs: median(loops),
      bareMs,
      blockingMs: median(blockings),
      overhead: pairedRatio(loops, bares) - 1,
      betweenUs: median(between),
      betweenUs95: quantile(between, 0.95),
      betweenShare: median(between) / 1000 / median(beside),
      nativeShare: pairedRatio(native, beside) - 1,
      chooseUs: chooseUs(language.vocabSize),
      vocabulary: language.vocabSize,
    };
  });
  return await Effect.runPromise(
    Effect.scoped(program).pipe(Effect.provide(ffiBackend)),
  );
}

function chooseUs(vocabulary: number): number {
  const logits = Float32Array.from(
    { length: vocabulary },
    (_, i) => (i * 2_654_435_761 >>> 8) / 2 ** 24,
  );
  const times: number[] = [];
  let sink = 0;
  for (let i = 0; i < 200; i++) {
    const start = performance.now();
    sink += argMax(logits);
    times.push((performance.now() - start) * 1000);
  }
  return sink < 0 ? NaN : median(times);
}
