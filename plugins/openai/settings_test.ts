import assert from "node:assert/strict";
import { foldSeed } from "./settings.ts";

Deno.test("openai: seeds of 64 bits are seeds of ours; those that were seeds stay what they were", () => {
  for (const seed of [0, 7, 2 ** 31, Number.MAX_SAFE_INTEGER]) {
    assert.equal(foldSeed(seed), seed);
    assert.equal(foldSeed(-seed), seed);
  }
  const wide = [2 ** 53, 2 ** 60, 2 ** 62, 2 ** 63, -(2 ** 63) + 2 ** 12];
  const folded = wide.map(foldSeed);
  assert.ok(folded.every((seed) => Number.isSafeInteger(seed) && seed > 0));
  assert.equal(new Set(folded).size, wide.length);
});
