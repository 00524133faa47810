/**
 * What a generated token costs beyond ONNX Runtime's own work. As a program it measures the checkpoint of
 * its arguments, folder, rounds and steps, and prints one JSON object: a model that another was before in
 * the same process has up to four times as much between two of its runs.
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
  /** Whole answers, their first step included, over as many bare runs, in turns; less one. */
  readonly loops: number;
  /** A step and the time before it over the bare step after it, step by step; less one. */
  readonly overhead: number;
  /** Microseconds between the end of one native run and the start of the next. */
  readonly betweenUs: number;
  /** The same, of 19 steps in 20 at most. */
  readonly betweenUs95: number;
  /** That time as a share of a bare step. */
  readonly betweenShare: number;
  /** The native run of a step over the bare one after it, step by step; less one. */
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
    const model = yield* endless(fixture, session);
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

    // Single steps in turns: after each of the loop's a bare one at the same position, which finds
    // all threads awake, while the loop's own has the work between two tokens before it.
    const between: number[] = [];
    const native: number[] = [];
    const beside: number[] = [];
    let resumed = 0;
    let position = 0;
    watch.after = async (began, end) => {
      // The prompt has no run before it, and the first step still pays for the change of shape.
      const counts = position > start;
      if (position >= start) await bare.step(position);
      const now = performance.now();
      if (counts) {
        between.push(began - resumed);
        native.push(end - began);
        beside.push(now - end);
      }
      resumed = now;
      if (position >= start) position++;
    };
    for (let round = 0; round < rounds; round++) {
      position = 0;
      yield* model.generate({
        prompt,
        visual: [],
        settings: { maxNewTokens: steps + 1 },
        observer: { onFirstToken: () => position = start },
      });
    }
    watch.after = undefined;

    const bareMs = median(bares);
    return {
      loopMs: median(loops),
      bareMs,
      blockingMs: median(blockings),
      loops: pairedRatio(loops, bares) - 1,
      overhead: pairedRatio(
        native.map((ms, i) => ms + between[i]),
        beside,
      ) - 1,
      betweenUs: median(between) * 1000,
      betweenUs95: quantile(between, 0.95) * 1000,
      betweenShare: median(between) / median(beside),
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

if (import.meta.main) {
  const [dir = "", rounds, steps] = Deno.args;
  console.log(
    JSON.stringify(await benchStep(dir, Number(rounds), Number(steps))),
  );
}
