/**
 * JSON as parts of a network (RFC 8259). White space is bounded: a model that likes line breaks must not
 * write them for ever.
 * @module
 */
import {
  type Characters,
  characters,
  complement,
  intersection,
  plain,
  unescaped,
} from "./characters.ts";
import {
  byteRange,
  call,
  either,
  maybe,
  never,
  nothing,
  type Part,
  repeated,
  sequence,
  text,
} from "./network.ts";

/** Widest indentation. */
const MAX_INDENT = 32;

/** Nesting of values that a schema says nothing about. */
const FREE_DEPTH = 16;

/** White space between tokens: none, a space, or a line break and an indentation. */
export const whiteSpace: Part = call((net) =>
  net.rule("white space", () =>
    either(
      nothing,
      text(" "),
      sequence(text("\n"), repeated(text(" "), 0, MAX_INDENT)),
    ))
);

const digit = byteRange(0x30, 0x39);
const hex = either(
  digit,
  byteRange(0x41, 0x46),
  byteRange(0x61, 0x66),
);

/** A character of a string: itself, a short escape, or `\u` and four digits that are no surrogate. */
const stringCharacter: Part = either(
  plain(unescaped),
  sequence(
    text("\\"),
    either(
      ...Array.from('"\\/bfnrt', text),
      sequence(
        text("u"),
        either(
          sequence(
            either(
              digit,
              byteRange(0x41, 0x43),
              byteRange(0x61, 0x63),
              byteRange(0x45, 0x46),
              byteRange(0x65, 0x66),
            ),
            hex,
          ),
          sequence(
            either(text("d"), text("D")),
            byteRange(0x30, 0x37),
          ),
        ),
        hex,
        hex,
      ),
    ),
  ),
);

/** What is between the quotes. */
export const quoted = (part: Part): Part =>
  sequence(text('"'), part, text('"'));

/** Any string. Not by calls inside: all its states belong to one rule, whose masks are shared. */
export const anyString: Part = call((net) =>
  net.rule(
    "string",
    () => quoted(repeated(stringCharacter, 0, Infinity)),
  )
);

/** A string of so many characters. */
export function boundedString(least: number, most: number): Part {
  if (least === 0 && most === Infinity) return anyString;
  const character = call((net) => net.rule("character", () => stringCharacter));
  return quoted(repeated(character, least, most));
}

/** A whole number of at most 15 digits: every one is exact as a double. */
export const anyInteger: Part = call((net) =>
  net.rule("integer", () =>
    sequence(
      maybe(text("-")),
      either(
        text("0"),
        sequence(byteRange(0x31, 0x39), repeated(digit, 0, 14)),
      ),
    ))
);

/** A number, with as many digits as a double holds. */
export const anyNumber: Part = call((net) =>
  net.rule("number", () =>
    sequence(
      anyInteger,
      maybe(sequence(text("."), repeated(digit, 1, 15))),
      maybe(
        sequence(
          either(text("e"), text("E")),
          maybe(either(text("+"), text("-"))),
          repeated(digit, 1, 2),
        ),
      ),
    ))
);

/** `true` or `false`. */
export const anyBoolean: Part = either(text("true"), text("false"));

/** A value, as JSON.stringify writes it. */
export const literal = (value: unknown): Part => text(JSON.stringify(value));

/** Things between brackets, with commas between them. */
export function list(
  open: string,
  close: string,
  item: Part,
  least: number,
  most: number,
): Part {
  const next = sequence(text(","), whiteSpace, item);
  const some = sequence(
    whiteSpace,
    item,
    repeated(next, Math.max(0, least - 1), most - 1),
    whiteSpace,
  );
  return sequence(
    text(open),
    most < 1 ? whiteSpace : least > 0 ? some : either(some, whiteSpace),
    text(close),
  );
}

/** Items of their own between brackets, then more of one kind. */
export function tuple(
  first: readonly Part[],
  more: Part,
  least: number,
  most: number,
): Part {
  return members(
    "[",
    "]",
    first.slice(0, most).map((part, i) => ({ part, needed: i < least })),
    most > first.length
      ? {
        part: more,
        least: Math.max(0, least - first.length),
        most: most - first.length,
      }
      : undefined,
    true,
  );
}

/** Members in this order, then others. */
export const object = (
  parts: readonly Member[],
  others: Part | undefined,
): Part =>
  members(
    "{",
    "}",
    parts,
    others === undefined
      ? undefined
      : { part: others, least: 0, most: Infinity },
    false,
  );

/** A part of an object or a tuple. */
export interface Member {
  /** What it reads. */
  readonly part: Part;
  /** Whether it may not be left out. */
  readonly needed: boolean;
}

/**
 * Parts between brackets, some of which may be left out; with `inTurn` all after one that is left out are
 * left out, too. There are two rows of nodes: nothing has been written, or something, so that a comma
 * comes first.
 */
function members(
  open: string,
  close: string,
  parts: readonly Member[],
  rest:
    | { readonly part: Part; readonly least: number; readonly most: number }
    | undefined,
  inTurn: boolean,
): Part {
  return (net, from, to) => {
    let none = net.node();
    let some = net.node();
    const last = net.node();
    text(open)(net, from, none);
    const comma = sequence(text(","), whiteSpace);
    for (const { part, needed } of parts) {
      const noneNext = net.node();
      const someNext = net.node();
      const one = call((net) => net.rule(`member ${noneNext}`, () => part));
      sequence(whiteSpace, one)(net, none, someNext);
      sequence(comma, one)(net, some, someNext);
      if (!needed) {
        net.empty[none].push(inTurn ? last : noneNext);
        net.empty[some].push(inTurn ? last : someNext);
      }
      none = noneNext;
      some = someNext;
    }
    if (rest !== undefined) {
      const { part, least, most } = rest;
      const one = call((net) => net.rule(`member ${last}`, () => part));
      const next = sequence(comma, one);
      const more = repeated(next, Math.max(0, least - 1), most - 1);
      sequence(whiteSpace, one, more)(net, none, last);
      repeated(next, least, most)(net, some, last);
      if (least === 0) net.empty[none].push(last);
    } else {
      net.empty[none].push(last);
      net.empty[some].push(last);
    }
    sequence(whiteSpace, text(close))(net, last, to);
  };
}

/** A name and a value. */
export const member = (name: Part, value: Part): Part =>
  sequence(name, text(":"), whiteSpace, value);

/** Any object; its values are nested `depth` deep at most. */
export const anyObject = (depth: number = FREE_DEPTH): Part =>
  call((net) =>
    net.rule(
      `object ${depth}`,
      () => list("{", "}", member(anyString, anyValue(depth - 1)), 0, Infinity),
    )
  );

/** Any array. */
export const anyArray = (depth: number = FREE_DEPTH): Part =>
  call((net) =>
    net.rule(
      `array ${depth}`,
      () => list("[", "]", anyValue(depth - 1), 0, Infinity),
    )
  );

/** Any value. */
export const anyValue = (depth: number = FREE_DEPTH): Part =>
  call((net) =>
    net.rule(`value ${depth}`, () =>
      either(
        anyString,
        anyNumber,
        anyBoolean,
        text("null"),
        ...(depth > 0 ? [anyObject(depth), anyArray(depth)] : []),
      ))
  );

/** A string without escapes that is none of the given ones. */
export function stringExcept(names: readonly string[]): Part {
  const bare = names.filter((name) => {
    for (const character of name) {
      const point = character.codePointAt(0)!;
      if (!contains(unescaped, point)) return false;
    }
    return true;
  });
  const rest = repeated(plain(unescaped), 0, Infinity);
  const differs = (names: readonly (readonly number[])[]): Part => {
    const next = new Map<number, (readonly number[])[]>();
    let isName = false;
    for (const [first, ...others] of names) {
      if (first === undefined) isName = true;
      else {
        const known = next.get(first);
        if (known === undefined) next.set(first, [others]);
        else known.push(others);
      }
    }
    const others = intersection(
      unescaped,
      complement(characters([...next.keys()].map((point) => [point, point]))),
    );
    return either(
      isName ? never : nothing,
      sequence(plain(others), rest),
      ...[...next].map(([point, tails]) =>
        sequence(plain([[point, point]]), differs(tails))
      ),
    );
  };
  return quoted(
    differs(bare.map((name) => Array.from(name, (c) => c.codePointAt(0)!))),
  );
}

const contains = (set: Characters, point: number): boolean =>
  set.some(([least, most]) => least <= point && point <= most);
