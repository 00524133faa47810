/**
 * The words of nano's world: `tools/nano/language.json`, which its training reads too.
 *
 * A sentence is a template with slots: `{colour}` is filled as it is, `{a kind}` with an article, `{A thing}`
 * with an article and a capital, `{That}` with a capital.
 * @module
 */
import language from "../tools/nano/language.json" with { type: "json" };
import type { Random } from "./random.ts";

/** The languages nano knows. */
export type Tongue = "en" | "zh";

/** The kind of a shape. */
export type Kind = keyof typeof language.kinds;
/** The name of a colour. */
export type Colour = keyof typeof language.colours;
/** Where a thing is. */
export type Place = keyof typeof language.places;
/** Which way a thing moves. */
export type Move = keyof typeof language.moves;
/** A kind of question. */
export type Question = keyof typeof language.en;

const keys = <T extends object>(of: T) => Object.keys(of) as (keyof T)[];
/** All kinds of shapes. */
export const kinds: readonly Kind[] = keys(language.kinds);
/** All colours. */
export const colours: readonly Colour[] = keys(language.colours);
/** All ways to move. */
export const moves: readonly Move[] = keys(language.moves);
/** Things that are never in a picture. */
export const absent: readonly string[] = language.absent;
/** Signs that are printed beside letters and digits. */
export const signs: string = language.signs;
/** Grounds, and the colours that cannot be told from them. */
export const backgrounds = language.backgrounds;

/** The red, green and blue of a colour, 0 to 255. */
export const rgb = (colour: Colour): readonly number[] =>
  language.colours[colour].rgb;
/** Column and row of a place, 0 to 2. */
export const cell = (place: Place): readonly number[] =>
  language.places[place].cell;

/** A shape as words need it. */
export interface Named {
  /** What it is. */
  readonly kind: Kind;
  /** Its colour. */
  readonly colour: Colour;
}

/** The words for things in one language. */
export const words = (tongue: Tongue) => ({
  kind: (kind: Kind): string =>
    tongue === "zh" ? language.kinds[kind].zh : kind,
  kinds: (kind: Kind): string => language.kinds[kind].plural,
  colour: (colour: Colour): string =>
    tongue === "zh" ? language.colours[colour].zh : colour,
  place: (place: Place): string =>
    tongue === "zh" ? language.places[place].zh : place,
  move: (move: Move): string => tongue === "zh" ? language.moves[move] : move,
  number: (n: number): string => language.numbers[tongue][n]!,
  thing: ({ kind, colour }: Named): string =>
    tongue === "zh"
      ? `${language.colours[colour].zh}的${language.kinds[kind].zh}`
      : `${colour} ${kind}`,
  listing: (parts: readonly string[]): string =>
    tongue === "zh"
      ? parts.join("，")
      : parts.length === 1
      ? parts[0]!
      : `${parts.slice(0, -1).join(", ")} and ${parts.at(-1)}`,
});

/** A noun with its article. */
export const article = (noun: string): string =>
  /^[aeiou]/.test(noun) ? `an ${noun}` : `a ${noun}`;

/** With a capital. */
export const upper = (text: string): string =>
  text.charAt(0).toUpperCase() + text.slice(1);

/** What a template's slots are filled with. */
export type Slots = Readonly<Record<string, string>>;

/** Fills a template; a slot that nothing fills is a mistake of the caller and throws. */
export function fill(template: string, slots: Slots): string {
  const slot = (name: string): string => {
    const value = slots[name];
    if (value === undefined) {
      throw new Error(`nothing fills {${name}} of "${template}"`);
    }
    return value;
  };
  return template.replaceAll(/\{([^}]+)\}/g, (_, name: string) => {
    if (name in slots) return slot(name);
    const other = /^other a (.+)$/.exec(name);
    if (other) return article(slot(`other ${other[1]}`));
    const named = /^([aA]) (.+)$/.exec(name);
    if (named) {
      const text = article(slot(named[2]!));
      return named[1] === "A" ? upper(text) : text;
    }
    return upper(slot(name.charAt(0).toLowerCase() + name.slice(1)));
  });
}

type Templates = Readonly<Record<string, string | readonly string[]>>;
const templates = (tongue: Tongue, question: Question): Templates => {
  const found = (language[tongue] as Readonly<Record<string, Templates>>)[
    question
  ];
  if (found === undefined) throw new Error(`${tongue} has no "${question}"`);
  return found;
};

/** All ways to ask a question. */
export const forms = (tongue: Tongue, question: Question): readonly string[] =>
  templates(tongue, question).ask as readonly string[];

/** One way to ask a question. */
export const ask = (
  random: Random,
  tongue: Tongue,
  question: Question,
  slots: Slots = {},
): string =>
  fill(random.pick(forms(tongue, question)), {
    cw: random.pick(["colour", "color"]),
    ...slots,
  });

/** The answer to a question; `form` where a question has several. */
export const tell = (
  tongue: Tongue,
  question: Question,
  slots: Slots = {},
  form = "answer",
): string => fill(templates(tongue, question)[form] as string, slots);

/** Whether a question has this form of an answer. */
export const tells = (
  tongue: Tongue,
  question: Question,
  form: string,
): boolean => form in templates(tongue, question);
