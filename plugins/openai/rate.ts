/**
 * Requests a minute and caller, as a token bucket: a burst of a minute's worth, refilled evenly.
 * @module
 */

/** Counts requests. */
export interface RateLimiter {
  /** Takes one request; returns the seconds to wait when there is none left, else 0. */
  readonly take: (caller: string) => number;
}

/** Callers remembered at most; full buckets are forgotten first, for they are like new. */
const MOST_CALLERS = 10_000;

/** Makes a limiter; 0 a minute is no limit. */
export function makeRateLimiter(
  perMinute: number,
  now: () => number = () => performance.now(),
): RateLimiter {
  if (perMinute <= 0) return { take: () => 0 };
  const buckets = new Map<string, { left: number; at: number }>();
  const perMs = perMinute / 60_000;
  const fill = (bucket: { left: number; at: number }, at: number): void => {
    bucket.left = Math.min(perMinute, bucket.left + (at - bucket.at) * perMs);
    bucket.at = at;
  };
  return {
    take: (caller) => {
      const at = now();
      let bucket = buckets.get(caller);
      if (bucket === undefined) {
        if (buckets.size >= MOST_CALLERS) {
          for (const [name, other] of buckets) {
            fill(other, at);
            if (other.left >= perMinute) buckets.delete(name);
          }
          // All of them are at work: the one that came first gives way.
          if (buckets.size >= MOST_CALLERS) {
            buckets.delete(buckets.keys().next().value!);
          }
        }
        bucket = { left: perMinute, at };
        buckets.set(caller, bucket);
      }
      fill(bucket, at);
      if (bucket.left < 1) return (1 - bucket.left) / perMs / 1000;
      bucket.left -= 1;
      return 0;
    },
  };
}
