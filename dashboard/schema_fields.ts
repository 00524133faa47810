/**
 * Fields of a form from a codec's JSON Schema, and back from a form to JSON.
 * @module
 */
import { Schema } from "effect";
import type { Field } from "../components/fields.ts";

interface Property {
  readonly type?: string;
  readonly enum?: readonly unknown[];
  readonly minimum?: number;
  readonly maximum?: number;
  readonly description?: string;
  readonly default?: unknown;
  readonly properties?: { readonly [name: string]: Property };
  readonly required?: readonly string[];
}

const bounded = (bound: number | undefined): number | undefined =>
  bound === undefined || Math.abs(bound) >= Number.MAX_SAFE_INTEGER
    ? undefined
    : bound;

function fieldOf(
  name: string,
  property: Property,
  required: boolean,
): Field {
  const min = bounded(property.minimum);
  const max = bounded(property.maximum);
  const texts = property.enum?.filter((one) => typeof one === "string");
  return {
    name,
    label: name,
    required,
    control: texts !== undefined && texts.length > 0
      ? "choice"
      : property.type === "integer"
      ? "integer"
      : property.type === "number"
      ? "number"
      : property.type === "boolean"
      ? "boolean"
      : property.type === "string"
      ? "line"
      : "json",
    ...(property.description === undefined
      ? {}
      : { hint: property.description }),
    ...(min === undefined ? {} : { min }),
    ...(max === undefined ? {} : { max }),
    ...(texts === undefined ? {} : { choices: texts as string[] }),
  };
}

/**
 * The fields of a codec whose JSON is an object; `undefined` for another.
 *
 * ```ts
 * import { Schema } from "effect";
 * import { schemaFields } from "./schema_fields.ts";
 * import assert from "node:assert/strict";
 *
 * const codec = Schema.Struct({ size: Schema.Int, name: Schema.optionalKey(Schema.String) });
 * assert.deepEqual(
 *   schemaFields(codec)?.map(({ name, control, required }) => [name, control, required]),
 *   [["size", "integer", true], ["name", "line", false]],
 * );
 * assert.equal(schemaFields(Schema.String), undefined);
 * ```
 */
export function schemaFields(
  // deno-lint-ignore no-explicit-any
  codec: Schema.Codec<any, any>,
): Field[] | undefined {
  let schema: Property;
  try {
    schema = Schema.toJsonSchemaDocument(codec).schema as Property;
  } catch {
    return undefined;
  }
  if (schema.type !== "object" || schema.properties === undefined) {
    return undefined;
  }
  return Object.entries(schema.properties).map(([name, property]) =>
    fieldOf(name, property, schema.required?.includes(name) ?? false)
  );
}

/** A field of a form that is not as it should be. */
export class FieldError extends Error {
  /** The discriminator. */
  readonly _tag = "FieldError" as const;
}

/** The JSON of what was typed into a field; `undefined` for nothing. */
export function fieldValue(
  { label, control, choices }: Field,
  text: string,
): unknown {
  const trimmed = text.trim();
  if (trimmed === "") return undefined;
  switch (control) {
    case "integer":
    case "number": {
      const value = Number(trimmed);
      if (
        !Number.isFinite(value) ||
        (control === "integer" && !Number.isSafeInteger(value))
      ) {
        throw new FieldError(
          `${label}: ${JSON.stringify(trimmed.slice(0, 40))} is no ${
            control === "integer" ? "whole number" : "number"
          }`,
        );
      }
      return value;
    }
    case "boolean":
      return trimmed === "true";
    case "choice":
      if (choices?.includes(trimmed)) return trimmed;
      throw new FieldError(`${label}: choose one of ${choices?.join(", ")}`);
    case "json":
      try {
        return JSON.parse(trimmed);
      } catch {
        throw new FieldError(`${label}: this is no JSON`);
      }
    default:
      return text;
  }
}
