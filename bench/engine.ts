/**
 * What the engine gains: several requests at once, the second round of a chat; and what it costs others,
 * the longest pause of the event loop under load.
 * @module
 */
import { Effect, Layer } from "effect";
import { chatPipeline } from "../nodes/mod.ts";
import type { LanguageModel } from "../nodes/services.ts";
import type { History } from "../nodes/values.ts";
import {
  layerMemoCache,
  observe,
  run,
  type RunEvent,
} from "../pipeline/mod.ts";
import { internvl } from "../plugins/internvl/mod.ts";
import { imageProcessor } from "../plugins/media/image_processor.ts";
import { ffiBackend } from "../plugins/onnx/mod.ts";
import {
  anyPrompt,
  endless,
  type Fixture,
  loadPart,
  openFixture,
} from "./fixture.ts";
import { Heartbeat, type Stall } from "./heartbeat.ts";
import { median, pairedRatio } from "./stats.ts";

/** The engine's figures on one model. */
export interface EngineBench {
  /** Generated tokens a second of one request. */
  readonly one: number;
  /** Of eight at once, all together. */
  readonly eight: number;
  /** The latter over the former, in turns. */
  readonly gain: number;
  /** The longest gap of a 1 ms timer while eight are computed. */
  readonly gap: Stall;
  /** The one in which this thread computed longest. */
  readonly busy: Stall;
}

/** First tokens of a chat about a picture. */
export interface RoundsBench {
  /** Milliseconds to the first token of the first round, the picture encoded. */
  readonly first: number;
  /** Of the second. */
  readonly second: number;
  /** Their ratio, in turns. */
  readonly ratio: number;
  /** Tokens of the second prompt, and those found computed. */
  readonly tokens: readonly [prompt: number, cached: number];
}

/** Eight at once of a model in 4 bits with a second set of weights, by the one and by the other. */
export interface WideBench {
  /** Generated tokens a second of one request. */
  readonly one: number;
  /** Of eight at once, all together, in 4 bits. */
  readonly eight: number;
  /** The latter over the former, in turns. */
  readonly gain: number;
  /** Of eight at once by the second set (`wideFrom`). */
  readonly wide: number;
  /** The latter over one, in turns. */
  readonly wideGain: number;
}

const AT_ONCE = 8;

/** Milliseconds a token of `count` answers at once, of `steps` tokens each. */
function answersOf(fixture: Fixture, steps: number) {
  let serial = 0;
  return Effect.fnUntraced(function* (model: LanguageModel, count: number) {
    const answer = Effect.suspend(() => {
      const prompt = anyPrompt(fixture, 32);
      // Each its own: nothing to reuse.
      prompt.ids[0] = 3 + serial++ % 1000;
      return model.generate({
        prompt,
        visual: [],
        settings: { maxNewTokens: steps },
      });
    });
    const start = performance.now();
    yield* Effect.all(Array.from({ length: count }, () => answer), {
      concurrency: "unbounded",
    });
    return (performance.now() - start) / (count * steps);
  });
}

/** Measures a checkpoint with two sets of weights. */
export async function benchWide(
  dir: string,
  rounds: number,
  steps: number,
): Promise<WideBench> {
  const program = Effect.gen(function* () {
    const fixture = yield* openFixture(dir);
    const session = yield* loadPart(fixture, "language");
    const prefill = yield* loadPart(fixture, "language", { prefill: true });
    const plain = yield* endless(fixture, session, { prefill });
    const wide = yield* endless(fixture, session, { prefill, wideFrom: 4 });
    const timed = answersOf(fixture, steps);
    const sides = [[plain, 1], [plain, AT_ONCE], [wide, AT_ONCE]] as const;
    const times: [number[], number[], number[]] = [[], [], []];
    for (let round = -1; round < rounds; round++) {
      for (const [i, [model, count]] of sides.entries()) {
        const ms = yield* timed(model, count);
        if (round >= 0) times[i]!.push(ms);
      }
    }
    const [one, eight, eightWide] = times;
    return {
      one: 1000 / median(one),
      eight: 1000 / median(eight),
      gain: pairedRatio(one, eight),
      wide: 1000 / median(eightWide),
      wideGain: pairedRatio(one, eightWide),
    };
  });
  return await Effect.runPromise(
    Effect.scoped(program).pipe(Effect.provide(ffiBackend)),
  );
}

/** Measures a checkpoint's language model; `steps` tokens an answer. */
export async function benchEngine(
  dir: string,
  rounds: number,
  steps: number,
): Promise<EngineBench> {
  const program = Effect.gen(function* () {
    const fixture = yield* openFixture(dir);
    const session = yield* loadPart(fixture, "language");
    const model = yield* endless(fixture, session);
    const answers = answersOf(fixture, steps);
    const timed = (count: number) => answers(model, count);
    yield* timed(1);
    yield* timed(AT_ONCE);
    const one: number[] = [];
    const eight: number[] = [];
    using heart = new Heartbeat();
    yield* Effect.sleep(20);
    let gap: Stall = { ms: 0, busyMs: undefined };
    let busy: Stall = { ms: 0, busyMs: undefined };
    for (let round = 0; round < rounds; round++) {
      one.push(yield* timed(1));
      const start = performance.now();
      eight.push(yield* timed(AT_ONCE));
      const found = heart.longest(start, performance.now());
      if (found.gap.ms > gap.ms) gap = found.gap;
      if ((found.busy.busyMs ?? 0) > (busy.busyMs ?? 0)) busy = found.busy;
    }
    return {
      one: 1000 / median(one),
      eight: 1000 / median(eight),
      gain: pairedRatio(one, eight),
      gap,
      busy,
    };
  });
  return await Effect.runPromise(
    Effect.scoped(program).pipe(Effect.provide(ffiBackend)),
  );
}

/**
 * What the model is made to have said, about 64 tokens: what random weights say has many times as many
 * when it is read again.
 */
const said = "A red circle on the left and a blue square on the right. "
  .repeat(5).trim();

/** Measures two rounds about a picture of 6 tiles and a thumbnail. */
export async function benchRounds(
  dir: string,
  picture: string,
  rounds: number,
): Promise<RoundsBench> {
  const first: number[] = [];
  const second: number[] = [];
  let tokens: readonly [number, number] = [0, 0];
  const ask = Effect.fnUntraced(
    function* (question: string, history?: History) {
      const start = performance.now();
      const begun = new Map<string, number>();
      let token = start;
      const inputs = {
        images: [picture],
        question,
        history,
        settings: { maxNewTokens: 4 },
      };
      const listen = (event: RunEvent) => {
        const now = performance.now();
        if (event._tag === "NodeStarted") begun.set(event.node, now);
        if (event._tag !== "NodeFinished" || event.kind !== "decode") return;
        const prefill = event.spans.find(({ name }) => name === "prefill")!;
        token = begun.get(event.node)! + prefill.startMs + prefill.ms;
      };
      const { outputs } = yield* observe(
        run(chatPipeline({ maxTiles: 6 }), inputs),
        listen,
      );
      return { ...outputs, ms: token - start };
    },
  );
  // A model of its own for each round of measurement: the first question must find nothing.
  const layer = () =>
    Layer.mergeAll(
      Layer.provide(internvl(dir), ffiBackend),
      imageProcessor,
      layerMemoCache({ maxEntries: 100 }),
    );
  for (let round = 0; round < Math.min(rounds, 3); round++) {
    await Effect.runPromise(
      Effect.gen(function* () {
        const one = yield* ask("What is in the picture?");
        const two = yield* ask("How many shapes are there?", [
          [one.prompt.question, said],
        ]);
        first.push(one.ms);
        second.push(two.ms);
        const { promptTokens, cachedTokens = 0 } = two.completion.usage;
        tokens = [promptTokens, cachedTokens];
      }).pipe(Effect.provide(layer())),
    );
  }
  return {
    first: median(first),
    second: median(second),
    ratio: pairedRatio(second, first),
    tokens,
  };
}
