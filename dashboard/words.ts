/**
 * Which words of two texts differ.
 * @module
 */
import { diffWordsWithSpace } from "diff";

/** A part of a text. */
export interface Words {
  /** The part. */
  readonly text: string;
  /** Whether the other text does not have it there. */
  readonly differs: boolean;
}

/** Two texts, each in parts. */
export interface Difference {
  /** The first. */
  readonly a: readonly Words[];
  /** The second. */
  readonly b: readonly Words[];
}

/** Changes looked for; beyond that, two texts have nothing to do with each other. */
const mostEdits = 2000;
const longest = 50_000;

/**
 * Marks the words that differ. Texts that have little in common, or are very long, differ as a whole.
 *
 * ```ts
 * import { difference } from "./words.ts";
 * import assert from "node:assert/strict";
 *
 * const { a, b } = difference("A red circle.", "A blue circle.");
 * assert.deepEqual(a.filter(({ differs }) => differs), [{ text: "red", differs: true }]);
 * assert.equal(b.map(({ text }) => text).join(""), "A blue circle.");
 * ```
 */
export function difference(a: string, b: string): Difference {
  const changes = a.length + b.length > longest
    ? undefined
    : diffWordsWithSpace(a, b, { maxEditLength: mostEdits });
  if (changes === undefined) {
    return {
      a: a === "" ? [] : [{ text: a, differs: a !== b }],
      b: b === "" ? [] : [{ text: b, differs: a !== b }],
    };
  }
  const left: Words[] = [];
  const right: Words[] = [];
  for (const { value, added, removed } of changes) {
    const part = { text: value, differs: added || removed };
    if (!added) left.push(part);
    if (!removed) right.push(part);
  }
  return { a: left, b: right };
}
