/**
 * What guessing from the text gains and costs: whole answers with and without, in turns. Random weights
 * copy nothing, so what is said is a script's: a logits processor raises the token that comes next. The
 * model computes all of it as ever.
 * @module
 */
import { Effect } from "effect";
import { LogitsProcessors } from "../nodes/services.ts";
import { ffiBackend } from "../plugins/onnx/mod.ts";
import { anyPrompt, endless, loadPart, openFixture } from "./fixture.ts";
import { median, pairedRatio } from "./stats.ts";

/** One kind of answer. */
export interface SpeculateBench {
  /** What is said. */
  readonly text: string;
  /** Generated tokens a second, prompt left out, without guesses. */
  readonly plain: number;
  /** With them. */
  readonly guessed: number;
  /** The latter over the former, in turns. */
  readonly gain: number;
  /** Tokens guessed, and those of them that were right. */
  readonly drafted: number;
  readonly accepted: number;
  /** Tokens a step of decoding gave, with guesses. */
  readonly perStep: number;
}

const PROMPT = 256;

/** The token at a place of an answer to a prompt. */
type Script = (prompt: Int32Array, place: number) => number;

const scripts: readonly (readonly [string, Script])[] = [
  ["the prompt once more", (prompt, place) => prompt[place]],
  [
    "the prompt, each 8th token another",
    (prompt, place) => place % 8 === 7 ? 5 + place : prompt[place],
  ],
  [
    "pairs of the prompt, out of order",
    (prompt, place) => prompt[((place >> 1) * 37 + place % 2) % PROMPT],
  ],
  ["nothing twice", (_, place) => 1001 + place],
];

/** Measures a checkpoint's language model; `tokens` tokens an answer. */
export async function benchSpeculate(
  dir: string,
  rounds: number,
  tokens: number,
): Promise<SpeculateBench[]> {
  const program = Effect.gen(function* () {
    const fixture = yield* openFixture(dir);
    const session = yield* loadPart(fixture, "language");
    const prompt = anyPrompt(fixture, PROMPT);
    const found: SpeculateBench[] = [];
    for (const [text, script] of scripts) {
      const plainModel = yield* endless(fixture, session);
      const guessingModel = yield* endless(fixture, session, {
        speculate: { tokens: 6 },
      });
      const answer = (model: typeof plainModel) =>
        Effect.map(
          Effect.provideService(
            model.generate({
              prompt,
              visual: [],
              settings: { maxNewTokens: tokens },
            }),
            LogitsProcessors,
            [{
              name: "script",
              process: ({ prompt, ids, logits }) => {
                logits[script(prompt.ids, ids.length)] += 1e6;
              },
            }],
          ),
          ({ timings }) => timings!.decodeMs / (tokens - 1),
        );
      const plain: number[] = [];
      const guessed: number[] = [];
      yield* answer(plainModel);
      yield* answer(guessingModel);
      const before = (yield* guessingModel.stats).steps;
      for (let round = 0; round < rounds; round++) {
        plain.push(yield* answer(plainModel));
        guessed.push(yield* answer(guessingModel));
      }
      const { steps } = yield* guessingModel.stats;
      found.push({
        text,
        plain: 1000 / median(plain),
        guessed: 1000 / median(guessed),
        gain: pairedRatio(plain, guessed),
        drafted: steps.tokensDrafted - before.tokensDrafted,
        accepted: steps.tokensAccepted - before.tokensAccepted,
        perStep: rounds * (tokens - 1) / (steps.decode - before.decode),
      });
    }
    return found;
  });
  return await Effect.runPromise(
    Effect.scoped(program).pipe(Effect.provide(ffiBackend)),
  );
}
