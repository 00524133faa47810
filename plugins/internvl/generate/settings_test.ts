import assert from "node:assert/strict";
import { Effect } from "effect";
import type { GenerationSettings } from "../../../nodes/values.ts";
import { resolveSettings } from "./settings.ts";

Deno.test("defaults are those of the model card and Hugging Face", () => {
  const { seed, ...rest } = Effect.runSync(resolveSettings());
  assert.ok(Number.isSafeInteger(seed) && seed >= 0);
  assert.deepEqual(rest, {
    maxNewTokens: 1024,
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
    n: 1,
    numBeams: 1,
    lengthPenalty: 1,
    earlyStopping: false,
    stop: [],
    skipSpecialTokens: true,
  });
  const other = Effect.runSync(resolveSettings());
  assert.notEqual(other.seed, seed);
});

Deno.test("what is given is kept", () => {
  const given: Required<Omit<GenerationSettings, "constraint">> = {
    maxNewTokens: 3,
    doSample: true,
    temperature: 0.5,
    topK: 0,
    topP: 0.25,
    minP: 1,
    repetitionPenalty: 1.25,
    presencePenalty: -2,
    frequencyPenalty: 0.5,
    logitBias: { 7: -100, 9: 1.5 },
    minNewTokens: 3,
    logprobs: 20,
    n: 128,
    numBeams: 1,
    lengthPenalty: -1.5,
    earlyStopping: "never",
    seed: Number.MAX_SAFE_INTEGER,
    skipSpecialTokens: false,
    stop: ["\n"],
  };
  assert.deepEqual(Effect.runSync(resolveSettings(given)), given);
});

Deno.test("a name that is no setting is refused", () => {
  const settings = { max_new_tokens: 8 } as GenerationSettings;
  const error = Effect.runSync(Effect.flip(resolveSettings(settings)));
  assert.equal(error._tag, "PromptError");
  assert.match(
    error.message,
    /^there is no generation setting "max_new_tokens"; known: maxNewTokens, .*constraint$/,
  );
});

const wrong: readonly (readonly [object, string])[] = [
  [{ maxNewTokens: 0 }, "maxNewTokens is 0; it must be a whole number from 1"],
  [
    { maxNewTokens: 1.5 },
    "maxNewTokens is 1.5; it must be a whole number from 1",
  ],
  [{ temperature: 0 }, "temperature is 0; it must be a number greater than 0"],
  [
    { temperature: NaN },
    "temperature is NaN; it must be a number greater than 0",
  ],
  [
    { temperature: "1" },
    'temperature is "1"; it must be a number greater than 0',
  ],
  [{ topK: -1 }, "topK is -1; it must be a whole number from 0"],
  [{ topP: 0 }, "topP is 0; it must be a number greater than 0, at most 1"],
  [
    { topP: 1.01 },
    "topP is 1.01; it must be a number greater than 0, at most 1",
  ],
  [{ minP: -0.1 }, "minP is -0.1; it must be a number from 0 to 1"],
  [
    { repetitionPenalty: Infinity },
    "repetitionPenalty is Infinity; it must be a number greater than 0",
  ],
  [
    { presencePenalty: 2.5 },
    "presencePenalty is 2.5; it must be a number from -2 to 2",
  ],
  [
    { frequencyPenalty: -3 },
    "frequencyPenalty is -3; it must be a number from -2 to 2",
  ],
  [
    { minNewTokens: 9, maxNewTokens: 8 },
    "minNewTokens is 9; it must be at most maxNewTokens, 8",
  ],
  [{ logprobs: 21 }, "logprobs is 21; it must be a whole number from 0 to 20"],
  [
    { logitBias: [] },
    "logitBias is []; it must be an object of numbers by token id",
  ],
  [
    { logitBias: { "500": 1 } },
    'logitBias is {"500":1}; it must be by token id: a whole number below 500',
  ],
  [
    { logitBias: { "-1": 1 } },
    'logitBias is {"-1":1}; it must be by token id: a whole number below 500',
  ],
  [
    { logitBias: { 7: 101 } },
    "logitBias[7] is 101; it must be a number from -100 to 100",
  ],
  [{ n: 0 }, "n is 0; it must be a whole number from 1 to 128"],
  [
    { n: 2 },
    "n is 2; it must be 1 without doSample or numBeams: all answers would be the same",
  ],
  [{ n: 4, numBeams: 3 }, "n is 4; it must be at most numBeams, 3"],
  [{ numBeams: 65 }, "numBeams is 65; it must be a whole number from 1 to 64"],
  [
    { numBeams: 2, doSample: true },
    "numBeams is 2; it must be 1 where doSample is true",
  ],
  [
    { earlyStopping: "soon" },
    'earlyStopping is "soon"; it must be true, false or "never"',
  ],
  [
    { constraint: { type: "json" } },
    'constraint is {"type":"json"}; it must be of type json_schema, json_object, regex or choice',
  ],
  [
    { constraint: { type: "json_schema", name: "x" } },
    'constraint is {"type":"json_schema","name":"x"}; it must be { type: "json_schema", schema }',
  ],
  [
    { constraint: { type: "regex", pattern: 7 } },
    'constraint is {"type":"regex","pattern":7}; it must be { type: "regex", pattern } with a string',
  ],
  [
    { constraint: { type: "choice", choices: [] } },
    'constraint is {"type":"choice","choices":[]}; it must be { type: "choice", choices } with 1 to 4096 strings',
  ],
  [
    { constraint: { type: "json_object" }, stop: ["}"] },
    'stop is ["}"]; it must be left out beside constraint, which says where the answer ends',
  ],
  [{ seed: -1 }, "seed is -1; it must be a whole number from 0"],
  [{ seed: 2 ** 53 }, `seed is ${2 ** 53}; it must be a whole number from 0`],
  [{ doSample: 1 }, "doSample is 1; it must be true or false"],
  [
    { stop: ["a", ""] },
    'stop is ["a",""]; it must be a list of at most 64 strings, none of them empty',
  ],
  [
    { stop: "end" },
    'stop is "end"; it must be a list of at most 64 strings, none of them empty',
  ],
];
Deno.test("a setting out of range is named with what is allowed", () => {
  for (const [settings, message] of wrong) {
    const error = Effect.runSync(
      Effect.flip(resolveSettings(settings as GenerationSettings, 500)),
    );
    assert.equal(error._tag, "PromptError");
    assert.equal(error.message, `generation setting ${message}`);
  }
});
