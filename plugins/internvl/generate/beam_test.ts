/**
 * Beam search against Hugging Face's own, `tests/golden/beams/` (written by
 * `tools/reference/golden_beams.py` with transformers 4.37.2).
 */
import assert from "node:assert/strict";
import { Effect } from "effect";
import type { GenerationSettings } from "../../../nodes/values.ts";
import { beamSearch } from "./beam.ts";
import { Draft } from "./draft.ts";
import { resolveSettings } from "./settings.ts";

interface Answer {
  readonly ids: number[];
  readonly score: number;
}

interface Toy {
  readonly vocabulary: number;
  readonly end: number;
  readonly table: number[][];
  readonly cases: { settings: GenerationSettings; answers: Answer[] }[];
}

const golden = new URL("../../../tests/golden/beams/", import.meta.url);
const toy: Toy = JSON.parse(
  Deno.readTextFileSync(new URL("toy.json", golden)),
);
const names = { tokenOf: () => undefined, bytesOf: () => undefined };
const prompt = { text: "", question: "", ids: new Int32Array(1), images: [] };

/** Searches over the table; the last two tokens choose the row. */
function search(given: GenerationSettings) {
  const settings = Effect.runSync(resolveSettings(given));
  const parts = { endIds: [toy.end], prompt };
  return Effect.runSync(beamSearch(
    settings,
    {
      draft: new Draft(settings, parts, undefined),
      endIds: parts.endIds,
      limit: settings.maxNewTokens,
      names,
    },
    (rows) =>
      Effect.sync(() =>
        rows.map(({ ids }) => {
          const [before, last] = [0, 0, ...ids].slice(-2);
          return Float32Array.from(toy.table[before * toy.vocabulary + last]);
        })
      ),
  ));
}

Deno.test("beam search: answers and scores are Hugging Face's under every setting", () => {
  assert.ok(toy.cases.length >= 30);
  for (const { settings, answers } of toy.cases) {
    const found = search(settings);
    const shown = JSON.stringify(settings);
    assert.deepEqual(
      found.map(({ ids }) => [...ids]),
      answers.map(({ ids }) => ids),
      shown,
    );
    for (const [i, { score, ended, ids }] of found.entries()) {
      const error = Math.abs(score - answers[i].score);
      assert.ok(
        error < 2e-5 * Math.max(1, Math.abs(score)),
        `${shown} ${error}`,
      );
      assert.equal(ended, ids.at(-1) === toy.end);
    }
  }
});

Deno.test("rows say which row they go on from", () => {
  const settings = Effect.runSync(
    resolveSettings({ numBeams: 3, maxNewTokens: 6 }),
  );
  const parts = { endIds: [toy.end], prompt };
  let before: (readonly number[])[] = [[]];
  Effect.runSync(beamSearch(
    settings,
    {
      draft: new Draft(settings, parts, undefined),
      endIds: [toy.end],
      limit: 6,
      names,
    },
    (rows) =>
      Effect.sync(() => {
        for (const { ids, parent } of rows) {
          if (ids.length > 0) {
            assert.deepEqual(ids.slice(0, -1), before[parent]);
          }
        }
        before = rows.map(({ ids }) => [...ids]);
        return rows.map(() => Float32Array.from(toy.table[7]));
      }),
  ));
  assert.equal(before.length, 3);
});

Deno.test("probabilities are the model's own, one for each token", () => {
  const [answer] = search({
    numBeams: 2,
    maxNewTokens: 5,
    logprobs: 1,
    logitBias: { 5: 3 },
  });
  assert.equal(answer.logprobs.length, answer.ids.length);
  let before = [0, 0];
  for (const [i, { id, logprob, top }] of answer.logprobs.entries()) {
    assert.equal(id, answer.ids[i]);
    const row = toy.table[before[0] * toy.vocabulary + before[1]];
    const total = Math.log(row.reduce((sum, x) => sum + Math.exp(x), 0));
    assert.ok(Math.abs(row[id] - total - logprob) < 1e-5);
    assert.equal(top[0].id, row.indexOf(Math.max(...row)));
    before = [before[1], id];
  }
});
