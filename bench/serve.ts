/**
 * What the engine gains from several requests at once, and from what it has computed before.
 * @module
 */
import { Effect } from "effect";
import { InternVL, quantize } from "../mod.ts";
import type { Scratch } from "./scratch.ts";
import { median } from "./stats.ts";

/** What {@link benchServe} finds, of the synthetic checkpoint in 4 bits. */
export interface ServeBench {
  /** Requests at once. */
  readonly requests: number;
  /** Tokens of each answer. */
  readonly tokens: number;
  /** Tokens per second of one request alone. */
  readonly alone: number;
  /** Tokens per second of all together. */
  readonly all: number;
  /** All over one: the median of the ratios of measurements in turns. */
  readonly together: number;
  /** Milliseconds to the first token of a question about a picture of 7 tiles. */
  readonly firstMs: number;
  /** The same of a second question about it, in the same chat. */
  readonly secondMs: number;
  /** Second over first: the median of the ratios. */
  readonly secondRound: number;
}

const REQUESTS = 8;
const TOKENS = 48;

/** Measures. */
export async function benchServe(
  scratch: Scratch,
  rounds: number,
): Promise<ServeBench> {
  const dir = scratch.path("synthetic-serve");
  await Effect.runPromise(
    quantize(await scratch.synthetic(), dir, {
      weights: "int4",
      blockSize: 64,
      vision: "w8a8",
    }),
  );
  const picture = await scratch.picture();
  await using model = await InternVL.load(dir);
  let asked = 0;
  // No two prompts have a beginning in common: nothing is kept from one to the next.
  const answer = async (): Promise<number> => {
    const { usage } = await model.chat({
      systemMessage: `Question number ${asked++}.`,
      question: "What is the meaning of this?",
      generation: { maxNewTokens: TOKENS, minNewTokens: TOKENS },
    });
    return usage.completionTokens;
  };
  const perSecond = async (count: number): Promise<number> => {
    const start = performance.now();
    const tokens = await Promise.all(Array.from({ length: count }, answer));
    return tokens.reduce((a, b) => a + b) * 1000 / (performance.now() - start);
  };
  const alone: number[] = [], all: number[] = [];
  for (let round = -1; round < rounds; round++) {
    const [one, many] = [await perSecond(1), await perSecond(REQUESTS)];
    if (round < 0) continue;
    alone.push(one);
    all.push(many);
  }

  const first: number[] = [], second: number[] = [];
  const oneToken = { maxNewTokens: 1, minNewTokens: 1 };
  for (let round = 0; round < rounds; round++) {
    // A picture that the model has not seen.
    const images = [await recompressed(picture, 80 - round)];
    const chat = { images, maxTiles: 6, generation: oneToken };
    const start = performance.now();
    const { history } = await model.chat({
      ...chat,
      question: "What is in the picture?",
    });
    const middle = performance.now();
    await model.chat({ ...chat, question: "And what is behind it?", history });
    first.push(middle - start);
    second.push(performance.now() - middle);
  }
  return {
    requests: REQUESTS,
    tokens: TOKENS,
    alone: median(alone),
    all: median(all),
    together: median(all.map((value, i) => value / alone[i])),
    firstMs: median(first),
    secondMs: median(second),
    secondRound: median(second.map((value, i) => value / first[i])),
  };
}

/** The picture as a JPEG of another quality: other pixels. */
async function recompressed(
  path: string,
  quality: number,
): Promise<Uint8Array<ArrayBuffer>> {
  const { default: sharp } = await import("sharp");
  return new Uint8Array(await sharp(path).jpeg({ quality }).toBuffer());
}
