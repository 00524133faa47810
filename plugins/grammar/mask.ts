/**
 * Which tokens may come next, as bits over the vocabulary.
 *
 * What follows a place inside a rule does not depend on who called the rule, until the rule ends. So the
 * tree of tokens is walked once for each set of nodes, with the calls left open; where the rule may end
 * inside a token, the rest of that branch is walked again with the real calls. All strings of a JSON
 * schema share one walk that way, and a state met before costs nothing.
 * @module
 */
import { type Automaton, BUDGET, DEAD } from "./automaton.ts";
import type { Trie } from "./trie.ts";

/** A vocabulary under constraints. */
export interface Vocabulary {
  /** Number of ids. */
  readonly size: number;
  /** Tokens by what they add to a text. */
  readonly trie: Trie;
  /** Tokens by what they add at its very start, where that differs. */
  readonly atStart: Trie;
  /** Bytes of a token, at the start of a text or later; none for tokens that add no text. */
  readonly bytesOf: (
    id: number,
    atStart: boolean,
  ) => Uint8Array | undefined;
  /** Tokens that {@link atStart} is about: bits over the ids. */
  readonly differsAtStart: Int32Array;
}

/** Most masks kept of each kind; one of 92,553 bits has 11.6 KB. */
const MAX_KEPT = 1024;

interface Local {
  readonly bits: Int32Array;
  /** Entries of the tree at which the rule may end. */
  readonly exits: readonly number[];
}

/** Computes and keeps the masks of a language. */
export class Masks {
  readonly #automaton: Automaton;
  readonly #vocabulary: Vocabulary;
  readonly #locals = new Map<number, Local>();
  readonly #masks = new Map<number, Int32Array>();
  #first: Int32Array | undefined;
  readonly #path: Int32Array;

  /** Masks of what an automaton reads. */
  constructor(automaton: Automaton, vocabulary: Vocabulary) {
    this.#automaton = automaton;
    this.#vocabulary = vocabulary;
    const { trie, atStart } = vocabulary;
    this.#path = new Int32Array(Math.max(trie.height, atStart.height) + 1);
  }

  /** Tokens that may follow in a state; bits that nobody may change. */
  of(state: number): Int32Array {
    return this.#automaton.bounded(BUDGET, () => this.#mask(state));
  }

  /** Tokens that may come first of all. */
  first(): Int32Array {
    return this.#first ??= this.#automaton.bounded(BUDGET, () => {
      const { start } = this.#automaton;
      const { differsAtStart, atStart } = this.#vocabulary;
      const bits = this.#mask(start).slice();
      for (let i = 0; i < bits.length; i++) bits[i] &= ~differsAtStart[i];
      this.#walk(atStart, 0, atStart.byte.length, start, bits);
      return bits;
    });
  }

  #mask(state: number): Int32Array {
    const known = this.#masks.get(state);
    if (known !== undefined) return known;
    const bits = new Int32Array(Math.ceil(this.#vocabulary.size / 32));
    const { trie } = this.#vocabulary;
    for (const [local, after] of this.#automaton.byCalls(state)) {
      const walked = this.#local(local);
      for (let i = 0; i < bits.length; i++) bits[i] |= walked.bits[i];
      if (after === DEAD) continue;
      for (const entry of walked.exits) {
        this.#walk(trie, entry + 1, trie.end[entry], after, bits);
      }
    }
    keep(this.#masks, state, bits);
    return bits;
  }

  #local(state: number): Local {
    const known = this.#locals.get(state);
    if (known !== undefined) return known;
    const { trie, size } = this.#vocabulary;
    const bits = new Int32Array(Math.ceil(size / 32));
    const exits: number[] = [];
    this.#walk(trie, 0, trie.byte.length, state, bits, exits);
    const local = { bits, exits };
    keep(this.#locals, state, local);
    return local;
  }

  /** Marks the tokens of the entries from `from` to `to` that can be read from `state` on. */
  #walk(
    trie: Trie,
    from: number,
    to: number,
    state: number,
    bits: Int32Array,
    exits?: number[],
  ): void {
    if (from >= to) return;
    const { byte, depth, end, first, ids } = trie;
    const automaton = this.#automaton;
    const path = this.#path;
    const top = depth[from];
    path[top] = state;
    for (let at = from; at < to;) {
      const next = automaton.step(path[depth[at]], byte[at]);
      if (next === DEAD) {
        at = end[at];
        continue;
      }
      path[depth[at] + 1] = next;
      for (let i = first[at]; i < first[at + 1]; i++) {
        bits[ids[i] >> 5] |= 1 << (ids[i] & 31);
      }
      if (exits !== undefined && automaton.leaves(next)) exits.push(at);
      at++;
    }
  }
}

/** Adds an entry; the oldest goes when there are too many. */
function keep<K, V>(map: Map<K, V>, key: K, value: V): void {
  if (map.size >= MAX_KEPT) map.delete(map.keys().next().value!);
  map.set(key, value);
}
