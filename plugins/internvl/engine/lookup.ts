/**
 * Prompt lookup: what followed the last few tokens when they stood in the text before.
 * @module
 */

/** Numbers of n-grams and tokens are packed into one safe integer; vocabularies have fewer. */
const TOKENS = 2 ** 27;

/** The n-grams of one length. */
interface Grams {
  /** A number for each n-gram, by the number of its beginning (n - 1 tokens) and its last token. */
  readonly numbers: Map<number, number>;
  /** Position behind its last occurrence, by number. */
  readonly behind: number[];
}

/** A text that grows, with an index of its n-grams: a token costs the same wherever it stands. */
export class Lookup {
  readonly #tokens: number[] = [];
  /** Of one token, of two, … */
  readonly #grams: readonly Grams[];
  /** Number of the n-gram that ends the text, by n - 1; -1 where there is none. */
  readonly #ends: number[];
  readonly #least: number;
  #source = -1;

  /** An empty text, whose ends of `least` to `ngram` tokens are looked for. */
  constructor(ngram: number, least: number = Math.min(2, ngram)) {
    this.#grams = Array.from(
      { length: ngram },
      () => ({ numbers: new Map<number, number>(), behind: [] }),
    );
    this.#ends = new Array<number>(ngram).fill(-1);
    this.#least = least;
  }

  /** Tokens of the text. */
  get length(): number {
    return this.#tokens.length;
  }

  /** Adds a token. One below zero (a part of a picture) is never found, nor what reaches across it. */
  push(token: number): void {
    this.#tokens.push(token);
    this.#source = -1;
    if (token < 0) {
      this.#ends.fill(-1);
      return;
    }
    for (let n = this.#grams.length; n >= 1; n--) {
      const beginning = n === 1 ? 0 : this.#ends[n - 2];
      if (beginning < 0) {
        this.#ends[n - 1] = -1;
        continue;
      }
      const { numbers, behind } = this.#grams[n - 1];
      const key = beginning * TOKENS + token;
      let number = numbers.get(key);
      if (number === undefined) numbers.set(key, number = behind.length);
      else if (this.#source < 0 && n >= this.#least) {
        this.#source = behind[number];
      }
      behind[number] = this.#tokens.length;
      this.#ends[n - 1] = number;
    }
  }

  /**
   * At most `limit` tokens that may come next: those that followed the longest end of the text that stands
   * in it before, where it stood last. Where that occurrence reaches the end of the text, it goes round.
   */
  draft(limit: number): number[] {
    const tokens = this.#tokens;
    const draft: number[] = [];
    if (this.#source < 0) return draft;
    for (let at = this.#source; draft.length < limit; at++) {
      const token = at < tokens.length ? tokens[at] : draft[at - tokens.length];
      if (token < 0) break;
      draft.push(token);
    }
    return draft;
  }
}
