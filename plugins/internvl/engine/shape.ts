/**
 * How the memory for keys and values is divided: all slots are equally long.
 * @module
 */

/** The shape of a pool. */
export interface Shape {
  /** Sequences. */
  readonly slots: number;
  /** Tokens of each. */
  readonly capacity: number;
}

/** Capacities are multiples of this. */
const STEP = 64;

/** A number of tokens rounded up to a capacity. */
export const roundUp = (tokens: number): number =>
  Math.ceil(tokens / STEP) * STEP;

/** What a shape depends on besides the sequences. */
export interface Bounds {
  /** Most slots. */
  readonly slots: number;
  /** Tokens there is memory for, all slots together. */
  readonly tokens: number;
  /** Longest sequence. */
  readonly contextLength: number;
  /** Whether the slots are to be an even number, unless there is memory for one alone. */
  readonly even?: boolean;
}

/** A shape with room for sequences of so many tokens; `undefined` where there is none for all of them. */
export function shapeFor(
  rooms: readonly number[],
  { slots, tokens, contextLength, even = false }: Bounds,
): Shape | undefined {
  const need = Math.max(...rooms.map(roundUp));
  let count = Math.min(
    even ? slots + slots % 2 : slots,
    Math.floor(tokens / need),
  );
  if (even && count > 1) count -= count % 2;
  if (count < rooms.length) return undefined;
  // Twice as much, so that the next round of a chat does not move everything, as far as it costs no slot.
  const free = Math.floor(tokens / count / STEP) * STEP;
  return {
    slots: count,
    capacity: Math.max(
      need,
      Math.min(2 * need, free, roundUp(contextLength)),
    ),
  };
}
