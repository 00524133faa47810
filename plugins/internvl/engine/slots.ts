/**
 * Which slot of the pool holds what. A finished sequence leaves its keys and values where they are, so
 * that a later prompt with the same beginning need not compute it again.
 * @module
 */
import { commonLength } from "./content.ts";
import type { DecodeRow } from "./steps.ts";

/** One place in the pool. */
export interface Slot {
  /** Its row. */
  index: number;
  /** Whether a sequence is being computed here. */
  busy: boolean;
  /** Contents by position. */
  keys: Int32Array<ArrayBuffer>;
  /** Tokens whose keys and values are there. */
  length: number;
  /**
   * How many of them, from the first on, may serve another prompt: none of a prompt that is rotated by angles
   * of its own.
   */
  shared: number;
  /** Counts up: when it was left. */
  left: number;
}

/** Where a prompt goes. */
export interface Placement {
  /** Its slot. */
  readonly slot: Slot;
  /** Tokens of the prompt that are computed already. */
  readonly reused: number;
  /** The slot that has them, when it is another one. */
  readonly source: Slot | undefined;
}

/** A shorter beginning than this is not worth a copy. */
export const LEAST_COPY = 8;

/** See the module. */
export class SlotTable {
  /** By row. */
  slots: Slot[] = [];
  readonly #grain: number;
  #clock = 0;

  /** An empty table; beginnings are taken over at multiples of `grain` tokens. */
  constructor(grain = 1) {
    this.#grain = grain;
  }

  /** Tokens held, in use or for later. */
  get tokens(): number {
    return this.slots.reduce((sum, { length }) => sum + length, 0);
  }

  /**
   * What a pool of another shape would keep: busy slots, then what was used last. `keep` is false where
   * memory cannot be copied. The busy ones must fit.
   */
  plan(count: number, capacity: number, keep: boolean): readonly Slot[] {
    return this.slots
      .filter(({ busy, length }) => keep && (busy || length > 0))
      .sort((a, b) => Number(b.busy) - Number(a.busy) || b.left - a.left)
      .filter(({ length }) => length <= capacity)
      .slice(0, count);
  }

  /** Makes the table for a pool that has kept these slots, in their order. */
  resize(count: number, capacity: number, kept: readonly Slot[]): void {
    this.slots = Array.from({ length: count }, (_, index) => {
      const slot = kept[index] ?? {
        index,
        busy: false,
        keys: new Int32Array(0),
        length: 0,
        shared: 0,
        left: 0,
      };
      const keys = new Int32Array(capacity);
      keys.set(slot.keys.subarray(0, slot.length));
      slot.keys = keys;
      slot.index = index;
      return slot;
    });
  }

  /**
   * Finds a place for a prompt of at least one slot that is free. At most `limit` tokens are taken over.
   */
  place(
    keys: Int32Array,
    limit: number,
    copies: boolean,
  ): Placement {
    let idle: Slot | undefined;
    let idleLength = 0;
    let other: Slot | undefined;
    let otherLength = 0;
    for (const slot of this.slots) {
      let length = commonLength(
        slot.keys,
        keys,
        Math.min(limit, slot.shared),
      );
      length -= length % this.#grain;
      if (slot.busy) {
        if (length > otherLength) [other, otherLength] = [slot, length];
      } else if (length > idleLength) [idle, idleLength] = [slot, length];
    }
    const victim = this.#victim();
    if (
      idle !== undefined && (idleLength >= otherLength || !copies) &&
      // Not where most of what the slot holds would be lost while another has less to lose.
      (2 * idleLength >= idle.length || idle === victim || !copies)
    ) {
      return { slot: idle, reused: idleLength, source: undefined };
    }
    const source = idleLength >= otherLength ? idle : other;
    const reused = Math.max(idleLength, otherLength);
    return copies && source !== undefined && reused >= LEAST_COPY
      ? { slot: victim, reused, source }
      : { slot: victim, reused: 0, source: undefined };
  }

  /** Begins a sequence in a slot that holds its first `reused` tokens. */
  enter(slot: Slot, keys: Int32Array, reused: number): void {
    slot.busy = true;
    slot.keys.set(keys.subarray(0, reused));
    slot.length = slot.shared = reused;
  }

  /** Ends the sequence in a slot; what may be shared stays. */
  leave(slot: Slot): void {
    slot.busy = false;
    slot.length = Math.max(slot.shared, 0);
    slot.left = ++this.#clock;
  }

  /** Exchanges two rows' contents in the table. */
  swap(a: Slot, b: Slot): void {
    this.slots[a.index] = b;
    this.slots[b.index] = a;
    [a.index, b.index] = [b.index, a.index];
  }

  /** The free slot to give up: an empty one next to those in use, else the least recently used. */
  #victim(): Slot {
    const busy = this.slots.filter(({ busy }) => busy);
    const first = busy[0]?.index ?? 0;
    const last = busy.at(-1)?.index ?? 0;
    const away = ({ index }: Slot) =>
      busy.length === 0 ? index : Math.max(first - index, index - last, 0);
    let best: Slot | undefined;
    for (const slot of this.slots) {
      if (slot.busy) continue;
      if (
        best === undefined || age(slot) < age(best) ||
        (age(slot) === age(best) && away(slot) < away(best))
      ) best = slot;
    }
    if (best === undefined) throw new RangeError("no slot is free");
    return best;
  }
}

const age = ({ length, left }: Slot) => length === 0 ? 0 : left;

/** Forgets what a slot holds. */
export function empty(slot: Slot): void {
  slot.length = slot.shared = 0;
}

/**
 * What to feed a row that only lies between others: its own first token again, which leaves all numbers as
 * they are, since what a first token sees is itself alone.
 */
export function idleRow(slot: Slot, capacity: number): DecodeRow {
  if (slot.length === 0) return { id: 0, position: 0 };
  if (slot.keys[0] >= 0) return { id: slot.keys[0], position: 0 };
  // A visual token cannot be fed here: write behind what is held.
  if (slot.length < capacity) return { id: 0, position: slot.length };
  empty(slot);
  return { id: 0, position: 0 };
}
