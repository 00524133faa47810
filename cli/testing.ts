/**
 * Doubles for the tests of the command line: a shell that remembers, a model that answers by rule.
 * @module
 */
import * as Cause from "effect/Cause";
import * as Effect from "effect/Effect";
import * as Exit from "effect/Exit";
import type { ChatRequest, ChatResult, LoadOptions } from "../mod.ts";
import type { RunEvent } from "../pipeline/mod.ts";
import { execute } from "./main.ts";
import { type Model, Models } from "./models.ts";
import { Shell } from "./shell.ts";

/** A shell that remembers what was written. */
export interface FakeShell extends Shell {
  /** All of stdout. */
  readonly out: () => string;
  /** All of stderr. */
  readonly err: () => string;
}

/** What a fake shell is like; a pipe of 80 columns by default. */
export interface FakeShellOptions {
  /** Whether stdin, stdout and stderr are a terminal. */
  readonly terminal?: boolean;
  /** Cells across. */
  readonly columns?: number;
  /** Whether styles may be used. */
  readonly colors?: boolean;
  /** What is on stdin. */
  readonly stdin?: string | Uint8Array<ArrayBuffer>;
}

/** Makes a shell for tests. */
export function fakeShell(options: FakeShellOptions = {}): FakeShell {
  const { terminal = false, columns = 80, colors = false } = options;
  let out = "";
  let err = "";
  return {
    stdinIsTerminal: terminal,
    stdoutIsTerminal: terminal,
    stderrIsTerminal: terminal,
    colors,
    canRepaint: terminal,
    debug: false,
    columns: () => columns,
    write: (text) => Effect.sync(() => void (out += text)),
    warn: (text) => void (err += text),
    readAll: () =>
      Promise.resolve(
        options.stdin instanceof Uint8Array
          ? options.stdin
          : new TextEncoder().encode(options.stdin),
      ),
    out: () => out,
    err: () => err,
  };
}

/** A model for tests, and what was asked of it. */
export interface FakeModel extends Model {
  /** The requests, in order. */
  readonly requests: ChatRequest[];
  /** Whether it was released. */
  readonly disposed: () => boolean;
}

/** The answer of the default rule. */
export function echo(request: ChatRequest): string {
  return `You asked: ${request.question}`;
}

/** A result with an answer and round figures. */
export function fakeResult(request: ChatRequest, response: string): ChatResult {
  return {
    response,
    history: [...(request.history ?? []), [request.question, response]],
    usage: { promptTokens: 1034, imageTokens: 1024, completionTokens: 5 },
    finishReason: "stop",
    timings: { "load": 1.23456, "vision-encode": 20, "decode": 40 },
    runId: "run-1",
  };
}

/** A model that answers by a rule: it gives the text, throws, or waits for the signal. */
export function fakeModel(
  rule: (request: ChatRequest) => string | Promise<string> = echo,
): FakeModel {
  const requests: ChatRequest[] = [];
  let disposed = false;
  const chat = async (request: ChatRequest): Promise<ChatResult> => {
    requests.push(request);
    for (const event of fakeEvents()) request.onEvent?.(event);
    const response = await rule(request);
    request.signal?.throwIfAborted();
    return fakeResult(request, response);
  };
  return {
    info: { name: "fake" },
    requests,
    chat,
    chatStream: (request) => {
      const result = chat(request);
      return {
        result,
        async *[Symbol.asyncIterator]() {
          const { response } = await result;
          for (const part of response.match(/.{1,4}/gsu) ?? []) yield part;
        },
      };
    },
    run: (pipeline) =>
      Promise.reject(new Error(`the fake runs no ${pipeline.name}`)),
    [Symbol.asyncDispose]: () => {
      disposed = true;
      return Promise.resolve();
    },
    disposed: () => disposed,
  };
}

/** Events of a run over one picture of three tiles, up to the second token. */
export function fakeEvents(): RunEvent[] {
  const events: RunEvent[] = [];
  const base = () => ({ runId: "run-1", seq: events.length, at: 0 });
  const started = (node: string, kind: string) =>
    events.push({
      _tag: "NodeStarted",
      ...base(),
      node,
      kind,
      composite: false,
      attempt: 1,
      queuedMs: 0,
    });
  const progress = (
    node: string,
    done: number,
    total: number,
    message?: string,
  ) =>
    events.push({
      _tag: "NodeProgress",
      ...base(),
      node,
      done,
      total,
      ...(message === undefined ? {} : { message }),
    });
  const finished = (node: string, kind: string) =>
    events.push({
      _tag: "NodeFinished",
      ...base(),
      node,
      kind,
      composite: false,
      attempt: 1,
      ms: 1,
      queuedMs: 0,
      cached: false,
      outputs: {},
      spans: [],
    });
  events.push({
    _tag: "RunStarted",
    ...base(),
    pipeline: "chat",
    inputs: {},
    attributes: {},
  });
  started("load[0]", "load");
  finished("load[0]", "load");
  started("vision-encode[0]", "vision-encode");
  for (const done of [1, 2, 3]) progress("vision-encode[0]", done, 3);
  finished("vision-encode[0]", "vision-encode");
  started("decode", "decode");
  progress("decode", 512, 1034, "prefill");
  progress("decode", 1034, 1034, "prefill");
  progress("decode", 1, 1024, "decode");
  progress("decode", 2, 1024, "decode");
  return events;
}

/** What a command printed and how it ended. */
export interface Outcome {
  /** The exit code; 130 for an interruption. */
  readonly code: number;
  /** All of stdout. */
  readonly out: string;
  /** All of stderr. */
  readonly err: string;
  /** Options that models were loaded with. */
  readonly loads: readonly (LoadOptions & { readonly dir: string })[];
}

/** Runs the command line in this process with doubles. */
export async function runCli(
  args: readonly string[],
  options: {
    readonly shell?: FakeShell;
    readonly model?: Model;
    readonly load?: Models["load"];
    readonly signal?: AbortSignal;
  } = {},
): Promise<Outcome> {
  const shell = options.shell ?? fakeShell();
  const model = options.model ?? fakeModel();
  const loads: (LoadOptions & { dir: string })[] = [];
  const models: Models = {
    load: (dir, loadOptions) => {
      loads.push({ ...loadOptions, dir });
      return options.load?.(dir, loadOptions) ?? Promise.resolve(model);
    },
  };
  const exit = await Effect.runPromiseExit(
    execute(args).pipe(
      Effect.provideService(Shell, shell),
      Effect.provideService(Models, models),
    ),
    options.signal === undefined ? {} : { signal: options.signal },
  );
  const code = Exit.isSuccess(exit)
    ? exit.value
    : Cause.hasInterruptsOnly(exit.cause)
    ? 130
    : NaN;
  return { code, out: shell.out(), err: shell.err(), loads };
}
