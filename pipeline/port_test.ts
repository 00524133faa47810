import assert from "node:assert/strict";
import { Effect, Schema } from "effect";
import { canonicalJson, previewOf, previewText, sha256 } from "./json.ts";
import {
  Bool,
  definePort,
  Json,
  list,
  misfit,
  Num,
  omittable,
  optional,
  sameDefinition,
  Text,
} from "./port.ts";

const digest = <A>(
  port: { readonly digest: (value: A) => Effect.Effect<string> },
  value: A,
): Promise<string> => Effect.runPromise(port.digest(value));

Deno.test("canonical JSON sorts keys at every level and leaves undefined out", () => {
  assert.equal(
    canonicalJson({ b: [1, { d: null, c: "x" }], a: true }),
    '{"a":true,"b":[1,{"c":"x","d":null}]}',
  );
  assert.equal(
    canonicalJson(
      { a: undefined, b: 1 } as unknown as { readonly b: number },
    ),
    '{"b":1}',
  );
});

Deno.test("sha256 agrees with the standard's vectors, short and long", async () => {
  // FIPS 180-4, appendix: "abc" and a million times "a".
  assert.equal(
    await Effect.runPromise(sha256("abc")),
    "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
  );
  assert.equal(
    await Effect.runPromise(sha256("a".repeat(1_000_000))),
    "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0",
  );
  assert.equal(
    await Effect.runPromise(sha256(new TextEncoder().encode("abc"))),
    await Effect.runPromise(sha256("abc")),
  );
});

Deno.test("a digest depends on the content, not on the order of keys or on identity", async () => {
  const port = definePort({
    name: "Point",
    schema: Schema.Struct({ x: Schema.Finite, y: Schema.Finite }),
  });
  assert.equal(
    await digest(port, { x: 1, y: 2 }),
    await digest(port, { y: 2, x: 1 }),
  );
  assert.notEqual(
    await digest(port, { x: 1, y: 2 }),
    await digest(port, { x: 2, y: 1 }),
  );
  assert.match(await digest(Text, ""), /^[0-9a-f]{64}$/);
});

Deno.test("a handle without a codec equals only itself", async () => {
  const port = definePort<"Handle", { readonly id: number }>({
    name: "Handle",
  });
  const [a, b] = [{ id: 1 }, { id: 1 }];
  assert.equal(await digest(port, a), await digest(port, a));
  assert.notEqual(await digest(port, a), await digest(port, b));
});

Deno.test("lists keep boundaries: [a, b] and [ab] differ, and so do nested lists", async () => {
  const texts = list(Text);
  const nested = list(texts);
  const digests = await Promise.all([
    digest(texts, ["a", "b"]),
    digest(texts, ["ab"]),
    digest(texts, []),
    digest(nested, [["a", "b"]]),
    digest(nested, [["a"], ["b"]]),
  ]);
  assert.equal(new Set(digests).size, digests.length);
});

Deno.test("derived ports: names, checks and codecs", () => {
  const port = list(optional(Num));
  assert.equal(port.name, "List<Optional<Num>>");
  assert.equal(port.is!([1, undefined]), true);
  assert.equal(port.is!([1, "2"]), false);
  const codec = Schema.toCodecJson(port.schema!);
  const encoded = Schema.encodeUnknownSync(codec)([1, undefined]);
  assert.deepEqual(encoded, [1, null]);
  assert.deepEqual(Schema.decodeUnknownSync(codec)(encoded), [1, undefined]);
  assert.equal(list(Text), list(Text));
});

Deno.test("derived ports check by the schema where a port has no check of its own", () => {
  const port = definePort({
    name: "Pair",
    schema: Schema.Tuple([Schema.String, Schema.String]),
  });
  assert.equal(port.is, undefined);
  assert.equal(optional(port).is!(["a", "b"]), true);
  assert.equal(optional(port).is!(undefined), true);
  assert.equal(optional(port).is!("a"), false);
  assert.equal(optional(port).is!(["a"]), false);
  assert.equal(list(port).is!([["a", "b"]]), true);
  assert.equal(list(port).is!([["a", 1]]), false);
});

Deno.test("a hole in a list is an element like any other", () => {
  const texts = list(Text);
  // deno-lint-ignore no-sparse-arrays
  assert.equal(texts.is!([, "a"]), false);
  assert.equal(texts.is!(new Array(1)), false);
  assert.equal(list(optional(Text)).is!(new Array(1)), true);
});

Deno.test("a record is checked field by field, each by its port", () => {
  const port = definePort<"Round", { question: string; marks?: number[] }>({
    name: "Round",
    fields: { question: Text, marks: optional(list(Num)) },
  });
  assert.equal(port.is!({ question: "?", other: 1 }), true);
  assert.equal(port.is!({ question: "?", marks: [1] }), true);
  for (
    const wrong of [null, "?", [], {}, { question: "?", marks: null }, {
      question: "?",
      marks: ["1"],
    }]
  ) assert.equal(port.is!(wrong), false, JSON.stringify(wrong));
});

Deno.test("what does not fit is named down to the element and the field", () => {
  const port = list(definePort({
    name: "Round",
    fields: { question: Text, marks: optional(list(Num)) },
  }));
  const said = (value: unknown) => misfit(port, value, "rounds");
  assert.equal(said(5), '"rounds" is no List<Round> but number');
  assert.equal(
    said([{ question: "?" }, null]),
    '"rounds[1]" is no Round but null',
  );
  assert.equal(said([[]]), '"rounds[0]" is no Round but a list');
  assert.equal(said([{}]), '"rounds[0].question" is no Text but undefined');
  assert.equal(
    said([{ question: "?", marks: "1" }]),
    '"rounds[0].marks" is no List<Num> but string',
  );
  assert.equal(
    said([{ question: "?", marks: [1, {}] }]),
    '"rounds[0].marks[1]" is no Num but object',
  );
});

Deno.test("what does not fit a schema is named by its place in it, with what is there", () => {
  const port = definePort({
    name: "Box",
    schema: Schema.Struct({
      width: Schema.optionalKey(Schema.Int),
      names: Schema.Array(Schema.String),
    }),
  });
  const said = (value: unknown) => misfit(port, value, "box");
  assert.equal(said("big"), '"box" is no Box but string');
  assert.equal(said({}), '"box.names": Missing key');
  assert.equal(
    said({ names: ["a", 5] }),
    '"box.names[1]": Expected string, got 5',
  );
  assert.equal(
    said({ names: [], width: "5" }),
    '"box.width": Expected number, got "5"',
  );
  assert.equal(
    said({ names: [], width: NaN }),
    '"box.width": Expected an integer, got NaN',
  );
});

Deno.test("a port may say in words what fits, and its list says so too", () => {
  const port = definePort({
    name: "Day",
    is: (value: unknown): value is Date => value instanceof Date,
    expects: "a Date",
  });
  assert.equal(
    misfit(port, new Map(), "day"),
    '"day" is no Day but Map; expected a Date',
  );
  assert.equal(
    misfit(optional(list(port)), "today", "days"),
    '"days" is no List<Day> but string; expected a list, each of it a Date',
  );
});

Deno.test("any schema gets a JSON codec", () => {
  const port = definePort({ name: "Bytes", schema: Schema.Uint8Array });
  assert.equal(
    Schema.encodeUnknownSync(port.schema!)(new Uint8Array([1, 2])),
    "AQI=",
  );
});

Deno.test("generic ports check their values", () => {
  assert.equal(Text.is!("a"), true);
  assert.equal(Text.is!(1), false);
  assert.equal(Num.is!(NaN), false);
  assert.equal(Num.is!(1.5), true);
  assert.equal(Bool.is!("true"), false);
  assert.equal(Schema.is(Json.schema!)({ a: [1, null] }), true);
  assert.equal(Schema.is(Json.schema!)({ a: 1n }), false);
});

Deno.test("a port name that could not stand in a document is refused", () => {
  for (const name of ["", "List<Text>", "a b", "1a", "é", undefined, 7]) {
    assert.throws(
      () => definePort({ name: name as string, schema: Schema.String }),
      RangeError,
    );
  }
});

Deno.test("a port with a default is still the same definition", () => {
  const port = definePort({ name: "Size", schema: Schema.Finite });
  const other = definePort({ name: "Size", schema: Schema.Finite });
  assert.equal(sameDefinition(omittable(port), port), true);
  assert.equal(sameDefinition(omittable(port), omittable(port)), true);
  assert.equal(sameDefinition(port, other), false);
});

Deno.test("previews are small JSON, whatever the value", () => {
  assert.equal(
    previewText("a".repeat(199) + "\u{1f600}tail"),
    `${"a".repeat(199)}… 205 characters in all`,
  );
  assert.deepEqual(previewOf(new Float32Array(1000)), "Float32Array(1000)");
  assert.deepEqual(previewOf([1, 2, 3]), [1, 2, 3]);
  assert.equal(
    (previewOf(Array.from({ length: 100 }, () => 0)) as string[]).at(-1),
    "… 100 in all",
  );
  assert.deepEqual(
    previewOf({ a: NaN, b: 5n, c: undefined, d: () => 1, e: null }),
    { a: "NaN", b: "5", e: null },
  );
  assert.deepEqual(previewOf(undefined), null);
  const circular: Record<string, unknown> = {};
  circular.self = circular;
  assert.ok(JSON.stringify(previewOf(circular)).length < 100);
  const large = {
    deep: { deep: { deep: { deep: new Array(1e5).fill("x") } } },
  };
  assert.ok(JSON.stringify(previewOf(large)).length < 200);
});
