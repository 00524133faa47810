/**
 * Sets of characters, and how their members are spelled in bytes: as they are, or inside a JSON string.
 * @module
 */
import { byteRange, either, type Part, sequence, text } from "./network.ts";

/** Code points: from, to (inclusive), in rising order, none touching the next. No surrogates. */
export type Characters = readonly (readonly [least: number, most: number])[];

/** Largest code point. */
const LAST = 0x10ffff;

/** Puts ranges in order, joins what touches, leaves surrogates out. */
export function characters(ranges: Characters): Characters {
  const sorted: [number, number][] = [];
  for (const [least, most] of ranges) {
    if (least < 0xd800) sorted.push([least, Math.min(most, 0xd7ff)]);
    if (most > 0xdfff) sorted.push([Math.max(least, 0xe000), most]);
  }
  sorted.sort((a, b) => a[0] - b[0]);
  const joined: [number, number][] = [];
  for (const [least, most] of sorted) {
    if (least > most) continue;
    const last = joined.at(-1);
    if (last !== undefined && least <= last[1] + 1) {
      last[1] = Math.max(last[1], most);
    } else joined.push([least, most]);
  }
  return joined;
}

/** The characters that are not in a set. */
export function complement(set: Characters): Characters {
  const rest: [number, number][] = [];
  let next = 0;
  for (const [least, most] of set) {
    if (least > next) rest.push([next, least - 1]);
    next = most + 1;
  }
  if (next <= LAST) rest.push([next, LAST]);
  return characters(rest);
}

/** The characters in both sets. */
export const intersection = (a: Characters, b: Characters): Characters =>
  complement(characters([...complement(a), ...complement(b)]));

/** All characters. */
export const anyCharacter: Characters = characters([[0, LAST]]);

/** How a set of characters is read. */
export type Spelling = (set: Characters) => Part;

/** In UTF-8. */
export const plain: Spelling = (set) =>
  either(...set.flatMap(([least, most]) => utf8(least, most)));

/** Characters that stand for themselves in a JSON string. */
export const unescaped: Characters = complement(
  characters([[0, 0x1f], [0x22, 0x22], [0x5c, 0x5c]]),
);

const short: readonly (readonly [string, number])[] = [
  ['\\"', 0x22],
  ["\\\\", 0x5c],
  ["\\b", 8],
  ["\\t", 9],
  ["\\n", 10],
  ["\\f", 12],
  ["\\r", 13],
];

/** Inside a JSON string: as they are, or by the shortest escape where they may not be. */
export const inString: Spelling = (set) => {
  const parts: Part[] = [plain(intersection(set, unescaped))];
  const has = (point: number) =>
    set.some(([least, most]) => least <= point && point <= most);
  for (const [escape, point] of short) if (has(point)) parts.push(text(escape));
  for (let point = 0; point < 0x20; point++) {
    if (has(point) && !short.some(([, known]) => known === point)) {
      parts.push(text(`\\u00${point.toString(16).padStart(2, "0")}`));
    }
  }
  return either(...parts);
};

/**
 * The ranges of bytes that spell a range of code points in UTF-8 (Cox, "Regular Expression Matching in
 * the Wild", 2010): cut where the length changes, then where a continuation byte does not run its full
 * range.
 */
function utf8(least: number, most: number): Part[] {
  for (const limit of [0x7f, 0x7ff, 0xffff]) {
    if (least <= limit && most > limit) {
      return [...utf8(least, limit), ...utf8(limit + 1, most)];
    }
  }
  if (most < 0x80) return [byteRange(least, most)];
  for (const bits of [6, 12, 18]) {
    const mask = (1 << bits) - 1;
    if (least >> bits === most >> bits) continue;
    if ((least & mask) !== 0) {
      return [...utf8(least, least | mask), ...utf8((least | mask) + 1, most)];
    }
    if ((most & mask) !== mask) {
      return [...utf8(least, (most & ~mask) - 1), ...utf8(most & ~mask, most)];
    }
  }
  const from = encode(least);
  const to = encode(most);
  return [sequence(...from.map((byte, i) => byteRange(byte, to[i])))];
}

const encode = (point: number): number[] => [
  ...new TextEncoder().encode(String.fromCodePoint(point)),
];
