/**
 * What goes wrong with a SQLite file: waiting for its lock, and words for the rest.
 * @module
 */
import { Effect } from "effect";
import type { Migrator } from "effect/sql";
import type { SqlError } from "effect/sql/SqlError";
import { StoreError } from "../../pipeline/mod.ts";

/** How long somebody else may hold the lock before we give up, in milliseconds. */
const patience = 10_000;

/** Tries again while somebody else is writing. */
export function patiently<A, E extends SqlError | Migrator.MigrationError, R>(
  effect: Effect.Effect<A, E, R>,
): Effect.Effect<A, E, R> {
  const from = (delay: number, waited: number): Effect.Effect<A, E, R> =>
    Effect.catch(effect, (error) => {
      if (!isLocked(error) || waited >= patience) return Effect.fail(error);
      // Spread out, so that those who wait do not come back together.
      const pause = delay * (0.5 + Math.random());
      return Effect.flatMap(
        Effect.sleep(pause),
        () => from(Math.min(2 * delay, 50), waited + pause),
      );
    });
  return from(1, 0);
}

/** What SQLite says by primary result code (`sqlite3ErrStr` in its main.c). */
const texts: { readonly [code: number]: string } = {
  5: "database is locked",
  8: "attempt to write a readonly database",
  10: "disk I/O error",
  11: "database disk image is malformed",
  13: "database or disk is full",
  14: "unable to open database file",
  26: "file is not a database",
};

/** SQLite's own error inside what effect/sql made of it. */
function sqliteError(
  error: unknown,
): { readonly code: number | undefined; readonly message: string } {
  let cause = error;
  for (;;) {
    const { errcode, reason, cause: inner, message } = cause as {
      readonly errcode?: number;
      readonly reason?: unknown;
      readonly cause?: unknown;
      readonly message?: string;
    };
    const next = reason ?? inner;
    if (errcode === undefined && next instanceof Object) {
      cause = next;
      continue;
    }
    const line = (message ?? "unknown error").split("\n")[0]!;
    // Deno gives no code with what goes wrong at opening, but always SQLite's text.
    const code = errcode === undefined
      ? Object.keys(texts).find((text) => line.startsWith(texts[Number(text)]!))
      : errcode & 0xff;
    return {
      code: code === undefined ? undefined : Number(code),
      message: line,
    };
  }
}

function isLocked(error: SqlError | Migrator.MigrationError): boolean {
  const { code } = sqliteError(error);
  return code === 5 || code === 6 ||
    (error._tag === "MigrationError" && error.kind === "Locked");
}

/** Advice by SQLite's primary result code (sqlite.org/rescode.html). */
const advice: { readonly [code: number]: string } = {
  5: "another process holds its lock; close that, or choose another file",
  8: "it cannot be written; change its permissions, or choose another file",
  10: "the disk failed; look after it, or choose another file",
  11: "the file is damaged; move it away to start a new one",
  13: "the disk is full; free some space, or choose another file",
  14: "it cannot be opened; its folder must exist and be writable",
  26: "the file is no SQLite database; choose another file",
};

/** A failure as one line with advice. */
export function storeError(
  filename: string,
  error: SqlError | Migrator.MigrationError,
): StoreError {
  const { code, message } = sqliteError(error);
  const known = code === undefined ? undefined : advice[code];
  return new StoreError({
    message: `run store ${filename}: ${
      known === undefined ? message : `${known} (${message})`
    }`,
    cause: error,
  });
}
