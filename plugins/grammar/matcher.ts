/**
 * One answer under a constraint: which tokens may come next, given those chosen so far.
 * @module
 */
import { Automaton, BUDGET, DEAD } from "./automaton.ts";
import { Masks, type Vocabulary } from "./mask.ts";
import type { Language } from "./network.ts";

/** A language and a vocabulary, with all that was found out about them; shared by many answers. */
export interface Grammar {
  /** Reads bytes. */
  readonly automaton: Automaton;
  /** Knows tokens. */
  readonly masks: Masks;
  /** The vocabulary. */
  readonly vocabulary: Vocabulary;
}

/** Puts a language and a vocabulary together. Throws `ConstraintFault` where that costs too much. */
export function makeGrammar(
  language: Language,
  vocabulary: Vocabulary,
): Grammar {
  const automaton = new Automaton(language);
  return { automaton, masks: new Masks(automaton, vocabulary), vocabulary };
}

/** Where an answer stands. Throws `ConstraintFault` where the constraint costs too much to follow. */
export class Matcher {
  readonly #grammar: Grammar;
  #state: number;
  #empty: boolean;

  /** A matcher for a new answer. */
  constructor(grammar: Grammar, state = grammar.automaton.start, empty = true) {
    this.#grammar = grammar;
    this.#state = state;
    this.#empty = empty;
  }

  /** Whether the answer is whole: it may end here. */
  get accepts(): boolean {
    return this.#state !== DEAD && this.#grammar.automaton.accepts(this.#state);
  }

  /** Tokens that may come next, as bits over the ids; not to be changed. */
  allowed(): Int32Array {
    if (this.#state === DEAD) {
      return new Int32Array(Math.ceil(this.#grammar.vocabulary.size / 32));
    }
    const { masks } = this.#grammar;
    return this.#empty ? masks.first() : masks.of(this.#state);
  }

  /** Takes a token; says whether it was allowed. After one that was not, nothing is. */
  take(id: number): boolean {
    const bytes = this.#grammar.vocabulary.bytesOf(id, this.#empty);
    this.#empty = false;
    if (bytes === undefined || bytes.length === 0) this.#state = DEAD;
    else {
      const { automaton } = this.#grammar;
      this.#state = automaton.bounded(BUDGET, () => {
        let state = this.#state;
        for (const byte of bytes) {
          if (state === DEAD) break;
          state = automaton.step(state, byte);
        }
        return state;
      });
    }
    return this.#state !== DEAD;
  }

  /** A matcher that stands where this one does and goes its own way. */
  fork(): Matcher {
    return new Matcher(this.#grammar, this.#state, this.#empty);
  }
}
