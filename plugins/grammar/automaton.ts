/**
 * Reads a language byte by byte. A state is the set of all places where the text so far can stand: a
 * node and the calls it is in. States and calls are kept once each, so a state is a number, and a step
 * that was made before is one look-up.
 * @module
 */
import { ConstraintFault, type Language } from "./network.ts";

/** There is no state: the text cannot be continued to anything in the language. */
export const DEAD = -1;
const UNKNOWN = -2;

/** Places that may be visited for one mask or one token: some tens of milliseconds. */
export const BUDGET = 2_000_000;

/** Most states kept; each has a row of some hundred bytes. */
const MAX_STATES = 1 << 16;

/**
 * Most calls kept. A schema of a few lines can have exponentially many at one place, by references that fork;
 * answers need one for each bracket that is open.
 */
const MAX_CALLS = 1 << 17;

/** Calls in progress. None, and none that is known: what follows the end of the rule is left open. */
const NO_CALLS = 0;
const OPEN_CALLS = 1;

interface State {
  /** Places with an edge that reads a byte: calls · nodes + node, in rising order. */
  readonly places: Float64Array;
  /** Whether the text may end here. */
  readonly accepts: boolean;
  /** Whether a rule entered with open calls may end here. */
  readonly leaves: boolean;
  /** Next state by class of bytes. */
  readonly next: Int32Array;
}

/** The states of a language, made as they are met. */
export class Automaton {
  /** The state before the first byte. */
  readonly start: number;
  readonly #language: Language;
  readonly #size: number;
  /** Class of each byte: those that no edge tells apart share one. */
  readonly #classes: Uint8Array;
  readonly #classCount: number;
  /** A byte of each class. */
  readonly #samples: number[];
  readonly #states: State[] = [];
  readonly #known = new Map<string, number>();
  /** Calls: node to return to, and the calls around. */
  readonly #returns: number[] = [-1, -1];
  readonly #around: number[] = [-1, -1];
  readonly #calls = new Map<number, number>();
  #work = 0;
  #budget = Infinity;

  /** Makes the automaton. Throws {@link ConstraintFault} where the beginning alone costs too much. */
  constructor(language: Language) {
    this.#language = language;
    this.#size = language.net.bytes.length;
    const cuts = new Uint8Array(257);
    for (const edges of language.net.bytes) {
      for (let i = 0; i < edges.length; i += 3) {
        cuts[edges[i]] = 1;
        cuts[edges[i + 1] + 1] = 1;
      }
    }
    this.#classes = new Uint8Array(256);
    this.#samples = [0];
    for (let byte = 1; byte < 256; byte++) {
      if (cuts[byte] === 1) this.#samples.push(byte);
      this.#classes[byte] = this.#samples.length - 1;
    }
    this.#classCount = this.#samples.length;
    this.start = this.bounded(
      BUDGET,
      () => this.#enter([this.#place(language.root.start, NO_CALLS)]),
    );
  }

  /** States made so far. */
  get size(): number {
    return this.#states.length;
  }

  /** Calls met so far. */
  get calls(): number {
    return this.#calls.size;
  }

  /**
   * Runs with a bound on the work (places visited while states are made). Throws
   * {@link ConstraintFault} where it is not enough.
   */
  bounded<A>(budget: number, run: () => A): A {
    this.#work = 0;
    this.#budget = budget;
    try {
      return run();
    } finally {
      this.#budget = Infinity;
    }
  }

  /** The state after one more byte, or {@link DEAD}. */
  step(state: number, byte: number): number {
    const kind = this.#classes[byte];
    const { next } = this.#states[state];
    const known = next[kind];
    return known !== UNKNOWN ? known : next[kind] = this.#step(state, kind);
  }

  /** Whether the text may end in a state. */
  accepts(state: number): boolean {
    return this.#states[state].accepts;
  }

  /** Whether a state of open calls is where its rule may end. */
  leaves(state: number): boolean {
    return this.#states[state].leaves;
  }

  /**
   * A state by the calls its places are in: for each, the state of the same nodes with those calls left
   * open, and the state after they return ({@link DEAD} where there are none).
   */
  byCalls(
    state: number,
  ): readonly (readonly [local: number, after: number])[] {
    const nodes = new Map<number, number[]>();
    for (const place of this.#states[state].places) {
      const calls = Math.floor(place / this.#size);
      const list = nodes.get(calls);
      if (list === undefined) nodes.set(calls, [place % this.#size]);
      else list.push(place % this.#size);
    }
    return [...nodes].map(([calls, list]) => [
      this.#enter(list.map((node) => this.#place(node, OPEN_CALLS))),
      calls === NO_CALLS || calls === OPEN_CALLS ? DEAD : this.#enter([
        this.#place(this.#returns[calls], this.#around[calls]),
      ]),
    ]);
  }

  #place(node: number, calls: number): number {
    return calls * this.#size + node;
  }

  #step(state: number, kind: number): number {
    const byte = this.#samples[kind];
    const { bytes } = this.#language.net;
    const { productive } = this.#language;
    const reached: number[] = [];
    for (const place of this.#states[state].places) {
      const node = place % this.#size;
      const edges = bytes[node];
      for (let i = 0; i < edges.length; i += 3) {
        if (
          edges[i] <= byte && byte <= edges[i + 1] &&
          productive[edges[i + 2]] === 1
        ) reached.push(place - node + edges[i + 2]);
      }
    }
    return reached.length === 0 ? DEAD : this.#enter(reached);
  }

  /** The state of some places and all that are reached from them without a byte. */
  #enter(from: readonly number[]): number {
    const { net, productive } = this.#language;
    const seen = new Set<number>();
    const kept: number[] = [];
    let accepts = false;
    let leaves = false;
    const queue = [...from];
    while (queue.length > 0) {
      const place = queue.pop()!;
      if (seen.has(place)) continue;
      seen.add(place);
      if (++this.#work > this.#budget) {
        throw new ConstraintFault("costs too much to follow; make it simpler");
      }
      const node = place % this.#size;
      const calls = (place - node) / this.#size;
      if (net.bytes[node].length > 0) kept.push(place);
      for (const target of net.empty[node]) {
        if (productive[target] === 1) queue.push(place - node + target);
      }
      const called = net.calls[node];
      for (let i = 0; i < called.length; i += 2) {
        if (productive[called[i]] === 1 && productive[called[i + 1]] === 1) {
          queue.push(this.#place(called[i], this.#call(called[i + 1], calls)));
        }
      }
      if (net.ends.has(node)) {
        if (calls === NO_CALLS) accepts = true;
        else if (calls === OPEN_CALLS) leaves = true;
        else {
          queue.push(
            this.#place(this.#returns[calls], this.#around[calls]),
          );
        }
      }
    }
    const places = Float64Array.from(kept).sort();
    const key = `${accepts ? "a" : ""}${leaves ? "l" : ""}${places.join()}`;
    const known = this.#known.get(key);
    if (known !== undefined) return known;
    if (this.#states.length >= MAX_STATES) {
      throw new ConstraintFault(
        `takes more than ${MAX_STATES} states; make it simpler`,
      );
    }
    const next = new Int32Array(this.#classCount).fill(UNKNOWN);
    const id = this.#states.push({ places, accepts, leaves, next }) - 1;
    this.#known.set(key, id);
    return id;
  }

  #call(back: number, around: number): number {
    const key = around * this.#size + back;
    const known = this.#calls.get(key);
    if (known !== undefined) return known;
    if (this.#calls.size >= MAX_CALLS) {
      throw new ConstraintFault(
        `can be read in too many ways at once (${MAX_CALLS}); make it simpler`,
      );
    }
    const id = this.#returns.push(back) - 1;
    this.#around.push(around);
    this.#calls.set(key, id);
    return id;
  }
}
