/**
 * How fast this machine reads memory: what decoding is measured against.
 * @module
 */
import { libc } from "./machine.ts";

/** More than any cache holds. */
const BYTES = 256 * 2 ** 20;

/** Reads memory with several threads at once. */
export interface BandwidthProbe {
  /** Gigabytes (10⁹) a second, of one pass over a gigabyte of memory that no cache holds. */
  readonly measure: () => Promise<number>;
}

/**
 * Opens a probe that reads with `threads` threads. The reader is the C library's `memchr`, looking for
 * a byte that is not there: wide loads and nothing else, on threads off the event loop.
 */
export function openBandwidthProbe(threads: number): BandwidthProbe {
  const { symbols } = Deno.dlopen(libc(), {
    memchr: {
      parameters: ["buffer", "i32", "usize"],
      result: "pointer",
      nonblocking: true,
    },
  });
  const parts = Array.from(
    { length: threads },
    () => new Uint8Array(BYTES).fill(1),
  );
  const pass = () =>
    Promise.all(parts.map((part) => symbols.memchr(part, 2, BigInt(BYTES))));
  return {
    measure: async () => {
      await pass();
      const start = performance.now();
      for (let i = 0; i < 3; i++) await pass();
      const seconds = (performance.now() - start) / 1000;
      return 3 * threads * BYTES / 1e9 / seconds;
    },
  };
}
