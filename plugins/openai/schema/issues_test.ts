import assert from "node:assert/strict";
import { Result, Schema } from "effect";
import { ChatRequest } from "./chat.ts";
import { mistake } from "./issues.ts";

const decode = Schema.decodeUnknownResult(ChatRequest, {
  onExcessProperty: "error",
});

const said = (more: object): [string | undefined, string] => {
  const result = decode({
    model: "m",
    messages: [{ role: "user", content: "x" }],
    ...more,
  });
  assert.ok(Result.isFailure(result));
  const { param, message } = mistake(result.failure).fields;
  return [param, message];
};

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
