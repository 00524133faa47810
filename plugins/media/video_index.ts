/**
 * Which frames a video has, from its packets alone.
 * @module
 */

/** What is known of one packet of the video stream, in the order of the file. */
export interface PacketFacts {
  /** Presentation time in the stream's time base, when it has one. */
  readonly pts: number | undefined;
  /** Whether decoding can begin here. */
  readonly key: boolean;
  /** Whether an edit list hides the frame. */
  readonly discard: boolean;
}

/** The frames of a video in presentation order. */
export interface VideoIndex {
  /** Number of frames. */
  readonly count: number;
  /**
   * Presentation time of each frame, ascending; `undefined` when times are missing or ambiguous, so
   * that frames can only be counted from the beginning.
   */
  readonly times: readonly number[] | undefined;
  /** Presentation times of the packets at which decoding can begin, ascending. */
  readonly keys: readonly number[];
}

/**
 * Orders the frames by presentation time. Left out are packets that an edit list hides, and those
 * that cannot be decoded because they come before the first key frame or refer to what was cut away
 * before it.
 */
export function indexPackets(packets: readonly PacketFacts[]): VideoIndex {
  const firstKey = packets.findIndex((packet) => packet.key);
  const rest = packets.slice(Math.max(0, firstKey));
  const begin = firstKey < 0 ? undefined : rest[0].pts;
  const shown = rest.filter(({ pts, discard }) =>
    !discard && !(begin !== undefined && pts !== undefined && pts < begin)
  );
  const keys = rest.filter(({ key, pts }) => key && pts !== undefined)
    .map(({ pts }) => pts!).sort((a, b) => a - b);
  if (shown.some(({ pts }) => pts === undefined)) {
    return { count: shown.length, times: undefined, keys };
  }
  const times = shown.map(({ pts }) => pts!).sort((a, b) => a - b);
  const ambiguous = times.some((pts, i) => i > 0 && pts === times[i - 1]);
  return { count: times.length, times: ambiguous ? undefined : times, keys };
}

/** Position of the last key at or before a time; -1 when there is none. */
export function keyBefore(keys: readonly number[], time: number): number {
  let low = 0, high = keys.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (keys[middle] <= time) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}
