/**
 * Copies of large arrays that leave the event loop free between.
 * @module
 */

/** Numbers copied before the clock is looked at. */
const PIECE = 1 << 16;

/** Numbers, and milliseconds, after which the event loop has a turn. */
const MOST_NUMBERS = 1 << 20;
const MOST_MS = 2;

/**
 * Copies `from` into `to`, from element `at` on, with turns of the event loop between. Memory that is
 * written for the first time costs half a millisecond per megabyte, and several where other work fills the
 * machine: so it goes by the clock.
 */
export async function copyInTurns(
  from: Float32Array,
  to: Float32Array,
  at: number,
): Promise<void> {
  let began = performance.now();
  let before = 0;
  for (let start = 0; start < from.length; start += PIECE) {
    to.set(from.subarray(start, start + PIECE), at + start);
    if (
      start + PIECE - before < MOST_NUMBERS &&
      performance.now() - began < MOST_MS
    ) continue;
    await new Promise<void>((resolve) => setTimeout(resolve, 0));
    began = performance.now();
    before = start + PIECE;
  }
}
