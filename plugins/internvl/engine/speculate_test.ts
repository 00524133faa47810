/**
 * Guesses change nothing but the number of steps: answers with and without are compared in every way in
 * which a token is chosen, on random weights, which soon repeat themselves, and on nano.
 * @module
 */
import assert from "node:assert/strict";
import { Effect } from "effect";
import {
  type GenerationRequest,
  LogitsProcessors,
} from "../../../nodes/services.ts";
import type { GenerationSettings } from "../../../nodes/values.ts";
import { ffiBackend } from "../../onnx/mod.ts";
import { tokenizerConstrainer } from "../generate/constrained.ts";
import { makeLanguageModel } from "../generate/model.ts";
import { openModel } from "../graphs/testing.ts";
import { random } from "../testing.ts";
import { openTokenizer } from "../tokenizer/load.ts";
import { engineOptions, type EngineSettings } from "./options.ts";
import { Pace, Speculation } from "./speculate.ts";

const nano = "models/nano";

Deno.test("pace: drafts begin after two plain steps, rest where they do not pay, and are tried again", () => {
  const pace = new Pace();
  assert.equal(pace.ready, false);
  pace.plain(50);
  assert.equal(pace.ready, false);
  pace.plain(10);
  // One and a half times as long, for two tokens: worth it.
  for (let i = 0; i < 20; i++) {
    assert.equal(pace.ready, true);
    pace.drafted(15, 2);
  }
  // For one token it is not, once that is the rule.
  let tries = 0;
  for (; pace.ready; tries++) pace.drafted(15, 1);
  assert.ok(tries > 1 && tries < 10, `${tries}`);
  const rests: number[] = [];
  for (let i = 0; i < 7; i++) {
    let rest = 0;
    for (; !pace.ready; rest++) pace.plain(10);
    rests.push(rest);
    for (tries = 0; pace.ready; tries++) pace.drafted(15, 1);
    assert.equal(tries, 4);
  }
  assert.deepEqual(rests, [16, 32, 64, 128, 256, 256, 256]);
});

Deno.test("speculation: keeps within the room, and catches up with what was computed meanwhile", () => {
  const keys = Int32Array.of(4, 5, 6, 7, 4, 5, 0, 0);
  const speculation = new Speculation({ tokens: 3, ngram: 3 });
  assert.deepEqual(speculation.draft(keys, 5, 5, 9), []);
  speculation.pace.plain(1);
  speculation.pace.plain(1);
  assert.deepEqual(speculation.draft(keys, 5, 5, 9), [6, 7, 4]);
  assert.deepEqual(speculation.draft(keys, 5, 5, 1), [6]);
  assert.deepEqual(speculation.draft(keys, 5, 5, 0), []);
  assert.deepEqual(speculation.draft(keys, 6, 6, 9), [7, 4, 5]);
});

/** Everything that is said about an answer, in order. */
type Said = readonly (readonly [string, ...unknown[]])[];

const variants: readonly GenerationSettings[] = [
  {},
  { repetitionPenalty: 1.05 },
  { frequencyPenalty: 0.2, presencePenalty: 0.1, logitBias: { 40: 2 } },
  { minNewTokens: 15, logprobs: 2 },
  { stop: ["s", "1"] },
  { constraint: { type: "regex", pattern: "(ab ?)*[0-9]+(, [0-9]+)*" } },
  {
    constraint: {
      type: "json_schema",
      schema: { type: "array", items: { type: "boolean" }, minItems: 9 },
    },
  },
];

Deno.test("guesses change no token, no text, no order, however tokens are chosen", async () => {
  const program = Effect.gen(function* () {
    const open = yield* openModel(nano);
    const { language: config } = open.checkpoint.config;
    const tokenizer = yield* openTokenizer(nano, config.vocabSize);
    const end = tokenizer.idOf("<|im_end|>")!;
    const make = (settings: EngineSettings) =>
      makeLanguageModel({
        session: open.language,
        config,
        endIds: [end],
        endTexts: ["<|im_end|>"],
        detokenizer: (options) => tokenizer.streamDecoder(options),
        names: tokenizer,
        constrainer: tokenizerConstrainer(tokenizer, config.vocabSize),
        ...settings,
      });
    const plain = yield* make({});
    const guessing = yield* make({ speculate: { tokens: 6 } });
    const next = random(17);
    const requests: GenerationRequest[] = [];
    for (const settings of variants) {
      for (let i = 0; i < 6; i++) {
        // Pieces of text, which stand between the control and the chat tokens.
        const words = Array.from(
          { length: 4 + 3 * i },
          () => 3 + Math.floor(next() * (end - 3)),
        );
        // Every other prompt says everything twice.
        const ids = Int32Array.from(i % 2 === 0 ? words : [...words, ...words]);
        requests.push({
          prompt: { text: "", question: "", ids, images: [] },
          visual: [],
          settings: { maxNewTokens: 20 + 9 * i, ...settings },
        });
      }
    }
    const told = Effect.fnUntraced(
      function* (model: typeof plain, request: GenerationRequest) {
        const said: [string, ...unknown[]][] = [];
        const { text, ids, finishReason, usage } = yield* model.generate({
          ...request,
          observer: {
            onFirstToken: () => said.push(["first"]),
            onToken: ({ id }) => said.push(["token", id]),
            onText: (delta, tokens) => said.push(["text", delta, tokens]),
          },
        });
        said.push(["end", text, [...ids], finishReason, usage]);
        return said as Said;
      },
    );
    let tokens = 0;
    // What a plugin sees, and in which order.
    const seen: number[][] = [[], []];
    for (const request of requests) {
      const answers: Said[] = [];
      for (const [i, model] of [plain, guessing].entries()) {
        answers.push(
          yield* Effect.provideService(told(model, request), LogitsProcessors, [
            {
              name: "watch",
              process: ({ ids, logits }) => {
                seen[i].push(ids.length, ids.at(-1) ?? -1);
                logits[7 + ids.length % 3] += 1;
              },
            },
          ]),
        );
      }
      assert.deepEqual(
        answers[1],
        answers[0],
        JSON.stringify(request.settings),
      );
      tokens += answers[0].filter(([kind]) => kind === "token").length;
    }
    assert.deepEqual(seen[1], seen[0]);
    const { steps } = yield* guessing.stats;
    assert.ok(steps.tokensDrafted > 200, JSON.stringify(steps));
    assert.ok(steps.tokensAccepted > 50, JSON.stringify(steps));
    assert.ok(steps.tokensAccepted < steps.tokensDrafted);
    // All but each answer's first came from steps; those accepted needed none of their own.
    assert.equal(steps.tokensDecoded, tokens - requests.length);
    assert.equal(
      steps.decode,
      steps.tokensDecoded - steps.tokensAccepted,
    );
    const before = (yield* plain.stats).steps;
    assert.deepEqual([before.tokensDrafted, before.tokensAccepted], [0, 0]);

    // Among others, and where tokens are drawn, nothing is guessed.
    const crowd = yield* make({ speculate: { tokens: 6 }, slots: 2 });
    const drawn = { ...requests[1].settings, doSample: true, seed: 3 };
    yield* crowd.generate({ ...requests[1], settings: drawn });
    assert.equal((yield* crowd.stats).steps.tokensDrafted, 0);
    const pair = requests.slice(2, 4);
    const together = yield* Effect.forEach(
      pair,
      (request) => crowd.generate(request),
      { concurrency: 2 },
    );
    for (const [i, request] of pair.entries()) {
      assert.deepEqual(
        together[i].ids,
        (yield* plain.generate(request)).ids,
      );
    }
  });
  await Effect.runPromise(
    Effect.scoped(program).pipe(Effect.provide(ffiBackend)),
  );
});

Deno.test("steady promises equal bits, so nothing is guessed; numbers out of range are the nearest in it", async () => {
  const program = Effect.gen(function* () {
    const { checkpoint: { config } } = yield* openModel(nano);
    const of = (settings: EngineSettings) =>
      engineOptions(settings, "cpu", config.language, "float32", 512).speculate;
    assert.equal(of({}), undefined);
    assert.equal(of({ speculate: { tokens: 4 }, steady: true }), undefined);
    assert.deepEqual(of({ speculate: { tokens: 4.5 } }), {
      tokens: 4,
      ngram: 3,
    });
    assert.deepEqual(of({ speculate: { tokens: 0, ngram: 0 } }), {
      tokens: 1,
      ngram: 1,
    });
  });
  await Effect.runPromise(
    Effect.scoped(program).pipe(Effect.provide(ffiBackend)),
  );
});
