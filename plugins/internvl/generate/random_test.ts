import assert from "node:assert/strict";
import { seededRandom, xoshiro128 } from "./random.ts";

Deno.test("xoshiro128** gives the published generator's numbers", () => {
  const next = xoshiro128(1, 2, 3, 4);
  // The authors' C program, state {1, 2, 3, 4}.
  assert.deepEqual(Array.from({ length: 10 }, next), [
    11520,
    0,
    5927040,
    70819200,
    2031721883,
    1637235492,
    1287239034,
    3734860849,
    3729100597,
    4258142804,
  ]);
});

Deno.test("the same seed gives the same numbers; other seeds others", () => {
  const first = (seed: number) => {
    const next = seededRandom(seed);
    return Array.from({ length: 5 }, next);
  };
  assert.deepEqual(first(42), first(42));
  const seeds = [0, 1, 2, 2 ** 32, 2 ** 32 + 1, 2 ** 53 - 1];
  assert.equal(new Set(seeds.map((seed) => first(seed)[0])).size, seeds.length);
});

Deno.test("numbers lie evenly in [0, 1)", () => {
  const next = seededRandom(7);
  const bins = new Array<number>(64).fill(0);
  const draws = 64_000;
  let sum = 0;
  for (let i = 0; i < draws; i++) {
    const x = next();
    assert.ok(x >= 0 && x < 1);
    sum += x;
    bins[Math.floor(x * 64)]++;
  }
  const chi = bins.reduce((s, n) => s + (n - 1000) ** 2 / 1000, 0);
  // 63 degrees of freedom: beyond 110 with a probability of 2e-4.
  assert.ok(chi < 110, `${chi}`);
  assert.ok(Math.abs(sum / draws - 0.5) < 0.005);
});

Deno.test("across seeds, too, numbers lie evenly: neighbours, and those of other high words, know nothing of each other", () => {
  for (const step of [1, 2, 1024, 2 ** 32, 2 ** 32 + 1]) {
    for (const place of [0, 1, 2, 7]) {
      const count = 16_384;
      const drawn = Array.from({ length: count }, (_, i) => {
        const next = seededRandom(i * step);
        for (let skipped = 0; skipped < place; skipped++) next();
        return [next(), next()];
      });
      // One after the other with the same seed, and the same place of two neighbours.
      const pairs = drawn.map(([a, b], i) => [
        [a!, b!],
        [a!, drawn[(i + 1) % count]![0]!],
      ]);
      for (const kind of [0, 1]) {
        const bins = new Array<number>(64).fill(0);
        for (const pair of pairs) {
          const [x, y] = pair[kind]!;
          bins[8 * Math.floor(8 * x!) + Math.floor(8 * y!)]!++;
        }
        const chi = bins.reduce((s, n) => s + (n - 256) ** 2 / 256, 0);
        // 63 degrees of freedom: beyond 120 with a probability of 2e-5.
        assert.ok(chi < 120, `step ${step}, place ${place}: ${chi}`);
      }
    }
  }
});
