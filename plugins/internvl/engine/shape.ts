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
  /** Tokens of a slot now. */
  readonly capacity: number;
}

/** A shape with room for sequences of so many tokens; `undefined` where there is none for all of them. */
export function shapeFor(
  rooms: readonly number[],
  { slots, tokens, contextLength, capacity: now }: Bounds,
): Shape | undefined {
  const slotsAt = (capacity: number) =>
    Math.min(slots, Math.floor(tokens / capacity));
  const need = Math.max(...rooms.map(roundUp));
  if (slotsAt(need) < rooms.length) return undefined;
  // Half as much again as now, so that growing sequences do not move every time, if that costs no slot.
  const generous = Math.min(
    roundUp(contextLength),
    Math.max(need, roundUp(1.5 * now)),
  );
  const capacity = slotsAt(generous) === slotsAt(need) ? generous : need;
  return { slots: slotsAt(capacity), capacity };
}
