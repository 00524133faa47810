/**
 * SentencePiece's normalizer (google/sentencepiece `normalizer.cc`): character rewriting, white space,
 * and the dummy space, in the order and with the corner cases of the original.
 * @module
 */
import { longestRule } from "./charsmap.ts";
import type { SentencePieceModel } from "./sentencepiece.ts";

/** How a space is written in a piece: U+2581. */
export const spaceMarker = "\u2581";

/** Finds the longest of a set of strings that starts at a position. */
export type PrefixMatcher = (text: string, at: number) => number;

/** A matcher over `words`: the length of the longest that `text` has at `at`, 0 for none. */
export function prefixMatcher(words: Iterable<string>): PrefixMatcher {
  const byFirst = new Map<number, string[]>();
  for (const word of words) {
    const first = word.charCodeAt(0);
    const list = byFirst.get(first);
    if (list === undefined) byFirst.set(first, [word]);
    else list.push(word);
  }
  for (const list of byFirst.values()) {
    list.sort((a, b) => b.length - a.length);
  }
  if (byFirst.size === 0) return () => 0;
  return (text, at) => {
    const list = byFirst.get(text.charCodeAt(at));
    if (list !== undefined) {
      for (const word of list) {
        if (text.startsWith(word, at)) return word.length;
      }
    }
    return 0;
  };
}

/** UTF-16 length of the character at `at` of a well-formed string. */
export function characterLength(text: string, at: number): number {
  const unit = text.charCodeAt(at);
  return unit >= 0xd800 && unit < 0xdc00 ? 2 : 1;
}

/**
 * Makes the normalizer of a model. Lone surrogates, which UTF-8 cannot hold, become U+FFFD first.
 */
export function makeNormalizer(
  model: SentencePieceModel,
  userDefined: PrefixMatcher,
): (text: string) => string {
  const space = model.escapeWhitespaces ? spaceMarker : " ";
  const prefix = model.addDummyPrefix && !model.treatWhitespaceAsSuffix
    ? space
    : "";
  const suffix = model.addDummyPrefix && model.treatWhitespaceAsSuffix
    ? space
    : "";
  const escape = (text: string) =>
    model.escapeWhitespaces ? text.replaceAll(" ", spaceMarker) : text;

  if (model.charsmap === undefined && !model.removeExtraWhitespaces) {
    return (text) =>
      text === "" ? "" : prefix + escape(text.toWellFormed()) + suffix;
  }
  return (raw) => {
    if (raw === "") return "";
    const chunks = rewrite(raw.toWellFormed(), model, userDefined);
    let start = 0;
    if (model.removeExtraWhitespaces) {
      while (start < chunks.length && chunks[start] === " ") start++;
    }
    if (start === chunks.length) return "";
    let out = prefix;
    let afterSpace = model.removeExtraWhitespaces;
    for (let i = start; i < chunks.length; i++) {
      let chunk = chunks[i]!;
      if (afterSpace) chunk = chunk.replace(/^ +/, "");
      if (chunk !== "") {
        out += escape(chunk);
        afterSpace = chunk.endsWith(" ");
      }
      if (!model.removeExtraWhitespaces) afterSpace = false;
    }
    if (model.removeExtraWhitespaces) {
      let end = out.length;
      while (out.startsWith(space, end - 1) && end > 0) end--;
      out = out.slice(0, end);
    }
    return out + suffix;
  };
}

/** The text cut into user-defined pieces, rewritten sequences, and single characters. */
function rewrite(
  text: string,
  model: SentencePieceModel,
  userDefined: PrefixMatcher,
): string[] {
  const chunks: string[] = [];
  const map = model.charsmap;
  const bytes = map === undefined ? undefined : new TextEncoder().encode(text);
  // `byteAt` follows `at`: rules are matched on UTF-8, user-defined pieces on the string.
  let byteAt = 0;
  const advance = (length: number) => {
    if (bytes === undefined) return;
    byteAt += utf8Length(text, at, at + length);
  };
  let at = 0;
  while (at < text.length) {
    const found = userDefined(text, at);
    if (found > 0) {
      chunks.push(text.slice(at, at + found));
      advance(found);
      at += found;
      continue;
    }
    const rule = map === undefined || bytes === undefined
      ? undefined
      : longestRule(map, bytes, byteAt);
    if (rule === undefined) {
      const length = characterLength(text, at);
      chunks.push(text.slice(at, at + length));
      advance(length);
      at += length;
    } else {
      chunks.push(rule.replacement);
      const end = byteAt + rule.length;
      // A rule of a hostile file may end inside a character: the character is then taken whole.
      while (byteAt < end) {
        const length = characterLength(text, at);
        advance(length);
        at += length;
      }
    }
  }
  return chunks;
}

/** Bytes in UTF-8 of a stretch of a well-formed string that cuts no character. */
function utf8Length(text: string, from: number, to: number): number {
  let length = 0;
  for (let i = from; i < to; i++) {
    const unit = text.charCodeAt(i);
    if (unit < 0x80) length += 1;
    else if (unit < 0x800) length += 2;
    else if (unit >= 0xd800 && unit < 0xe000) length += 2; // half of four bytes
    else length += 3;
  }
  return length;
}
