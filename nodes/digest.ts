/**
 * Content digests for memoization.
 * @module
 */
import { createHash } from "node:crypto";
import { open, stat } from "node:fs/promises";
import { Effect } from "effect";

/**
 * Bytes hashed between two turns of the event loop: the hash is computed elsewhere, but on a copy that is
 * made here, at about a millisecond per megabyte.
 */
const PIECE = 2 << 20;

/** Bytes that are hashed here and now: asking somebody else to takes longer. */
const SMALL = 16 << 10;

/**
 * SHA-256 in hex of `bytes`, after `prefix` (a shape, say), computed off the event loop. Of more than 2 MiB
 * the pieces are hashed, and then their digests.
 */
export function digestBytes(
  bytes: Uint8Array<ArrayBuffer>,
  prefix = "",
): Effect.Effect<string> {
  return Effect.promise(() =>
    digestPieces(
      (at) => Promise.resolve(bytes.subarray(at, at + PIECE)),
      prefix,
    )
  );
}

/** Digest of what `read` gives from a byte on, at most a piece: less at the end only. */
async function digestPieces(
  read: (at: number) => Promise<Uint8Array<ArrayBuffer>>,
  prefix: string,
): Promise<string> {
  const pieces: string[] = [];
  for (let at = 0;; at += PIECE) {
    const piece = await read(at);
    if (at === 0 || piece.length > 0) pieces.push(await sha256(piece));
    if (piece.length < PIECE) break;
  }
  const body = pieces.length === 1
    ? pieces[0]!
    : await sha256(text(pieces.join()));
  return prefix === "" ? body : await sha256(text(`${prefix}\u0000${body}`));
}

const text = (value: string) => new TextEncoder().encode(value);

async function sha256(bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  if (bytes.length <= SMALL) {
    return createHash("sha256").update(bytes).digest("hex");
  }
  // WebCrypto takes no shared memory, of which callers may give views all the same.
  const own = (bytes.buffer as ArrayBufferLike) instanceof SharedArrayBuffer
    ? bytes.slice()
    : bytes;
  return new Uint8Array(await crypto.subtle.digest("SHA-256", own)).toHex();
}

/** SHA-256 in hex of a text's UTF-8. */
export function digestText(value: string): Effect.Effect<string> {
  return digestBytes(text(value));
}

/** More than a picture file may have; a larger one, and what is no file, is refused by whoever loads it. */
const LARGEST = 256 * 2 ** 20;

/**
 * Digest of a file's content, which is never in memory as a whole; the same as {@link digestBytes} gives its
 * bytes after `"bytes"`. What cannot be read, is no regular file or larger than any picture may be digests
 * as its name: whoever loads it then reports why.
 */
export function digestFile(path: string | URL): Effect.Effect<string> {
  return Effect.tryPromise(async (signal) => {
    // A device has no end, and opening a pipe waits for somebody who writes.
    const facts = await stat(path);
    if (!facts.isFile() || facts.size > LARGEST) throw new Error("not read");
    const file = await open(path);
    try {
      const room = new Uint8Array(PIECE);
      return await digestPieces(async (at) => {
        signal.throwIfAborted();
        if (at > LARGEST) throw new Error("not read");
        let filled = 0;
        while (filled < PIECE) {
          const { bytesRead } = await file.read(room, filled, PIECE - filled);
          if (bytesRead === 0) break;
          filled += bytesRead;
        }
        return room.subarray(0, filled);
      }, "bytes");
    } finally {
      await file.close();
    }
  }).pipe(Effect.catch(() => digestText(String(path))));
}

/** What of a file is another when its content is: which file it is, its size, its times. */
export function fileStamp(path: string | URL): Effect.Effect<string> {
  return Effect.tryPromise(() => stat(path, { bigint: true })).pipe(
    Effect.map(({ dev, ino, size, mtimeNs, ctimeNs }) =>
      `${[dev, ino, size, mtimeNs, ctimeNs]}`
    ),
    Effect.catch(() => Effect.succeed("unreadable")),
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
