/**
 * Speculation without a second model: drafts come from the text itself, and are made only while they are
 * seen to save time.
 * @module
 */
import { Lookup } from "./lookup.ts";

/** How tokens are guessed. */
export interface Speculate {
  /** Most tokens guessed at once. */
  readonly tokens: number;
  /** Longest end of the text that is looked for in what was before. */
  readonly ngram: number;
}

/** Plain steps before the first draft: the first of all also prepares its buffers. */
const BEFORE = 2;
/** Drafts after which they are judged. */
const TRIAL = 4;
/** Plain steps after drafts that did not pay: at first, and at most. */
const PAUSE = 16;
const LONGEST_PAUSE = 256;
/** Share of the latest step in the running means. */
const WEIGHT = 0.25;

const mean = (before: number | undefined, latest: number) =>
  before === undefined ? latest : before + WEIGHT * (latest - before);

/** Whether drafts pay, by the time of steps with and without and by the tokens they gave. */
export class Pace {
  #seen = 0;
  #plain: number | undefined;
  #drafted: number | undefined;
  #tokens: number | undefined;
  #trial = 0;
  #rest = 0;
  #pause = PAUSE;

  /** Whether the next step should try a draft. */
  get ready(): boolean {
    return this.#seen >= BEFORE && this.#rest === 0;
  }

  /** A step of one token took so long. */
  plain(ms: number): void {
    if (++this.#seen > 1) this.#plain = mean(this.#plain, ms);
    if (this.#rest > 0) this.#rest--;
  }

  /** A step with a draft took so long, and gave so many tokens. */
  drafted(ms: number, tokens: number): void {
    this.#drafted = mean(this.#drafted, ms);
    this.#tokens = mean(this.#tokens, tokens);
    if (++this.#trial < TRIAL) return;
    if (this.#tokens * (this.#plain ?? 0) > this.#drafted) {
      this.#pause = PAUSE;
      return;
    }
    // It is tried again later: the text may have begun to repeat itself.
    this.#rest = this.#pause;
    this.#pause = Math.min(2 * this.#pause, LONGEST_PAUSE);
    this.#trial = 0;
    this.#drafted = this.#tokens = undefined;
  }
}

/** The drafts of one sequence. */
export class Speculation {
  /** Whether they pay. */
  readonly pace: Pace = new Pace();
  readonly #lookup: Lookup;
  readonly #tokens: number;

  /** No draft yet. */
  constructor({ tokens, ngram }: Speculate) {
    this.#lookup = new Lookup(ngram);
    this.#tokens = tokens;
  }

  /** What may follow `keys[0 … length)` and `next`; at most `room` tokens, none while it does not pay. */
  draft(
    keys: Int32Array,
    length: number,
    next: number,
    room: number,
  ): readonly number[] {
    if (!this.pace.ready) return [];
    const lookup = this.#lookup;
    while (lookup.length < length) lookup.push(keys[lookup.length]);
    if (lookup.length === length) lookup.push(next);
    return lookup.draft(Math.min(this.#tokens, room));
  }
}
