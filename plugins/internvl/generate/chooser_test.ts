import assert from "node:assert/strict";
import type { Prompt } from "../../../nodes/values.ts";
import { type Chooser, type ChooserSettings, makeChooser } from "./chooser.ts";
import { largest, logSumExp } from "./logprobs.ts";
import { penalizeRepetition } from "./penalties.ts";

const greedy: ChooserSettings = {
  doSample: false,
  temperature: 1,
  topK: 50,
  topP: 1,
  minP: 0,
  repetitionPenalty: 1,
  presencePenalty: 0,
  frequencyPenalty: 0,
  logitBias: {},
  minNewTokens: 0,
  seed: 1,
};
const prompt: Prompt = {
  text: "",
  question: "",
  ids: new Int32Array(3),
  images: [],
};
/** Tokens are letters; the last is a byte that is no character. */
const parts = {
  endIds: [3],
  prompt,
  names: {
    tokenOf: (id: number) => "abc$"[id],
    bytesOf: (id: number) =>
      id === 3
        ? undefined
        : id === 4
        ? Uint8Array.of(0xe2)
        : new TextEncoder().encode("abc"[id]),
  },
};
const chooserOf = (settings: Partial<ChooserSettings>, more = {}) =>
  makeChooser({ ...greedy, ...settings }, { ...parts, ...more });

Deno.test("greedy takes the largest; logits that are no numbers are a fault that names the place", () => {
  const chooser: Chooser = chooserOf({});
  assert.equal(chooser.choose(Float32Array.of(0, 2, 1)), 1);
  assert.equal(chooser.choose(Float32Array.of(NaN, NaN)), -1);
  assert.equal(
    chooser.fault?.message,
    "token 2 cannot be chosen: no logit is a finite number",
  );
});

Deno.test("repetition penalty: positive logits divided, negative multiplied, generated tokens only", () => {
  const values = Float32Array.of(2, -2, 0, 1);
  penalizeRepetition(values, [0, 1, 2], 2);
  assert.deepEqual([...values], [1, -4, 0, 1]);
  const chooser = chooserOf({ repetitionPenalty: 2 });
  const step = () => chooser.choose(Float32Array.of(4, 3, -1, 1.9));
  // 4 is halved once it has been taken, then 3; each penalty applies once however often a token came.
  assert.deepEqual([step(), step(), step(), step()], [0, 1, 0, 0]);
});

Deno.test("presence counts once, frequency each time", () => {
  const presence = chooserOf({ presencePenalty: 1.5 });
  const a = () => presence.choose(Float32Array.of(4, 3, 2, 0));
  // 4 - 1.5 < 3; then 3 - 1.5 < 2.5; and so it stays.
  assert.deepEqual([a(), a(), a(), a()], [0, 1, 0, 0]);
  const frequency = chooserOf({ frequencyPenalty: 0.75 });
  const b = () => frequency.choose(Float32Array.of(4, 3, 2, 0));
  // 4; 3.25 > 3; 2.5 < 3; 2.5 > 2.25; 1.75 < 2.25.
  assert.deepEqual([b(), b(), b(), b(), b()], [0, 0, 1, 0, 1]);
  const both = chooserOf({ presencePenalty: 1, frequencyPenalty: 0.5 });
  const c = () => both.choose(Float32Array.of(4, 2.25, 1.5, 0));
  // 4; 2.5 > 2.25; 2 < 2.25; 2 > 0.75; 1.5 = 1.5 > 0.75: the first.
  assert.deepEqual([c(), c(), c(), c(), c()], [0, 0, 1, 0, 0]);
});

Deno.test("a bias is added before the penalties, and no end token comes before minNewTokens", () => {
  // 1 + 3 is divided by the penalty: added after it, the bias would keep token 0 in front.
  const biased = chooserOf({ logitBias: { 0: 3 }, repetitionPenalty: 2 });
  const step = () => biased.choose(Float32Array.of(1, 2.5, 0, 0));
  assert.deepEqual([step(), step()], [0, 1]);
  const long = chooserOf({ minNewTokens: 2 });
  const next = () => long.choose(Float32Array.of(0, 1, 0, 9));
  assert.deepEqual([next(), next(), next()], [1, 1, 3]);
});

Deno.test("probabilities are the model's own, before bias, penalties and temperature", () => {
  const chooser = chooserOf({
    logitBias: { 2: 50 },
    logprobs: 2,
    doSample: true,
    temperature: 0.1,
  });
  const logits = Float32Array.from([0.5, 0.3, 0.15, 0.05], Math.log);
  assert.equal(chooser.choose(logits), 2);
  const { logprob } = chooser;
  const rounded = (x: number) => Math.round(Math.exp(x) * 1e6) / 1e6;
  assert.equal(logprob?.text, "c");
  assert.deepEqual([...logprob!.bytes], [99]);
  assert.equal(rounded(logprob!.logprob), 0.15);
  assert.deepEqual(
    logprob!.top.map(({ id, text, logprob }) => [id, text, rounded(logprob)]),
    [[0, "a", 0.5], [1, "b", 0.3]],
  );
});

Deno.test("a special token is reported by its text, a part of a character by its byte", () => {
  const chooser = chooserOf({ logprobs: 1 });
  chooser.choose(Float32Array.of(0, 0, 0, 5, 0));
  assert.equal(chooser.logprob?.text, "$");
  chooser.choose(Float32Array.of(0, 0, 0, 0, 5));
  assert.equal(chooser.logprob?.text, "\ufffd");
  assert.deepEqual([...chooser.logprob!.bytes], [0xe2]);
});

Deno.test("processors see the ids so far and change the logits, in order; what one throws is a fault", () => {
  const seen: number[][] = [];
  const processors = [
    {
      name: "down",
      process: ({ ids, logits }: {
        ids: readonly number[];
        logits: Float32Array;
      }) => {
        seen.push([...ids]);
        logits[ids.at(-1) ?? 0] = -Infinity;
      },
    },
    {
      name: "picky",
      process: ({ ids }: { ids: readonly number[] }) => {
        if (ids.length === 2) throw new RangeError("no more");
      },
    },
  ];
  const chooser = chooserOf({}, { processors });
  const step = () => chooser.choose(Float32Array.of(3, 2, 1, 0));
  assert.deepEqual([step(), step(), step()], [1, 0, -1]);
  assert.deepEqual(seen, [[], [1], [1, 0]]);
  assert.equal(
    chooser.fault?.message,
    "token 3 cannot be chosen: the logits processor picky failed: RangeError: no more",
  );
});

Deno.test("logSumExp and the largest do with infinities, and with what is no number", () => {
  assert.equal(logSumExp(Float32Array.of(-Infinity, -Infinity)), -Infinity);
  assert.equal(logSumExp(Float32Array.of(NaN, 0, -Infinity)), 0);
  assert.ok(
    Math.abs(logSumExp(Float32Array.of(1000, 1000)) - 1000.6931) < 1e-3,
  );
  assert.deepEqual(largest(Float32Array.of(1, 3, NaN, 3, 2), 3), [1, 3, 4]);
  assert.deepEqual(largest(Float32Array.of(1, 3), 5), [1, 0]);
  assert.deepEqual(largest(Float32Array.of(1, 3), 0), []);
});
