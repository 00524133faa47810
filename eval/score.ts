/**
 * How right an answer is.
 * @module
 */
import { things } from "./questions.ts";

/** So many right of so many. */
export type Share = readonly [right: number, of: number];

/** Measures of one answer, by name. */
export type Score = Readonly<Record<string, Share>>;

/** Insertions, deletions and replacements between two texts, counted in characters. */
export function distance(a: string, b: string): number {
  const [x, y] = [[...a], [...b]];
  let row = Array.from({ length: y.length + 1 }, (_, i) => i);
  for (let i = 1; i <= x.length; i++) {
    const next = [i];
    for (let j = 1; j <= y.length; j++) {
      next.push(Math.min(
        row[j]! + 1,
        next[j - 1]! + 1,
        row[j - 1]! + (x[i - 1] === y[j - 1] ? 0 : 1),
      ));
    }
    row = next;
  }
  return row[y.length]!;
}

/** One if it holds. */
export const one = (holds: boolean): Share => [holds ? 1 : 0, 1];

/** Whether a description names exactly the things it should, in any order. */
export const sameThings = (answer: string, right: string): boolean => {
  const [have, want] = [things(answer), things(right)];
  return have.length === want.length && have.every((t, i) => t === want[i]);
};

/** What stands in quotes. */
export const quoted = (answer: string): string =>
  /"(.*)"/s.exec(answer)?.[1] ?? "";

/** The share of characters read right: what is left of the text after its errors. */
export const characters = (answer: string, text: string): Share => {
  const of = [...text].length;
  return [Math.max(0, of - distance(quoted(answer), text)), of];
};

/** The number an answer gives, if it gives one. */
export const number = (answer: string): number => {
  const found = /\d+/.exec(answer);
  return found ? Number(found[0]) : NaN;
};

/**
 * What an answer comes to: yes or no, the first or the second or both alike, and otherwise its words. Nano
 * gives its reasons before a verdict ("The ring is at the top and the star at the bottom: yes."); what counts
 * is the verdict.
 */
export function verdict(about: string, answer: string): string {
  const last = (pattern: RegExp): string | undefined =>
    answer.toLowerCase().match(pattern)?.at(-1);
  switch (about) {
    case "left of":
    case "right of":
    case "above":
    case "below":
      return last(/\byes\b|\bno\b|不是|是/g) ?? answer;
    case "more":
      return /\bsame\b/i.test(answer)
        ? "alike"
        : last(/\bfirst\b|\bsecond\b/g) ?? answer;
    default:
      return answer;
  }
}
