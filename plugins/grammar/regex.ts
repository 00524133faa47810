/**
 * Regular expressions of JavaScript (flag `u`) as parts of a network. What is no regular language, or
 * looks around, is refused by name.
 * @module
 */
import { type AST, RegExpParser } from "@eslint-community/regexpp";
import {
  anyCharacter,
  type Characters,
  characters,
  complement,
  type Spelling,
} from "./characters.ts";
import {
  ConstraintFault,
  either,
  type Part,
  repeated,
  sequence,
} from "./network.ts";

/** Longest pattern. */
const MAX_LENGTH = 8192;

/** Most copies of a repeated part. */
const MAX_COUNT = 10_000;

/** Most classes by Unicode property; each is looked up among all characters. */
const MAX_PROPERTIES = 8;

/** Groups inside groups. */
const MAX_DEPTH = 200;

/** How a pattern is read. */
export interface PatternOptions {
  /** How its characters are spelled. */
  readonly spelling: Spelling;
  /** Whether it may match a part of the text, as in JSON Schema; else the whole. */
  readonly search?: boolean;
}

/** The texts that a pattern matches. Throws {@link ConstraintFault}. */
export function pattern(source: string, options: PatternOptions): Part {
  if (source.length > MAX_LENGTH) {
    throw new ConstraintFault(
      `has ${source.length} characters; a pattern may have ${MAX_LENGTH}`,
    );
  }
  let parsed: AST.Pattern;
  try {
    parsed = new RegExpParser({ ecmaVersion: 2024 }).parsePattern(
      source,
      0,
      source.length,
      { unicode: true },
    );
  } catch (cause) {
    throw new ConstraintFault(
      cause instanceof RangeError
        ? "is nested too deep"
        : cause instanceof Error
        // Without the pattern once more, in the words of V8.
        ? `cannot be read: ${
          cause.message.replace(/^Invalid regular expression: \/.*\/u?: /s, "")
        }`
        : String(cause),
    );
  }
  return new Compiler(options).top(parsed.alternatives);
}

class Compiler {
  readonly #options: PatternOptions;
  #depth = 0;
  #properties = 0;

  constructor(options: PatternOptions) {
    this.#options = options;
  }

  /** The alternatives of the whole: each may be anchored at its ends. */
  top(alternatives: readonly AST.Alternative[]): Part {
    const any = repeated(this.#options.spelling(anyCharacter), 0, Infinity);
    const open = this.#options.search === true ? any : undefined;
    return either(...alternatives.map(({ elements }) => {
      let from = 0;
      let to = elements.length;
      const at = (i: number, kind: "start" | "end") => {
        const element = elements[i];
        return element?.type === "Assertion" && element.kind === kind;
      };
      while (from < to && at(from, "start")) from++;
      while (to > from && at(to - 1, "end")) to--;
      return sequence(
        ...(open !== undefined && from === 0 ? [open] : []),
        ...elements.slice(from, to).map((element) => this.#element(element)),
        ...(open !== undefined && to === elements.length ? [open] : []),
      );
    }));
  }

  #group(alternatives: readonly AST.Alternative[]): Part {
    if (++this.#depth > MAX_DEPTH) {
      throw new ConstraintFault(`has groups ${MAX_DEPTH} deep`);
    }
    const part = either(
      ...alternatives.map(({ elements }) =>
        sequence(...elements.map((element) => this.#element(element)))
      ),
    );
    this.#depth--;
    return part;
  }

  #element(element: AST.Element): Part {
    const refused = (what: string) =>
      new ConstraintFault(
        `has ${what} (${
          JSON.stringify(element.raw.slice(0, 40))
        }), which is not offered`,
      );
    switch (element.type) {
      case "Group":
        if (element.modifiers !== null) throw refused("modifiers");
        return this.#group(element.alternatives);
      case "CapturingGroup":
        return this.#group(element.alternatives);
      case "Character":
      case "CharacterSet":
      case "CharacterClass":
        this.#properties += element.raw.match(/\\[pP]\{/g)?.length ?? 0;
        if (this.#properties > MAX_PROPERTIES) {
          throw new ConstraintFault(
            `has more than ${MAX_PROPERTIES} classes by Unicode property`,
          );
        }
        return this.#options.spelling(setOf(element));
      case "Quantifier": {
        const { min, max } = element;
        if (min > MAX_COUNT || (max !== Infinity && max > MAX_COUNT)) {
          throw new ConstraintFault(
            `repeats more than ${MAX_COUNT} times (${
              JSON.stringify(element.raw.slice(-40))
            })`,
          );
        }
        // Lazy or greedy, the texts are the same.
        return repeated(this.#element(element.element), min, max);
      }
      case "Assertion":
        throw refused(
          element.kind === "start" || element.kind === "end"
            ? "an anchor inside"
            : element.kind === "word"
            ? "a word boundary"
            : `a ${element.kind}`,
        );
      case "Backreference":
        throw refused("a back reference");
      default:
        throw refused("a class of strings");
    }
  }
}

const digits: Characters = [[0x30, 0x39]];
const word: Characters = [[0x30, 0x39], [0x41, 0x5a], [0x5f, 0x5f], [
  0x61,
  0x7a,
]];
const space: Characters = characters([
  [9, 13],
  [0x20, 0x20],
  [0xa0, 0xa0],
  [0x1680, 0x1680],
  [0x2000, 0x200a],
  [0x2028, 0x2029],
  [0x202f, 0x202f],
  [0x205f, 0x205f],
  [0x3000, 0x3000],
  [0xfeff, 0xfeff],
]);
const lineEnds: Characters = [[10, 10], [13, 13], [0x2028, 0x2029]];

function setOf(
  element:
    | AST.Character
    | AST.CharacterSet
    | AST.CharacterClass
    | AST.ClassRangesCharacterClassElement,
): Characters {
  switch (element.type) {
    case "Character":
      return characters([[element.value, element.value]]);
    case "CharacterClassRange":
      return characters([[element.min.value, element.max.value]]);
    case "CharacterClass": {
      const set = characters(
        element.elements.flatMap((part) => [
          ...setOf(part as AST.ClassRangesCharacterClassElement),
        ]),
      );
      return element.negate ? complement(set) : set;
    }
    case "CharacterSet":
      switch (element.kind) {
        case "any":
          return complement(lineEnds);
        case "digit":
          return element.negate ? complement(digits) : digits;
        case "word":
          return element.negate ? complement(word) : word;
        case "space":
          return element.negate ? complement(space) : space;
        case "property":
          return property(element.raw);
      }
  }
}

const properties = new Map<string, Characters>();

/** The characters of `\p{…}`, by letting the engine look through all there are; once. */
function property(raw: string): Characters {
  const known = properties.get(raw);
  if (known !== undefined) return known;
  if (properties.size >= 64) properties.clear();
  const runs = new RegExp(`${raw}+`, "gu");
  const ranges: [number, number][] = [];
  const chunk = 0x1000;
  for (let from = 0; from <= 0x10ffff; from += chunk) {
    if (from >= 0xd800 && from < 0xe000) continue;
    // Past U+FFFF a character is two code units.
    const width = from > 0xffff ? 2 : 1;
    const count = Math.min(chunk, from < 0xd800 ? 0xd800 - from : chunk);
    const all = String.fromCodePoint(
      ...Array.from({ length: count }, (_, i) => from + i),
    );
    for (const { index, 0: { length } } of all.matchAll(runs)) {
      const start = from + index / width;
      ranges.push([start, start + length / width - 1]);
    }
  }
  const set = characters(ranges);
  properties.set(raw, set);
  return set;
}
