/**
 * JSON Schema (2020-12, and what drafts 6 and 7 share with it) as a part of a network. What is read is
 * always valid; not everything valid is read: properties come in the schema's order, an object with
 * declared properties has no others unless `additionalProperties` says so, and numbers have at most 15
 * digits. A keyword that is not offered is refused by name and place, never passed over.
 * @module
 */
import { inString } from "./characters.ts";
import { formats } from "./formats.ts";
import * as json from "./json.ts";
import {
  annotations,
  isObject,
  merge,
  same,
  type Schema,
  typesOf,
  withoutAnnotations,
} from "./merge.ts";
import {
  call,
  ConstraintFault,
  either,
  never,
  type Part,
  text,
} from "./network.ts";
import { integers, numbers, type Range } from "./numbers.ts";
import { pattern } from "./regex.ts";

/** Most schemas inside one, those that references and allOf bring together included. */
const MAX_SCHEMAS = 8192;

/** References and allOf one inside the other. */
const MAX_CHAIN = 64;

/** Schemas that are brought together with others. */
const MAX_MERGES = 20_000;

/** Alternatives of a oneOf, each of which is compared with each. */
const MAX_ONE_OF = 256;

type Type =
  | "string"
  | "integer"
  | "number"
  | "boolean"
  | "null"
  | "array"
  | "object";

// Without the names that every object has, such as `constructor`.
const keywords: Readonly<Record<string, readonly Type[] | undefined>> = Object
  .assign(Object.create(null), {
    minLength: ["string"],
    maxLength: ["string"],
    pattern: ["string"],
    format: ["string"],
    minimum: ["number"],
    maximum: ["number"],
    exclusiveMinimum: ["number"],
    exclusiveMaximum: ["number"],
    items: ["array"],
    prefixItems: ["array"],
    additionalItems: ["array"],
    minItems: ["array"],
    maxItems: ["array"],
    uniqueItems: ["array"],
    properties: ["object"],
    required: ["object"],
    additionalProperties: ["object"],
    type: [],
    enum: [],
    const: [],
    $ref: [],
    allOf: [],
    anyOf: [],
    oneOf: [],
  });

const types: readonly string[] = [
  "string",
  "integer",
  "number",
  "boolean",
  "null",
  "array",
  "object",
];

/** The JSON texts that a schema allows. Throws {@link ConstraintFault}. */
export function schemaPart(schema: unknown): Part {
  return new Compiler(schema).part(schema, "#");
}

class Compiler {
  readonly #root: unknown;
  readonly #ids = new Map<unknown, number>();
  readonly #merged = new Map<Schema, Map<Schema, Schema>>();
  readonly #bares = new Map<Schema, Schema>();
  #merges = 0;

  constructor(root: unknown) {
    this.#root = root;
  }

  /** A schema as a rule of its own, so that it may be met again inside itself. */
  part(schema: unknown, path: string): Part {
    if (schema === true) return json.anyValue();
    if (schema === false) return never;
    if (!isObject(schema)) {
      throw fault(path, "must be an object, true or false");
    }
    let id = this.#ids.get(schema);
    if (id === undefined) {
      id = this.#ids.size;
      if (id >= MAX_SCHEMAS) {
        throw new ConstraintFault(`has more than ${MAX_SCHEMAS} schemas`);
      }
      this.#ids.set(schema, id);
    }
    return call((net) =>
      net.rule(`schema ${id}`, () => this.#build(schema, path))
    );
  }

  #build(given: Schema, path: string): Part {
    check(given, path);
    const own = withoutAnnotations(given);
    if (typeof own.$ref === "string" && Object.keys(own).length === 1) {
      return this.part(...this.#resolve(own.$ref, path));
    }
    const flat = this.#flat(given, path);
    if (typeof flat === "boolean") return this.part(flat, path);
    const { anyOf, oneOf, ...rest } = flat;
    if (anyOf !== undefined && oneOf !== undefined) {
      throw fault(path, "has anyOf beside oneOf, which is not offered");
    }
    const key = anyOf === undefined ? "oneOf" : "anyOf";
    const options = anyOf ?? oneOf;
    if (options === undefined) return this.#plain(flat, path);
    const list = schemaList(options, `${path}/${key}`);
    const places = list.map((option, i) =>
      [option, `${path}/${key}/${i}`] as const
    );
    if (key === "oneOf") this.#refuseOverlap(places, path);
    return either(...places.map(([option, place]) => {
      if (Object.keys(rest).length === 0) return this.part(option, place);
      const target = this.#flat(option, place);
      return target === false ? never : this.part(
        target === true ? rest : this.#both(rest, target, place),
        place,
      );
    }));
  }

  /** A schema with its references and its allOf worked in; still with anyOf or oneOf. */
  #flat(schema: unknown, path: string, depth = 0): Schema | boolean {
    let at = schema;
    for (let chain = depth; chain < MAX_CHAIN; chain++) {
      if (++this.#merges > MAX_MERGES) {
        throw new ConstraintFault(
          "brings too many schemas together by references and allOf",
        );
      }
      if (typeof at === "boolean") return at;
      if (!isObject(at)) throw fault(path, "must be an object, true or false");
      check(at, path);
      const { $ref, allOf, ...rest } = withoutAnnotations(at);
      if ($ref !== undefined) {
        const [target] = this.#resolve($ref, path);
        const others = { ...rest, ...(allOf === undefined ? {} : { allOf }) };
        if (typeof target === "boolean") at = target ? others : false;
        else at = this.#both(others, target as Schema, path);
      } else if (allOf !== undefined) {
        let all: Schema = rest;
        let empty = false;
        const parts = schemaList(allOf, `${path}/allOf`);
        for (const [i, part] of parts.entries()) {
          const inner = this.#flat(part, `${path}/allOf/${i}`, chain + 1);
          if (inner === false) empty = true;
          else if (inner !== true) all = this.#both(all, inner, path);
        }
        at = empty ? false : all;
      } else return this.#bare(at, rest);
    }
    throw fault(
      path,
      `has more than ${MAX_CHAIN} references or allOf one inside the other`,
    );
  }

  /** A schema without its annotations; the same object for the same one. */
  #bare(schema: Schema, bare: Schema): Schema {
    const known = this.#bares.get(schema);
    if (known === undefined) this.#bares.set(schema, bare);
    return known ?? bare;
  }

  /** Two schemas as one; the same object for the same two. */
  #both(a: Schema, b: Schema, path: string): Schema {
    if (Object.keys(a).length === 0) return b;
    let known = this.#merged.get(a);
    if (known === undefined) this.#merged.set(a, known = new Map());
    let merged = known.get(b);
    if (merged === undefined) known.set(b, merged = merge(a, b, path));
    return merged;
  }

  #resolve(ref: unknown, path: string): readonly [unknown, string] {
    if (typeof ref !== "string" || !/^#($|\/)/.test(ref)) {
      throw fault(
        path,
        `has $ref ${
          short(ref)
        }; only references into the schema itself, such as #/$defs/name, are offered`,
      );
    }
    let at: unknown = this.#root;
    for (const step of ref.split("/").slice(1)) {
      let name: string;
      try {
        name = decodeURIComponent(step).replaceAll("~1", "/")
          .replaceAll("~0", "~");
      } catch {
        name = step;
      }
      at = typeof at === "object" && at !== null && Object.hasOwn(at, name)
        ? (at as Record<string, unknown>)[name]
        : undefined;
    }
    if (at === undefined) {
      throw fault(path, `has $ref ${short(ref)}, which is not there`);
    }
    return [at, ref];
  }

  /** A schema without references and alternatives. */
  #plain(schema: Schema, path: string): Part {
    const wanted = schema.type === undefined
      ? undefined
      : typesOf(schema.type) as readonly Type[];
    if (schema.enum !== undefined || schema.const !== undefined) {
      return values(schema, wanted, path);
    }
    const implied = wanted ??
      [...new Set(Object.keys(schema).flatMap((key) => keywords[key] ?? []))];
    if (wanted === undefined && implied.length === 0) return json.anyValue();
    return either(...implied.map((type) => this.#typed(type, schema, path)));
  }

  #typed(type: Type, schema: Schema, path: string): Part {
    switch (type) {
      case "null":
        return text("null");
      case "boolean":
        return json.anyBoolean;
      case "string":
        return string(schema, path);
      case "integer":
      case "number": {
        const range = numberRange(schema, path);
        const open = range.least === -Infinity && range.most === Infinity;
        if (type === "integer") {
          return open ? json.anyInteger : integers(range);
        }
        return open ? json.anyNumber : numbers(range);
      }
      case "array":
        return this.#array(schema, path);
      case "object":
        return this.#object(schema, path);
    }
  }

  #array(schema: Schema, path: string): Part {
    const tuple = Array.isArray(schema.items);
    const first = schemaList(
      (tuple ? schema.items : schema.prefixItems) ?? [],
      path,
      true,
    );
    const rest = (tuple ? schema.additionalItems : schema.items) ?? true;
    const least = count(schema, "minItems", path) ?? 0;
    let most = count(schema, "maxItems", path) ?? Infinity;
    if (rest === false) most = Math.min(most, first.length);
    if (least > most) return never;
    if (
      schema.uniqueItems !== undefined && schema.uniqueItems !== false &&
      most > 1
    ) {
      throw fault(path, "has uniqueItems, which is not offered");
    }
    const place = tuple ? "items" : "prefixItems";
    const item = this.part(
      rest,
      `${path}/${tuple ? "additionalItems" : "items"}`,
    );
    if (first.length === 0) return json.list("[", "]", item, least, most);
    return json.tuple(
      first.map((schema, i) => this.part(schema, `${path}/${place}/${i}`)),
      item,
      least,
      most,
    );
  }

  #object(schema: Schema, path: string): Part {
    const properties = schema.properties ?? {};
    if (!isObject(properties)) {
      throw fault(path, "has properties that are no object");
    }
    const required = schema.required ?? [];
    if (
      !Array.isArray(required) ||
      required.some((name) => typeof name !== "string")
    ) throw fault(path, "has a required that is no list of names");
    const names = Object.keys(properties);
    const declared = names.length > 0 || required.length > 0;
    const rest = schema.additionalProperties ?? !declared;
    const more = `${path}/additionalProperties`;
    if (!declared && rest === true) return json.anyObject();
    const needed = new Set<unknown>(required);
    const undeclared = [...needed as Set<string>]
      .filter((name) => !Object.hasOwn(properties, name));
    const members = [
      ...names.map((name) => ({
        part: json.member(
          json.literal(name),
          this.part(properties[name], `${path}/properties/${pointer(name)}`),
        ),
        needed: needed.has(name),
      })),
      ...undeclared.map((name) => ({
        part: json.member(
          json.literal(name),
          schema.additionalProperties === undefined
            ? json.anyValue()
            : this.part(rest, more),
        ),
        needed: true,
      })),
    ];
    const others = rest === false ? undefined : json.member(
      json.stringExcept([...names, ...undeclared]),
      this.part(rest, more),
    );
    return json.object(members, others);
  }

  #refuseOverlap(
    places: readonly (readonly [unknown, string])[],
    path: string,
  ): void {
    if (places.length > MAX_ONE_OF) {
      throw fault(path, `has oneOf with more than ${MAX_ONE_OF} alternatives`);
    }
    const flat = places.map(([schema, place]) => this.#flat(schema, place));
    for (const [i, a] of flat.entries()) {
      for (const b of flat.slice(0, i)) {
        if (!this.#disjoint(a, b, path)) {
          throw fault(
            path,
            "has oneOf whose alternatives may be valid at once; tell them apart by type or by a required constant property, or use anyOf",
          );
        }
      }
    }
  }

  /** Whether no value is surely allowed by both. */
  #disjoint(a: Schema | boolean, b: Schema | boolean, path: string): boolean {
    if (a === false || b === false) return true;
    if (a === true || b === true) return false;
    const constants = (schema: Schema): readonly unknown[] | undefined =>
      schema.const !== undefined
        ? [schema.const]
        : Array.isArray(schema.enum)
        ? schema.enum
        : undefined;
    const [ca, cb] = [constants(a), constants(b)];
    if (ca !== undefined && cb !== undefined) {
      return !ca.some((value) => cb.some((other) => same(value, other)));
    }
    const kinds = (
      schema: Schema,
      values: readonly unknown[] | undefined,
    ): readonly unknown[] =>
      schema.type !== undefined
        ? typesOf(schema.type).map((type) =>
          type === "integer" ? "number" : type
        )
        : values?.map(typeOf) ?? types;
    const [ta, tb] = [kinds(a, ca), kinds(b, cb)];
    const shared = ta.filter((type) => tb.includes(type));
    if (shared.length === 0) return true;
    if (shared.length > 1 || shared[0] !== "object") return false;
    const [pa, pb] = [a.properties, b.properties];
    if (!isObject(pa) || !isObject(pb)) return false;
    return Object.keys(pa).some((name) =>
      Object.hasOwn(pb, name) &&
      [a, b].every((schema) =>
        Array.isArray(schema.required) && schema.required.includes(name)
      ) &&
      this.#disjoint(
        this.#flat(pa[name], path),
        this.#flat(pb[name], path),
        path,
      )
    );
  }
}

/** Refuses what is no keyword that is offered. */
function check(schema: Schema, path: string): void {
  for (const key of Object.keys(schema)) {
    if (annotations.has(key) || keywords[key] !== undefined) continue;
    if (key === "multipleOf" && schema.multipleOf === 1) continue;
    throw fault(path, `has ${short(key)}, which is not offered`);
  }
  if (schema.type === undefined) return;
  for (const type of typesOf(schema.type)) {
    if (typeof type !== "string" || !types.includes(type)) {
      throw fault(path, `has type ${short(type)}; known: ${types.join(", ")}`);
    }
  }
}

function string(schema: Schema, path: string): Part {
  const least = count(schema, "minLength", path) ?? 0;
  const most = count(schema, "maxLength", path) ?? Infinity;
  const { pattern: source, format } = schema;
  if (source === undefined && format === undefined) {
    return least > most ? never : json.boundedString(least, most);
  }
  if (
    [source, format].filter((given) => given !== undefined).length > 1 ||
    least > 0 || most < Infinity
  ) {
    throw fault(
      path,
      "has pattern, format or a length together, which is not offered; say the length in the pattern",
    );
  }
  const given = source ?? formats.get(String(format));
  if (typeof given !== "string") {
    throw fault(
      path,
      source === undefined
        ? `has format ${short(format)}; known: ${
          [...formats.keys()].join(", ")
        }`
        : "has a pattern that is no string",
    );
  }
  try {
    return json.quoted(
      pattern(given, { spelling: inString, search: source !== undefined }),
    );
  } catch (cause) {
    if (!(cause instanceof ConstraintFault)) throw cause;
    throw fault(`${path}/pattern`, cause.message);
  }
}

function numberRange(schema: Schema, path: string): Range {
  const bound = (key: string): number | undefined => {
    const value = schema[key];
    if (value === undefined) return undefined;
    if (typeof value === "number" && Number.isFinite(value)) return value;
    throw fault(path, `has ${key} ${short(value)}; it must be a number`);
  };
  const minimum = bound("minimum") ?? -Infinity;
  const above = bound("exclusiveMinimum") ?? -Infinity;
  const maximum = bound("maximum") ?? Infinity;
  const below = bound("exclusiveMaximum") ?? Infinity;
  return {
    least: Math.max(minimum, above),
    most: Math.min(maximum, below),
    above: above >= minimum && above > -Infinity,
    below: below <= maximum && below < Infinity,
  };
}

function values(
  schema: Schema,
  wanted: readonly Type[] | undefined,
  path: string,
): Part {
  const other = Object.keys(schema)
    .find((key) => !["enum", "const", "type"].includes(key));
  if (other !== undefined) {
    throw fault(
      path,
      `has ${other} beside enum or const, which is not offered`,
    );
  }
  let list: readonly unknown[];
  if (schema.enum === undefined) list = [schema.const];
  else if (!Array.isArray(schema.enum)) {
    throw fault(path, "has an enum that is no list");
  } else {
    list = schema.const === undefined
      ? schema.enum
      : schema.enum.filter((value) => same(value, schema.const));
  }
  return either(
    ...list.filter((value) =>
      wanted === undefined || wanted.includes(typeOf(value)) ||
      (typeof value === "number" && wanted.includes("number"))
    ).map(json.literal),
  );
}

function typeOf(value: unknown): Type {
  if (value === null) return "null";
  if (Array.isArray(value)) return "array";
  if (typeof value === "number") {
    return Number.isInteger(value) ? "integer" : "number";
  }
  return typeof value as "string" | "boolean" | "object";
}

function count(schema: Schema, key: string, path: string): number | undefined {
  const value = schema[key];
  if (value === undefined) return undefined;
  if (typeof value === "number" && Number.isSafeInteger(value) && value >= 0) {
    return value;
  }
  throw fault(path, `has ${key} ${short(value)}; it must be a whole number`);
}

function schemaList(
  value: unknown,
  path: string,
  mayBeEmpty = false,
): readonly unknown[] {
  if (Array.isArray(value) && (mayBeEmpty || value.length > 0)) return value;
  throw fault(path, "must be a list of schemas");
}

const pointer = (name: string): string =>
  name.replaceAll("~", "~0").replaceAll("/", "~1").slice(0, 60);

const short = (value: unknown): string =>
  JSON.stringify(value)?.slice(0, 60) ?? String(value);

const fault = (path: string, message: string): ConstraintFault =>
  new ConstraintFault(`${message} (at ${path.slice(0, 200)})`);
