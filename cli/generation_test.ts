import assert from "node:assert/strict";
import { sdkModels } from "./models.ts";
import { fakeModel, runCli } from "./testing.ts";

const quiet = ["--store", "none"];
const picture = "examples/images/shapes.png";
const { load } = sdkModels;

Deno.test("every generation flag becomes the setting of its name", async () => {
  const model = fakeModel();
  const outcome = await runCli([
    ...["chat", ...quiet, "--presence-penalty", "0.5"],
    ...["--frequency-penalty", "-1", "--min-new-tokens", "2"],
    ...["--logit-bias", "7=-100", "--logit-bias", "9=1.5", "--logprobs", "3"],
    ...["--n", "2", "--beams", "4", "--length-penalty", "0.6"],
    ...["--early-stopping", "never", "--choice", "a", "--choice", "b", "Hi"],
  ], { load: () => Promise.resolve(model) });
  assert.equal(outcome.code, 0, outcome.err);
  assert.deepEqual(model.requests[0].generation, {
    presencePenalty: 0.5,
    frequencyPenalty: -1,
    minNewTokens: 2,
    logitBias: { 7: -100, 9: 1.5 },
    logprobs: 3,
    n: 2,
    numBeams: 4,
    lengthPenalty: 0.6,
    earlyStopping: "never",
    constraint: { type: "choice", choices: ["a", "b"] },
  });
});

Deno.test("wrong and contradicting flags are one line, before a model is loaded", async () => {
  const dir = await Deno.makeTempDir();
  try {
    await Deno.writeTextFile(`${dir}/bad.json`, "{");
    const cases: [string[], RegExp][] = [
      [
        ["--logit-bias", "x=1"],
        /--logit-bias: "x=1" is no token id and number such as 1234=-5/,
      ],
      [
        ["--regex", "a", "--choice", "b"],
        /--regex and --choice contradict each other; give one/,
      ],
      [
        ["--json-object", "--stop", "}"],
        /--stop does not go with --json-object/,
      ],
      [["--json-schema", `${dir}/none.json`], /none\.json/],
      [["--json-schema", `${dir}/bad.json`], /bad\.json is no JSON/],
      [["--n", "0"], /expected a number at least 1 and at most 128/],
    ];
    for (const [flags, message] of cases) {
      const outcome = await runCli(["chat", ...quiet, ...flags, "Hi"], {
        load: () => Promise.reject(new Error("no model is needed")),
      });
      assert.notEqual(outcome.code, 0);
      assert.match(outcome.err, message);
    }
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});

Deno.test("flags that nothing reads are noted", async () => {
  const outcome = await runCli(
    ["chat", ...quiet, "--length-penalty", "2", "--seed", "1", "Hi"],
    { load: () => Promise.resolve(fakeModel()) },
  );
  assert.match(
    outcome.err,
    /--seed has no effect without --do-sample; --length-penalty has no effect without --beams/,
  );
});

Deno.test("a schema, probabilities and beams, with the embedded model", async () => {
  const dir = await Deno.makeTempDir();
  try {
    const schema = {
      type: "object",
      properties: {
        shape: { enum: ["circle", "square"] },
        size: { type: "integer", minimum: 1, maximum: 9 },
      },
      required: ["shape", "size"],
    };
    await Deno.writeTextFile(`${dir}/s.json`, JSON.stringify(schema));
    const asked = await runCli([
      ...["chat", ...quiet, "-i", picture, "--json-schema", `${dir}/s.json`],
      ...["--logprobs", "2", "--beams", "2", "--n", "2", "--json", "Which?"],
    ], { load });
    assert.equal(asked.code, 0, asked.err);
    const result = JSON.parse(asked.out);
    for (const answer of [result, ...result.alternatives]) {
      const value = JSON.parse(answer.response);
      assert.ok(schema.properties.shape.enum.includes(value.shape));
      assert.equal(answer.finish_reason, "stop");
      assert.equal(answer.logprobs.length, answer.usage.completion_tokens);
      assert.equal(answer.logprobs[0].top_logprobs.length, 2);
    }
    const text = await runCli([
      ...["chat", ...quiet, "--do-sample", "--n", "3", "--seed", "1"],
      ...["--max-new-tokens", "4", "Hello!"],
    ], { load });
    assert.match(text.out, /\n\n\[2\]\n[^]*\n\n\[3\]\n/);
    const refused = await runCli(
      ["chat", ...quiet, "--regex", "a(?=b)", "Hello!"],
      { load },
    );
    assert.equal(refused.code, 1);
    assert.match(refused.err, /the regular expression has a lookahead/);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});
