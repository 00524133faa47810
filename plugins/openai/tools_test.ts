import assert from "node:assert/strict";
import type { Tool } from "./schema/chat.ts";
import { makeCallReader, pythonJson, toolsMessage } from "./tools.ts";

const tool = (name: string): Tool => ({ type: "function", function: { name } });
const tools = [tool("weather"), tool("time")];
const call = (json: string) =>
  `<|action_start|><|plugin|>\n${json}<|action_end|>`;

/** Reads a text in parts of `size` characters. */
function read(text: string, size: number) {
  const reader = makeCallReader(tools);
  let words = "";
  const calls: [string, string][] = [];
  const take = (part: ReturnType<typeof reader.push>) => {
    words += part.text;
    for (const { function: f } of part.calls) {
      calls.push([f.name, f.arguments]);
    }
  };
  for (let at = 0; at < text.length; at += size) {
    take(reader.push(text.slice(at, at + size)));
  }
  take(reader.end());
  return { words, calls };
}

Deno.test("calls are read out of an answer, however it is cut", () => {
  const text = `I look. ${
    call('{"name": "weather", "parameters": {"city": "Rome"}}')
  } And ${call('{"name": "time", "arguments": {}}')}`;
  for (let size = 1; size <= text.length; size++) {
    assert.deepEqual(read(text, size), {
      words: "I look.  And ",
      calls: [["weather", '{"city":"Rome"}'], ["time", "{}"]],
    }, `parts of ${size}`);
  }
});

Deno.test("what is no call stays words", () => {
  for (
    const text of [
      "a < b <|act",
      call("no json"),
      call('{"name": "other", "parameters": {}}'),
      "<|action_start|><|plugin|>\nnever ended",
      call("[1]"),
    ]
  ) {
    assert.deepEqual(read(text, 3), { words: text, calls: [] });
  }
});

Deno.test("a call that the token limit cut short is a call when its JSON is whole", () => {
  const text = '<|action_start|><|plugin|>\n{"name": "time", "parameters": {}}';
  assert.deepEqual(read(text, 5).calls, [["time", "{}"]]);
});

Deno.test("functions are listed as Python writes JSON", () => {
  assert.equal(
    pythonJson({ a: [1, "ü", null], b: { c: true }, d: undefined }),
    '{"a": [1, "ü", null], "b": {"c": true}}',
  );
  const { role, name, parts } = toolsMessage([tool("time")]);
  assert.deepEqual([role, name], ["system", "<|plugin|>"]);
  assert.deepEqual(parts, [{
    text:
      '[{"name": "time", "parameters": {"type": "object", "properties": {}}}]',
  }]);
});
