/**
 * Answers by dice: random walks through what a constraint allows, over a real vocabulary.
 * @module
 */
import { Effect } from "effect";
import type { OutputConstraint } from "../../nodes/values.ts";
import { openTokenizer } from "../internvl/mod.ts";
import { type Constrainer, makeConstrainer, type Matcher } from "./mod.ts";

/** A vocabulary and how its tokens read. */
export interface Dice {
  /** Makes matchers. */
  readonly constrainer: Constrainer;
  /** Ids to text, as an answer shows it. */
  readonly decode: (ids: readonly number[]) => string;
}

/** Dice over the tokenizer of a folder. */
export async function openDice(folder: string): Promise<Dice> {
  const tokenizer = await Effect.runPromise(openTokenizer(folder));
  const skipSpecialTokens = true;
  return {
    constrainer: makeConstrainer({
      size: tokenizer.vocabSize + 3,
      bytesOf: tokenizer.bytesOf,
      decodeFirst: (id) => tokenizer.decode([id], { skipSpecialTokens }),
    }),
    decode: (ids) => tokenizer.decode(ids, { skipSpecialTokens }),
  };
}

/** What came of a walk. */
export interface Walk {
  /** The text. */
  readonly text: string;
  /** Whether it is whole. */
  readonly whole: boolean;
  /** Whether the walk came to a place with nothing to choose. */
  readonly stuck: boolean;
}

/**
 * Walks at random, one token in three a short one that closes things, until the text may end and the dice
 * say so, or there are `limit` tokens.
 */
export async function walk(
  { constrainer, decode }: Dice,
  constraint: OutputConstraint,
  random: () => number,
  limit = 200,
): Promise<Walk> {
  const matcher: Matcher = await Effect.runPromise(
    constrainer.matcher(constraint),
  );
  const ids: number[] = [];
  const end = (whole: boolean, stuck = false) => ({
    text: decode(ids),
    whole,
    stuck,
  });
  while (ids.length < limit) {
    const allowed = members(matcher.allowed());
    if (matcher.accepts && (allowed.length === 0 || random() < 0.4)) {
      return end(true);
    }
    if (allowed.length === 0) return end(false, true);
    const closing = ids.length > limit / 3
      ? allowed.filter((id) => /^["\]}]+$/.test(decode([id])))
      : [];
    const from = closing.length > 0 && random() < 0.7 ? closing : allowed;
    const id = from[Math.floor(random() * from.length)];
    if (!matcher.take(id)) throw new Error(`token ${id} was allowed`);
    ids.push(id);
  }
  return end(matcher.accepts);
}

/** The ids of a mask. */
export function members(bits: Int32Array): number[] {
  const ids: number[] = [];
  for (const [word, value] of bits.entries()) {
    for (let rest = value; rest !== 0; rest &= rest - 1) {
      ids.push(word * 32 + 31 - Math.clz32(rest & -rest));
    }
  }
  return ids;
}
