/**
 * What the fields of a `config.json` may hold.
 * @module
 */
import { Effect, Schema } from "effect";

// Bounds keep a hostile config from asking for a graph of a billion layers.
/** A width, a length, a count. */
export const size = Schema.Int.check(
  Schema.isBetween({ minimum: 1, maximum: 1 << 24 }),
);
/** A number of layers. */
export const depth = Schema.Int.check(
  Schema.isBetween({ minimum: 1, maximum: 1024 }),
);
/** The epsilon of a norm. */
export const epsilon = Schema.Finite.check(
  Schema.isBetween({ minimum: 0, maximum: 1 }),
);
/** Edge of the grid after pixel shuffle over the edge before. */
export const ratio = Schema.Finite.check(
  Schema.isGreaterThan(0),
  Schema.isLessThanOrEqualTo(1),
);
/** A number above 0. */
export const positive = Schema.Finite.check(Schema.isGreaterThan(0));
/** A number from 1. */
export const atLeastOne = Schema.Finite.check(Schema.isGreaterThanOrEqualTo(1));

/** A key that may be missing, and what that means. */
export function or<S extends Schema.Top>(schema: S, value: S["Encoded"]) {
  return schema.pipe(Schema.withDecodingDefaultKey(Effect.succeed(value)));
}

/** A key that may be missing or null. */
export const optional = <S extends Schema.Top>(schema: S) =>
  Schema.optionalKey(Schema.NullOr(schema));
