/**
 * Which frames of a video are shown to the model (`get_index` of the InternVL-Chat model card).
 * @module
 */
import type { SampleOptions } from "../../nodes/services.ts";

/** Most segments that can be asked for. */
export const MAX_SEGMENTS = 4096;

/** Rounds halves to the even neighbour, as numpy and Python do. */
export function roundHalfEven(x: number): number {
  const floor = Math.floor(x);
  const fraction = x - floor;
  if (fraction !== 0.5) return Math.round(x);
  return floor % 2 === 0 ? floor : floor + 1;
}

/**
 * The index of one frame from the middle of each of `segments` segments of equal length, counted from
 * 0 in presentation order: `int(first + size / 2 + round(size · i))`, where the range goes from
 * `round(start · fps)` to `round(end · fps)` within the video. Frames repeat when there are fewer
 * frames than segments.
 *
 * `fps` is in frames per second, `start` and `end` in seconds. Throws a `RangeError` in one line for
 * a range outside the video or a number that makes no sense.
 *
 * ```ts
 * import { sampleIndices } from "@tessera/sdk";
 * import assert from "node:assert/strict";
 *
 * assert.deepEqual(sampleIndices(300, 30, { segments: 4 }), [37, 112, 187, 261]);
 * ```
 */
export function sampleIndices(
  frameCount: number,
  fps: number,
  options: SampleOptions,
): number[] {
  checkSampleOptions(options);
  if (!Number.isInteger(frameCount) || frameCount < 1) {
    throw new RangeError(`a video of ${frameCount} frames has none to sample`);
  }
  if (!Number.isFinite(fps) || fps <= 0) {
    throw new RangeError(`${fps} frames per second is no frame rate`);
  }
  const { segments, start, end } = options;
  // The reference takes the whole video as the range from -100,000 to 100,000 seconds.
  const first = Math.max(0, roundHalfEven((start ?? -100_000) * fps));
  const last = Math.min(roundHalfEven((end ?? 100_000) * fps), frameCount - 1);
  if (first > last) {
    const seconds = (frameCount / fps).toFixed(2);
    throw new RangeError(
      `no frame lies between ${start ?? 0} s and ${
        end === undefined ? "the end" : `${end} s`
      }; the video is ${seconds} s long (${frameCount} frames at ${fps} per second)`,
    );
  }
  const size = (last - first) / segments;
  return Array.from(
    { length: segments },
    (_, i) => Math.trunc(first + size / 2 + roundHalfEven(size * i)),
  );
}

/** Throws a `RangeError` for options that no video could satisfy. */
export function checkSampleOptions(options: SampleOptions): void {
  const { segments, start, end } = options;
  if (
    !Number.isInteger(segments) || segments < 1 || segments > MAX_SEGMENTS
  ) {
    throw new RangeError(
      `${segments} segments; a whole number from 1 to ${MAX_SEGMENTS} is possible`,
    );
  }
  for (const [name, seconds] of [["start", start], ["end", end]] as const) {
    if (seconds !== undefined && !(Number.isFinite(seconds) && seconds >= 0)) {
      throw new RangeError(
        `the ${name} is ${seconds} s; seconds from the beginning, 0 or more, are possible`,
      );
    }
  }
  if (start !== undefined && end !== undefined && start > end) {
    throw new RangeError(
      `the start (${start} s) is after the end (${end} s)`,
    );
  }
}
