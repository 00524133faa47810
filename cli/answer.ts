/**
 * One question asked and its answer shown: what `chat`, `video` and the interactive chat have in common.
 * @module
 */
import * as Effect from "effect/Effect";
import type {
  ChatAlternative,
  ChatRequest,
  ChatResult,
  TokenAlternative,
} from "../mod.ts";
import type { Fault } from "./faults.ts";
import { attempt, type Model } from "./models.ts";
import { makePainter, runProgress } from "./progress.ts";
import { Shell } from "./shell.ts";
import {
  count,
  duration,
  jsonText,
  oneLine,
  plural,
  printable,
  wrap,
} from "./text.ts";

/** A result as `--json` prints it and batch lines carry it. */
export interface JsonResult {
  /** The answer. */
  readonly response: string;
  /** All rounds, this one included. */
  readonly history: readonly (readonly [string, string])[];
  /** Token counts. */
  readonly usage: JsonUsage;
  /** `stop` or `length`. */
  readonly finish_reason: string;
  /** Probabilities of the tokens, where `--logprobs` asks for them. */
  readonly logprobs?: readonly JsonLogprob[];
  /** The other answers, where `--n` asks for several. */
  readonly alternatives?: readonly JsonAlternative[];
  /** Milliseconds by stage. */
  readonly timings: Readonly<Record<string, number>>;
  /** The run in the run store. */
  readonly run_id: string;
}

/** One of several answers. */
export type JsonAlternative = Pick<
  JsonResult,
  "response" | "usage" | "finish_reason" | "logprobs"
>;

/** A token and its probability, as OpenAI's API names them. */
export interface JsonLogprob {
  /** Its text. */
  readonly token: string;
  /** Natural logarithm of its probability. */
  readonly logprob: number;
  /** Its bytes, which may be a part of a character. */
  readonly bytes: readonly number[];
  /** The likeliest tokens at its place. */
  readonly top_logprobs: readonly Omit<JsonLogprob, "top_logprobs">[];
}

/** Token counts under their JSON names. */
export interface JsonUsage {
  /** All tokens of the prompt, image tokens included. */
  readonly prompt_tokens: number;
  /** Image tokens of the prompt. */
  readonly image_tokens: number;
  /** Generated tokens. */
  readonly completion_tokens: number;
}

/** A result under its JSON names; milliseconds to three places. */
export function jsonResult(result: ChatResult): JsonResult {
  const { response, ...rest } = jsonAlternative(result);
  return {
    response,
    history: result.history,
    ...rest,
    ...(result.alternatives === undefined
      ? {}
      : { alternatives: result.alternatives.map(jsonAlternative) }),
    timings: roundTimings(result.timings),
    run_id: result.runId,
  };
}

const jsonAlternative = (
  { response, usage, finishReason, logprobs }: ChatAlternative,
): JsonAlternative => ({
  response,
  usage: {
    prompt_tokens: usage.promptTokens,
    image_tokens: usage.imageTokens,
    completion_tokens: usage.completionTokens,
  },
  finish_reason: finishReason,
  ...(logprobs === undefined ? {} : {
    logprobs: logprobs.map((token) => ({
      ...jsonToken(token),
      top_logprobs: token.top.map(jsonToken),
    })),
  }),
});

const jsonToken = ({ text, logprob, bytes }: TokenAlternative) => ({
  token: text,
  logprob,
  bytes: [...bytes],
});

/** Milliseconds to three places. */
export function roundTimings(
  timings: Readonly<Record<string, number>>,
): Record<string, number> {
  return Object.fromEntries(
    Object.entries(timings).map((
      [stage, ms],
    ) => [stage, Math.round(ms * 1000) / 1000]),
  );
}

/** How an answer is to be shown. */
export interface AnswerOptions {
  /** One JSON object instead of text. */
  readonly json: boolean;
}

/**
 * Asks and shows: the text as it comes on a terminal, whole in a pipe, as JSON when asked for. Progress
 * and a line of figures go to stderr, when that is a terminal.
 */
export const answer: (
  model: Pick<Model, "chat" | "chatStream">,
  request: ChatRequest,
  options: AnswerOptions,
) => Effect.Effect<ChatResult, Fault, Shell> = Effect.fn("cli.answer")(
  function* (
    model: Pick<Model, "chat" | "chatStream">,
    request: ChatRequest,
    options: AnswerOptions,
  ) {
    const shell = yield* Shell;
    const streams = shell.stdoutIsTerminal && !options.json;
    const began = performance.now();
    const result = streams
      ? yield* stream(model, request)
      : yield* whole(model, request);
    if (options.json) {
      yield* shell.write(`${jsonText(jsonResult(result))}\n`);
    } else if (!streams) {
      yield* shell.write(`${printable(result.response)}\n`);
    }
    if (!options.json) {
      for (const [i, { response }] of (result.alternatives ?? []).entries()) {
        yield* shell.write(`\n[${i + 2}]\n${printable(response)}\n`);
      }
    }
    warnUnrecorded(shell, result.storeError);
    if (shell.canRepaint) {
      const style = shell.colors ? ["\x1b[2m", "\x1b[0m"] : ["", ""];
      const line = figures(result, performance.now() - began);
      shell.warn(
        `${style[0]}${wrap(line, shell.columns() - 1).join("\n")}${style[1]}\n`,
      );
    }
    return result;
  },
);

/** The whole answer at once, with progress until it is there. */
const whole = Effect.fnUntraced(function* (
  model: Pick<Model, "chat">,
  request: ChatRequest,
): Effect.fn.Return<ChatResult, Fault, Shell> {
  const shell = yield* Shell;
  const progress = runProgress();
  const painter = makePainter(shell);
  return yield* attempt((signal) =>
    model.chat({
      ...request,
      signal,
      onEvent: (event) => {
        progress.observe(event);
        painter.paint(progress.line);
      },
    })
  ).pipe(Effect.ensuring(Effect.sync(painter.clear)));
});

/** The answer as it comes, stripped of what could steer the terminal. */
const stream = Effect.fnUntraced(function* (
  model: Pick<Model, "chatStream">,
  request: ChatRequest,
): Effect.fn.Return<ChatResult, Fault, Shell> {
  const shell = yield* Shell;
  const progress = runProgress();
  const painter = makePainter(shell);
  let started = false;
  let unfinishedLine = false;
  return yield* attempt(async (signal) => {
    const answer = model.chatStream({
      ...request,
      signal,
      onEvent: (event) => {
        progress.observe(event);
        if (!started) painter.paint(progress.line);
      },
    });
    // Both reject when the run fails; one of them is waited for below.
    answer.result.catch(() => {});
    for await (const delta of answer) {
      const text = printable(started ? delta : delta.trimStart());
      if (text === "") continue;
      if (!started) painter.clear();
      started = true;
      unfinishedLine = !text.endsWith("\n");
      await Effect.runPromise(shell.write(text));
    }
    const result = await answer.result;
    if (!started && result.response !== "") {
      painter.clear();
      unfinishedLine = true;
      await Effect.runPromise(shell.write(printable(result.response)));
    }
    return result;
  }).pipe(Effect.ensuring(Effect.suspend(() => {
    painter.clear();
    return unfinishedLine ? Effect.ignore(shell.write("\n")) : Effect.void;
  })));
});

/** Says that a run could not be recorded, where that is so. */
export function warnUnrecorded(
  shell: Shell,
  error: { readonly message: string } | undefined,
): void {
  if (error === undefined) return;
  shell.warn(`tessera: the run was not recorded: ${oneLine(error.message)}\n`);
}

/** A line of figures about an answer. */
export function figures(result: ChatResult, ms: number): string {
  const { promptTokens, imageTokens, completionTokens } = result.usage;
  const decodeMs = result.timings.decode ?? 0;
  // The first token comes with the prefill.
  const perSecond = completionTokens > 1 && decodeMs > 0
    ? ` (${((completionTokens - 1) / decodeMs * 1000).toFixed(0)} a second)`
    : "";
  return `${duration(ms)}: ${count(promptTokens)} prompt tokens` +
    (imageTokens > 0 ? ` (${count(imageTokens)} of pictures)` : "") +
    `, ${plural(completionTokens, "token")}${perSecond}` +
    (result.finishReason === "length" ? ", cut at --max-new-tokens" : "");
}
