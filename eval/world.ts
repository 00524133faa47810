/**
 * Pictures of nano's world as data: what is where. Drawn by `draw.ts`, asked about by `questions.ts`.
 * Nothing here comes from the training's code: only the words are shared.
 * @module
 */
import {
  backgrounds,
  cell,
  type Colour,
  colours,
  type Kind,
  kinds,
  type Move,
  moves,
  type Place,
  signs,
} from "./language.ts";
import type { Random } from "./random.ts";

/** A shape. Its centre and its radius are in shares of the picture's height; x of its width. */
export interface Shape {
  /** What it is. */
  readonly kind: Kind;
  /** Its colour. */
  readonly colour: Colour;
  /** The words for where it is. */
  readonly place: Place;
  /** Centre, 0 to 1 across. */
  readonly x: number;
  /** Centre, 0 to 1 down. */
  readonly y: number;
  /** Radius, as a share of the shorter side. */
  readonly r: number;
  /** Turned by so many degrees. */
  readonly turn: number;
}

/** The ground of a picture, and which colours stand out from it. */
export interface Ground {
  /** Red, green, blue. */
  readonly rgb: readonly number[];
  /** Colours that can be told from it. */
  readonly colours: readonly Colour[];
}

/** Shapes on a ground. */
export interface Shapes extends Ground {
  /** One to six, in reading order. */
  readonly shapes: readonly Shape[];
}

/** A ground: light nine times in ten. */
export function ground(random: Random): Ground {
  const dark = random.chance(0.1);
  const hidden: readonly string[] = dark
    ? backgrounds["not on dark"]
    : backgrounds["not on light"];
  return {
    rgb: random.pick(dark ? backgrounds.dark : backgrounds.light),
    colours: colours.filter((colour) => !hidden.includes(colour)),
  };
}

/** Sets of places that one picture may fill. */
const arrangements: readonly (readonly (readonly Place[])[])[] = [
  [
    ["in the middle"],
    ["on the left"],
    ["on the right"],
    ["at the top"],
    [
      "at the bottom",
    ],
    ["at the top left"],
    ["at the top right"],
    ["at the bottom left"],
    [
      "at the bottom right",
    ],
  ],
  [["on the left", "on the right"], ["at the top", "at the bottom"], [
    "at the top left",
    "at the bottom right",
  ], ["at the top right", "at the bottom left"]],
  [["on the left", "in the middle", "on the right"], [
    "at the top",
    "in the middle",
    "at the bottom",
  ]],
  [[
    "at the top left",
    "at the top right",
    "at the bottom left",
    "at the bottom right",
  ]],
  [[
    "at the top left",
    "at the top right",
    "in the middle",
    "at the bottom left",
    "at the bottom right",
  ]],
  [[
    "at the top left",
    "at the top",
    "at the top right",
    "at the bottom left",
    "at the bottom",
    "at the bottom right",
  ]],
];

/** One to six shapes; `count` says how many. */
export function shapes(
  random: Random,
  count: number = random.int(1, 6),
  on: Ground = ground(random),
): Shapes {
  const places = random.pick(arrangements[count - 1]!);
  const across = new Set(places.map((place) => cell(place)[0]!));
  const down = new Set(places.map((place) => cell(place)[1]!));
  const spread = (line: number, lines: Set<number>): number =>
    0.5 + (line - 1) * (lines.size === 3 ? 0.31 : 0.25);
  const crowded = count > 2 || across.size === 3 || down.size === 3;
  const size = count === 1
    ? random.between(0.14, 0.2)
    : crowded
    ? random.between(0.105, 0.14)
    : random.between(0.13, 0.2);
  const sway = crowded ? 0.02 : 0.04;
  return {
    ...on,
    shapes: places.map((place) => ({
      kind: random.pick(kinds),
      colour: random.pick(on.colours),
      place,
      x: spread(cell(place)[0]!, across) + random.between(-sway, sway),
      y: spread(cell(place)[1]!, down) + random.between(-sway, sway),
      r: size * random.between(0.9, 1.1),
      turn: random.between(-6, 6),
    })),
  };
}

/** A printed line. */
export interface Print extends Ground {
  /** What it says. */
  readonly text: string;
  /** Its colour. */
  readonly colour: Colour;
  /** Number of the font. */
  readonly font: number;
  /** Height of a capital, as a share of the picture's height; as much as fits where it is 0. */
  readonly height: number;
  /** Where in the room that is left, 0 to 1 each. */
  readonly at: readonly [number, number];
  /** Turned by so many degrees. */
  readonly turn: number;
  /** Strength of the noise, in steps of 255. */
  readonly noise: number;
}

const CAPITALS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
const DIGITS = "0123456789";
// A small letter alone that looks like its capital, or like another character, cannot be told from it.
const ALONE = CAPITALS + DIGITS + "abdefghmnqrt";

/** A random string of 1 to 12 characters: capitals and digits, digits, small letters, or anything with signs. */
export function string(random: Random, shortest = 1, longest = 12): string {
  const length = random.int(shortest, longest);
  if (length === 1) return random.pick(ALONE);
  const alphabet = random.pick([
    CAPITALS + DIGITS,
    CAPITALS,
    DIGITS,
    CAPITALS.toLowerCase(),
    CAPITALS + CAPITALS.toLowerCase() + DIGITS + signs,
  ]);
  return Array.from({ length }, () => random.pick(alphabet)).join("");
}

/** A printed line that fills its picture, or a small one on a page. */
export function print(random: Random, fonts: number, small: boolean): Print {
  const on = ground(random);
  return {
    ...on,
    text: small ? string(random, 3, 8) : string(random),
    colour: random.pick(on.colours),
    font: random.int(0, fonts - 1),
    height: small ? random.between(0.055, 0.075) : 0,
    at: [random.next(), random.next()],
    turn: !small && random.chance(0.4) ? random.between(-4, 4) : 0,
    noise: random.chance(0.3) ? random.int(3, 9) : 0,
  };
}

/** A bar of a chart. */
export interface Bar {
  /** The letter below it. */
  readonly label: string;
  /** Its colour. */
  readonly colour: Colour;
  /** Its value on an axis from 0 to 100. */
  readonly value: number;
}

/** A bar chart. */
export interface Chart extends Ground {
  /** Two to six. */
  readonly bars: readonly Bar[];
  /** Number of the font. */
  readonly font: number;
  /** Whether lines are drawn at every 20. */
  readonly lines: boolean;
  /** Width of a bar, as a share of its room. */
  readonly width: number;
}

/** A bar chart whose values differ by at least 6. */
export function chart(random: Random, fonts: number): Chart {
  const count = random.int(2, 6);
  const rgb = random.pick(backgrounds.light);
  const hidden: readonly string[] = backgrounds["not on light"];
  const seen = colours.filter((colour) => !hidden.includes(colour));
  const values: number[] = [];
  while (values.length < count) {
    const value = random.int(10, 100);
    if (values.every((other) => Math.abs(other - value) >= 6)) {
      values.push(value);
    }
  }
  const first = random.chance(0.7) ? 0 : random.int(0, 26 - count);
  return {
    rgb,
    colours: seen,
    bars: random.sample(seen, count).map((colour, i) => ({
      label: CAPITALS[first + i]!,
      colour,
      value: values[i]!,
    })),
    font: random.int(0, fonts - 1),
    lines: random.chance(0.8),
    width: random.between(0.55, 0.8),
  };
}

/** What happens in a video. */
export interface Film {
  /** The frames. */
  readonly frames: readonly Shapes[];
  /** What happens. */
  readonly happening: "moves" | "appears" | "vanishes";
  /** The thing it happens to. */
  readonly thing: Shape;
  /** Which way it moves, where it moves. */
  readonly move: Move;
}

/** Eight frames in which one thing moves, or one of one to three appears or vanishes. */
export function film(random: Random, frames = 8): Film {
  const move = random.pick(moves);
  if (random.chance(0.5)) {
    const scene = shapes(random, 1);
    const thing = { ...scene.shapes[0]!, r: random.between(0.14, 0.19) };
    const [from, to] = [random.between(0.2, 0.34), random.between(0.66, 0.8)];
    const other = random.between(0.32, 0.68);
    return {
      frames: Array.from({ length: frames }, (_, i) => {
        const way = i / (frames - 1);
        const t = move === "to the right" || move === "down"
          ? from + (to - from) * way
          : to + (from - to) * way;
        const across = move.startsWith("to ");
        return {
          ...scene,
          shapes: [{ ...thing, x: across ? t : other, y: across ? other : t }],
        };
      }),
      happening: "moves",
      thing,
      move,
    };
  }
  const scene = shapes(random, random.int(1, 3));
  const thing = random.pick(scene.shapes);
  const happening = random.pick(["appears", "vanishes"] as const);
  const at = random.int(2, frames - 2);
  const without = {
    ...scene,
    shapes: scene.shapes.filter((shape) => shape !== thing),
  };
  return {
    frames: Array.from(
      { length: frames },
      (_, i) => (i >= at) === (happening === "appears") ? scene : without,
    ),
    happening,
    thing,
    move,
  };
}
