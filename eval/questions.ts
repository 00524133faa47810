/**
 * What is asked about a picture and what the right answer is.
 * @module
 */
import {
  absent,
  article,
  ask,
  cell,
  type Colour,
  colours,
  kinds,
  type Question,
  type Slots,
  tell,
  tells,
  type Tongue,
  upper,
  words,
} from "./language.ts";
import type { Random } from "./random.ts";
import type { Bar, Chart, Film, Shape, Shapes } from "./world.ts";

/** A question and its one right answer. */
export interface Asked {
  /** The kind of question. */
  readonly about: Question;
  /** Its words. */
  readonly question: string;
  /** The right answer. */
  readonly answer: string;
}

/** A question in the words of a tongue: fixed slots, the answer's form. */
function asked(
  random: Random,
  tongue: Tongue,
  about: Question,
  slots: Slots,
  form?: string,
): Asked {
  return {
    about,
    question: ask(random, tongue, about, slots),
    answer: tell(tongue, about, slots, form),
  };
}

/** All slots of one shape. */
function slotsOf(tongue: Tongue, shape: Shape): Record<string, string> {
  const w = words(tongue);
  return {
    kind: w.kind(shape.kind),
    kinds: w.kinds(shape.kind),
    colour: w.colour(shape.colour),
    place: w.place(shape.place),
    thing: w.thing(shape),
  };
}

/** The sentence that names every shape and its place. */
export function describe(tongue: Tongue, scene: Shapes): string {
  const w = words(tongue);
  const parts = scene.shapes.map((s) =>
    tongue === "zh"
      ? `${w.place(s.place)}是${w.thing(s)}`
      : `${article(w.thing(s))} ${w.place(s.place)}`
  );
  return tongue === "zh"
    ? `${w.listing(parts)}。`
    : `${upper(w.listing(parts))}.`;
}

/** The things that a description names, each with its place, in a fixed order. */
export function things(description: string): string[] {
  return description.toLowerCase().replace(/[.。]$/, "")
    .split(/, | and |，/).map((part) => part.trim()).sort();
}

const alone = (scene: Shapes, by: "kind" | "colour"): Shape[] =>
  scene.shapes.filter((s) =>
    scene.shapes.filter((other) => other[by] === s[by]).length === 1
  );

function counted(
  random: Random,
  tongue: Tongue,
  about: Question,
  n: number,
  slots: Slots = {},
): Asked {
  const form = n === 1
    ? "one"
    : n === 0 && tells(tongue, about, "none")
    ? "none"
    : "many";
  return asked(random, tongue, about, {
    ...slots,
    n: words(tongue).number(n),
  }, form);
}

/** The kinds of questions about colour, kind, number, place, presence and relation. */
export const attributes = [
  "colour of kind",
  "colour at",
  "kind of colour",
  "thing at",
  "count",
  "count kind",
  "count colour",
  "where",
  "exists",
  "relation",
] as const;

/** A question about colour, kind, number, place, presence or relation; undefined where the picture has none of the kind. */
export function attribute(
  random: Random,
  tongue: Tongue,
  about: typeof attributes[number],
  scene: Shapes,
): Asked | undefined {
  const w = words(tongue);
  const any = random.pick(scene.shapes);
  const uniqueKinds = alone(scene, "kind");
  switch (about) {
    case "colour of kind":
    case "where":
      return uniqueKinds.length === 0 ? undefined : asked(
        random,
        tongue,
        about,
        slotsOf(tongue, random.pick(uniqueKinds)),
      );
    case "kind of colour": {
      const unique = alone(scene, "colour");
      return unique.length === 0
        ? undefined
        : asked(random, tongue, about, slotsOf(tongue, random.pick(unique)));
    }
    case "colour at":
    case "thing at":
      return asked(random, tongue, about, slotsOf(tongue, any));
    case "count":
      return counted(random, tongue, about, scene.shapes.length);
    case "count kind": {
      const kind = random.chance(0.8) ? any.kind : random.pick(kinds);
      const n = scene.shapes.filter((s) => s.kind === kind).length;
      return counted(random, tongue, about, n, {
        kind: w.kind(kind),
        kinds: w.kinds(kind),
      });
    }
    case "count colour": {
      const colour = random.chance(0.8) ? any.colour : random.pick(colours);
      const n = scene.shapes.filter((s) => s.colour === colour).length;
      return counted(random, tongue, about, n, { colour: w.colour(colour) });
    }
    case "exists": {
      // Half of the time it is there; otherwise often one with the right kind or the right colour.
      const there = random.chance(0.5);
      const kind = there || random.chance(0.3) ? any.kind : random.pick(kinds);
      const colour = there || random.chance(0.3)
        ? any.colour
        : random.pick(colours);
      const found = scene.shapes.some((s) =>
        s.kind === kind && s.colour === colour
      );
      return asked(random, tongue, about, {
        what: w.thing({ kind, colour }),
      }, found ? "yes" : "no");
    }
    case "relation": {
      if (uniqueKinds.length < 2) return undefined;
      const [p, q] = random.sample(uniqueKinds, 2) as [Shape, Shape];
      const [[px, py], [qx, qy]] = [cell(p.place), cell(q.place)] as [
        [number, number],
        [number, number],
      ];
      const across = px !== qx && (py === qy || random.chance(0.5));
      const relation = random.pick(
        across ? ["left of", "right of"] as const : ["above", "below"] as const,
      );
      const holds = relation === "left of"
        ? px < qx
        : relation === "right of"
        ? px > qx
        : relation === "above"
        ? py < qy
        : py > qy;
      return asked(random, tongue, relation, {
        ...slotsOf(tongue, p),
        other: w.kind(q.kind),
        "other place": w.place(q.place),
      }, holds ? "yes" : "no");
    }
  }
}

/** Two rounds, of which the second leans on the first. */
export function follow(random: Random, scene: Shapes): [Asked, Asked] {
  const unique = alone(scene, "kind");
  const shape = random.pick(unique.length > 0 ? unique : scene.shapes);
  const slots = slotsOf("en", shape);
  const say = (about: Question, form?: string) =>
    asked(random, "en", about, slots, form);
  const ways: (() => [Asked, Asked])[] = [
    () => [counted(random, "en", "count", scene.shapes.length), {
      about: "what are they",
      question: ask(random, "en", "what are they"),
      answer: describe("en", scene),
    }],
    () => [say("kind at"), say("and its colour")],
  ];
  if (scene.shapes.length > 1) {
    const other = random.pick(scene.shapes.filter((s) => s !== shape));
    ways.push(() => [
      say("thing at"),
      asked(random, "en", "and at", slotsOf("en", other)),
    ]);
  } else ways.push(() => [say("colour of it"), say("and its shape")]);
  if (unique.length > 0) {
    ways.push(
      () => [say("where"), say("and its colour")],
      () => [say("colour of kind"), say("and where")],
      () => {
        const there = { ...slots, what: slots.kind! };
        return [
          asked(random, "en", "exists", there, "yes"),
          say(random.pick(["and its colour", "and where"] as const)),
        ];
      },
    );
  }
  return random.pick(ways)();
}

/** Which bar is the highest or the lowest. */
export function extreme(random: Random, chart: Chart): Asked {
  const bars = [...chart.bars].sort((a, b) => a.value - b.value);
  const highest = random.chance(0.6);
  return asked(random, "en", highest ? "highest" : "lowest", {
    colour: (highest ? bars.at(-1)! : bars[0]!).colour,
  });
}

/** The value of a bar, asked by its letter or its colour; the answer holds the exact value. */
export function value(
  random: Random,
  chart: Chart,
): Asked & { readonly bar: Bar } {
  const bar = random.pick(chart.bars);
  const about = random.pick(["value of label", "value of colour"] as const);
  const slots = { label: bar.label, colour: bar.colour, value: `${bar.value}` };
  return { ...asked(random, "en", about, slots), bar };
}

const short = (scene: Shapes): string =>
  words("en").listing(scene.shapes.map((s) => article(words("en").thing(s))));

/** What differs between two pictures, which holds more, what is in one of them. */
export function pair(random: Random, one: Shapes, two: Shapes): Asked {
  const [p, q] = [one.shapes[0]!, two.shapes[0]!];
  const w = words("en");
  const slots: Record<string, string> = {
    ...slotsOf("en", p),
    first: short(one),
    second: short(two),
    "other kind": q.kind,
    "other colour": q.colour,
    n: w.number(one.shapes.length),
    m: w.number(two.shapes.length),
  };
  if (random.chance(0.2)) {
    const first = random.chance(0.5);
    return asked(random, "en", "one of two", {
      ordinal: first ? "first" : "second",
      number: first ? "1" : "2",
      that: short(first ? one : two),
    });
  }
  if (one.shapes.length > 1 || two.shapes.length > 1) {
    const more = one.shapes.length - two.shapes.length;
    return asked(
      random,
      "en",
      "more",
      slots,
      more === 0 ? "same" : more > 0 ? "first" : "second",
    );
  }
  const [kind, colour] = [p.kind === q.kind, p.colour === q.colour];
  const about = random.pick(
    ["differ", "differ", "same colour", "same shape"] as const,
  );
  const form = about === "same colour"
    ? (colour ? "yes" : "no")
    : about === "same shape"
    ? (kind ? "yes" : "no")
    : kind && colour
    ? "same"
    : kind
    ? "colour differs"
    : colour
    ? "kind differs"
    : "all differs";
  return asked(random, "en", about, slots, form);
}

/** A picture of one shape that shares kind or colour with another's now and then. */
export function like(random: Random, scene: Shapes, other: Shapes): Shapes {
  const [shape, model] = [scene.shapes[0]!, other.shapes[0]!];
  const colour: Colour = random.chance(0.5) &&
      scene.colours.includes(model.colour)
    ? model.colour
    : shape.colour;
  const kind = random.chance(0.5) ? model.kind : shape.kind;
  return { ...scene, shapes: [{ ...shape, kind, colour }] };
}

/** What happens in a video. */
export function happening(random: Random, film: Film): Asked {
  const slots = { ...slotsOf("en", film.thing), move: film.move };
  if (random.chance(0.4)) {
    return asked(random, "en", "happens", slots, film.happening);
  }
  const about = film.happening === "moves"
    ? random.pick(["which way", "which way kind"] as const)
    : film.happening === "appears"
    ? "what appears"
    : "what vanishes";
  return asked(random, "en", about, slots);
}

/** Ways to greet and to ask for the impossible that training does not know. */
const unheard: readonly (readonly [Question, string])[] = [
  ["hello", "Hello nano"],
  ["hello", "Good evening"],
  ["hello", "Hi, how are you?"],
  ["who", "Please introduce yourself."],
  ["who", "So who are you?"],
  ["who", "What can you tell me about yourself?"],
  ["cannot do", "Sing me a song."],
  ["cannot do", "Can you write a letter for me?"],
  ["cannot do", "What is the capital of Spain?"],
  ["cannot do", "What is 7 times 8?"],
  ["hello", "Hello, good to see you"],
  ["cannot do", "Please cook a meal."],
  ["cannot do", "Can you open the window?"],
  ["thanks", "Many thanks!"],
  ["thanks", "Thanks so much."],
  ["bye", "Goodbye!"],
];

/** A greeting, a question about nano, or one it cannot answer; half of the words are new to it. */
export function talk(random: Random): Asked {
  if (random.chance(0.5)) {
    const [about, question] = random.pick(unheard);
    return { about, question, answer: tell("en", about) };
  }
  const about = random.pick(
    ["hello", "who", "thanks", "cannot do", "no picture"] as const,
  );
  return asked(random, "en", about, {});
}

/** A question about a picture that the picture does not answer. */
export function untold(random: Random): Asked {
  const about = random.pick(["absent", "cannot tell"] as const);
  return asked(random, "en", about, { absent: random.pick(absent) });
}
