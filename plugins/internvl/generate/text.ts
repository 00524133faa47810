/**
 * From decoded text to what an observer sees: cut at the first stop string, trimmed, and nothing
 * sent that may have to be taken back.
 * @module
 */
import { stripEnd, stripStart } from "../text.ts";

/** Turns ids into text one by one. */
export interface Detokenizer {
  /** Takes one id and returns the text that became certain; never half of a UTF-8 character. */
  readonly push: (id: number) => string;
  /** Ends the text and returns what was held back. */
  readonly end: () => string;
}

/**
 * Cuts a text that comes in pieces before the first of the stop strings, and trims it as Python's
 * `strip` does. The deltas it returns, joined, are the whole answer: white space at the end, and what
 * may become a stop string, is held back until it is certain.
 */
export class AnswerText {
  readonly #stops: readonly string[];
  readonly #trims: boolean;
  /** Text that may yet turn out to be part of a stop string or the white space at the end. */
  #held = "";
  /** Where in it a stop string that is not complete yet could begin. */
  #searched = 0;
  #text = "";
  #stopped = false;

  /**
   * A text that ends before the first of `stops` (none of them empty). Without `trims` white space at its
   * ends stays.
   */
  constructor(stops: readonly string[], trims = true) {
    this.#stops = stops;
    this.#trims = trims;
  }

  /** What has been returned so far. */
  get text(): string {
    return this.#text;
  }

  /** Whether a stop string has been met; what comes after it is passed over. */
  get stopped(): boolean {
    return this.#stopped;
  }

  /** Takes a piece and returns the part of the text that became certain. */
  push(piece: string): string {
    if (this.#stopped || piece === "") return "";
    this.#held += piece;
    let first = -1;
    for (const stop of this.#stops) {
      const at = this.#held.indexOf(
        stop,
        Math.max(0, this.#searched - stop.length + 1),
      );
      if (at >= 0 && (first < 0 || at < first)) first = at;
    }
    if (first >= 0) {
      this.#held = this.#held.slice(0, first);
      this.#stopped = true;
      return this.end();
    }
    const delta = this.#release(this.#held.length - this.#partialStop());
    this.#searched = this.#held.length;
    return delta;
  }

  /** Ends the text and returns what was held back, less the white space at the end. */
  end(): string {
    const delta = this.#release(this.#held.length);
    this.#held = "";
    return delta;
  }

  /** Length of the longest end of the held text that a stop string starts with. */
  #partialStop(): number {
    let longest = 0;
    for (const stop of this.#stops) {
      const most = Math.min(stop.length - 1, this.#held.length);
      for (let length = most; length > longest; length--) {
        if (this.#held.endsWith(stop.slice(0, length))) {
          longest = length;
          break;
        }
      }
    }
    return longest;
  }

  /** Releases the first `length` characters but for the white space they end with. */
  #release(length: number): string {
    if (!this.#trims) {
      const delta = this.#held.slice(0, length);
      this.#held = this.#held.slice(length);
      this.#text += delta;
      return delta;
    }
    const certain = stripEnd(this.#held.slice(0, length));
    const rest = this.#held.slice(certain.length);
    const delta = this.#text === "" ? stripStart(certain) : certain;
    this.#held = rest;
    this.#text += delta;
    return delta;
  }
}
