/**
 * What flags are made with.
 * @module
 */
import * as Option from "effect/Option";
import * as Flag from "effect/cli/Flag";

/** A value that may have been left out. */
export const defined = <A>(value: Option.Option<A>): A | undefined =>
  Option.getOrUndefined(value);

/** An object without its undefined fields. */
export function compact<T extends Record<string, unknown>>(
  fields: T,
): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(
    Object.entries(fields).filter(([, value]) => value !== undefined),
  ) as { [K in keyof T]?: Exclude<T[K], undefined> };
}

/** An optional number in a range. */
export function ranged(
  flag: Flag.Flag<number>,
  metavar: string,
  text: string,
  range: {
    readonly min?: number;
    readonly above?: number;
    readonly max?: number;
  },
): Flag.Flag<Option.Option<number>> {
  const { min, above, max } = range;
  const wanted = [
    ...(min === undefined ? [] : [`at least ${min}`]),
    ...(above === undefined ? [] : [`greater than ${above}`]),
    ...(max === undefined ? [] : [`at most ${max}`]),
  ].join(" and ");
  return flag.pipe(
    Flag.filter(
      (value) =>
        (min === undefined || value >= min) &&
        (above === undefined || value > above) &&
        (max === undefined || value <= max),
      (value) => `Expected a number ${wanted}, got ${value}`,
    ),
    Flag.withMetavar(metavar),
    Flag.withDescription(text),
    Flag.optional,
  );
}

/** A flag whose value names a file or a folder. */
export const path = (name: string): Flag.Flag<string> =>
  Flag.String(name).pipe(
    Flag.filter((value) => value !== "", () => "Expected a path"),
  );
