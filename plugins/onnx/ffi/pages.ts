/**
 * Large memory of the host that JavaScript's garbage collector takes no notice of.
 *
 * V8 counts the bytes of an `ArrayBuffer`, also of one over foreign memory, and where they have grown by
 * some tens of megabytes it collects the whole heap at once: 15 to 40 ms in which nothing else happens, for
 * each few buffers of a key-value cache. A `SharedArrayBuffer` is counted nowhere. What it lacks is a way
 * to be freed before it is collected, so its pages are given back to the system.
 * @module
 */
import { libc } from "../libc.ts";

/** Zeroed memory. */
export interface Pages {
  /** Typed as what the rest of the program takes; views of it behave the same. */
  readonly buffer: ArrayBuffer;
  /** Gives the memory back now. */
  readonly free: () => void;
}

/** From here on it is worth it. */
const LARGE = 1 << 20;

/** No system has larger pages that are not asked for. */
const PAGE = 1 << 16;

/** `MADV_DONTNEED`: private pages are dropped, and read as zeros if ever read again. */
const DROP = 4;

/** Memory of at least `bytes` bytes. Throws `RangeError` where there is none. */
export function openPages(bytes: number): Pages {
  const drop = bytes < LARGE ? undefined : dropper();
  if (drop === undefined) {
    const buffer = new ArrayBuffer(bytes);
    // Not at some later garbage collection.
    return { buffer, free: () => void buffer.transfer(0) };
  }
  const shared = new SharedArrayBuffer(bytes);
  return {
    buffer: shared as unknown as ArrayBuffer,
    free: () => drop(shared),
  };
}

let found: { readonly drop: ((memory: SharedArrayBuffer) => void) | undefined };

/** How pages are given back; `undefined` where that is not known. */
function dropper(): ((memory: SharedArrayBuffer) => void) | undefined {
  return (found ??= { drop: findDropper() }).drop;
}

function findDropper(): ((memory: SharedArrayBuffer) => void) | undefined {
  if (Deno.build.os !== "linux" || libc === undefined) return undefined;
  try {
    const { symbols } = Deno.dlopen(libc, {
      madvise: { parameters: ["usize", "usize", "i32"], result: "i32" },
    });
    return (memory) => {
      const start = Deno.UnsafePointer.value(
        Deno.UnsafePointer.of(new Uint8Array(memory)),
      );
      const page = BigInt(PAGE);
      const first = (start + page - 1n) / page * page;
      const end = (start + BigInt(memory.byteLength)) / page * page;
      if (end > first) symbols.madvise(first, end - first, DROP);
    };
  } catch {
    return undefined;
  }
}
