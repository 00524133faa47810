import assert from "node:assert/strict";
import { Effect } from "effect";
import type { OutputConstraint } from "../../nodes/values.ts";
import { Automaton, DEAD } from "./automaton.ts";
import { compileConstraint, constraintKey } from "./mod.ts";

/** Says of texts whether a constraint allows them. */
function reader(constraint: OutputConstraint): (text: string) => boolean {
  const automaton = new Automaton(
    Effect.runSync(compileConstraint(constraint)),
  );
  return (text) => {
    let state = automaton.start;
    for (const byte of new TextEncoder().encode(text)) {
      state = automaton.step(state, byte);
      if (state === DEAD) return false;
    }
    return automaton.accepts(state);
  };
}

const schemaOf = (schema: unknown): OutputConstraint => ({
  type: "json_schema",
  schema,
});
const regex = (pattern: string): OutputConstraint => ({
  type: "regex",
  pattern,
});

const readings: readonly (readonly [OutputConstraint, string[], string[]])[] = [
  [schemaOf({ pattern: "a.b" }), ['"a-b"', '"xa\\\\byy"', '"a\\"b"'], [
    '"ab"',
    '"a\\nb"',
  ]],
  [schemaOf({ pattern: "^a|b$" }), ['"ax"', '"xb"'], ['"xax"']],
  [schemaOf({ minLength: 1, maxLength: 2 }), ['"é"', '"😀a"', '"\\n\\u00e9"'], [
    '""',
    '"abc"',
    '"\\ud83d"',
    "1",
  ]],
  [
    schemaOf({
      type: "object",
      properties: { a: { const: 1 }, b: { const: 2 } },
      required: ["b"],
    }),
    ['{"a":1,"b":2}', '{ "b": 2 }', '{\n  "a": 1,\n  "b": 2\n}'],
    ['{"b":2,"a":1}', "{}", '{"a":1}', '{"b":2,}', '{,"b":2}', '{"b":2,"c":3}'],
  ],
  [
    schemaOf({
      properties: { ab: { const: 1 } },
      additionalProperties: { const: 2 },
    }),
    ['{"ab":1}', '{"a":2}', '{"abc":2,"":2}', "{}", '{"ab":1,"b":2}'],
    ['{"ab":2}', '{"b":2,"ab":1}', '{"a\\u0062":2}'],
  ],
  [schemaOf({ type: "array", prefixItems: [{ const: 1 }, { const: 2 }] }), [
    "[]",
    "[1]",
    "[1, 2]",
    '[1,2,{"x":[]}]',
  ], ["[2]", "[1,3]"]],
  [schemaOf({ type: "object" }), ['{"a": [1e5, -0.5, "x", null, {}]}'], [
    "[]",
    '{"a":01}',
    '{"a" :1}',
  ]],
  [regex("a{2,3}?b|c"), ["aab", "aaab", "c"], ["ab", "aaaab", "bc"]],
  [regex("(?:a|)b*"), ["", "a", "bb", "abb"], ["aa"]],
  [regex("[^a-z]\\S\\D\\W"), ["A1x-", "éà -"].slice(0, 1), ["aaaa", "A1x"]],
  [{ type: "choice", choices: ["a", "ab", ""] }, ["a", "ab", ""], ["b", "abc"]],
];

Deno.test("what a constraint allows, and what it does not", () => {
  for (const [constraint, good, bad] of readings) {
    const reads = reader(constraint);
    const shown = JSON.stringify(constraint);
    for (const text of good) assert.ok(reads(text), `${shown} ${text}`);
    for (const text of bad) assert.ok(!reads(text), `${shown} ${text}`);
  }
});

const refusals: readonly (readonly [OutputConstraint, RegExp])[] = [
  ...[
    "not",
    "if",
    "patternProperties",
    "propertyNames",
    "minProperties",
    "contains",
    "dependentRequired",
    "unevaluatedProperties",
    "$dynamicRef",
    "nullable",
  ]
    .map((key) =>
      [
        schemaOf({ properties: { "a/b": { [key]: {} } } }),
        new RegExp(
          `^the JSON schema has "${
            key.replace("$", "\\$")
          }", which is not offered \\(at #/properties/a~1b\\)$`,
        ),
      ] as const
    ),
  // A name that every object has is no keyword.
  ...["constructor", "toString"].map((key) =>
    [schemaOf({ [key]: 1 }), new RegExp(`has "${key}", which is not`)] as const
  ),
  [
    schemaOf({ type: "array", uniqueItems: true }),
    /has uniqueItems, which is not offered \(at #\)/,
  ],
  [schemaOf({ type: "integer", multipleOf: 3 }), /has "multipleOf"/],
  [schemaOf({ type: "text" }), /has type "text"; known: string, /],
  [
    schemaOf({ anyOf: [{ type: "string", format: "color" }] }),
    /has format "color"; known: .* \(at #\/anyOf\/0\)/,
  ],
  [
    schemaOf({ $ref: "https://example.com/x" }),
    /only references into the schema itself/,
  ],
  [
    schemaOf({ $ref: "#/$defs/no" }),
    /has \$ref "#\/\$defs\/no", which is not there/,
  ],
  [schemaOf({ $ref: "#" }), /cannot be satisfied/],
  [
    schemaOf({ anyOf: [{ $ref: "#" }, { type: "null" }] }),
    /refers to itself without end/,
  ],
  [schemaOf({ allOf: [{ $ref: "#" }] }), /more than 64 references or allOf/],
  [
    schemaOf({ type: "array", items: { $ref: "#" }, minItems: 1 }),
    /cannot be satisfied by any text/,
  ],
  [schemaOf(false), /cannot be satisfied/],
  [
    schemaOf({ type: "integer", minimum: 3, maximum: 2 }),
    /cannot be satisfied/,
  ],
  [schemaOf({ enum: [] }), /cannot be satisfied/],
  [
    schemaOf({ type: "string", minLength: "x" }),
    /has minLength "x"; it must be a whole number \(at #\)/,
  ],
  [schemaOf({ type: "string", maxLength: 1e6 }), /is too large/],
  [
    schemaOf({ type: "string", pattern: "(" }),
    /Unterminated group.* \(at #\/pattern\)/,
  ],
  [
    schemaOf({ type: "string", pattern: "a", minLength: 2 }),
    /say the length in the pattern/,
  ],
  [
    schemaOf({ oneOf: [{ type: "integer" }, { type: "number" }] }),
    /has oneOf whose alternatives may be valid at once/,
  ],
  [schemaOf({ enum: [1], minimum: 0 }), /has minimum beside enum or const/],
  [
    schemaOf({
      allOf: [{ properties: { a: true }, additionalProperties: false }, {
        properties: { b: true },
      }],
    }),
    /additionalProperties at # stands beside .* adds "b"/,
  ],
  [
    schemaOf({ allOf: [{ pattern: "a" }, { pattern: "b" }] }),
    /two different pattern meet at #/,
  ],
  [
    schemaOf({ properties: { a: 7 } }),
    /must be an object, true or false \(at #\/properties\/a\)/,
  ],
  [schemaOf(7), /must be an object, true or false \(at #\)/],
  [regex("a(?=b)"), /has a lookahead \("\(\?=b\)"\), which is not offered/],
  [regex("(a)\\1"), /has a back reference/],
  [regex("a\\bb"), /has a word boundary/],
  [regex("a(^b)"), /has an anchor inside/],
  [regex("[a"), /Unterminated character class/],
  [regex("a{20000}"), /repeats more than 10000 times/],
  [regex("((a{1000}){1000}){1000}"), /is too large/],
  [regex("a".repeat(9000)), /has 9000 characters; a pattern may have 8192/],
  [
    regex("(".repeat(4000) + ")".repeat(4000)),
    /is nested too deep|has groups 200 deep/,
  ],
  [regex("\\p{L}".repeat(9)), /more than 8 classes by Unicode property/],
];

Deno.test("what cannot be followed is refused, with keyword and place", () => {
  for (const [constraint, message] of refusals) {
    const error = Effect.runSync(Effect.flip(compileConstraint(constraint)));
    assert.equal(error._tag, "PromptError");
    assert.match(error.message, message);
    assert.ok(!error.message.includes("\n") && error.message.length < 500);
  }
});

Deno.test("equal constraints have one key; what is no JSON, or too long, is refused", () => {
  const cyclic: { self?: unknown } = {};
  cyclic.self = cyclic;
  const message = (constraint: OutputConstraint) =>
    Effect.runSync(Effect.flip(constraintKey(constraint))).message;
  assert.equal(message(schemaOf(cyclic)), "the constraint is no JSON");
  assert.match(
    message(schemaOf({ title: "x".repeat(300_000) })),
    /^the constraint has 300\d+ characters; it may have 262144$/,
  );
  assert.equal(
    Effect.runSync(constraintKey(regex("a"))),
    Effect.runSync(constraintKey(regex("a"))),
  );
});

Deno.test("constraints made to be costly are refused in bounded time, not followed", () => {
  // Each level refers to the next one twice.
  const doubling = (keyword: string) =>
    schemaOf({
      $ref: "#/$defs/d0",
      $defs: Object.fromEntries(
        Array.from({ length: 25 }, (_, i) => [
          `d${i}`,
          i === 24 ? { type: "null" } : {
            [keyword]: [1, 2].map(() => ({ $ref: `#/$defs/d${i + 1}` })),
          },
        ]),
      ),
    });
  const error = Effect.runSync(
    Effect.flip(compileConstraint(doubling("allOf"))),
  );
  assert.match(error.message, /too many schemas together/);
  const language = Effect.runSync(compileConstraint(doubling("anyOf")));
  assert.throws(() => new Automaton(language), /in too many ways at once/);
});

Deno.test("brackets may be open a thousand deep", () => {
  const value = {
    anyOf: [{ type: "array", items: { $ref: "#" } }, { const: 1 }],
  };
  const reads = reader(schemaOf(value));
  const deep = 1000;
  assert.ok(reads(`${"[1,".repeat(deep)}1${"]".repeat(deep)}`));
  assert.ok(!reads(`${"[1,".repeat(deep)}1${"]".repeat(deep + 1)}`));
});
