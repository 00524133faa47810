import assert from "node:assert/strict";
import { Effect } from "effect";
import { hostTensor } from "../../../nodes/tensor.ts";
import type { Prompt, VisualTokens } from "../../../nodes/values.ts";
import { visualRows } from "./visual.ts";

/** A prompt with pictures at these places. */
function prompt(
  length: number,
  spans: readonly (readonly [start: number, length: number])[],
): Prompt {
  return {
    text: "",
    question: "",
    ids: new Int32Array(length),
    images: spans.map(([start, length]) => ({ start, length, tiles: 1 })),
  };
}

/** Visual tokens of width 2, numbered from `first` on: [10·n, 10·n + 1, …]. */
function tokens(shape: readonly number[], first: number): VisualTokens {
  const width = shape.at(-1)!;
  const count = shape.reduce((a, b) => a * b, 1);
  return hostTensor(
    "float32",
    shape,
    Float32Array.from(
      { length: count },
      (_, i) => 10 * (first + Math.floor(i / width)) + i % width,
    ),
  );
}

Deno.test("every chunk gets the visual tokens of its context positions, in order", async () => {
  const spans = [[2, 4], [6, 2], [11, 6]] as const;
  const rows = await Effect.runPromise(
    visualRows(
      prompt(20, spans),
      [tokens([1, 3, 2], 0), tokens([3, 3, 2], 3)],
      2,
    ),
  );
  const places = spans.flatMap(([start, length]) =>
    Array.from({ length }, (_, i) => start + i)
  );
  for (const chunk of [1, 3, 5, 7, 20]) {
    const seen: number[] = [];
    for (let start = 0; start < 20; start += chunk) {
      const end = Math.min(20, start + chunk);
      const feeds = rows.chunk(start, end);
      const count = feeds.rows.data.length;
      assert.deepEqual(feeds.rows.shape, [count, 1]);
      assert.deepEqual(feeds.embeds.shape, [count, 2]);
      assert.deepEqual(
        [...feeds.rows.data].map((row) => Number(row) + start),
        places.filter((place) => place >= start && place < end),
      );
      seen.push(...feeds.embeds.data);
    }
    assert.deepEqual(
      seen,
      places.flatMap((_, i) => [10 * i, 10 * i + 1]),
      `chunks of ${chunk}`,
    );
  }
});

Deno.test("a chunk inside one tensor is a view of it", async () => {
  const visual = tokens([1, 6, 2], 0);
  const rows = await Effect.runPromise(
    visualRows(prompt(9, [[1, 6]]), [visual], 2),
  );
  const { embeds } = rows.chunk(3, 9);
  assert.equal(
    embeds.data.buffer,
    ((await Effect.runPromise(visual.read)) as Float32Array).buffer,
  );
});

const refused: readonly (readonly [string, Prompt, VisualTokens[], string])[] =
  [
    [
      "fewer visual tokens",
      prompt(9, [[1, 6]]),
      [tokens([1, 4, 2], 0)],
      "the prompt has 6 image context tokens, 4 visual tokens were given; they must be as many",
    ],
    [
      "visual tokens for a text",
      prompt(9, []),
      [tokens([1, 4, 2], 0)],
      "the prompt has 0 image context tokens, 4 visual tokens were given; they must be as many",
    ],
    [
      "none at all",
      prompt(9, [[0, 2], [4, 2]]),
      [],
      "the prompt has 4 image context tokens, 0 visual tokens were given; they must be as many",
    ],
    [
      "another width",
      prompt(9, [[0, 2]]),
      [tokens([1, 1, 4], 0)],
      "visual tokens must be float32 [tiles, tokens, 2], got float32 [1, 1, 4]",
    ],
    [
      "a span past the end",
      prompt(9, [[5, 6]]),
      [tokens([1, 6, 2], 0)],
      "an image span of 6 tokens at 5 does not fit the prompt of 9 tokens",
    ],
    [
      "spans that overlap",
      prompt(9, [[0, 3], [2, 3]]),
      [tokens([1, 6, 2], 0)],
      "an image span of 3 tokens at 2 does not fit the prompt of 9 tokens",
    ],
  ];
for (const [what, given, visual, message] of refused) {
  Deno.test(`refused: ${what}`, async () => {
    const error = await Effect.runPromise(
      Effect.flip(visualRows(given, visual, 2)),
    );
    assert.equal(error._tag, "PromptError");
    assert.equal(error.message, message);
  });
}
