/**
 * The terminal or pipe around a command, as a service: tests put their own in its place.
 * @module
 */
import * as Context from "effect/Context";
import * as Effect from "effect/Effect";
import { fileReason, OutputError } from "./faults.ts";

/** What a command sees of the world it prints to. */
export interface Shell {
  /** Whether somebody can type. */
  readonly stdinIsTerminal: boolean;
  /** Whether stdout is a terminal. */
  readonly stdoutIsTerminal: boolean;
  /** Whether stderr is a terminal. */
  readonly stderrIsTerminal: boolean;
  /** Whether styles may be used on a terminal: not with `NO_COLOR` or `TERM=dumb`. */
  readonly colors: boolean;
  /** Whether a line can be repainted: stderr is a terminal and not a dumb one. */
  readonly canRepaint: boolean;
  /** Whether stacks of failures are wanted. */
  readonly debug: boolean;
  /** Width of the terminal in cells; 80 when there is none. */
  readonly columns: () => number;
  /** Writes all of a text to stdout. */
  readonly write: (text: string) => Effect.Effect<void, OutputError>;
  /** Writes all of a text to stderr; never fails, for nobody could be told. */
  readonly warn: (text: string) => void;
  /** All of stdin, at most `limit` bytes. */
  readonly readAll: (limit: number) => Promise<Uint8Array<ArrayBuffer>>;
}

/** The shell as a service. */
export const Shell: Context.Service<Shell, Shell> = Context.Service<Shell>(
  "tessera/cli/Shell",
);

/** The shell of this process. Reads `TERM` and `TESSERA_DEBUG` where that is allowed. */
export function processShell(): Shell {
  const dumb = environment("TERM") === "dumb";
  const stderrIsTerminal = Deno.stderr.isTerminal();
  return {
    stdinIsTerminal: Deno.stdin.isTerminal(),
    stdoutIsTerminal: Deno.stdout.isTerminal(),
    stderrIsTerminal,
    colors: !Deno.noColor && !dumb,
    canRepaint: stderrIsTerminal && !dumb,
    debug: (environment("TESSERA_DEBUG") ?? "") !== "",
    columns: terminalColumns,
    write: (text) =>
      Effect.try({
        try: () => writeAll(Deno.stdout, new TextEncoder().encode(text)),
        catch: (cause) =>
          new OutputError(
            `cannot write to standard output: ${fileReason(cause)}`,
            { cause },
          ),
      }),
    warn: (text) => {
      try {
        writeAll(Deno.stderr, new TextEncoder().encode(text));
      } catch {
        // The terminal has gone.
      }
    },
    readAll: readStdin,
  };
}

/** An environment variable, or nothing where reading it is not allowed. */
export function environment(name: string): string | undefined {
  try {
    return Deno.env.get(name);
  } catch {
    return undefined;
  }
}

function terminalColumns(): number {
  try {
    const { columns } = Deno.consoleSize();
    return columns > 0 ? columns : 80;
  } catch {
    return 80;
  }
}

/** Writes every byte, also where one call takes only some of them. */
export function writeAll(
  to: { readonly writeSync: (bytes: Uint8Array) => number },
  bytes: Uint8Array,
): void {
  let written = 0;
  while (written < bytes.length) {
    try {
      written += to.writeSync(bytes.subarray(written));
    } catch (error) {
      // A parent process may have made the pipe non-blocking.
      if (!(error instanceof Deno.errors.WouldBlock)) throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 2);
    }
  }
}

async function readStdin(limit: number): Promise<Uint8Array<ArrayBuffer>> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of Deno.stdin.readable) {
    length += chunk.length;
    if (length > limit) throw new RangeError(`more than ${limit} bytes`);
    chunks.push(chunk);
  }
  const all = new Uint8Array(length);
  let at = 0;
  for (const chunk of chunks) {
    all.set(chunk, at);
    at += chunk.length;
  }
  return all;
}
