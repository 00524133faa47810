/**
 * The folder a quantized checkpoint is written into. While it grows it has no `config.json`, so nothing
 * takes it for a checkpoint; a journal tells which shards are whole.
 * @module
 */
import { createHash } from "node:crypto";
import { Effect, type Scope } from "effect";
import { CheckpointError } from "../../../nodes/errors.ts";
import {
  fileFacts,
  isRecord,
  joinPath,
  oneLine,
  readJsonObject,
} from "../files.ts";
import { journalFile } from "./scheme.ts";

/** What unfinished files are called besides. */
const UNFINISHED = ".partial";
/** The files that the folder's weights are found by. */
export const indexFile = "model.safetensors.index.json";
const configFile = "config.json";

/** A shard that is whole. */
export interface FinishedShard {
  /** Its name. */
  readonly file: string;
  /** Bytes. */
  readonly size: number;
  /** SHA-256 of its bytes, in hex. */
  readonly sha256: string;
}

/** The folder while it is being written. */
export interface OutputFolder {
  /** Shards that an earlier start has finished, by name. */
  readonly finished: ReadonlyMap<string, FinishedShard>;
  /** Notes a shard down as whole. */
  readonly note: (shard: FinishedShard) => Effect.Effect<void, CheckpointError>;
  /** Writes a file under another name, hands it over, and renames it when that has succeeded. */
  readonly write: <E>(
    name: string,
    fill: (file: Deno.FsFile) => Effect.Effect<void, E>,
  ) => Effect.Effect<void, E | CheckpointError>;
  /** Removes a file, if it is there. */
  readonly remove: (name: string) => Effect.Effect<void, CheckpointError>;
  /** Removes the journal: the work is done. */
  readonly finish: Effect.Effect<void, CheckpointError>;
}

/** How a folder that is not empty is treated. */
export interface FolderOptions {
  /** Go on where an earlier start was stopped. */
  readonly resume?: boolean;
  /** Replace what an earlier quantization has left, whole or not. */
  readonly force?: boolean;
}

/**
 * Opens the folder, locked against a second writer until the scope closes. `identity` tells works
 * apart: only the same one can be gone on with.
 */
export const openOutput: (
  dir: string,
  identity: string,
  options: FolderOptions,
) => Effect.Effect<OutputFolder, CheckpointError, Scope.Scope> = Effect
  .fnUntraced(function* (dir, identity, { resume = false, force = false }) {
    const state = yield* lookAt(dir);
    yield* refuse(dir, state, resume, force);
    yield* trying(
      dir,
      "cannot be made",
      () => Deno.mkdir(dir, { recursive: true }),
    );
    const path = joinPath(dir, journalFile);
    const journal = yield* Effect.acquireRelease(
      trying(
        path,
        "cannot be written",
        () => Deno.open(path, { read: true, write: true, create: true }),
      ),
      (file) => Effect.sync(() => file.close()),
    );
    const locked = yield* trying(
      path,
      "cannot be locked",
      async () => await journal.tryLock(true),
    );
    if (!locked) {
      return yield* failure(dir, "is being written by another process");
    }
    let finished = new Map<string, FinishedShard>();
    if (force) yield* clear(dir);
    else finished = yield* readJournal(dir, identity);
    if (finished.size === 0) {
      yield* trying(path, "cannot be written", async () => {
        await journal.truncate(0);
        await journal.seek(0, Deno.SeekMode.Start);
        await append(journal, { identity });
      });
    } else {
      // Behind the last whole line: what a crash left of another would ruin the next.
      yield* trying(path, "cannot be written", async () => {
        const end = (await Deno.readFile(path)).lastIndexOf(0x0a) + 1;
        await journal.truncate(end);
        await journal.seek(end, Deno.SeekMode.Start);
      });
    }
    const write: OutputFolder["write"] = (name, fill) =>
      Effect.scoped(Effect.gen(function* () {
        const target = joinPath(dir, name);
        const partial = target + UNFINISHED;
        const file = yield* Effect.acquireRelease(
          trying(target, "cannot be written", () =>
            Deno.open(partial, {
              read: true,
              write: true,
              create: true,
              truncate: true,
            })),
          (file) => Effect.sync(() => file.close()),
        );
        yield* fill(file);
        yield* trying(target, "cannot be written", async () => {
          await file.syncData();
          await Deno.rename(partial, target);
        });
      }));
    return {
      finished,
      write,
      remove: (name) => {
        const file = joinPath(dir, name);
        return trying(
          file,
          "cannot be removed",
          () =>
            Deno.remove(file).catch((cause) => {
              if (!(cause instanceof Deno.errors.NotFound)) throw cause;
            }),
        );
      },
      note: (shard) =>
        trying(path, "cannot be written", () => append(journal, shard)),
      finish: trying(path, "cannot be removed", () => Deno.remove(path)),
    };
  });

async function append(journal: Deno.FsFile, line: unknown): Promise<void> {
  const bytes = new TextEncoder().encode(`${JSON.stringify(line)}\n`);
  for (let at = 0; at < bytes.length;) {
    at += await journal.write(bytes.subarray(at));
  }
  await journal.syncData();
}

/** What is in the folder. */
interface State {
  readonly names: readonly string[];
  /** There is a journal. */
  readonly begun: boolean;
  /** There is a `config.json` of ours. */
  readonly whole: boolean;
}

const exists = (path: string) => Deno.stat(path).then(() => true, () => false);

const lookAt = Effect.fnUntraced(function* (
  dir: string,
): Effect.fn.Return<State, CheckpointError> {
  const names = yield* trying(dir, "cannot be read", async () => {
    const names: string[] = [];
    try {
      for await (const { name } of Deno.readDir(dir)) names.push(name);
    } catch (cause) {
      if (cause instanceof Deno.errors.NotADirectory && await exists(dir)) {
        throw new CheckpointError({
          path: dir,
          message: `${dir} is a file; give a new or an empty folder`,
        });
      }
      if (!(cause instanceof Deno.errors.NotFound)) throw cause;
    }
    return names;
  });
  const path = joinPath(dir, configFile);
  const config = names.includes(configFile)
    ? yield* Effect.orElseSucceed(
      readJsonObject(path, 16 << 20),
      () => undefined,
    )
    : undefined;
  const quantization = config?.value.quantization_config;
  return {
    names,
    begun: names.includes(journalFile),
    whole: isRecord(quantization) && quantization.quant_method === "tessera",
  };
});

function refuse(
  dir: string,
  { names, begun, whole }: State,
  resume: boolean,
  force: boolean,
): Effect.Effect<void, CheckpointError> {
  if (resume && force) {
    return failure(dir, "cannot be both resumed and replaced by force");
  }
  if (names.length === 0) return Effect.void;
  if (begun || whole) {
    if (force || (resume && begun)) return Effect.void;
    return failure(
      dir,
      begun
        ? "holds an unfinished quantization; resume it (--resume), or force a new one (--force)"
        : resume
        ? "holds a finished quantization; there is nothing to resume"
        : "holds a finished quantization already; --force makes a new one in its place",
    );
  }
  return failure(
    dir,
    "is not empty and holds no quantization of ours; give a new or an empty folder",
  );
}

/** The shards that an earlier start has noted as whole. A torn last line is what a crash leaves. */
const readJournal = Effect.fnUntraced(function* (
  dir: string,
  identity: string,
): Effect.fn.Return<Map<string, FinishedShard>, CheckpointError> {
  const path = joinPath(dir, journalFile);
  const text = yield* trying(
    path,
    "cannot be read",
    () => Deno.readTextFile(path),
  );
  const finished = new Map<string, FinishedShard>();
  const lines = text.split("\n");
  lines.pop();
  if (lines.length === 0) return finished;
  const parsed = yield* Effect.try({
    try: () => lines.map((line) => JSON.parse(line) as unknown),
    catch: (cause) =>
      new CheckpointError({
        path,
        message: `${path} is damaged: ${
          oneLine(cause)
        }; force a new quantization (--force)`,
      }),
  });
  const [head, ...shards] = parsed;
  if (!isRecord(head) || head.identity !== identity) {
    return yield* failure(
      dir,
      "was begun from another checkpoint or with other settings; give those again, or force a new one (--force)",
    );
  }
  for (const shard of shards) {
    if (
      isRecord(shard) && typeof shard.file === "string" &&
      typeof shard.size === "number" && typeof shard.sha256 === "string"
    ) {
      const { file, size, sha256 } = shard;
      finished.set(file, { file, size, sha256 });
    }
  }
  return finished;
});

/** Removes what a quantization leaves, and nothing else: first what makes the folder look whole. */
const clear = Effect.fnUntraced(function* (dir: string) {
  const { names } = yield* lookAt(dir);
  const shards = names.filter((name) =>
    /^model-\d{5}-of-\d{5}\.safetensors$/.test(name) ||
    name.endsWith(UNFINISHED)
  );
  for (
    const name of [configFile, indexFile, ...shards].filter((name) =>
      names.includes(name)
    )
  ) {
    const path = joinPath(dir, name);
    yield* trying(path, "cannot be removed", () => Deno.remove(path));
  }
});

/** SHA-256 of a file, read in pieces. */
export const digestFile: (
  path: string,
  onBytes?: (count: number) => void,
) => Effect.Effect<string, CheckpointError> = Effect.fnUntraced(
  function* (path, onBytes) {
    return yield* Effect.tryPromise({
      try: async (signal) => {
        using file = await Deno.open(path, { read: true });
        const hash = createHash("sha256");
        const buffer = new Uint8Array(1 << 20);
        for (;;) {
          signal.throwIfAborted();
          const count = await file.read(buffer);
          if (count === null) return hash.digest("hex");
          hash.update(buffer.subarray(0, count));
          onBytes?.(count);
        }
      },
      catch: (cause) => problem(path, "cannot be read", cause),
    });
  },
);

/** Whether a noted shard is still there as it was noted. */
export const isWhole: (
  dir: string,
  shard: FinishedShard,
) => Effect.Effect<boolean, CheckpointError> = Effect.fnUntraced(
  function* (dir, { file, size, sha256 }) {
    const path = joinPath(dir, file);
    const facts = yield* fileFacts(path);
    return facts?.size === size && (yield* digestFile(path)) === sha256;
  },
);

function failure(
  dir: string,
  what: string,
): Effect.Effect<never, CheckpointError> {
  return Effect.fail(
    new CheckpointError({ path: dir, message: `${dir} ${what}` }),
  );
}

/** A file operation whose failure names the file. */
export function trying<A>(
  path: string,
  what: string,
  run: () => Promise<A>,
): Effect.Effect<A, CheckpointError> {
  return Effect.tryPromise({
    try: run,
    catch: (cause) => problem(path, what, cause),
  });
}

function problem(path: string, what: string, cause: unknown): CheckpointError {
  if (cause instanceof CheckpointError) return cause;
  const reason = cause instanceof Deno.errors.NotFound
    ? "there is no such folder"
    : cause instanceof Deno.errors.NotADirectory
    ? "a part of the path is a file"
    : oneLine(cause).replace(/ \(os error \d+\).*$/, "");
  return new CheckpointError({
    path,
    message: `${path} ${what}: ${reason}`,
    cause,
  });
}
