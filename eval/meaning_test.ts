/**
 * The meaning check: a small fixed part of the evaluation. Floors lie a little below what the committed
 * checkpoint reaches, so that a pipeline which still runs but no longer sees, reads or remembers fails here.
 */
import assert from "node:assert/strict";
import { InternVL } from "../mod.ts";
import { loadFonts } from "./draw.ts";
import { runTask } from "./run.ts";
import { tasks } from "./tasks.ts";

const COUNT = 24;
/** Of 24 pictures: at least so many right, by task and measure. */
const floors: Readonly<Record<string, Readonly<Record<string, number>>>> = {
  describe: { sentences: 23 },
  attributes: { answers: 22 },
  read: { strings: 19 },
  page: { "12 tiles": 13 },
  chart: { highest: 22, value: 22 },
  pair: { combined: 23, separate: 23 },
  video: { answers: 23 },
  chinese: { Chinese: 23 },
  second: { answers: 23 },
  talk: { answers: 22 },
};

Deno.test("nano sees what is there: a fixed part of the evaluation", async (t) => {
  const fonts = await loadFonts();
  const folder = await Deno.makeTempDir({ prefix: "tessera-eval-" });
  try {
    await using model = await InternVL.load("models/nano");
    for (const [name, measures] of Object.entries(floors)) {
      await t.step(name, async () => {
        const task = tasks.find((task) => task.name === name)!;
        const outcome = await runTask(model, task, {
          seed: 24,
          count: COUNT,
          fonts,
          folder,
        });
        for (const [measure, floor] of Object.entries(measures)) {
          const [right, of] = outcome.measures[measure]!;
          assert.equal(of, COUNT);
          assert.ok(
            right >= floor,
            `${name}, ${measure}: ${right} of ${of} right, at least ${floor} should be; the first wrong: ${
              JSON.stringify(outcome.misses[0])
            }`,
          );
        }
      });
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
