/**
 * A decoding step reads every weight once: how much of what the memory gives does it use?
 * @module
 */
import { Effect } from "effect";
import { ffiBackend } from "../plugins/onnx/mod.ts";
import { anyPrompt, endless, loadPart, openFixture } from "./fixture.ts";
import { memoryReader } from "./machine.ts";
import { median, pairedRatio } from "./stats.ts";

/** Decoding against the machine's memory. */
export interface BandwidthBench {
  /** MB of weights a step reads. */
  readonly megabytesPerStep: number;
  /** GB/s that all cores read together, over as many bytes; the median of the rounds. */
  readonly machine: number;
  /** The best round. */
  readonly machineBest: number;
  /** GB/s of weights that decoding reads. */
  readonly decoding: number;
  /** The latter over the former, measured in turns. */
  readonly share: number;
}

/** Measures in turns; `undefined` where the C library cannot be opened. */
export async function benchBandwidth(
  dir: string,
  rounds: number,
  steps: number,
): Promise<BandwidthBench | undefined> {
  const program = Effect.gen(function* () {
    const fixture = yield* openFixture(dir);
    const { bytesPerStep } = fixture;
    const reader = memoryReader(bytesPerStep);
    if (reader === undefined) return undefined;
    yield* Effect.addFinalizer(() => Effect.sync(reader.close));
    const session = yield* loadPart(fixture, "language");
    const model = endless(fixture, session);
    const prompt = anyPrompt(fixture, 256 - steps / 2);
    const decode = Effect.suspend(() => {
      let first = 0;
      return Effect.map(
        model.generate({
          prompt,
          visual: [],
          settings: { maxNewTokens: steps + 1 },
          observer: { onFirstToken: () => first = performance.now() },
        }),
        () => bytesPerStep * steps / (performance.now() - first) / 1e6,
      );
    });
    // As long as an answer: a burst would not show what lasts.
    const read = Effect.promise(async () => {
      const rates: number[] = [];
      for (let i = 0; i < steps; i++) rates.push(await reader.read());
      return median(rates);
    });
    yield* read;
    yield* decode;
    const machine: number[] = [];
    const decoding: number[] = [];
    for (let round = 0; round < rounds; round++) {
      machine.push(yield* read);
      decoding.push(yield* decode);
    }
    return {
      megabytesPerStep: bytesPerStep / 1e6,
      machine: median(machine),
      machineBest: Math.max(...machine),
      decoding: median(decoding),
      share: pairedRatio(decoding, machine),
    };
  });
  return await Effect.runPromise(
    Effect.scoped(program).pipe(Effect.provide(ffiBackend)),
  );
}
