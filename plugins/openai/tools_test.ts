import assert from "node:assert/strict";
import type { Tool } from "./schema/chat.ts";
import {
  callConstraint,
  makeCallReader,
  pythonJson,
  toolsMessage,
} from "./tools.ts";

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

Deno.test("arguments are an object: a string must hold one, and anything else is no call", () => {
  const given = (args: string) =>
    read(call(`{"name": "time", "parameters": ${args}}`), 1000).calls;
  assert.deepEqual(given('"{\\"utc\\": true}"'), [["time", '{"utc": true}']]);
  assert.deepEqual(given("null"), [["time", "{}"]]);
  for (const args of ["20.628", '"a sentence"', '"[1]"', "[1]", "true"]) {
    assert.deepEqual(given(args), [], args);
  }
});

Deno.test("a forced call: references of a tool's schema lead to where they led, arguments are an object", () => {
  const $defs = { A: { type: "object", properties: { x: { $ref: "#" } } } };
  const nested = (name: string): Tool => ({
    type: "function",
    function: {
      name,
      parameters: {
        type: "object",
        properties: {
          $ref: { $ref: "#/$defs/A" },
          b: { const: { $ref: "#" } },
        },
        $defs,
      },
    },
  });
  const schemaOf = (tools: readonly Tool[]) => {
    const constraint = callConstraint(tools);
    assert.ok(constraint.type === "json_schema");
    // deno-lint-ignore no-explicit-any
    return constraint.schema as any;
  };
  const one = schemaOf([nested("a")]).properties.parameters;
  assert.deepEqual(one.properties, {
    $ref: { $ref: "#/properties/parameters/$defs/A" },
    b: { const: { $ref: "#" } },
  });
  assert.equal(
    one.$defs.A.properties.x.$ref,
    "#/properties/parameters",
  );
  const [, second] = schemaOf([nested("a"), nested("b")]).anyOf;
  assert.equal(
    second.properties.parameters.properties.$ref.$ref,
    "#/anyOf/1/properties/parameters/$defs/A",
  );
  const open: Tool = {
    type: "function",
    function: { name: "c", parameters: {} },
  };
  assert.deepEqual(schemaOf([open]).properties.parameters, { type: "object" });
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
