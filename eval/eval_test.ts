import assert from "node:assert/strict";
import { drawChart, drawPrint, drawShapes, loadFonts } from "./draw.ts";
import { fill, type Tongue } from "./language.ts";
import { describe, things } from "./questions.ts";
import { random } from "./random.ts";
import { reached, table } from "./run.ts";
import {
  characters,
  distance,
  number,
  quoted,
  sameThings,
  verdict,
} from "./score.ts";
import { tasks } from "./tasks.ts";
import { chart, print, type Shape, shapes } from "./world.ts";
import golden from "../tests/golden/nano/talk.json" with { type: "json" };

Deno.test("sentences are those that training makes of the same words", () => {
  for (const [template, ...texts] of golden.filled) {
    assert.deepEqual(
      golden.slots.map((slots) => fill(template!, slots)),
      texts,
    );
  }
  for (const { tongue, shapes, text } of golden.described) {
    const scene = { rgb: [], colours: [], shapes: shapes as Shape[] };
    assert.equal(describe(tongue as Tongue, scene), text);
  }
  assert.throws(
    () => fill("{a kind} {colour}", { kind: "ring" }),
    /\{colour\}/,
  );
});

Deno.test("every task makes questions, the same from the same seed", async () => {
  const fonts = await loadFonts();
  for (const task of tasks) {
    for (let i = 0; i < 100; i++) {
      const trials = [0, 0, 1].map((seed) =>
        task.trial(random(`${seed} ${task.name} ${i}`), fonts).cases
      );
      const [one, again] = trials as [typeof trials[0], typeof trials[0]];
      assert.deepEqual(JSON.stringify(one), JSON.stringify(again));
      for (const { rounds, answer, score } of one) {
        assert.doesNotMatch(rounds.join() + answer, /[{}]|undefined/);
        // The right answer is right by every measure, but for a value, where the question has the bar.
        for (const [right, of] of Object.values(score(answer))) {
          assert.equal(right, of, answer);
        }
        assert.ok(
          Object.values(score("I am not sure.")).every(([right, of]) =>
            right < of
          ),
        );
      }
    }
  }
});

Deno.test("pictures are the same from the same seed, and of the size they should have", async () => {
  const fonts = await loadFonts();
  const draw = async (seed: string) => {
    const chance = random(seed);
    return [
      await drawShapes(chance, shapes(chance, 6)),
      await drawPrint(chance, print(chance, fonts.length, false), fonts),
      await drawPrint(chance, print(chance, fonts.length, true), fonts),
      await drawChart(chance, chart(chance, fonts.length), fonts),
    ];
  };
  const [one, again, other] = [
    await draw("a"),
    await draw("a"),
    await draw("b"),
  ];
  assert.deepEqual(one, again);
  one.forEach((bytes, i) => assert.notDeepEqual(bytes, other[i]));
  const page = new DataView(one[2]!.buffer);
  assert.ok(page.getUint32(16) >= 1500);
});

Deno.test("shapes stay inside their picture and apart from each other", () => {
  for (let i = 0; i < 600; i++) {
    const scene = shapes(random(`${i}`), i % 6 + 1);
    for (const a of scene.shapes) {
      assert.ok(Math.min(a.x, a.y, 1 - a.x, 1 - a.y) > a.r * 0.95);
      for (const b of scene.shapes) {
        assert.ok(
          a === b || Math.hypot(a.x - b.x, a.y - b.y) > (a.r + b.r) * 0.95,
        );
      }
    }
  }
});

Deno.test("random numbers are spread evenly and differ by seed", () => {
  const chance = random("seed");
  const counts = new Array(10).fill(0);
  for (let i = 0; i < 10_000; i++) counts[chance.int(0, 9)]++;
  assert.ok(counts.every((n) => n > 850 && n < 1150), counts.join());
  assert.notEqual(random("1").next(), random("2").next());
  assert.equal(new Set(chance.sample([1, 2, 3, 4], 4)).size, 4);
});

Deno.test("scores", () => {
  assert.equal(distance("kitten", "sitting"), 3);
  assert.equal(distance("", "abc"), 3);
  assert.deepEqual(characters('It says "AB1".', "ABI"), [2, 3]);
  assert.deepEqual(characters("no quotes", "ABI"), [0, 3]);
  assert.deepEqual(characters('It says "AAAAAAAAAA".', "B"), [0, 1]);
  assert.equal(quoted('It says "a"b".'), 'a"b');
  assert.equal(number("About 45."), 45);
  assert.ok(Number.isNaN(number("The red bar.")));
  const relation = "The ring is at the top and the star in the middle: yes.";
  assert.equal(verdict("above", relation), "yes");
  assert.equal(verdict("below", "No."), "no");
  assert.equal(verdict("left of", "圆环在上面，星形在中间：不是。"), "不是");
  assert.equal(
    verdict("more", "The first has two and the second has one: the first one."),
    "first",
  );
  assert.equal(
    verdict("more", "The first has two and the second has two: the same."),
    "alike",
  );
  assert.equal(verdict("count", "There is one ring."), "There is one ring.");
  const right = "A red ring on the left and a blue star on the right.";
  assert.deepEqual(things(right), [
    "a blue star on the right",
    "a red ring on the left",
  ]);
  assert.ok(
    sameThings("A blue star on the right and a red ring on the left.", right),
  );
  for (
    const wrong of [
      "A red ring on the left.",
      "A red ring on the left and a red ring on the left.",
      "A red ring on the left, a blue star on the right and a gray star in the middle.",
    ]
  ) assert.ok(!sameThings(wrong, right));
});

Deno.test("a table says what is reached", () => {
  const outcome = {
    task: "page",
    measures: { "12 tiles": [95, 100], "1 tile": [40, 100] } as Record<
      string,
      [number, number]
    >,
    kinds: {},
    misses: [],
    seconds: 1,
  };
  const { goals } = tasks.find(({ name }) => name === "page")!;
  assert.deepEqual(goals.map((goal) => reached(goal, outcome)), [
    { ok: true, goal: "90 %" },
    { ok: false, goal: "< 30 %" },
  ]);
  assert.match(
    table(tasks, [outcome]),
    /page +12 tiles +95\.0 % +95 of 100 +90 % +yes\n/,
  );
});
