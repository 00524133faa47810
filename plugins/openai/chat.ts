/**
 * `POST /v1/chat/completions`.
 * @module
 */
import { Effect, type Scope } from "effect";
import type { HttpServerRequest } from "effect/http/HttpServerRequest";
import type * as HttpServerResponse from "effect/http/HttpServerResponse";
import type { Usage } from "../../nodes/mod.ts";
import {
  type Answer,
  answerAll,
  type AnswerEvent,
  answerEvents,
  type Ask,
} from "./ask.ts";
import { type ApiError, invalid, settingNames, unsupported } from "./errors.ts";
import { logprobEntries, logprobEntry } from "./logprobs.ts";
import { resolveImage, resolveVideo } from "./media/resolve.ts";
import { mapMessages } from "./messages.ts";
import { ServerParts } from "./parts.ts";
import type { ModelPool } from "./pool.ts";
import { useModel } from "./request_info.ts";
import type {
  AnswerToolCall,
  ChatChunk,
  ChatCompletion,
  ChatFinishReason,
  ChatRequest,
  LogprobEntry,
  ResponseFormat,
  Tool,
} from "./schema/chat.ts";
import { type Constraint, settingsOf } from "./settings.ts";
import { sseEvent, sseResponse, sseTemplate } from "./sse.ts";
import { callConstraint, makeCallReader, parseCall } from "./tools.ts";

/** How calls of functions stand in an answer: nowhere, between words, or as all of it. */
type Calls = "none" | "marked" | "forced";

/** A request that has been understood. */
export interface Prepared {
  readonly ask: Ask;
  readonly tools: readonly Tool[];
  readonly calls: Calls;
  /** Most calls of one answer. */
  readonly mostCalls: number;
  readonly logprobs: boolean;
}

function constraintOf(
  format: ResponseFormat | null | undefined,
): Constraint | undefined {
  switch (format?.type) {
    case undefined:
    case "text":
      return undefined;
    case "json_object":
      return { type: "json_object" };
    case "json_schema":
      return { type: "json_schema", schema: format.json_schema.schema };
    case "regex":
      return { type: "regex", pattern: format.regex };
    case "regex_schema":
      return { type: "regex", pattern: format.regex_schema };
    case "choice":
      return { type: "choice", choices: format.choices };
  }
}

/** Which functions the answer may or must call. */
function toolsOf(
  { tools: given, tool_choice: choice }: ChatRequest,
): { readonly tools: readonly Tool[]; readonly calls: Calls } {
  const tools = given ?? [];
  if (choice == null || choice === "none" || choice === "auto") {
    if (choice === "auto" && tools.length === 0) {
      throw invalid("tool_choice", "tool_choice needs tools");
    }
    return tools.length === 0 || choice === "none"
      ? { tools: [], calls: "none" }
      : { tools, calls: "marked" };
  }
  if (tools.length === 0) {
    throw invalid("tool_choice", "tool_choice needs tools");
  }
  if (choice === "required") return { tools, calls: "forced" };
  const one = tools.filter(({ function: f }) =>
    f.name === choice.function.name
  );
  if (one.length === 0) {
    throw invalid(
      "tool_choice",
      `tool_choice names ${choice.function.name}, which is none of the tools`,
    );
  }
  return { tools: one, calls: "forced" };
}

/** Answers a request: with one object, or with a stream. */
export const answerChat: (
  request: ChatRequest,
) => Effect.Effect<
  ChatCompletion | HttpServerResponse.HttpServerResponse,
  ApiError,
  ModelPool | ServerParts | Scope.Scope | HttpServerRequest
> = Effect.fnUntraced(function* (request: ChatRequest) {
  const prepared = yield* prepareChat(request);
  return request.stream === true
    ? yield* chatStream(
      prepared,
      request.stream_options?.include_usage === true,
    )
    : yield* chatCompletion(prepared);
});

/** Understands a request: what is asked, with the media loaded. */
export const prepareChat: (
  request: ChatRequest,
) => Effect.Effect<
  Prepared,
  ApiError,
  ModelPool | ServerParts | Scope.Scope
> = Effect.fnUntraced(function* (request: ChatRequest) {
  const { limits, media } = yield* ServerParts;
  const plan = yield* Effect.try({
    try: () => planOf(request, limits),
    catch: (error) => error as ApiError,
  });
  const model = yield* useModel(request.model);
  const load = <A, B, E, R>(
    list: readonly A[],
    read: (item: A) => Effect.Effect<B, E, R>,
  ) => Effect.forEach(list, read, { concurrency: 4 });
  const picture = (reference: { url: string; param: string }) =>
    resolveImage(reference, media, limits);
  const { mapped, tiling } = plan;
  const ask: Ask = {
    model,
    question: {
      type: "converse",
      conversation: mapped.conversation,
      images: yield* load(mapped.images, picture),
      small: yield* load(mapped.small, picture),
      videos: yield* load(
        mapped.videos,
        (video) => resolveVideo(video, media, limits),
      ),
      tiling,
      params: new Set(
        [...mapped.images, ...mapped.small, ...mapped.videos].map((
          { param },
        ) => param),
      ),
    },
    settings: plan.settings,
    // What an answer that is a call must look like was said by the functions.
    ...(plan.calls === "forced"
      ? { names: { ...settingNames, constraint: "tools" } }
      : {}),
    choices: plan.choices,
    timeoutMs: limits.requestTimeoutMs,
  };
  return {
    ask,
    tools: plan.tools,
    calls: plan.calls,
    mostCalls: request.parallel_tool_calls === false ? 1 : Infinity,
    logprobs: request.logprobs === true,
  };
});

/** Everything that can be said about a request without a model. */
function planOf(request: ChatRequest, limits: ServerParts["limits"]) {
  const choices = request.n ?? 1;
  if (choices > limits.maxChoices) {
    throw invalid("n", `n: at most ${limits.maxChoices} answers are made`);
  }
  if (request.top_logprobs != null && request.logprobs !== true) {
    throw invalid("top_logprobs", "top_logprobs needs logprobs: true");
  }
  const { tools, calls } = toolsOf(request);
  const format = constraintOf(request.response_format);
  // Where a call is forced there are no words that the format could be for.
  if (format !== undefined && calls === "marked") {
    throw unsupported(
      "response_format",
      'response_format is not supported where the model decides about tools; leave one out, or give tool_choice "required", "none" or a function',
    );
  }
  const { max_dynamic_patch: maxTiles, min_dynamic_patch: minTiles } =
    request.mm_processor_kwargs ?? {};
  if (maxTiles != null && minTiles != null && minTiles > maxTiles) {
    throw invalid(
      "mm_processor_kwargs.min_dynamic_patch",
      `min_dynamic_patch ${minTiles} is more than max_dynamic_patch ${maxTiles}`,
    );
  }
  const constraint = calls === "forced" ? callConstraint(tools) : format;
  const stops = [request.stop ?? []].flat().some((text) => text !== "");
  if (format !== undefined && calls === "none" && stops) {
    throw unsupported(
      "stop",
      "stop is not supported beside response_format, which says where the answer ends; leave one out",
    );
  }
  const settings = settingsOf(
    calls === "marked"
      ? { ...request, skip_special_tokens: false }
      // As with the format: there are no words before which to stop.
      : calls === "forced"
      ? { ...request, stop: null }
      : request,
    {
      maxTokens: request.max_completion_tokens ?? request.max_tokens,
      choices,
      ...(request.logprobs === true
        ? { logprobs: request.top_logprobs ?? 0 }
        : {}),
      ...(constraint === undefined ? {} : { constraint }),
    },
    limits,
  );
  const mapped = mapMessages(
    request.messages,
    tools,
    request.continue_final_message === true,
    limits,
  );
  const tiling = {
    ...(maxTiles == null ? {} : { maxTiles }),
    ...(minTiles == null ? {} : { minTiles }),
  };
  return { choices, tools, calls, settings, mapped, tiling };
}

/** Token counts of all answers; they share their prompt. */
export function usageOf(all: readonly Usage[]) {
  const prompt = all[0]?.promptTokens ?? 0;
  const completion = all.reduce((sum, u) => sum + u.completionTokens, 0);
  return {
    prompt_tokens: prompt,
    completion_tokens: completion,
    total_tokens: prompt + completion,
    prompt_tokens_details: {
      cached_tokens: all[0]?.cachedTokens ?? 0,
      image_tokens: all[0]?.imageTokens ?? 0,
    },
  };
}

/** The fields that every part of an answer carries. */
export function envelopeOf(ask: Ask, prefix: string) {
  return {
    id: `${prefix}-${crypto.randomUUID().replaceAll("-", "")}`,
    created: Math.floor(Date.now() / 1000),
    model: ask.model.id,
    system_fingerprint: `fp_${ask.model.info.digest.slice(0, 10)}`,
  };
}

/** Words and calls of a whole answer. */
export function readAnswer(
  text: string,
  { tools, calls, mostCalls }: Pick<Prepared, "tools" | "calls" | "mostCalls">,
): { readonly text: string; readonly calls: readonly AnswerToolCall[] } {
  if (calls === "none") return { text, calls: [] };
  if (calls === "forced") {
    const call = parseCall(text, tools);
    return call === undefined
      ? { text, calls: [] }
      : { text: "", calls: [call] };
  }
  const reader = makeCallReader(tools, mostCalls);
  const first = reader.push(text), last = reader.end();
  return {
    text: (first.text + last.text).trim(),
    calls: [...first.calls, ...last.calls],
  };
}

const finishOf = (
  answer: Answer,
  calls: number,
): ChatFinishReason =>
  calls > 0 ? "tool_calls" : answer.completion.finishReason;

/** The whole answer as one object. */
const chatCompletion = (
  prepared: Prepared,
): Effect.Effect<ChatCompletion, ApiError> =>
  Effect.map(answerAll(prepared.ask), (answers) => ({
    ...envelopeOf(prepared.ask, "chatcmpl"),
    object: "chat.completion" as const,
    choices: answers.map((answer, index) => {
      const { text, calls } = readAnswer(answer.completion.text, prepared);
      return {
        index,
        message: {
          role: "assistant" as const,
          content: text === "" && calls.length > 0 ? null : text,
          refusal: null,
          ...(calls.length === 0 ? {} : { tool_calls: calls }),
        },
        logprobs: prepared.logprobs
          ? { content: logprobEntries(answer.completion) }
          : null,
        finish_reason: finishOf(answer, calls.length),
      };
    }),
    usage: usageOf(answers.map(({ completion }) => completion.usage)),
  }));

/** The answer as a stream of its parts. */
const chatStream: (
  prepared: Prepared,
  includeUsage: boolean,
) => Effect.Effect<
  HttpServerResponse.HttpServerResponse,
  ApiError,
  Scope.Scope | HttpServerRequest | ServerParts
> = Effect.fnUntraced(function* (prepared: Prepared, includeUsage: boolean) {
  const envelope = {
    ...envelopeOf(prepared.ask, "chatcmpl"),
    object: "chat.completion.chunk" as const,
  };
  const writers = Array.from(
    { length: prepared.ask.choices },
    () => makeChoiceWriter(prepared),
  );
  const usages: Usage[] = [];
  const chunk = sseTemplate(
    envelope,
    "choices",
    includeUsage ? { usage: null } : {},
  );
  return yield* sseResponse<AnswerEvent>(
    (push) => answerEvents([prepared.ask], push),
    (event) => {
      let lines = "";
      for (const part of writers[event.choice]!.write(event)) {
        lines += chunk([{ index: event.choice, ...part }]);
      }
      if (event.type !== "end") return lines;
      usages.push(event.answer.completion.usage);
      return includeUsage && usages.length === writers.length
        ? lines + sseEvent({ ...envelope, choices: [], usage: usageOf(usages) })
        : lines;
    },
  );
});

type ChunkPart = Omit<ChatChunk["choices"][number], "index">;

/** Writes the parts of one answer. */
function makeChoiceWriter(
  { tools, calls, mostCalls, logprobs }: Prepared,
): { readonly write: (event: AnswerEvent) => ChunkPart[] } {
  const reader = calls === "marked"
    ? makeCallReader(tools, mostCalls)
    : undefined;
  let begun = false;
  let held = "";
  let called = 0;
  let tokens: LogprobEntry[] = [];
  const part = (
    delta: ChunkPart["delta"],
    finish: ChatFinishReason | null = null,
  ): ChunkPart => {
    const content = tokens;
    tokens = [];
    return {
      delta,
      logprobs: logprobs && content.length > 0 ? { content } : null,
      finish_reason: finish,
    };
  };
  const say = (
    text: string,
    asked: readonly AnswerToolCall[],
  ): ChunkPart[] => [
    ...(text === "" ? [] : [part({ content: text })]),
    ...asked.map((call) =>
      part({ tool_calls: [{ index: called++, ...call }] })
    ),
  ];
  const read = (event: AnswerEvent): ChunkPart[] => {
    switch (event.type) {
      case "token":
        tokens.push(logprobEntry(event.token));
        return [];
      case "text": {
        if (calls === "forced") {
          held += event.delta;
          return [];
        }
        if (reader === undefined) return [part({ content: event.delta })];
        const { text, calls: asked } = reader.push(event.delta);
        return say(text, asked);
      }
      case "end": {
        let last: ChunkPart[] = [];
        if (reader !== undefined) {
          const { text, calls: asked } = reader.end();
          last = say(text, asked);
        } else if (calls === "forced") {
          const call = parseCall(held, tools);
          last = call === undefined ? say(held, []) : say("", [call]);
        }
        return [...last, part({}, finishOf(event.answer, called))];
      }
    }
  };
  return {
    write: (event) => {
      const parts = read(event);
      if (begun || parts.length === 0) return parts;
      begun = true;
      const first: ChunkPart = {
        // As OpenAI's API has it: an answer that begins with a call has no words.
        delta: {
          role: "assistant",
          content: parts[0]!.delta.tool_calls === undefined ? "" : null,
        },
        logprobs: null,
        finish_reason: null,
      };
      return [first, ...parts];
    },
  };
}
