import assert from "node:assert/strict";
import { random } from "../testing.ts";
import { seededRandom } from "./random.ts";
import { argMax, distribution, draw, kthLargest } from "./sampling.ts";

const all = { temperature: 1, topK: 0, topP: 1, minP: 0 };

/** Logits of the given probabilities. */
const logits = (...probabilities: number[]) =>
  Float32Array.from(probabilities, (p) => Math.log(p));

/** Tokens and probabilities rounded to six digits. */
function shares(
  values: Float32Array,
  settings: Parameters<typeof distribution>[1],
): (readonly [token: number, probability: number])[] {
  const { tokens, weights } = distribution(values, settings);
  const total = weights.reduce((a, b) => a + b, 0);
  return Array.from(
    tokens,
    (token, i) => [token, Math.round(weights[i] / total * 1e6) / 1e6],
  );
}

Deno.test("greedy takes the first of the largest; numbers only", () => {
  assert.equal(argMax(Float32Array.of(1, 3, 2, 3)), 1);
  assert.equal(argMax(Float32Array.of(NaN, -Infinity, -5)), 2);
  assert.equal(argMax(Float32Array.of(NaN, NaN)), -1);
});

Deno.test("temperature divides the logits", () => {
  assert.deepEqual(shares(logits(0.8, 0.2), { ...all, temperature: 0.5 }), [
    [0, 0.941176],
    [1, 0.058824],
  ]);
  assert.deepEqual(shares(logits(0.8, 0.2), { ...all, temperature: 2 }), [
    [0, 0.666667],
    [1, 0.333333],
  ]);
});

Deno.test("top-k keeps the k largest and what equals the last of them; more than there are keeps all", () => {
  const values = logits(0.1, 0.4, 0.2, 0.1, 0.2);
  const kept = (topK: number) =>
    shares(values, { ...all, topK }).map(([token]) => token);
  assert.deepEqual(kept(1), [1]);
  assert.deepEqual(kept(2), [1, 2, 4]);
  assert.deepEqual(kept(3), [1, 2, 4]);
  assert.deepEqual(kept(4), [0, 1, 2, 3, 4]);
  assert.deepEqual(kept(5), [0, 1, 2, 3, 4]);
  assert.deepEqual(kept(9), [0, 1, 2, 3, 4]);
  assert.deepEqual(kept(0), [0, 1, 2, 3, 4]);
});

Deno.test("top-p keeps tokens with less than p before them; at least one; of equals the last", () => {
  const values = logits(0.15, 0.5, 0.05, 0.3);
  const kept = (topP: number) =>
    shares(values, { ...all, topP }).map(([token]) => token);
  assert.deepEqual(kept(1e-9), [1]);
  assert.deepEqual(kept(0.49), [1]);
  assert.deepEqual(kept(0.51), [1, 3]);
  assert.deepEqual(kept(0.79), [1, 3]);
  assert.deepEqual(kept(0.81), [0, 1, 3]);
  assert.deepEqual(kept(0.96), [0, 1, 2, 3]);
  assert.deepEqual(kept(1), [0, 1, 2, 3]);
  assert.deepEqual(
    shares(logits(0.25, 0.25, 0.25, 0.25), { ...all, topP: 0.6 }),
    [[1, 0.333333], [2, 0.333333], [3, 0.333333]],
  );
});

Deno.test("min-p keeps tokens with that share of the largest; the largest always", () => {
  const values = logits(0.5, 0.26, 0.2, 0.04);
  const kept = (minP: number) =>
    shares(values, { ...all, minP }).map(([token]) => token);
  assert.deepEqual(kept(0), [0, 1, 2, 3]);
  assert.deepEqual(kept(0.1), [0, 1, 2]);
  assert.deepEqual(kept(0.41), [0, 1]);
  assert.deepEqual(kept(1), [0]);
});

Deno.test("the order is temperature, top-k, top-p, min-p", () => {
  const values = logits(0.4, 0.3, 0.2, 0.1);
  // At temperature 0.5: 16, 9, 4, 1 thirtieths; top-k 3 leaves 29; 16 + 9 are past 0.8 of them.
  assert.deepEqual(
    shares(values, { temperature: 0.5, topK: 3, topP: 0.8, minP: 0 }),
    [[0, 0.64], [1, 0.36]],
  );
  // Over all four 25 thirtieths are under 0.85, so a third token would stay; top-k came first.
  assert.deepEqual(
    shares(values, { temperature: 0.5, topK: 2, topP: 0.85, minP: 0 }),
    [[0, 0.64], [1, 0.36]],
  );
  assert.deepEqual(
    shares(values, { temperature: 0.5, topK: 3, topP: 0.8, minP: 0.6 }),
    [[0, 1]],
  );
});

Deno.test("logits that are no numbers or infinite do no harm", () => {
  const values = Float32Array.of(NaN, 1, -Infinity, 1);
  assert.deepEqual(shares(values, all), [[1, 0.5], [3, 0.5]]);
  for (const topK of [1, 2, 3]) {
    assert.deepEqual(shares(values, { ...all, topK, topP: 0.99 }), [
      [1, 0.5],
      [3, 0.5],
    ]);
  }
  assert.deepEqual(shares(Float32Array.of(0, Infinity, 5), all), [
    [0, 0],
    [1, 1],
    [2, 0],
  ]);
  const none = distribution(Float32Array.of(NaN, -Infinity), {
    ...all,
    topP: 0.5,
    minP: 0.5,
  });
  assert.equal(none.tokens.length, 0);
  assert.equal(draw(none, () => 0.5), -1);
});

Deno.test("the k-th largest, by heap and by partition, is the sorted array's", () => {
  const next = random(5);
  for (let round = 0; round < 60; round++) {
    const length = 1 + Math.floor(next() * 3000);
    // Few values make many equals.
    const distinct = round % 3 === 0 ? 7 : 1e6;
    const values = Float32Array.from(
      { length },
      () => Math.floor(next() * distinct) / distinct - 0.5,
    );
    if (round % 5 === 0) values.sort();
    if (round % 7 === 0) values.sort().reverse();
    const sorted = values.slice().sort().reverse();
    for (const k of [1, 2, 511, 512, 513, 514, length - 1, length]) {
      if (k < 1 || k > length) continue;
      assert.equal(kthLargest(values, k), sorted[k - 1]);
    }
  }
});

/** The warpers of Hugging Face `generate`, one after the other, by sorting. */
function sortedReference(
  values: Float32Array,
  { temperature, topK, topP, minP }: typeof all,
): Map<number, number> {
  let scores = Array.from(values, (value) => value / temperature);
  const remove = (drop: (i: number) => boolean) =>
    scores = scores.map((score, i) => drop(i) ? -Infinity : score);
  const softmax = () => {
    const largest = Math.max(...scores);
    const powers = scores.map((score) => Math.exp(score - largest));
    const total = powers.reduce((a, b) => a + b, 0);
    return powers.map((power) => power / total);
  };
  if (topK > 0) {
    const sorted = [...scores].sort((a, b) => b - a);
    const last = sorted[Math.min(topK, sorted.length) - 1];
    remove((i) => scores[i] < last);
  }
  if (topP < 1) {
    const rising = scores.map((_, i) => i).sort((a, b) =>
      scores[a] - scores[b] || a - b
    );
    const probabilities = softmax();
    let cumulative = 0;
    const dropped = new Set<number>();
    for (const i of rising.slice(0, -1)) {
      cumulative += probabilities[i];
      if (cumulative <= 1 - topP) dropped.add(i);
    }
    remove((i) => dropped.has(i));
  }
  if (minP > 0) {
    const probabilities = softmax();
    const least = minP * Math.max(...probabilities);
    remove((i) => probabilities[i] < least);
  }
  return new Map(
    [...softmax().entries()].filter(([, probability]) => probability > 0),
  );
}

Deno.test("on random logits the distribution is that of the sorted warpers", () => {
  const next = random(9);
  for (let round = 0; round < 300; round++) {
    const values = Float32Array.from(
      { length: 1 + Math.floor(next() * 400) },
      () => (next() + next() + next() - 1.5) * 8,
    );
    const settings = {
      temperature: 0.2 + 2 * next(),
      topK: next() < 0.3 ? 0 : 1 + Math.floor(next() * 120),
      topP: next() < 0.3 ? 1 : 0.001 + 0.99 * next(),
      minP: next() < 0.5 ? 0 : next() * 0.5,
    };
    const expected = sortedReference(values, settings);
    const { tokens, weights } = distribution(values, settings);
    assert.deepEqual([...tokens], [...expected.keys()]);
    const total = weights.reduce((a, b) => a + b, 0);
    for (const [i, token] of tokens.entries()) {
      const difference = weights[i] / total - expected.get(token)!;
      assert.ok(Math.abs(difference) < 1e-9);
    }
  }
});

Deno.test("draws follow the probabilities, and a seed repeats them", () => {
  const probabilities = [0.4, 0.1, 0.25, 0.05, 0.2];
  const values = logits(...probabilities);
  const counts = new Array<number>(probabilities.length).fill(0);
  const kept = distribution(values, all);
  const numbers = seededRandom(12);
  const draws = 20_000;
  for (let i = 0; i < draws; i++) counts[draw(kept, numbers)]++;
  const chi = counts.reduce(
    (sum, n, i) =>
      sum + (n - draws * probabilities[i]) ** 2 / (draws * probabilities[i]),
    0,
  );
  // 4 degrees of freedom: beyond 20 with a probability of 5e-4.
  assert.ok(chi < 20, `${chi} ${counts}`);
  const sequence = (seed: number) => {
    const numbers = seededRandom(seed);
    return Array.from({ length: 20 }, () => draw(kept, numbers));
  };
  assert.deepEqual(sequence(3), sequence(3));
  assert.notDeepEqual(sequence(3), sequence(4));
});

Deno.test("the ends of the random numbers give the first and the last token", () => {
  const kept = distribution(logits(0.25, 0.25, 0.5), all);
  assert.equal(draw(kept, () => 0), 0);
  assert.equal(draw(kept, () => 0.2499), 0);
  assert.equal(draw(kept, () => 0.2501), 1);
  assert.equal(draw(kept, () => 1 - 2 ** -53), 2);
  assert.equal(draw(kept, seededRandom(1)) >= 0, true);
});
