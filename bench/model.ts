/**
 * How fast a model is: its towers per tile, prompt and answer per token, from a cold start.
 * @module
 */
import { Effect } from "effect";
import { ffiBackend } from "../plugins/onnx/mod.ts";
import {
  makeProjector,
  makeVisionEncoder,
} from "../plugins/internvl/graphs/encoder.ts";
import { apart } from "./apart.ts";
import {
  anyPrompt,
  anyTile,
  endless,
  loadPart,
  openFixture,
  timed,
} from "./fixture.ts";
import { summarize, type Summary } from "./stats.ts";

/** A model's figures. */
export interface ModelBench {
  /** Millions of parameters by part. */
  readonly parametersM: {
    readonly vision: number;
    readonly projector: number;
    readonly language: number;
  };
  /** Edge of a tile in pixels. */
  readonly tile: number;
  /** Milliseconds to build the three graphs in memory. */
  readonly graphMs: number;
  /** Milliseconds to make the sessions: weights read, cast, folded, packed. */
  readonly loadMs: number;
  /** Milliseconds to encode a tile. */
  readonly encodeMs: Summary;
  /** Milliseconds to project a tile's features. */
  readonly projectMs: Summary;
  /** Prompt tokens per second, of a prompt of 512. */
  readonly prefill: Summary;
  /** Generated tokens per second at a context of about 256. */
  readonly decode: Summary;
  /** A process of its own, from its start to the end of a one-token answer about a picture. */
  readonly cold: ColdBench;
}

/** A cold start. */
export interface ColdBench {
  /** From the start of the process to its end. */
  readonly totalMs: number;
  /** Importing the SDK. */
  readonly importMs: number;
  /** `InternVL.load`. */
  readonly loadMs: number;
  /** The answer: one tile, one token. */
  readonly answerMs: number;
  /** The most memory the process has held. */
  readonly peakMiB: number;
}

/** Prompt length of the prefill figure. */
const PROMPT = 512;

/** Measures a checkpoint; `picture` is asked about from a cold start. */
export async function benchModel(
  dir: string,
  picture: string,
  rounds: number,
  steps: number,
): Promise<ModelBench> {
  const program = Effect.gen(function* () {
    const fixture = yield* openFixture(dir);
    const { config, parameters } = fixture;
    const began = performance.now();
    for (const part of ["vision", "projector", "language"] as const) {
      fixture.graph(part);
    }
    const graphMs = performance.now() - began;
    const loading = performance.now();
    const vision = yield* loadPart(fixture, "vision");
    const projector = yield* loadPart(fixture, "projector");
    const language = yield* loadPart(fixture, "language");
    const loadMs = performance.now() - loading;
    const encoder = makeVisionEncoder(vision, config);
    const project = makeProjector(projector, config);
    const model = yield* endless(fixture, language);
    const tile = anyTile(fixture);
    const features = yield* encoder.encode(tile);
    yield* project.project(features);

    const answer = (length: number, tokens: number) =>
      Effect.suspend(() => {
        const start = performance.now();
        let first = 0;
        return Effect.map(
          model.generate({
            prompt: anyPrompt(fixture, length),
            visual: [],
            settings: { maxNewTokens: tokens },
            observer: { onFirstToken: () => first = performance.now() },
          }),
          () => ({ prefill: first - start, decode: performance.now() - first }),
        );
      });
    yield* answer(PROMPT, 2);
    const encodes: number[] = [];
    const projects: number[] = [];
    const prefills: number[] = [];
    const decodes: number[] = [];
    for (let round = 0; round < rounds; round++) {
      encodes.push((yield* timed(encoder.encode(tile)))[0]);
      projects.push((yield* timed(project.project(features)))[0]);
      prefills.push(PROMPT * 1000 / (yield* answer(PROMPT, 1)).prefill);
      const { decode } = yield* answer(256 - steps / 2, steps + 1);
      decodes.push(steps * 1000 / decode);
    }
    return {
      parametersM: {
        vision: parameters.vision / 1e6,
        projector: parameters.projector / 1e6,
        language: parameters.language / 1e6,
      },
      tile: tile.shape[3],
      graphMs,
      loadMs,
      encodeMs: summarize(encodes),
      projectMs: summarize(projects),
      prefill: summarize(prefills),
      decode: summarize(decodes),
    };
  });
  const figures = await Effect.runPromise(
    Effect.scoped(program).pipe(Effect.provide(ffiBackend)),
  );
  return { ...figures, cold: await benchCold(dir, picture) };
}

/** The median, by total time, of three cold starts. */
async function benchCold(dir: string, picture: string): Promise<ColdBench> {
  const runs: ColdBench[] = [];
  for (let i = 0; i < 3; i++) {
    const start = performance.now();
    const found = await apart<Omit<ColdBench, "totalMs">>("cold.ts", [
      dir,
      picture,
    ]);
    const totalMs = performance.now() - start;
    runs.push({ totalMs, ...found });
  }
  return runs.sort((a, b) => a.totalMs - b.totalMs)[1];
}
