import assert from "node:assert/strict";
import { random } from "../testing.ts";
import { Lookup } from "./lookup.ts";

/** The same by looking everywhere. */
function slowly(
  text: readonly number[],
  ngram: number,
  least: number,
  limit: number,
): number[] {
  for (let n = ngram; n >= least; n--) {
    const end = text.slice(-n);
    if (end.length < n || end.some((token) => token < 0)) continue;
    for (let at = text.length - 1; at >= n; at--) {
      if (!end.every((token, i) => text[at - n + i] === token)) continue;
      const grown = [...text];
      for (let i = at; grown.length < text.length + limit; i++) {
        if (grown[i] < 0) break;
        grown.push(grown[i]);
      }
      return grown.slice(text.length);
    }
  }
  return [];
}

Deno.test("lookup: what followed the longest end of the text where it stood last, as if looked for everywhere", () => {
  const next = random(4);
  const pick = (count: number) => Math.floor(next() * count);
  let found = 0;
  for (let round = 0; round < 300; round++) {
    const ngram = 1 + pick(5);
    const least = 1 + pick(ngram);
    const lookup = new Lookup(ngram, least);
    const alphabet = 1 + pick(6);
    const text: number[] = [];
    for (let i = 0; i < 60; i++) {
      // Now and then a picture.
      const token = next() < 0.05 ? -1 - pick(2) : pick(alphabet) * 90_000;
      text.push(token);
      lookup.push(token);
      assert.equal(lookup.length, text.length);
      const limit = pick(9);
      const draft = lookup.draft(limit);
      assert.deepEqual(draft, slowly(text, ngram, least, limit));
      if (draft.length > 0) found++;
    }
  }
  assert.ok(found > 5000, `${found}`);
});

Deno.test("lookup: a text that goes round is guessed round; two tokens must agree unless one is asked for", () => {
  const text = (ngram: number, tokens: readonly number[]) => {
    const lookup = new Lookup(ngram);
    tokens.forEach((token) => lookup.push(token));
    return lookup;
  };
  assert.deepEqual(text(3, [9, 1, 2, 1, 2, 1]).draft(5), [2, 1, 2, 1, 2]);
  assert.deepEqual(text(3, [7, 7, 7]).draft(3), [7, 7, 7]);
  assert.deepEqual(text(3, [1, 2, 3, 1]).draft(3), []);
  assert.deepEqual(text(1, [1, 2, 3, 1]).draft(2), [2, 3]);
  assert.deepEqual(text(3, []).draft(3), []);
});
