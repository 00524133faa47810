/**
 * Values of charts as people read them.
 * @module
 */
import { bytes, count, duration } from "./format.ts";

/** What a value is a number of. */
export type Unit = "ms" | "count" | "share" | "bytes" | "rate";

/** Three digits, without zeros that say nothing. */
function short(value: number): string {
  if (value >= 100) return count(value);
  if (value > 0 && value < 0.001) return "< 0.001";
  return String(Number(value.toPrecision(3)));
}

/**
 * A value with its unit; a dash where there is none.
 *
 * ```ts
 * import { quantity } from "./quantity.ts";
 * import assert from "node:assert/strict";
 *
 * assert.equal(quantity(1234, "ms"), "1.23 s");
 * assert.equal(quantity(0.5, "share"), "50 %");
 * assert.equal(quantity(4.6e-6, "count"), "< 0.001");
 * assert.equal(quantity(null, "count"), "–");
 * ```
 */
export function quantity(value: number | null | undefined, unit: Unit): string {
  if (value === null || value === undefined) return "–";
  switch (unit) {
    case "ms":
      return duration(value);
    case "share":
      return `${short(value * 100)} %`;
    case "bytes":
      return bytes(value);
    case "rate":
    case "count":
      return short(value);
  }
}
