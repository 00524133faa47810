import assert from "node:assert/strict";
import { roundHalfEven, sampleIndices } from "./sample_indices.ts";

type Case = [
  frameCount: number,
  fps: number,
  segments: number,
  bound: [start: number, end: number] | null,
  indices: number[],
];

const golden: readonly Case[] = JSON.parse(
  await Deno.readTextFile(
    new URL("../../tests/golden/media/indices.json", import.meta.url),
  ),
);

Deno.test("indices equal the reference's on 600 videos", () => {
  assert.equal(golden.length, 600);
  for (const [frameCount, fps, segments, bound, indices] of golden) {
    const range = bound === null ? {} : { start: bound[0], end: bound[1] };
    assert.deepEqual(
      sampleIndices(frameCount, fps, { segments, ...range }),
      indices,
      `${frameCount} frames at ${fps}, ${segments} segments, ${bound}`,
    );
    assert.ok(indices.every((index) => index >= 0 && index < frameCount));
  }
});

Deno.test("halves go to the even neighbour", () => {
  const values = [0.5, 1.5, 2.5, -0.5, -1.5, 2.4, 2.6, 0.49999999999999994];
  assert.deepEqual(
    values.map((x) => roundHalfEven(x) + 0),
    [0, 2, 2, 0, -2, 2, 3, 0],
  );
});

Deno.test("only a start, or only an end", () => {
  assert.deepEqual(sampleIndices(100, 10, { segments: 2, start: 5 }), [62, 86]);
  assert.deepEqual(sampleIndices(100, 10, { segments: 2, end: 5 }), [12, 37]);
});

Deno.test("ranges and numbers that make no sense are named", () => {
  const cases: [number, number, Parameters<typeof sampleIndices>[2], RegExp][] =
    [
      [0, 30, { segments: 8 }, /a video of 0 frames/],
      [10, NaN, { segments: 8 }, /NaN frames per second/],
      [10, 0, { segments: 8 }, /0 frames per second/],
      [10, 30, { segments: 0 }, /0 segments; a whole number from 1 to 4096/],
      [10, 30, { segments: 2.5 }, /2.5 segments/],
      [10, 30, { segments: 5000 }, /5000 segments/],
      [10, 30, { segments: 1, start: -1 }, /the start is -1 s/],
      [10, 30, { segments: 1, end: Infinity }, /the end is Infinity s/],
      [10, 30, { segments: 1, start: 2, end: 1 }, /\(2 s\) is after the end/],
      [300, 30, { segments: 1, start: 12 }, /between 12 s .* 10\.00 s long/],
      [
        300,
        30,
        { segments: 1, start: 12, end: 20 },
        /12 s and 20 s; the video/,
      ],
    ];
  for (const [frameCount, fps, options, message] of cases) {
    assert.throws(() => sampleIndices(frameCount, fps, options), {
      name: "RangeError",
      message,
    });
  }
});
