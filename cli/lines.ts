/**
 * Lines typed at a terminal, with editing, history and Ctrl-C as an event.
 * @module
 */
import { createInterface } from "node:readline";
import { Writable } from "node:stream";
import process from "node:process";

/** Reads lines from a person. */
export interface LineReader {
  /** Shows the prompt and waits for a line; `undefined` when there will be no more. */
  readonly read: (prompt: string) => Promise<string | undefined>;
  /** Is called at Ctrl-C; `discarded` tells that it threw away a line that was begun, as in shells. */
  onInterrupt: (discarded: boolean) => void;
  /** Ends a `read` in progress as if input had ended, and gives the terminal back. */
  readonly close: () => void;
}

/** Completes what stands before the cursor: the choices and the part they replace. */
export type Completer = (
  line: string,
) => [choices: string[], replaced: string];

/** A line reader on this process's terminal. Between two reads what is typed is kept, unseen. */
export function terminalReader(completer: Completer): LineReader {
  let muted = true;
  const output = new Writable({
    write(chunk, _encoding, done) {
      if (!muted) process.stdout.write(chunk);
      done();
    },
  });
  // readline asks its output for the terminal's width.
  Object.defineProperties(output, {
    columns: { get: () => process.stdout.columns },
    rows: { get: () => process.stdout.rows },
    isTTY: { value: true },
  });
  const waiting: ((line: string | undefined) => void)[] = [];
  const typed: string[] = [];
  let closed = false;
  const reader = createInterface({
    input: process.stdin,
    output,
    terminal: true,
    historySize: 500,
    removeHistoryDuplicates: true,
    completer,
  });
  const self: LineReader = {
    onInterrupt: () => {},
    read: (prompt) => {
      const line = typed.shift();
      muted = false;
      if (line !== undefined) {
        process.stdout.write(`${prompt}${line}\n`);
        muted = true;
        return Promise.resolve(line);
      }
      if (closed) return Promise.resolve(undefined);
      reader.setPrompt(prompt);
      reader.prompt(true);
      return new Promise((resolve) => waiting.push(resolve));
    },
    close: () => {
      if (!closed) reader.close();
    },
  };
  reader.on("line", (line) => {
    const next = waiting.shift();
    if (next === undefined) typed.push(line);
    else {
      muted = true;
      next(line);
    }
  });
  reader.on("SIGINT", () => {
    const edited = reader as unknown as { line: string; cursor: number };
    const reading = waiting.length > 0;
    const discarded = reading && edited.line !== "";
    if (reading) {
      process.stdout.write("^C\n");
      edited.line = "";
      edited.cursor = 0;
    }
    self.onInterrupt(discarded);
    if (waiting.length > 0 && !closed) reader.prompt();
  });
  reader.on("close", () => {
    closed = true;
    muted = true;
    for (const next of waiting.splice(0)) next(undefined);
  });
  return self;
}
