import assert from "node:assert/strict";
import { Result, Schema } from "effect";
import { ChatRequest } from "./chat.ts";
import { mistake } from "./issues.ts";
import { ResponsesRequest } from "./responses.ts";

const strict = { onExcessProperty: "error" } as const;
const decodeChat = Schema.decodeUnknownResult(ChatRequest, strict);
const decodeResponses = Schema.decodeUnknownResult(ResponsesRequest, strict);

type Said = [param: string | undefined, message: string];

function of(result: Result.Result<unknown, Schema.SchemaError>): Said {
  assert.ok(Result.isFailure(result));
  const { param, message } = mistake(result.failure).fields;
  return [param, message];
}

const said = (more: object): Said =>
  of(decodeChat({
    model: "m",
    messages: [{ role: "user", content: "x" }],
    ...more,
  }));

const saidOfItem = (item: unknown): Said =>
  of(decodeResponses({ model: "m", input: [item] }));

Deno.test("a mistake names its field and what would be right", () => {
  assert.deepEqual(said({ temperature: 3 }), [
    "temperature",
    "temperature: must be a number from 0 to 2",
  ]);
  assert.deepEqual(said({ foo: 1 }), ["foo", "unknown parameter: foo"]);
  assert.deepEqual(said({ messages: [{ role: "user" }] }), [
    "messages[0].content",
    "missing required parameter: messages[0].content",
  ]);
  assert.deepEqual(said({ messages: [{ role: "nobody", content: "x" }] }), [
    "messages[0]",
    'messages[0]: expected {role: "system"} | {role: "developer"} | {role: "user"} | {role: "assistant"} | {role: "tool"}',
  ]);
  assert.deepEqual(
    said({ messages: [{ role: "user", content: [{ type: "text" }] }] }),
    [
      "messages[0].content[0].text",
      "missing required parameter: messages[0].content[0].text",
    ],
  );
  assert.match(
    said({ response_format: { type: "x" } })[1],
    /\{type: "regex"\}/,
  );
});

Deno.test("what is known and cannot be honoured is not called unknown", () => {
  assert.deepEqual(said({ reasoning_effort: "low" }), [
    "reasoning_effort",
    "reasoning_effort is not supported here; leave it out",
  ]);
  assert.ok(Result.isSuccess(decodeChat({
    model: "m",
    messages: [{ role: "user", content: "x" }],
    functions: null,
  })));
  const ofInput = (more: object) =>
    of(decodeResponses({ model: "m", input: "x", ...more }))[1];
  for (
    const more of [{ background: true }, { reasoning: { effort: "low" } }]
  ) assert.match(ofInput(more), /^\w+ is not supported here; leave it out$/);
});

Deno.test("a body that is no object is told so", () => {
  for (const body of [undefined, null, [], "text"]) {
    assert.deepEqual(of(decodeChat(body)), [
      undefined,
      "the body must be a JSON object",
    ]);
  }
});

Deno.test("an item of an input is told what its own kind wants", () => {
  const part = (part: object): Said =>
    saidOfItem({ role: "user", content: [part] });
  assert.deepEqual(
    part({ type: "input_image", image_url: { url: "data:" } }),
    [
      "input[0].content[0].image_url",
      "input[0].content[0].image_url: expected string",
    ],
  );
  assert.deepEqual(part({ type: "input_image", image_url: "data:", size: 1 }), [
    "input[0].content[0].size",
    "unknown parameter: input[0].content[0].size",
  ]);
  assert.match(part({ type: "image_url" })[1], /\{type: "input_image"\}/);
  const call = { call_id: "c", name: "f", arguments: "{}" };
  assert.deepEqual(saidOfItem({ type: "function_call", ...call, index: 0 }), [
    "input[0].index",
    "unknown parameter: input[0].index",
  ]);
  assert.deepEqual(
    saidOfItem({ type: "function_call_output", call_id: "c", output: 22 }),
    ["input[0].output", "input[0].output: expected string | array"],
  );
  assert.match(
    saidOfItem({ type: "reasoning", summary: [] })[1],
    /^input\[0\]: expected \{role: "system"\} \| .* \{type: "function_call"\}/,
  );
});
