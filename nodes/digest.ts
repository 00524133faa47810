/**
 * Content digests for memoization.
 * @module
 */
import { readFile, stat } from "node:fs/promises";
import { Effect } from "effect";

/**
 * Bytes hashed between two turns of the event loop: the hash is computed elsewhere, but on a copy that is
 * made here, at about a millisecond per megabyte.
 */
const PIECE = 2 << 20;

/**
 * SHA-256 in hex of `bytes`, after `prefix` (a shape, say), computed off the event loop. Of more than 2 MiB
 * the pieces are hashed, and then their digests.
 */
export function digestBytes(
  bytes: Uint8Array<ArrayBuffer>,
  prefix = "",
): Effect.Effect<string> {
  return Effect.promise(async () => {
    const pieces = [await sha256(bytes.subarray(0, PIECE))];
    for (let at = PIECE; at < bytes.length; at += PIECE) {
      pieces.push(await sha256(bytes.subarray(at, at + PIECE)));
    }
    const body = pieces.length === 1
      ? pieces[0]!
      : await sha256(text(pieces.join()));
    return prefix === "" ? body : await sha256(text(`${prefix}\u0000${body}`));
  });
}

const text = (value: string) => new TextEncoder().encode(value);

async function sha256(bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)).toHex();
}

/** SHA-256 in hex of a text's UTF-8. */
export function digestText(value: string): Effect.Effect<string> {
  return digestBytes(text(value));
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
