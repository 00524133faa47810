import assert from "node:assert/strict";
import { type Schema, Validator } from "@cfworker/json-schema";
import { Effect } from "effect";
import type { OutputConstraint } from "../../nodes/values.ts";
import { random } from "../internvl/testing.ts";
import { members, openDice, walk } from "./testing.ts";

const nano = await openDice("models/nano");

const schemaOf = (schema: unknown): OutputConstraint => ({
  type: "json_schema",
  schema,
});

/** Walks until so many texts were whole; each must be valid. */
async function holds(
  constraint: OutputConstraint,
  valid: (text: string) => boolean,
  next: () => number,
  wanted = 8,
): Promise<string[]> {
  const texts: string[] = [];
  for (let round = 0; round < wanted * 4 && texts.length < wanted; round++) {
    const { text, whole, stuck } = await walk(nano, constraint, next);
    assert.ok(!stuck, `stuck after ${JSON.stringify(text)}`);
    if (!whole) continue;
    assert.ok(valid(text), `${JSON.stringify(constraint)} gave ${text}`);
    texts.push(text);
  }
  return texts;
}

const validator = (schema: unknown) => {
  const oracle = new Validator(schema as Schema, "2020-12", true);
  return (text: string) => oracle.validate(JSON.parse(text)).valid;
};

const schemas: readonly unknown[] = [
  true,
  {},
  { type: "string" },
  { type: "string", minLength: 2, maxLength: 5 },
  { type: "string", minLength: 3 },
  { type: "string", pattern: '^[a-c]+\\\\"x$' },
  { type: "string", pattern: "^(é|[^a-y\\u0000-\\u007f]){1,3}$" },
  { type: "string", pattern: "^\\p{Lu}\\P{L}$" },
  ...[
    "date",
    "time",
    "date-time",
    "uuid",
    "ipv4",
    "ipv6",
    "hostname",
    "email",
    "uri",
  ]
    .map((format) => ({ type: "string", format })),
  { type: "integer" },
  { type: "integer", minimum: -3, exclusiveMaximum: 12 },
  { type: "integer", multipleOf: 1, minimum: 1999, maximum: 2031 },
  { type: "number" },
  { type: "number", exclusiveMinimum: 0, maximum: 1 },
  { type: "number", minimum: -0.25, maximum: 1.75 },
  { type: "number", exclusiveMinimum: -1e-7, exclusiveMaximum: 0.1 + 0.2 },
  { type: ["null", "boolean", "integer"] },
  { enum: ["a", "ab", 1, null, { x: [1, '"é\n'] }] },
  { type: "string", enum: ["a", 1, "b"] },
  { const: { a: [] } },
  { type: "array" },
  { type: "array", items: { type: "boolean" }, minItems: 2, maxItems: 3 },
  { type: "array", items: false },
  { type: "array", maxItems: 0 },
  { type: "array", prefixItems: [{ const: 1 }, { const: 2 }], items: false },
  {
    type: "array",
    prefixItems: [{ const: 1 }, { const: 2 }],
    items: { const: 3 },
    minItems: 3,
    maxItems: 4,
  },
  {
    type: "array",
    prefixItems: [{ const: 1 }, { const: 2 }],
    minItems: 1,
    maxItems: 1,
  },
  { type: "object" },
  { type: "object", additionalProperties: false },
  { type: "object", additionalProperties: { type: "integer" } },
  {
    type: "object",
    properties: {
      name: { type: "string" },
      age: { type: "integer", minimum: 0 },
    },
    required: ["name"],
  },
  {
    properties: {
      "a b": true,
      'q"': { type: "null" },
      ab: { type: "integer" },
    },
    additionalProperties: { type: "boolean" },
  },
  { type: "object", required: ["x"], additionalProperties: { const: 7 } },
  { anyOf: [{ type: "string" }, { type: "array", items: { const: 0 } }] },
  {
    type: "object",
    properties: { a: { const: 1 } },
    required: ["a"],
    anyOf: [{ properties: { b: { const: 2 } }, required: ["b"] }, {
      properties: { c: { const: 3 } },
    }],
  },
  {
    oneOf: [{ type: "integer" }, {
      type: "object",
      properties: { k: { const: "a" }, v: { type: "integer" } },
      required: ["k", "v"],
    }, { type: "object", properties: { k: { const: "b" } }, required: ["k"] }],
  },
  {
    // As pydantic writes a union by a discriminator.
    $defs: {
      Cat: {
        type: "object",
        title: "Cat",
        properties: { kind: { const: "cat", title: "Kind", type: "string" } },
        required: ["kind"],
      },
      Dog: {
        type: "object",
        properties: {
          kind: { const: "dog", type: "string" },
          age: {
            anyOf: [{ type: "integer" }, { type: "null" }],
            default: null,
          },
        },
        required: ["kind"],
      },
    },
    discriminator: { propertyName: "kind", mapping: { cat: "#/$defs/Cat" } },
    oneOf: [{ $ref: "#/$defs/Cat" }, { $ref: "#/$defs/Dog" }],
  },
  { allOf: [{ type: "integer", minimum: 3 }, { maximum: 5, minimum: 1 }] },
  {
    allOf: [{ properties: { a: { type: "integer" } }, required: ["a"] }, {
      properties: { a: { maximum: 3 }, b: { const: 1 } },
    }],
  },
  {
    $defs: { n: { type: "integer", maximum: 9 } },
    $ref: "#/$defs/n",
    minimum: 7,
  },
  {
    $defs: {
      node: {
        type: "object",
        properties: {
          v: { type: "boolean" },
          next: { anyOf: [{ $ref: "#/$defs/node" }, { type: "null" }] },
        },
        required: ["v", "next"],
      },
    },
    $ref: "#/$defs/node",
  },
  {
    type: "object",
    properties: { kids: { type: "array", items: { $ref: "#" }, maxItems: 2 } },
  },
];

Deno.test("JSON schemas: whatever tokens are drawn, the text is valid", async () => {
  const next = random(1);
  for (const schema of schemas) {
    const texts = await holds(schemaOf(schema), validator(schema), next, 6);
    assert.ok(texts.length >= 3, `${JSON.stringify(schema)}: ${texts.length}`);
  }
});

/** A random schema of what is offered. */
function randomSchema(next: () => number, depth: number): unknown {
  const pick = <A>(list: readonly A[]): A =>
    list[Math.floor(next() * list.length)];
  const some = (most: number) => Math.floor(next() * (most + 1));
  const name = () => pick(["a", "b", "name", "x y", "é", 'q"', "a\\n"]);
  const kinds = ["string", "integer", "number", "enum", "type", "pattern"];
  if (depth > 0) {
    kinds.push("array", "object", "object", "anyOf", "map", "tuple");
  }
  const inner = () => randomSchema(next, depth - 1);
  switch (pick(kinds)) {
    case "string": {
      const minLength = some(2);
      return { type: "string", minLength, maxLength: minLength + some(4) };
    }
    case "integer": {
      const minimum = some(300) - 150;
      return { type: "integer", minimum, maximum: minimum + some(200) };
    }
    case "number": {
      const minimum = (some(2000) - 1000) / 64;
      return {
        type: "number",
        exclusiveMinimum: minimum,
        maximum: minimum + 1 / (1 + some(50)),
      };
    }
    case "enum":
      return { enum: [name(), some(20), name() + name(), null, [name()]] };
    case "type":
      return { type: pick(["null", "boolean", ["integer", "null"]]) };
    case "pattern":
      return {
        type: "string",
        pattern: pick(["^[ab]{1,3}$", "^(x|yz)*$", "^\\d\\w?$"]),
      };
    case "array": {
      const minItems = some(2);
      return {
        type: "array",
        items: inner(),
        minItems,
        maxItems: minItems + some(2),
      };
    }
    case "tuple":
      return {
        type: "array",
        prefixItems: [inner(), inner()],
        items: pick([false, inner()]),
        minItems: some(2),
        maxItems: 2 + some(2),
      };
    case "anyOf":
      return { anyOf: [inner(), inner()] };
    case "map":
      return {
        type: "object",
        properties: { [name()]: inner() },
        additionalProperties: inner(),
      };
    default: {
      const names = [...new Set(Array.from({ length: 1 + some(3) }, name))];
      return {
        type: "object",
        properties: Object.fromEntries(names.map((name) => [name, inner()])),
        required: names.filter(() => next() < 0.5),
        ...pick([{}, { additionalProperties: false }]),
      };
    }
  }
}

Deno.test("random schemas: valid, or refused because nothing satisfies them", async () => {
  const next = random(7);
  let whole = 0;
  for (let round = 0; round < 120; round++) {
    const schema = randomSchema(next, 3);
    const texts = await holds(schemaOf(schema), validator(schema), next, 2);
    whole += texts.length;
  }
  assert.ok(whole > 200, `${whole}`);
});

const patterns = [
  "[a-c]+(x|yz){2,3}\\d*",
  "yes|no|(maybe|perhaps)( not)?",
  "^\\s?[^\\s\\w]{1,4}$",
  " leading and trailing ",
  "(?:é|[😀-😃])+?",
  "[\\p{Script=Greek}&]{2}",
  ".{3}\\n?",
  "(?<year>\\d{4})-\\d\\d",
  "[^]{1,6}",
];

Deno.test("regular expressions: the whole text matches", async () => {
  const next = random(2);
  for (const pattern of patterns) {
    const whole = new RegExp(`^(?:${pattern})$`, "u");
    const texts = await holds(
      { type: "regex", pattern },
      (text) => whole.test(text),
      next,
    );
    assert.ok(texts.length >= 4, `${pattern}: ${texts.length}`);
  }
});

Deno.test("choices: one of them, and each can come", async () => {
  const next = random(3);
  const choices = ["red", "reddish", " blue", "grün", "红色"];
  const texts = await holds(
    { type: "choice", choices },
    (text) => choices.includes(text),
    next,
    60,
  );
  assert.deepEqual(new Set(texts), new Set(choices));
});

Deno.test("any JSON object", async () => {
  const next = random(4);
  const texts = await holds(
    { type: "json_object" },
    (text) => {
      const value = JSON.parse(text);
      return typeof value === "object" && value !== null &&
        !Array.isArray(value);
    },
    next,
    12,
  );
  assert.ok(texts.length >= 6);
});

Deno.test("a mask holds exactly the tokens whose bytes can be read", async () => {
  const next = random(5);
  const size = 4000;
  for (
    const constraint of [
      schemaOf(schemas[30]),
      schemaOf(schemas[3]),
      { type: "regex", pattern: patterns[0] } as const,
    ]
  ) {
    const matcher = await Effect.runPromise(
      nano.constrainer.matcher(constraint),
    );
    for (let step = 0; step < 12; step++) {
      const allowed = members(matcher.allowed());
      const tried: number[] = [];
      for (let id = 0; id < size; id++) {
        if (matcher.fork().take(id)) tried.push(id);
      }
      assert.deepEqual(allowed, tried);
      if (allowed.length === 0) break;
      matcher.take(allowed[Math.floor(next() * allowed.length)]);
    }
  }
});
