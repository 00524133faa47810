/**
 * Numbers in a range, as decimal notation read from the left.
 * @module
 */
import {
  byteRange,
  either,
  maybe,
  never,
  nothing,
  type Part,
  repeated,
  sequence,
  text,
} from "./network.ts";

/** A range; either end may be infinite. */
export interface Range {
  /** Lower end. */
  readonly least: number;
  /** Upper end. */
  readonly most: number;
  /** Whether the lower end is outside. */
  readonly above?: boolean;
  /** Whether the upper end is outside. */
  readonly below?: boolean;
}

/** Largest whole number of 15 digits: each is exact as a double. */
const MAX_INTEGER = 999_999_999_999_999;

/** Largest whole part, and number of decimals, of a number in a range: 15 digits together. */
const MAX_WHOLE = 999_999_999;
const MAX_DECIMALS = 6;
const MILLION = 1_000_000;

const digit = byteRange(0x30, 0x39);
const digitsBetween = (least: number, most: number): Part =>
  least > most ? never : byteRange(0x30 + least, 0x30 + most);
const anyDigits = (count: number): Part => repeated(digit, count, count);

/** The whole numbers in a range. */
export function integers({ least, most, above, below }: Range): Part {
  let from = Math.max(-MAX_INTEGER, Math.ceil(least));
  let to = Math.min(MAX_INTEGER, Math.floor(most));
  if (above === true && from === least) from++;
  if (below === true && to === most) to--;
  if (!(from <= to)) return never;
  const parts: Part[] = [];
  if (from < 0) {
    parts.push(
      sequence(text("-"), naturals(Math.max(1, -to), -from)),
    );
  }
  if (to >= 0) parts.push(naturals(Math.max(0, from), to));
  return either(...parts);
}

/** Whole numbers from `from` to `to`, neither negative. */
function naturals(from: number, to: number): Part {
  if (from > to) return never;
  const parts: Part[] = [];
  for (let length = 1; length <= String(to).length; length++) {
    const low = Math.max(from, length === 1 ? 0 : 10 ** (length - 1));
    const high = Math.min(to, 10 ** length - 1);
    if (low <= high) parts.push(sameLength(String(low), String(high)));
  }
  return either(...parts);
}

/** Strings of digits between two of the same length. */
function sameLength(low: string, high: string): Part {
  if (/^0*$/.test(low) && /^9*$/.test(high)) return anyDigits(low.length);
  const first = Number(low[0]);
  const last = Number(high[0]);
  const rest = low.length - 1;
  if (first === last) {
    return sequence(
      text(low[0]),
      sameLength(low.slice(1), high.slice(1)),
    );
  }
  return either(
    sequence(
      text(low[0]),
      sameLength(low.slice(1), "9".repeat(rest)),
    ),
    sequence(digitsBetween(first + 1, last - 1), anyDigits(rest)),
    sequence(
      text(high[0]),
      sameLength("0".repeat(rest), high.slice(1)),
    ),
  );
}

/** The numbers in a range, without exponents; beyond 999,999,999 whole ones of up to 15 digits. */
export function numbers(range: Range): Part {
  const { least, most, above, below } = range;
  const parts: Part[] = [];
  if (most > MAX_WHOLE) {
    parts.push(integers({ ...range, least: Math.max(least, MAX_WHOLE + 1) }));
  }
  if (least < -MAX_WHOLE) {
    parts.push(integers({ ...range, most: Math.min(most, -MAX_WHOLE - 1) }));
  }
  if (most >= 0) {
    parts.push(
      millionths(
        least < 0 ? 0 : millionsUp(least, above),
        millionsDown(most, below),
      ),
    );
  }
  if (least < 0) {
    parts.push(sequence(
      text("-"),
      millionths(
        most >= 0 ? 1 : millionsUp(-most, below),
        millionsDown(-least, above),
      ),
    ));
  }
  return either(...parts);
}

/** Millionths in a number, not negative, rounded up; one more where the number itself is outside. */
function millionsUp(value: number, outside = false): number {
  const [millions, exact] = millionsOf(value);
  return exact && !outside ? millions : millions + 1;
}

/** The same, rounded down. */
function millionsDown(value: number, outside = false): number {
  if (value > MAX_WHOLE) return MAX_WHOLE * MILLION + MILLION - 1;
  const [millions, exact] = millionsOf(value);
  return exact && outside ? millions - 1 : millions;
}

/** Millionths in a number, not negative, cut off; and whether there was nothing to cut. */
function millionsOf(
  value: number,
): readonly [millions: number, exact: boolean] {
  if (value > MAX_WHOLE) return [Infinity, true];
  const short = String(value);
  const [mantissa, exponent] = short.split("e-");
  const plain = exponent === undefined
    ? short
    : `0.${"0".repeat(Number(exponent) - 1)}${mantissa.replace(".", "")}`;
  const [whole, decimals = ""] = plain.split(".");
  return [
    Number(whole) * MILLION +
    Number(decimals.slice(0, MAX_DECIMALS).padEnd(MAX_DECIMALS, "0")),
    decimals.length <= MAX_DECIMALS,
  ];
}

/** Numbers from `from` to `to` millionths. */
function millionths(from: number, to: number): Part {
  if (!(from <= to)) return never;
  const low = Math.floor(from / MILLION);
  const high = Math.floor(to / MILLION);
  const digitsOf = (millions: number) =>
    String(millions % MILLION).padStart(MAX_DECIMALS, "0");
  const starting = (whole: number, least?: string, most?: string): Part =>
    sequence(
      text(String(whole)),
      either(
        endsAt(least) ? nothing : never,
        sequence(text("."), decimals(least, most, MAX_DECIMALS)),
      ),
    );
  if (low === high) return starting(low, digitsOf(from), digitsOf(to));
  return either(
    starting(low, digitsOf(from)),
    low + 1 <= high - 1
      ? sequence(
        naturals(low + 1, high - 1),
        maybe(sequence(text("."), repeated(digit, 1, MAX_DECIMALS))),
      )
      : never,
    starting(high, undefined, digitsOf(to)),
  );
}

/** Whether decimals may end where so much is left of the lower bound: what is not written is zero. */
const endsAt = (least: string | undefined): boolean =>
  least === undefined || /^0*$/.test(least);

/** One to `left` decimals between two bounds; none where the digits before are inside already. */
function decimals(
  least: string | undefined,
  most: string | undefined,
  left: number,
): Part {
  if (left === 0) return never;
  const rest = (least: string | undefined, most: string | undefined): Part =>
    either(
      endsAt(least) ? nothing : never,
      decimals(least, most, left - 1),
    );
  if (least === undefined && most === undefined) {
    return repeated(digit, 1, left);
  }
  const low = Number(least?.[0] ?? 0);
  const high = Number(most?.[0] ?? 9);
  if (low > high) return never;
  if (low === high) {
    return sequence(
      text(String(low)),
      rest(least?.slice(1), most?.slice(1)),
    );
  }
  return either(
    sequence(text(String(low)), rest(least?.slice(1), undefined)),
    sequence(
      digitsBetween(low + 1, high - 1),
      repeated(digit, 0, left - 1),
    ),
    sequence(text(String(high)), rest(undefined, most?.slice(1))),
  );
}
