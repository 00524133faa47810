/**
 * What a page shows and how it changes; the same on the server and in the browser.
 * @module
 */

/** What a page shows: facts, and parts in an order, such as the rows of a table. */
export interface Shown<H, P> {
  /** What there is one of. */
  readonly head: H;
  /** The parts by their keys, in their order. */
  readonly parts: readonly (readonly [key: string, part: P])[];
}

/** What is different; what is left out stays. */
export interface ShownChange<H, P> {
  /** The facts. */
  readonly head?: H;
  /** The keys of all parts there are, in their order. */
  readonly order?: readonly string[];
  /** Parts that are new or have changed, by their keys. */
  readonly parts?: { readonly [key: string]: P };
}

/**
 * What is shown after a change.
 *
 * ```ts
 * import { afterChange } from "./shown.ts";
 * import assert from "node:assert/strict";
 *
 * const before = { head: 1, parts: [["a", "A"], ["b", "B"]] as const };
 * assert.deepEqual(
 *   afterChange(before, { order: ["b", "c"], parts: { c: "C" } }),
 *   { head: 1, parts: [["b", "B"], ["c", "C"]] },
 * );
 * ```
 */
export function afterChange<H, P>(
  shown: Shown<H, P>,
  { head, order, parts = {} }: ShownChange<H, P>,
): Shown<H, P> {
  const known = new Map([...shown.parts, ...Object.entries(parts)]);
  const keys = order ?? shown.parts.map(([key]) => key);
  return {
    head: head === undefined ? shown.head : head,
    parts: keys.flatMap((key) => {
      const part = known.get(key);
      return part === undefined ? [] : [[key, part] as const];
    }),
  };
}
