import assert from "node:assert/strict";
import { type Figures, goals } from "./goals.ts";

Deno.test("a goal that was not measured is neither reached nor missed", () => {
  for (const { measured, reached } of goals({})) {
    assert.equal(measured, undefined);
    assert.equal(reached, undefined);
  }
});

Deno.test("goals are held against the figures of their sections", () => {
  const speed = (ratio: number) => ({ ms: 1, ratio });
  const figures: Figures = {
    tower: {
      threads: 2,
      float32: speed(1.1),
      w8a8: speed(3.2),
    },
    engine: {
      synthetic: {
        one: 10,
        eight: 40,
        gain: 4,
        gap: { ms: 12, busyMs: undefined },
        busy: { ms: 0, busyMs: undefined },
      },
      chat: { first: 100, second: 6, ratio: 0.06, tokens: [10, 8] },
    },
  };
  const reached = goals(figures).filter(({ reached }) => reached !== undefined)
    .map(({ measure, reached }) => [measure.replace(/,.*/, ""), reached]);
  assert.deepEqual(reached, [
    ["8 requests at once", true],
    ["time to the first token of the second round", false],
    ["vision tower in w8a8", true],
    ["vision tower in float32", false],
    ["longest gap of the event loop under load", false],
  ]);
});
