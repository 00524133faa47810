import assert from "node:assert/strict";
import { median, pairedRatio, quantile, show, summarize } from "./stats.ts";

Deno.test("median and quantile interpolate, and take any order", () => {
  assert.equal(median([3, 1, 2]), 2);
  assert.equal(median([4, 1, 3, 2]), 2.5);
  assert.equal(quantile([10, 0], 0.25), 2.5);
  assert.equal(quantile([1, 2, 3], 1), 3);
  assert.equal(quantile([1, 2, 3], 0), 1);
  assert.ok(Number.isNaN(median([])));
});

Deno.test("summarize gives the extremes", () => {
  assert.deepEqual(summarize([2, 9, 4]), {
    median: 4,
    least: 2,
    most: 9,
    count: 3,
  });
});

Deno.test("pairedRatio compares turn by turn, so one slow turn changes nothing", () => {
  assert.equal(pairedRatio([2, 200, 2], [1, 100, 1]), 2);
  assert.throws(() => pairedRatio([1], []), /1 measurements against 0/);
});

Deno.test("show keeps three digits", () => {
  assert.equal(show(1234.5), "1,235");
  assert.equal(show(99.94), "99.9");
  assert.equal(show(0.012345), "0.0123");
  assert.equal(show(5), "5.00");
  assert.equal(show(0), "0");
  assert.equal(show(-12.345), "-12.3");
  assert.equal(show(NaN), "-");
});
