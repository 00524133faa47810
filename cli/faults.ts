/**
 * What can go wrong at the command line, and how any failure is shown: one line, an exit code, and a
 * stack only when it is asked for.
 * @module
 */
import { fileURLToPath } from "node:url";
import { oneLine } from "./text.ts";

/** A failure with a tag, whose message is meant for people. */
export interface Fault extends Error {
  /** The discriminator. */
  readonly _tag: string;
}

/** Wrong arguments, or a file given by an argument that is not what it should be. */
export class UsageError extends Error implements Fault {
  /** The discriminator. */
  readonly _tag = "UsageError" as const;
  /** Makes the error. */
  constructor(message: string) {
    super(message);
    this.name = this._tag;
  }
}

/** A file could not be read. */
export class InputError extends Error implements Fault {
  /** The discriminator. */
  readonly _tag = "InputError" as const;
  /** Makes the error. */
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = this._tag;
  }
}

/** Something could not be written: a full disk, a closed pipe, a folder that is not there. */
export class OutputError extends Error implements Fault {
  /** The discriminator. */
  readonly _tag = "OutputError" as const;
  /** Whether the reader of a pipe has gone, which is nobody's mistake. */
  readonly closedPipe: boolean;
  /** Makes the error. */
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = this._tag;
    this.closedPipe = options?.cause instanceof Deno.errors.BrokenPipe;
  }
}

/** A node of somebody else's plugin failed in a way that it does not say. */
export class PluginError extends Error implements Fault {
  /** The discriminator. */
  readonly _tag = "PluginError" as const;
  /** Makes the error. */
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = this._tag;
  }
}

/** The work was done and reported, and not all of it succeeded: exit code 1, nothing more to say. */
export class Reported extends Error implements Fault {
  /** The discriminator. */
  readonly _tag = "Reported" as const;
}

/** Whether a failure is a typed one; anything else is a defect of ours. */
export function isFault(error: unknown): error is Fault {
  return error instanceof Error &&
    typeof (error as { readonly _tag?: unknown })._tag === "string";
}

/** Tag and message of a failure, as JSON results carry them. */
export interface FaultReport {
  /** The error's tag; `UnexpectedError` for a defect. */
  readonly tag: string;
  /** One line. */
  readonly message: string;
}

/** Tag and one-line message of any failure. */
export function describe(error: unknown): FaultReport {
  if (isFault(error)) {
    return { tag: error._tag, message: oneLine(error.message) };
  }
  if (error instanceof Deno.errors.NotCapable) {
    return {
      tag: "PermissionError",
      message: oneLine(error.message.replace(/, run again with/, "; run with")),
    };
  }
  // Somebody stopped the run from the dashboard.
  if (error instanceof DOMException && error.name === "AbortError") {
    return { tag: "Cancelled", message: oneLine(error.message) };
  }
  const message = error instanceof Error
    ? `${error.name === "Error" ? "" : `${error.name}: `}${error.message}`
    : String(error);
  return { tag: "UnexpectedError", message: oneLine(message) };
}

/** The line that stderr gets for a failure, with the stack after it when `debug`. */
export function faultText(error: unknown, debug: boolean): string {
  const { tag, message } = describe(error);
  const line = tag === "UnexpectedError"
    ? `tessera: unexpected: ${message} (a defect of Tessera; TESSERA_DEBUG=1 shows where)`
    : `tessera: ${message}`;
  if (!debug || !(error instanceof Error)) return `${line}\n`;
  let text = `${line}\n${error.stack ?? ""}\n`;
  for (let cause = error.cause, depth = 0; depth < 5; depth++) {
    if (!(cause instanceof Error)) break;
    text += `caused by: ${cause.stack ?? cause.message}\n`;
    cause = cause.cause;
  }
  return text;
}

/** A short reason for a failed file operation. */
export function fileReason(error: unknown): string {
  if (isNotFound(error)) return "there is no such file";
  if (error instanceof Deno.errors.NotCapable) {
    return oneLine(error.message.replace(/, run again with/, "; run with"));
  }
  if (error instanceof Deno.errors.PermissionDenied) return "permission denied";
  if (error instanceof Deno.errors.IsADirectory) return "it is a folder";
  if (error instanceof Error) {
    const text = error.message.replace(/ \(os error \d+\).*$/s, "");
    // "SyntaxError: …" is a name.
    return oneLine(
      /^[A-Z][a-z]*[A-Z]/.test(text)
        ? text
        : text.charAt(0).toLowerCase() + text.slice(1),
    );
  }
  return String(error);
}

function isNotFound(error: unknown): boolean {
  return error instanceof Deno.errors.NotFound;
}

/** Why a file cannot be read, found out early; nothing when it looks readable. */
export function requireFileFault(
  what: string,
  path: string,
): InputError | undefined {
  try {
    const { isDirectory, isFile } = Deno.statSync(
      /^file:/i.test(path) ? fileURLToPath(path) : path,
    );
    if (isDirectory) return new InputError(`${what} ${path} is a folder`);
    // A pipe or a device may never end, and its reading cannot be stopped.
    return isFile
      ? undefined
      : new InputError(`${what} ${path} is no regular file`);
  } catch (cause) {
    if (/^[a-z][a-z0-9+.-]+:/i.test(path) && isNotFound(cause)) {
      return new InputError(
        `${what} ${path} is an address; only local files are read, so download it and give its path`,
      );
    }
    // A name that is no UTF-8 has lost its bytes on the way here: no path leads to the file.
    const lost = isNotFound(cause) && path.includes("\ufffd")
      ? "; a name that is not UTF-8 cannot be given, so rename the file or link to it"
      : "";
    return new InputError(
      `cannot read ${what} ${path}: ${fileReason(cause)}${lost}`,
      { cause },
    );
  }
}
