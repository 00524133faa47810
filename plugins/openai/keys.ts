/**
 * API keys: compared in constant time, and known afterwards by a short digest only.
 * @module
 */
import { createHash, timingSafeEqual } from "node:crypto";

/** Who asks. */
export interface Caller {
  /** A name that may be logged and counted: part of a digest of the key, or the address. */
  readonly id: string;
}

/** Finds callers by their keys. */
export interface Keys {
  /** Whether a key is needed at all. */
  readonly required: boolean;
  /** The caller of an `authorization` header; `undefined` when it is not one of ours. */
  readonly find: (authorization: string | null) => Caller | undefined;
}

const digest = (text: string): Uint8Array =>
  createHash("sha256").update(text, "utf8").digest();

/** Makes a finder of keys; the keys themselves are not kept. */
export function makeKeys(keys: readonly string[]): Keys {
  const known = keys.map((key) => {
    const hash = digest(key);
    return { hash, caller: { id: `key-${hash.toHex().slice(0, 8)}` } };
  });
  return {
    required: known.length > 0,
    find: (authorization) => {
      const match = /^bearer +([^\s]{1,512})$/i.exec(authorization ?? "");
      // Digests are of one length, and every one is looked at: the time says nothing about the keys.
      const given = digest(match?.[1] ?? "");
      let found: Caller | undefined;
      for (const { hash, caller } of known) {
        if (timingSafeEqual(hash, given)) found = caller;
      }
      return match === null ? undefined : found;
    },
  };
}
