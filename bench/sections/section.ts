/**
 * What sections of the benchmark are made of.
 * @module
 */
import type { Scratch } from "../scratch.ts";

/** What a section found. */
export interface Report {
  /** For the stored file. */
  readonly figures: Readonly<Record<string, unknown>>;
  /** For people. */
  readonly text: string;
}

/** A part of the benchmark. */
export interface Section {
  /** For `--only`. */
  readonly name: string;
  /** One line for `--help`. */
  readonly about: string;
  /** Heading of its table. */
  readonly title: string;
  /** Measures. */
  readonly measure: (place: Scratch, rounds: number) => Promise<Report>;
}

/** A share, for people. */
export const percent = (share: number) => `${(share * 100).toFixed(2)} %`;

/** One table of two models side by side. */
export async function both<A>(
  measure: (dir: string, nano: boolean) => Promise<A>,
  place: Scratch,
): Promise<{ readonly nano: A; readonly synthetic: A }> {
  return {
    nano: await measure(place.nano, true),
    synthetic: await measure(await place.synthetic(), false),
  };
}
