/**
 * The files of a batch: questions in, one whole line for each answer out, and a second start that goes
 * on where the first one ended.
 * @module
 */
import type { History, Sample, VideoClip } from "../nodes/values.ts";
import {
  type FaultReport,
  fileReason,
  InputError,
  OutputError,
  requireFileFault,
} from "./faults.ts";
import { historyProblem } from "./flags.ts";
import { writeAll } from "./shell.ts";
import { jsonLine, nearest, oneLine } from "./text.ts";

/** A question of a batch. */
export interface Job {
  /** Its id, unique in the file. */
  readonly id: string | number;
  /** Its line in the input, from 1. */
  readonly line: number;
  /** What is asked. */
  readonly sample: Sample;
}

/** Key under which an id is known: 7 and "7" are two ids. */
export function idKey(id: string | number): string {
  return JSON.stringify(id);
}

const fields = [
  "id",
  "images",
  "video",
  "question",
  "history",
  "num_patches_list",
];

/**
 * Reads the questions of a JSONL file; paths in it are relative to its folder. Throws an
 * {@link InputError} that names the first bad line and counts the others, before anything is asked.
 */
export function readJobs(path: string): Job[] {
  let bytes: Uint8Array;
  const fault = requireFileFault("input", path);
  if (fault !== undefined) throw fault;
  try {
    bytes = Deno.readFileSync(path);
  } catch (cause) {
    throw new InputError(`cannot read input ${path}: ${fileReason(cause)}`, {
      cause,
    });
  }
  const folder = path.replace(/[^/\\]*$/, "");
  const jobs: Job[] = [];
  const problems: string[] = [];
  const lineOf = new Map<string, number>();
  let line = 0;
  for (const text of linesOf(bytes)) {
    line++;
    if (text === undefined) {
      problems.push(`${path} line ${line} is not UTF-8`);
      continue;
    }
    if (text.trim() === "") continue;
    const job = parseJob(text, line, folder);
    if (typeof job === "string") {
      problems.push(`${path} line ${line} ${job}`);
      continue;
    }
    const key = idKey(job.id);
    const first = lineOf.get(key);
    if (first === undefined) {
      lineOf.set(key, line);
      jobs.push(job);
    } else {
      problems.push(
        `${path} line ${line} has the id ${key} of line ${first}; ids must be unique`,
      );
    }
  }
  if (problems.length > 0) {
    throw new InputError(
      oneLine(
        problems[0]! +
          (problems.length > 1
            ? ` (and ${problems.length - 1} more bad ${
              problems.length === 2 ? "line" : "lines"
            })`
            : ""),
      ),
    );
  }
  if (jobs.length === 0) throw new InputError(`${path} has no questions`);
  return jobs;
}

/** The lines of a file; `undefined` for one that is not UTF-8. */
function* linesOf(bytes: Uint8Array): Generator<string | undefined> {
  const decoder = new TextDecoder("utf-8", { fatal: true });
  let start = 0;
  while (start < bytes.length) {
    const newline = bytes.indexOf(10, start);
    const end = newline < 0 ? bytes.length : newline;
    let text: string | undefined;
    try {
      text = decoder.decode(bytes.subarray(start, end));
    } catch {
      text = undefined;
    }
    yield text;
    start = end + 1;
  }
}

/** A job, or what is wrong with the line. */
function parseJob(text: string, line: number, folder: string): Job | string {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    return `is no JSON: ${fileReason(error)}`;
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    return `must be an object {"id", "images", "question"}`;
  }
  const record = value as Record<string, unknown>;
  // Other keys may carry what the file's owner needs; a mistyped one would change the question.
  for (const key of Object.keys(record)) {
    if (fields.includes(key)) continue;
    const guess = nearest(key, fields.filter((field) => !(field in record)));
    if (guess !== undefined) {
      return `has ${JSON.stringify(key)}; did you mean "${guess}"?`;
    }
  }
  const { id, question } = record;
  if (typeof id !== "string" && typeof id !== "number") {
    return `has no "id" (a string or a number)`;
  }
  if (
    typeof id === "number" &&
    (!Number.isFinite(id) || Number.isInteger(id) && !Number.isSafeInteger(id))
  ) return `has an "id" that is too large for a number; write it in quotes`;
  if (typeof question !== "string" || question.trim() === "") {
    return `has no "question"`;
  }
  const images = record.images ?? [];
  if (
    !Array.isArray(images) ||
    images.some((image) => typeof image !== "string" || image === "")
  ) return `has "images" that are no list of paths`;
  const history = record.history ?? undefined;
  if (history !== undefined) {
    const problem = historyProblem(history);
    if (problem !== undefined) return `has a wrong "history": ${problem}`;
  }
  const counts = record.num_patches_list ?? undefined;
  if (
    counts !== undefined &&
    (!Array.isArray(counts) ||
      counts.some((value) => !Number.isInteger(value) || value < 0))
  ) return `has a "num_patches_list" that is no list of tile counts`;
  const video = parseVideo(record.video ?? undefined, folder);
  if (video instanceof Error) return video.message;
  return {
    id,
    line,
    sample: {
      question,
      images: images.map((image: string) => resolve(folder, image)),
      ...(video === undefined ? {} : { video }),
      ...(history === undefined ? {} : { history: history as History }),
      ...(counts === undefined ? {} : { numPatchesList: counts as number[] }),
    },
  };
}

function parseVideo(
  value: unknown,
  folder: string,
): string | VideoClip | Error | undefined {
  if (value === undefined) return undefined;
  if (typeof value === "string" && value !== "") return resolve(folder, value);
  if (typeof value === "object" && value !== null) {
    const { source, segments, start, end } = value as Record<string, unknown>;
    const number = (field: unknown) =>
      field === undefined || (typeof field === "number" && field >= 0);
    if (
      typeof source === "string" && source !== "" && number(segments) &&
      number(start) && number(end)
    ) {
      return {
        ...(value as object),
        source: resolve(folder, source),
      } as VideoClip;
    }
  }
  return new Error(
    `has a "video" that is neither a path nor {"source", "segments", "start", "end"}`,
  );
}

/** A path as seen from a folder (which ends in a separator, or is empty). */
export function resolve(folder: string, path: string): string {
  return /^([/\\]|[A-Za-z]:[/\\]|file:|data:)/.test(path)
    ? path
    : folder + path;
}

/** A line of the output. */
export type BatchLine =
  | { readonly id: string | number; readonly response: string }
  | { readonly id: string | number; readonly error: FaultReport };

/** The part of a file that lines are appended with; tests fill the disk with their own. */
export interface AppendFile {
  /** Writes some of the bytes; tells how many. */
  readonly writeSync: (bytes: Uint8Array) => number;
  /** Cuts the file to a length. */
  readonly truncateSync: (length: number) => void;
  /** Releases the file. */
  readonly close: () => void;
}

/** Appends whole lines. */
export interface LineWriter {
  /** Appends one line. Throws an {@link OutputError}; the file then still ends with a whole line. */
  readonly append: (line: BatchLine) => void;
  /** Releases the file. */
  readonly close: () => void;
}

/** What an output file already holds. */
export interface Earlier {
  /** Keys of the ids with an answer. */
  readonly answered: ReadonlySet<string>;
  /** Keys of the ids with an error. */
  readonly failed: ReadonlySet<string>;
  /** Bytes of whole lines. */
  readonly length: number;
  /** Bytes of a half-written last line, to be cut away. */
  readonly torn: number;
}

/**
 * Reads what an earlier start left in the output. A last line without its end is *torn* unless it is
 * complete otherwise. Throws an {@link InputError} for a file that this command did not write.
 */
export function readEarlier(path: string, bytes: Uint8Array): Earlier {
  const answered = new Set<string>();
  const failed = new Set<string>();
  let start = 0;
  let line = 0;
  while (start < bytes.length) {
    line++;
    const newline = bytes.indexOf(10, start);
    const end = newline < 0 ? bytes.length : newline;
    const text = new TextDecoder().decode(bytes.subarray(start, end));
    const entry = parseEntry(text);
    if (entry === undefined) {
      if (newline < 0 && isTorn(text)) {
        return { answered, failed, length: start, torn: bytes.length - start };
      }
      throw new InputError(
        `${path} line ${line} is no line of a batch's output; give another --output, or move the file away`,
      );
    }
    (entry.ok ? answered : failed).add(entry.key);
    start = end + 1;
  }
  // A rerun may have answered what failed before.
  for (const key of answered) failed.delete(key);
  return { answered, failed, length: bytes.length, torn: 0 };
}

function parseEntry(
  text: string,
): { readonly key: string; readonly ok: boolean } | undefined {
  try {
    const { id, response, error } = JSON.parse(text);
    const ok = typeof response === "string";
    if (
      (typeof id !== "string" && typeof id !== "number") ||
      (!ok && typeof error !== "object")
    ) return undefined;
    return { key: idKey(id), ok };
  } catch {
    return undefined;
  }
}

const opening = `{"id":`;

/** Whether text can be the beginning of one of our lines: nothing else is ever cut away. */
function isTorn(text: string): boolean {
  return text.startsWith(opening) || opening.startsWith(text);
}

/** An output file that is open, and what it already holds. */
export interface Output extends LineWriter {
  /** What an earlier start left. */
  readonly earlier: Earlier;
}

/**
 * Opens the output for appending: repairs a torn last line, takes away the lines of failed questions
 * when they are to be asked again, and keeps other runs out.
 */
export function openOutput(
  path: string,
  options: { readonly retryFailed: boolean },
): Output {
  let file: Deno.FsFile | undefined;
  try {
    file = Deno.openSync(path, { read: true, write: true, create: true });
    if (!file.statSync().isFile) {
      // A pipe or a device: nothing can be read back or repaired.
      const earlier = readEarlier(path, new Uint8Array());
      return { ...lineWriter(path, file, undefined), earlier };
    }
    if (!file.tryLockSync(true)) {
      throw new OutputError(`another run is writing ${path}`);
    }
    const bytes = Deno.readFileSync(path);
    const earlier = readEarlier(path, bytes);
    let { length } = earlier;
    if (options.retryFailed && earlier.failed.size > 0) {
      const kept = withoutErrors(bytes.subarray(0, length));
      file.close();
      file = replaceFile(path, kept);
      length = kept.length;
    } else {
      file.truncateSync(length);
      file.seekSync(length, Deno.SeekMode.Start);
      if (length > 0 && bytes[length - 1] !== 10) {
        writeAll(file, new Uint8Array([10]));
        length++;
      }
    }
    return { ...lineWriter(path, file, length), earlier };
  } catch (cause) {
    file?.close();
    if (cause instanceof InputError || cause instanceof OutputError) {
      throw cause;
    }
    const reason = cause instanceof Deno.errors.NotFound
      ? "there is no such folder"
      : fileReason(cause);
    throw new OutputError(`cannot write ${path}: ${reason}`, { cause });
  }
}

/** Puts a new file in the place of another in one step, and returns it open and locked. */
function replaceFile(path: string, bytes: Uint8Array): Deno.FsFile {
  const fresh = `${path}.new`;
  const file = Deno.openSync(fresh, {
    read: true,
    write: true,
    create: true,
    truncate: true,
  });
  try {
    file.lockSync(true);
    writeAll(file, bytes);
    file.syncDataSync();
    Deno.renameSync(fresh, path);
    return file;
  } catch (error) {
    file.close();
    Deno.removeSync(fresh);
    throw error;
  }
}

/** The lines of answers only, each whole. */
function withoutErrors(bytes: Uint8Array): Uint8Array {
  const lines = new TextDecoder().decode(bytes).split("\n")
    .filter((text) => text !== "" && parseEntry(text)?.ok === true);
  return new TextEncoder().encode(lines.map((text) => `${text}\n`).join(""));
}

/** Appends to an open file that has `length` bytes; `undefined` for one that cannot be cut back. */
export function lineWriter(
  path: string,
  file: AppendFile,
  length: number | undefined,
): LineWriter {
  let broken: OutputError | undefined;
  return {
    append: (line) => {
      // After a failure the file's position is past its end: another line would leave a hole.
      if (broken !== undefined) throw broken;
      const bytes = new TextEncoder().encode(`${jsonLine(line)}\n`);
      try {
        writeAll(file, bytes);
      } catch (cause) {
        if (length !== undefined) {
          try {
            file.truncateSync(length);
          } catch {
            // The next start cuts it.
          }
        }
        broken = new OutputError(
          `cannot write ${path}: ${fileReason(cause)}`,
          { cause },
        );
        throw broken;
      }
      if (length !== undefined) length += bytes.length;
    },
    close: () => file.close(),
  };
}
