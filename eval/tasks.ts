/**
 * The tasks of the evaluation: what is drawn, asked and counted, and what should be reached.
 * @module
 */
import type { Sample } from "../mod.ts";
import {
  drawChart,
  drawPrint,
  drawShapes,
  type Font,
  writeFilm,
} from "./draw.ts";
import { ask, tell, type Tongue } from "./language.ts";
import {
  type Asked,
  attribute,
  attributes,
  describe,
  extreme,
  follow,
  happening,
  like,
  pair,
  talk,
  untold,
  value,
} from "./questions.ts";
import { type Random, random } from "./random.ts";
import {
  characters,
  number,
  one,
  quoted,
  sameThings,
  type Score,
  verdict,
} from "./score.ts";
import { chart, film, ground, print, type Shapes, shapes } from "./world.ts";

/** What is shown: pictures, or a video. */
export type Shown = Pick<Sample, "images" | "video">;

/** One thing to ask. */
export interface Case {
  /** The rounds; only the last answer counts. */
  readonly rounds: readonly [string, ...string[]];
  /** What the last answer should be. */
  readonly answer: string;
  /** The kind of question, for a closer look. */
  readonly about: string;
  /** Most tiles per picture; the checkpoint's own where it is not said. */
  readonly maxTiles?: number;
  /** Judges the last answer. */
  score(answer: string): Score;
}

/** Cases about the same picture. */
export interface Trial {
  /** Draws it. `folder` may hold files. */
  show(folder: string): Promise<Shown>;
  /** What is asked about it. */
  readonly cases: readonly Case[];
}

/** What should be reached. */
export interface Goal {
  /** The name of the measure. */
  readonly measure: string;
  /** At least this share, or below it. */
  readonly atLeast?: number;
  /** Below this share. */
  readonly below?: number;
  /** At most this far below another measure. */
  readonly near?: readonly [measure: string, by: number];
}

/** A row of the table. */
export interface Task {
  /** A name to choose it by. */
  readonly name: string;
  /** What it is, in words. */
  readonly about: string;
  /** What should be reached. */
  readonly goals: readonly Goal[];
  /** The trial of this number. */
  trial(random: Random, fonts: readonly Font[]): Trial;
}

const blank = (): Promise<Shown> => Promise.resolve({});

/** A case whose answer must be the right one, letter by letter; of a relation and a comparison, the verdict. */
const exact = (measure: string, { about, question, answer }: Asked): Case => ({
  rounds: [question],
  answer,
  about,
  score: (given) => ({
    [measure]: one(verdict(about, given) === verdict(about, answer)),
  }),
});

const picture =
  (random: Random, scene: Shapes) => async (): Promise<Shown> => ({
    images: [await drawShapes(random, scene)],
  });

const describing = (
  measure: string,
  tongue: Tongue,
  random: Random,
  scene: Shapes,
): Case => {
  const answer = describe(tongue, scene);
  return {
    rounds: [ask(random, tongue, "describe")],
    answer,
    about: `describe ${scene.shapes.length}`,
    score: (given) => ({ [measure]: one(sameThings(given, answer)) }),
  };
};

/** A question about attributes; pictures are drawn until one has an answer. */
function attributed(
  random: Random,
  ask: (about: typeof attributes[number], scene: Shapes) => Asked | undefined,
): [Shapes, Asked] {
  const about = random.pick(attributes);
  for (;;) {
    const scene = shapes(random);
    const asked = ask(about, scene);
    if (asked !== undefined) return [scene, asked];
  }
}

/** The rows of the table. */
export const tasks: readonly Task[] = [
  {
    name: "describe",
    about: "describe 1 to 6 shapes: every thing right, none invented",
    goals: [{ measure: "sentences", atLeast: 0.95 }],
    trial: (random) => {
      const scene = shapes(random);
      return {
        show: picture(random, scene),
        cases: [describing("sentences", "en", random, scene)],
      };
    },
  },
  {
    name: "attributes",
    about: "colour, kind, count, place, relation, presence: exact",
    goals: [{ measure: "answers", atLeast: 0.97 }],
    trial: (random) => {
      const [scene, asked] = attributed(
        random,
        (about, scene) => attribute(random, "en", about, scene),
      );
      return { show: picture(random, scene), cases: [exact("answers", asked)] };
    },
  },
  {
    name: "read",
    about: "read 1 to 12 printed characters, fonts new to it",
    goals: [
      { measure: "characters", atLeast: 0.98 },
      { measure: "strings", atLeast: 0.92 },
    ],
    trial: (random, fonts) => {
      const scene = print(random, fonts.length, false);
      return {
        show: async () => ({ images: [await drawPrint(random, scene, fonts)] }),
        cases: [{
          rounds: [ask(random, "en", "read")],
          answer: tell("en", "read", { text: scene.text }),
          about: `read ${[...scene.text].length}`,
          score: (given) => ({
            characters: characters(given, scene.text),
            strings: one(quoted(given) === scene.text),
          }),
        }],
      };
    },
  },
  {
    name: "page",
    about:
      "read a line of 3 to 8 characters on a page of 1,500 pixels and more",
    goals: [
      { measure: "12 tiles", atLeast: 0.9 },
      { measure: "1 tile", below: 0.3 },
    ],
    trial: (random, fonts) => {
      const scene = print(random, fonts.length, true);
      const question = ask(random, "en", "read");
      return {
        show: async () => ({ images: [await drawPrint(random, scene, fonts)] }),
        cases: ([[12, "12 tiles"], [1, "1 tile"]] as const).map((
          [maxTiles, measure],
        ) => ({
          rounds: [question],
          answer: tell("en", "read", { text: scene.text }),
          about: measure,
          maxTiles,
          score: (given) => ({
            [measure]: one(quoted(given) === scene.text),
            [`${measure}, characters`]: characters(given, scene.text),
          }),
        })),
      };
    },
  },
  {
    name: "chart",
    about:
      "bar charts of 2 to 6: highest and lowest exact, values within 5 of 100",
    goals: [
      { measure: "highest", atLeast: 0.9 },
      { measure: "value", atLeast: 0.9 },
    ],
    trial: (random, fonts) => {
      const scene = chart(random, fonts.length);
      const asked = value(random, scene);
      return {
        show: async () => ({ images: [await drawChart(random, scene, fonts)] }),
        cases: [exact("highest", extreme(random, scene)), {
          ...exact("value", asked),
          score: (given) => ({
            value: one(Math.abs(number(given) - asked.bar.value) <= 5),
          }),
        }],
      };
    },
  },
  {
    name: "pair",
    about: "two pictures: what differs, which holds more, what is in one",
    goals: [
      { measure: "combined", atLeast: 0.93 },
      { measure: "separate", atLeast: 0.93 },
    ],
    trial: (random) => {
      const single = random.chance(0.5);
      const count = () => single ? 1 : random.int(1, 4);
      const first = shapes(random, count());
      const other = shapes(random, count(), ground(random));
      const second = single ? like(random, other, first) : other;
      const asked = pair(random, first, second);
      return {
        show: async () => ({
          images: [
            await drawShapes(random, first),
            await drawShapes(random, second),
          ],
        }),
        cases: ([
          ["combined", "<image>\n"],
          ["separate", "Image-1: <image>\nImage-2: <image>\n"],
        ] as const).map(([measure, head]) =>
          exact(measure, { ...asked, question: head + asked.question })
        ),
      };
    },
  },
  {
    name: "video",
    about: "8 frames: which way it moves, what appears or vanishes",
    goals: [{ measure: "answers", atLeast: 0.95 }],
    trial: (random) => {
      const scene = film(random);
      return {
        show: async (folder) => {
          const path = `${folder}/${random.int(0, 2 ** 31)}.gif`;
          await writeFilm(random, scene, path);
          return { video: { source: path, segments: 8 } };
        },
        cases: [{
          ...exact("answers", happening(random, scene)),
          about: scene.happening,
        }],
      };
    },
  },
  {
    name: "chinese",
    about:
      "descriptions and attributes in Chinese, beside English about the same",
    goals: [{ measure: "Chinese", near: ["English", 0.02] }],
    trial: (chance) => {
      // The same choices twice: the same question in both languages.
      const seed = `${chance.next()}`;
      const both = (tongue: Tongue): [Shapes, Case] => {
        const again = random(seed);
        const measure = tongue === "en" ? "English" : "Chinese";
        if (again.chance(0.3)) {
          const scene = shapes(again);
          return [scene, describing(measure, tongue, again, scene)];
        }
        const [scene, asked] = attributed(again, (about, scene) => {
          const question = again.next();
          return attribute(random(`${question}`), tongue, about, scene);
        });
        return [scene, exact(measure, asked)];
      };
      const [scene, english] = both("en");
      const [, chinese] = both("zh");
      return { show: picture(chance, scene), cases: [english, chinese] };
    },
  },
  {
    name: "second",
    about: "a second round that leans on the first answer",
    goals: [{ measure: "answers", atLeast: 0.93 }],
    trial: (random) => {
      const scene = shapes(random);
      const [first, second] = follow(random, scene);
      return {
        show: picture(random, scene),
        cases: [{
          ...exact("answers", second),
          rounds: [first.question, second.question],
        }],
      };
    },
  },
  {
    name: "talk",
    about: "greetings, who it is, what it cannot do or tell",
    goals: [{ measure: "answers", atLeast: 0.95 }],
    trial: (random) => {
      if (random.chance(0.3)) {
        return {
          show: picture(random, shapes(random)),
          cases: [exact("answers", untold(random))],
        };
      }
      return { show: blank, cases: [exact("answers", talk(random))] };
    },
  },
];
