/**
 * Two JSON Schemas as one: what both allow. What cannot be put together is refused.
 * @module
 */
import { ConstraintFault } from "./network.ts";

/** A JSON Schema that is an object. */
export type Schema = Readonly<Record<string, unknown>>;

/** Whether a value is an object in the sense of JSON. */
export const isObject = (value: unknown): value is Schema =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** Keywords that say nothing about a value. */
export const annotations: ReadonlySet<string> = new Set([
  "$schema",
  "$id",
  "$comment",
  "$defs",
  "definitions",
  "title",
  "description",
  "default",
  "examples",
  "deprecated",
  "readOnly",
  "writeOnly",
  // OpenAPI's: it says which property tells the alternatives apart, which oneOf finds out by itself.
  "discriminator",
]);

/** The schema without its annotations. */
export const withoutAnnotations = (schema: Schema): Schema =>
  Object.fromEntries(
    Object.entries(schema).filter(([key]) => !annotations.has(key)),
  );

/** Types that a `type` keyword names. */
export const typesOf = (type: unknown): readonly unknown[] =>
  Array.isArray(type) ? type : [type];

/** What both schemas allow. `path` is where, for messages. */
export function merge(a: Schema, b: Schema, path: string): Schema {
  const merged: Record<string, unknown> = { ...withoutAnnotations(a) };
  closedTo(a, b, path);
  closedTo(b, a, path);
  for (const [key, value] of Object.entries(withoutAnnotations(b))) {
    if (!Object.hasOwn(merged, key) || same(merged[key], value)) {
      merged[key] = value;
    } else merged[key] = both(key, merged[key], value, path);
  }
  return merged;
}

/** Refuses to add properties to a schema that says which others there may be. */
function closedTo(closed: Schema, other: Schema, path: string): void {
  const { additionalProperties: rest, properties } = closed;
  if (rest === undefined || rest === true) return;
  const known = isObject(properties) ? properties : {};
  const added = Object.keys(isObject(other.properties) ? other.properties : {})
    .find((name) => !Object.hasOwn(known, name));
  if (added !== undefined) {
    throw new ConstraintFault(
      `cannot be followed: additionalProperties at ${path} stands beside an allOf, anyOf or $ref that adds ${
        JSON.stringify(added)
      }`,
    );
  }
}

function both(key: string, a: unknown, b: unknown, path: string): unknown {
  const numbers = typeof a === "number" && typeof b === "number";
  switch (key) {
    case "type": {
      const types = typesOf(a).flatMap((type) =>
        typesOf(b).filter((other) =>
          other === type ||
          (type === "number" && other === "integer")
        ).concat(
          type === "integer" && typesOf(b).includes("number") ? [type] : [],
        )
      );
      return [...new Set(types)];
    }
    case "minimum":
    case "exclusiveMinimum":
    case "minLength":
    case "minItems":
      if (numbers) return Math.max(a, b);
      break;
    case "maximum":
    case "exclusiveMaximum":
    case "maxLength":
    case "maxItems":
      if (numbers) return Math.min(a, b);
      break;
    case "required":
      if (Array.isArray(a) && Array.isArray(b)) {
        return [...new Set([...a, ...b])];
      }
      break;
    case "enum":
      if (Array.isArray(a) && Array.isArray(b)) {
        return a.filter((value) => b.some((other) => same(value, other)));
      }
      break;
    case "allOf":
      if (Array.isArray(a) && Array.isArray(b)) return [...a, ...b];
      break;
    case "additionalProperties":
      if (a === false || b === false) return false;
      if (a === true) return b;
      if (b === true) return a;
      break;
    case "properties":
      if (isObject(a) && isObject(b)) {
        const names = new Set([...Object.keys(a), ...Object.keys(b)]);
        return Object.fromEntries(
          [...names].map((name) => [
            name,
            !Object.hasOwn(a, name)
              ? b[name]
              : !Object.hasOwn(b, name) || same(a[name], b[name])
              ? a[name]
              : { allOf: [a[name], b[name]] },
          ]),
        );
      }
      break;
  }
  throw new ConstraintFault(
    `cannot be followed: two different ${key} meet at ${path}`,
  );
}

/** Whether two JSON values are equal, keys in any order. */
export function same(a: unknown, b: unknown): boolean {
  if (a === b) return true;
  if (Array.isArray(a) && Array.isArray(b)) {
    return a.length === b.length && a.every((value, i) => same(value, b[i]));
  }
  if (!isObject(a) || !isObject(b)) return false;
  const keys = Object.keys(a);
  return keys.length === Object.keys(b).length &&
    keys.every((key) => Object.hasOwn(b, key) && same(a[key], b[key]));
}
