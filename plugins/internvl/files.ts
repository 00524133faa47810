/**
 * Reading a checkpoint folder's files: every failure is a {@link CheckpointError} that names the file,
 * every size is bounded before memory is taken, and no name leads out of the folder.
 * @module
 */
import { Effect } from "effect";
import { CheckpointError } from "../../nodes/errors.ts";

/** What is known of a file without reading it. */
export interface FileFacts {
  /** Bytes. */
  readonly size: number;
  /** Time of the last change in milliseconds since 1970; 0 where the file system has none. */
  readonly mtime: number;
}

/** The files a tokenizer can be in, for people. */
export const tokenizerFilesText =
  "tokenizer.json, tokenizer.model, or vocab.json with merges.txt";

/** Joins a folder and a name inside it. */
export function joinPath(dir: string, name: string): string {
  return dir.endsWith("/") ? dir + name : `${dir}/${name}`;
}

/**
 * Size and time of a file; `undefined` when there is none. Fails on a folder, a denied permission, and a
 * link to what is not there: its name stands in the folder, so the file was meant to.
 */
export function fileFacts(
  path: string,
): Effect.Effect<FileFacts | undefined, CheckpointError> {
  return Effect.tryPromise({
    try: async () => {
      const info = await Deno.stat(path).catch((cause) => {
        if (isAbsent(cause)) return undefined;
        throw cause;
      });
      if (info === undefined) {
        const target = await Deno.readLink(path).catch(() => undefined);
        if (target === undefined) return undefined;
        throw new CheckpointError({
          path,
          message: `${path} is a link to ${target}, which is not there`,
        });
      }
      if (!info.isFile) {
        throw new CheckpointError({
          path,
          message: `${path} is not a file; a checkpoint has a plain file here`,
        });
      }
      return { size: info.size, mtime: info.mtime?.getTime() ?? 0 };
    },
    catch: (cause) => readFailure(path, cause),
  });
}

const isThere = (path: string): Promise<boolean> =>
  Deno.stat(path).then(() => true, () => false);

/** Why a path is no folder, where it is none. */
export function folderProblem(dir: string): Effect.Effect<string | undefined> {
  return Effect.promise(async () => {
    if (dir === "") return "the checkpoint folder's path is empty";
    try {
      return (await Deno.stat(dir)).isDirectory
        ? undefined
        : `${dir} is a file; a checkpoint is a folder`;
    } catch (cause) {
      if (!isAbsent(cause)) return undefined;
      // A name on Hugging Face, where nothing is fetched from, unless its first part is a folder here.
      const [owner] = /^[\w-][\w.-]*(?=\/[\w-][\w.-]*$)/.exec(dir) ?? [];
      const hub = owner === undefined || await isThere(owner)
        ? ""
        : `; a checkpoint of Hugging Face is downloaded first: hf download ${dir} --local-dir FOLDER`;
      return `there is no folder ${dir}${hub}`;
    }
  });
}

/** Reads a whole file of at most `limit` bytes; `undefined` when there is none. */
export const readSmallFile: (
  path: string,
  limit: number,
) => Effect.Effect<Uint8Array<ArrayBuffer> | undefined, CheckpointError> =
  Effect.fnUntraced(function* (path: string, limit: number) {
    const facts = yield* fileFacts(path);
    if (facts === undefined) return undefined;
    if (facts.size > limit) {
      return yield* new CheckpointError({
        path,
        message:
          `${path} has ${facts.size} bytes; a file of this kind has at most ${limit}`,
      });
    }
    const bytes = yield* readBytes(path, 0, facts.size);
    yield* refusePointer(path, bytes);
    return bytes;
  });

/** The first bytes that tell a Git LFS pointer. */
const pointerHead = "version https://git-lfs.github.com/";

/**
 * Fails where a file begins as a Git LFS pointer: a checkpoint that was cloned without Git LFS has one in
 * the place of each large file.
 */
export function refusePointer(
  path: string,
  bytes: Uint8Array,
): Effect.Effect<void, CheckpointError> {
  const head = bytes.subarray(0, pointerHead.length);
  return new TextDecoder("latin1").decode(head) !== pointerHead
    ? Effect.void
    : Effect.fail(
      new CheckpointError({
        path,
        message:
          `${path} is a Git LFS pointer: the file itself was not downloaded; git lfs pull does that`,
      }),
    );
}

/** Reads exactly `length` bytes from `offset`; fails when the file ends earlier. */
export function readBytes(
  path: string,
  offset: number,
  length: number,
): Effect.Effect<Uint8Array<ArrayBuffer>, CheckpointError> {
  return Effect.tryPromise({
    try: async (signal) => {
      using file = await Deno.open(path, { read: true });
      const bytes = new Uint8Array(length);
      await file.seek(offset, Deno.SeekMode.Start);
      let filled = 0;
      while (filled < length) {
        signal.throwIfAborted();
        // Chunks keep an interruption from waiting for a gigabyte.
        const got = await file.read(
          bytes.subarray(filled, filled + (64 << 20)),
        );
        if (got === null) {
          throw new CheckpointError({
            path,
            message: `${path} is truncated: bytes ${offset} to ${
              offset + length
            } were expected, it ends at ${offset + filled}`,
          });
        }
        filled += got;
      }
      return bytes;
    },
    catch: (cause) => readFailure(path, cause),
  });
}

/** Decodes UTF-8 strictly. */
export function decodeUtf8(
  path: string,
  bytes: Uint8Array,
): Effect.Effect<string, CheckpointError> {
  return Effect.try({
    try: () => new TextDecoder("utf-8", { fatal: true }).decode(bytes),
    catch: () =>
      new CheckpointError({ path, message: `${path} is not UTF-8 text` }),
  });
}

/** No file of a checkpoint is nested nearly as deep. */
const maxNesting = 64;

/** How deep the brackets of a valid JSON text go. */
function nesting(text: string): number {
  let depth = 0;
  let deepest = 0;
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    if (unit === 0x22) {
      i++;
      while (text.charCodeAt(i) !== 0x22) {
        i += text.charCodeAt(i) === 0x5c ? 2 : 1;
      }
    } else if (unit === 0x5b || unit === 0x7b) {
      if (++depth > deepest) deepest = depth;
    } else if (unit === 0x5d || unit === 0x7d) {
      depth--;
    }
  }
  return deepest;
}

/** Reads and parses a JSON object of at most `limit` bytes; `undefined` when there is no such file. */
export const readJsonObject: (
  path: string,
  limit: number,
) => Effect.Effect<
  | { readonly text: string; readonly value: Readonly<Record<string, unknown>> }
  | undefined,
  CheckpointError
> = Effect.fnUntraced(function* (path: string, limit: number) {
  const bytes = yield* readSmallFile(path, limit);
  if (bytes === undefined) return undefined;
  const text = yield* decodeUtf8(path, bytes);
  const value = yield* Effect.try({
    try: () => JSON.parse(text) as unknown,
    catch: (cause) =>
      new CheckpointError({
        path,
        message: `${path} is not JSON: ${oneLine(cause)}`,
      }),
  });
  // Whoever walks the value by recursion would run out of stack.
  if (nesting(text) > maxNesting) {
    return yield* new CheckpointError({
      path,
      message: `${path} is nested deeper than ${maxNesting} levels`,
    });
  }
  if (!isRecord(value)) {
    return yield* new CheckpointError({
      path,
      message: `${path} must hold a JSON object`,
    });
  }
  return { text, value };
});

/** The path that all symbolic links of a path lead to, its parts divided by `/` on every system. */
export function realPath(
  path: string,
): Effect.Effect<string, CheckpointError> {
  return Effect.tryPromise({
    try: async () => {
      const found = await Deno.realPath(path);
      // Elsewhere a backslash is a letter, and with a slash in its stead the path is another one.
      return Deno.build.os === "windows" ? found.replaceAll("\\", "/") : found;
    },
    catch: (cause) => readFailure(path, cause),
  });
}

/**
 * Resolves a file name taken from a checkpoint's own metadata. Refused: absolute paths, `..`, and
 * symbolic links that lead out of the folder, save into the `blobs` folder beside the `snapshots`
 * folder it stands in, which is how the Hugging Face cache stores every file.
 */
export const resolveInside: (
  dir: string,
  name: string,
) => Effect.Effect<string, CheckpointError> = Effect.fnUntraced(
  function* (dir: string, name: string) {
    const path = joinPath(dir, name);
    const parts = name.split("/");
    if (
      name === "" || name.includes("\0") || name.includes("\\") ||
      parts.some((part) => part === "" || part === "." || part === "..") ||
      /^[A-Za-z]:/.test(name)
    ) {
      return yield* new CheckpointError({
        path: dir,
        message: `${dir}: the file name ${
          quoted(name)
        } leads out of the checkpoint folder; names of files inside it are allowed`,
      });
    }
    const root = yield* realPath(dir);
    const real = yield* realPath(path);
    const cache = /^(.*)\/snapshots\/[^/]+$/.exec(root);
    const inside = real.startsWith(joinPath(root, ""));
    const blob = cache !== null &&
      real.startsWith(`${cache[1]}/blobs/`);
    if (!inside && !blob) {
      return yield* new CheckpointError({
        path,
        message:
          `${path} is a symbolic link out of the checkpoint folder; put the file itself there`,
      });
    }
    return path;
  },
);

/** Whether a value is a JSON object. */
export function isRecord(
  value: unknown,
): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** An error's message on one line, shortened. */
export function oneLine(cause: unknown): string {
  const text = cause instanceof Error ? cause.message : String(cause);
  return text.replace(/\s+/g, " ").slice(0, 300);
}

/** Shows a foreign string in a message: quoted, escaped, and shortened. */
export function quoted(text: string): string {
  return JSON.stringify(text.length > 120 ? text.slice(0, 120) + "…" : text);
}

function isAbsent(cause: unknown): boolean {
  return cause instanceof Deno.errors.NotFound ||
    cause instanceof Deno.errors.NotADirectory;
}

function readFailure(path: string, cause: unknown): CheckpointError {
  if (cause instanceof CheckpointError) return cause;
  if (isAbsent(cause)) {
    return new CheckpointError({ path, message: `${path} is missing`, cause });
  }
  return new CheckpointError({
    path,
    message: `${path} cannot be read: ${oneLine(cause)}`,
    cause,
  });
}
