/**
 * Content digests for memoization.
 * @module
 */
import { readFile, stat } from "node:fs/promises";
import { Effect } from "effect";

/** SHA-256 in hex of `bytes`, after `prefix` (a shape, say); computed off the event loop. */
export function digestBytes(
  bytes: Uint8Array<ArrayBuffer>,
  prefix = "",
): Effect.Effect<string> {
  return Effect.promise(async () => {
    const body = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes))
      .toHex();
    if (prefix === "") return body;
    const joined = new TextEncoder().encode(`${prefix}\u0000${body}`);
    return new Uint8Array(await crypto.subtle.digest("SHA-256", joined))
      .toHex();
  });
}

/** SHA-256 in hex of a text's UTF-8. */
export function digestText(text: string): Effect.Effect<string> {
  return digestBytes(new TextEncoder().encode(text));
}

/**
 * Digest of a file's content. A file that cannot be read digests as its name: whoever loads it then
 * reports why.
 */
export function digestFile(path: string | URL): Effect.Effect<string> {
  return Effect.tryPromise(() => readFile(path)).pipe(
    Effect.flatMap((bytes) => digestBytes(new Uint8Array(bytes), "bytes")),
    Effect.catch(() => digestText(String(path))),
  );
}

/** Digest of a file's name, size and time of change, for files too large to read for a key. */
export function digestFileStat(path: string | URL): Effect.Effect<string> {
  return Effect.tryPromise(() => stat(path)).pipe(
    Effect.map((info) => `${info.size}\u0000${info.mtimeMs}`),
    Effect.catch(() => Effect.succeed("unreadable")),
    Effect.flatMap((facts) => digestText(`${path}\u0000${facts}`)),
  );
}
