import assert from "node:assert/strict";
import { Effect } from "effect";
import type { OutputConstraint } from "../../../nodes/values.ts";
import { random } from "../testing.ts";
import { openTokenizer } from "../tokenizer/load.ts";
import { makeChooser } from "./chooser.ts";
import {
  answerMatcher,
  answerText,
  tokenizerConstrainer,
} from "./constrained.ts";
import { resolveSettings } from "./settings.ts";

const tokenizer = await Effect.runPromise(openTokenizer("models/nano"));
const vocabSize = tokenizer.vocabSize;
const end = tokenizer.idOf("<|im_end|>")!;
const constrainer = tokenizerConstrainer(tokenizer, vocabSize);

/** Generates from logits that are noise, with what an answer is made of. */
async function generate(
  constraint: OutputConstraint,
  next: () => number,
  change: (logits: Float32Array) => void = () => {},
  limit = 120,
) {
  const settings = await Effect.runPromise(
    resolveSettings({
      constraint,
      doSample: true,
      temperature: 0.7,
      topK: 0,
      seed: Math.floor(next() * 1e9),
    }),
  );
  const chooser = makeChooser(settings, {
    endIds: [end],
    names: tokenizer,
    prompt: { text: "", question: "", ids: new Int32Array(1), images: [] },
    matcher: await Effect.runPromise(answerMatcher(settings, constrainer)),
  });
  const text = answerText(settings, ["<|im_end|>"], {});
  const decoder = tokenizer.streamDecoder({ skipSpecialTokens: true });
  const ids: number[] = [];
  while (ids.length < limit) {
    const logits = Float32Array.from({ length: vocabSize }, () => 6 * next());
    change(logits);
    const id = chooser.choose(logits);
    if (id < 0) throw chooser.fault;
    ids.push(id);
    if (id === end) break;
    text.push(decoder.push(id));
  }
  text.push(decoder.end());
  text.end();
  return {
    text: text.text,
    ids,
    stopped: ids.at(-1) === end,
    whole: chooser.whole,
  };
}

Deno.test("an answer that ends is whole, whatever the logits; end texts inside strings are text", async () => {
  const next = random(21);
  const schema = {
    type: "object",
    properties: {
      a: { type: "string", pattern: "^<\\|im_end\\|>.{0,3}$" },
      b: { type: "integer" },
    },
    required: ["a", "b"],
  };
  let stopped = 0;
  for (let round = 0; round < 20; round++) {
    const answer = await generate({ type: "json_schema", schema }, next);
    assert.equal(
      answer.ids.filter((id) => tokenizer.bytesOf(id) === undefined).length,
      answer.stopped ? 1 : 0,
    );
    if (!answer.stopped) continue;
    stopped++;
    assert.ok(answer.whole);
    const value = JSON.parse(answer.text);
    assert.match(value.a, /^<\|im_end\|>/);
    assert.ok(Number.isInteger(value.b));
  }
  assert.ok(stopped > 10, `${stopped}`);
});

Deno.test("spaces at the ends stay, and the space that the first token loses is none", async () => {
  const next = random(22);
  for (const choice of [" a b ", "the red circle", "\n"]) {
    const { text, stopped } = await generate({
      type: "choice",
      choices: [choice],
    }, next);
    assert.ok(stopped);
    assert.equal(text, choice);
  }
});

Deno.test("a token that the model cannot do without is chosen though a processor's logits forbid it: a fault", async () => {
  const next = random(23);
  await assert.rejects(
    generate(
      { type: "regex", pattern: "a+" },
      next,
      (logits) => logits.fill(NaN),
    ),
    /token 1 cannot be chosen: no logit is a finite number/,
  );
});

Deno.test("nothing can be spelled that the vocabulary does not have: the answer ends, and is not whole", async () => {
  const letters = tokenizerConstrainer({
    ...tokenizer,
    bytesOf: (id) => id === 5 ? new Uint8Array([97]) : undefined,
  }, vocabSize);
  const settings = await Effect.runPromise(
    resolveSettings({ constraint: { type: "regex", pattern: "ab" } }),
  );
  const chooser = makeChooser(settings, {
    endIds: [end],
    names: tokenizer,
    prompt: { text: "", question: "", ids: new Int32Array(1), images: [] },
    matcher: await Effect.runPromise(answerMatcher(settings, letters)),
  });
  const noise = () => new Float32Array(vocabSize).fill(1);
  assert.deepEqual([chooser.choose(noise()), chooser.choose(noise())], [
    5,
    end,
  ]);
  assert.ok(!chooser.whole);
});

Deno.test("a constraint made to be costly fails its answer with a typed error, in bounded time", async () => {
  const next = random(24);
  const pattern = `(${"(a?b?c?d?e?f?g?h?){50}".repeat(20)}){4}`;
  const error = await generate({ type: "regex", pattern }, next).then(
    () => undefined,
    (error) => error,
  );
  assert.equal(error._tag, "PromptError");
  assert.match(
    error.message,
    /^the (constraint costs too much|regular expression is too large)/,
  );
});

Deno.test("a model without a constrainer refuses", async () => {
  const settings = await Effect.runPromise(
    resolveSettings({ constraint: { type: "json_object" } }),
  );
  const error = await Effect.runPromise(
    Effect.flip(answerMatcher(settings, undefined)),
  );
  assert.equal(error.message, "this model offers no constrained output");
});
