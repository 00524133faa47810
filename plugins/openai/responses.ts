/**
 * `/v1/responses`: the newer API, answered by what answers chats, and kept for later rounds.
 * @module
 */
import { Effect, type Scope } from "effect";
import { HttpServerRequest } from "effect/http/HttpServerRequest";
import type * as HttpServerResponse from "effect/http/HttpServerResponse";
import type { Usage } from "../../nodes/mod.ts";
import { answerAll, type AnswerEvent, answerEvents } from "./ask.ts";
import { prepareChat, type Prepared, readAnswer, usageOf } from "./chat.ts";
import { type ApiError, unsupported } from "./errors.ts";
import { logprobEntries, logprobEntry } from "./logprobs.ts";
import { ServerParts } from "./parts.ts";
import type { ModelPool } from "./pool.ts";
import { RequestInfo } from "./request_info.ts";
import type {
  AnswerToolCall,
  ChatMessage,
  ChatRequest,
  LogprobEntry,
  UserPart,
} from "./schema/chat.ts";
import type {
  InputPart,
  OutputItem,
  ResponseBody,
  ResponseDeleted,
  ResponsesRequest,
  SaidItem,
} from "./schema/responses.ts";
import { sseEvent, sseResponse } from "./sse.ts";
import { makeCallReader } from "./tools.ts";

const id = (prefix: string): string =>
  `${prefix}_${crypto.randomUUID().replaceAll("-", "")}`;

const words = (content: string | readonly InputPart[]): string =>
  typeof content === "string"
    ? content
    : content.map((part) =>
      part.type === "refusal"
        ? part.refusal
        : part.type === "input_image"
        ? ""
        : part.text
    ).join("\n");

const userParts = (content: readonly InputPart[]): UserPart[] =>
  content.map((part) =>
    part.type === "input_image"
      ? {
        type: "image_url",
        image_url: { url: part.image_url, detail: part.detail ?? null },
      }
      : {
        type: "text",
        text: part.type === "refusal" ? part.refusal : part.text,
      }
  );

/** The input as messages of a chat; a call and what is said with it are one message. */
function messagesOf(
  input: readonly SaidItem[],
  instructions: string | null | undefined,
): ChatMessage[] {
  const messages: ChatMessage[] = [];
  if (instructions != null) {
    messages.push({ role: "system", content: instructions });
  }
  for (const item of input) messages.push(messageOf(item, messages));
  return messages;
}

function messageOf(item: SaidItem, before: ChatMessage[]): ChatMessage {
  if (!("role" in item)) {
    if (item.type === "function_call_output") {
      return {
        role: "tool",
        tool_call_id: item.call_id,
        content: words(item.output),
      };
    }
    const call = {
      id: item.call_id,
      type: "function" as const,
      function: { name: item.name, arguments: item.arguments },
    };
    const last = before.at(-1);
    if (last?.role === "assistant") {
      before.pop();
      return { ...last, tool_calls: [...last.tool_calls ?? [], call] };
    }
    return { role: "assistant", content: null, tool_calls: [call] };
  }
  const { role, content } = item;
  switch (role) {
    case "user":
      return {
        role,
        content: typeof content === "string" ? content : userParts(content),
      };
    default:
      return { role, content: words(content) };
  }
}

/** The request as one of a chat; `input` is all that was said, earlier rounds included. */
function chatRequest(
  request: ResponsesRequest,
  input: readonly SaidItem[],
): ChatRequest {
  const {
    input: _input,
    previous_response_id: _previous,
    store: _store,
    instructions,
    text,
    tools,
    tool_choice: choice,
    max_output_tokens: maxTokens,
    stream: _stream,
    stream_options: _options,
    include,
    top_logprobs: top,
    truncation: _truncation,
    max_tool_calls: _maxToolCalls,
    background: _background,
    conversation: _conversation,
    prompt: _prompt,
    reasoning: _reasoning,
    ...rest
  } = request;
  const format = text?.format;
  return {
    ...rest,
    messages: messagesOf(input, instructions) as never,
    max_completion_tokens: maxTokens ?? null,
    // Asking for the most likely tokens asks for probabilities, too.
    ...(include?.includes("message.output_text.logprobs") || top != null
      ? { logprobs: true, top_logprobs: top ?? 0 }
      : {}),
    response_format: format?.type === "json_schema"
      ? { type: "json_schema", json_schema: { schema: format.schema } }
      : format ?? null,
    tools: tools?.map(({ type, ...f }) => ({ type, function: f })) ?? null,
    tool_choice: typeof choice === "object" && choice !== null
      ? { type: "function", function: { name: choice.name } }
      // Said without tools it is the default, which agents write out.
      : choice === "auto" && (tools ?? []).length === 0
      ? null
      : choice ?? null,
  };
}

const textItem = (
  itemId: string,
  text: string,
  cut: boolean,
  logprobs?: readonly LogprobEntry[],
): OutputItem & { readonly type: "message" } => ({
  type: "message",
  id: itemId,
  status: cut ? "incomplete" : "completed",
  role: "assistant",
  content: [{
    type: "output_text",
    text,
    annotations: [],
    ...(logprobs === undefined ? {} : { logprobs }),
  }],
});

const callItem = (call: AnswerToolCall): OutputItem & {
  readonly type: "function_call";
} => ({
  type: "function_call",
  id: id("fc"),
  status: "completed",
  call_id: call.id,
  name: call.function.name,
  arguments: call.function.arguments,
});

function bodyOf(
  request: ResponsesRequest,
  prepared: Prepared,
  store: boolean,
): ResponseBody {
  return {
    id: id("resp"),
    object: "response",
    created_at: Math.floor(Date.now() / 1000),
    status: "in_progress",
    incomplete_details: null,
    error: null,
    instructions: request.instructions ?? null,
    max_output_tokens: request.max_output_tokens ?? null,
    model: prepared.ask.model.id,
    output: [],
    parallel_tool_calls: request.parallel_tool_calls ?? true,
    previous_response_id: request.previous_response_id ?? null,
    store,
    temperature: request.temperature ?? null,
    top_p: request.top_p ?? null,
    text: { format: request.text?.format ?? { type: "text" } },
    tool_choice: request.tool_choice ?? "auto",
    tools: request.tools ?? [],
    metadata: request.metadata ?? {},
    usage: null,
  };
}

function finished(
  body: ResponseBody,
  output: readonly OutputItem[],
  usage: Usage,
  cut: boolean,
): ResponseBody {
  const counts = usageOf([usage]);
  return {
    ...body,
    status: cut ? "incomplete" : "completed",
    incomplete_details: cut ? { reason: "max_output_tokens" } : null,
    output,
    usage: {
      input_tokens: counts.prompt_tokens,
      input_tokens_details: {
        cached_tokens: counts.prompt_tokens_details.cached_tokens,
      },
      output_tokens: counts.completion_tokens,
      output_tokens_details: { reasoning_tokens: 0 },
      total_tokens: counts.total_tokens,
    },
  };
}

/** Answers a request: with one object, or with a stream of named events. */
export const answerResponses: (
  request: ResponsesRequest,
) => Effect.Effect<
  ResponseBody | HttpServerResponse.HttpServerResponse,
  ApiError,
  ModelPool | ServerParts | Scope.Scope | HttpServerRequest
> = Effect.fnUntraced(function* (request: ResponsesRequest) {
  const { kept } = yield* ServerParts;
  const { owner } = yield* RequestInfo;
  const { input: given, previous_response_id: previous } = request;
  const input = yield* looking((): readonly SaidItem[] =>
    typeof given === "string"
      ? [{ role: "user", content: given }]
      // What is kept is whole: the item itself, however long the one it came from will be there.
      : given.map((item) =>
        "type" in item && item.type === "item_reference"
          ? kept.item(item.id, owner) as SaidItem
          : item
      )
  );
  const before = previous == null
    ? []
    : yield* looking(() =>
      kept.transcript(previous, owner) as readonly SaidItem[]
    );
  const prepared = yield* prepareChat(
    chatRequest(request, [...before, ...input]),
  );
  const store = request.store !== false && kept.enabled;
  const keep = (response: ResponseBody): ResponseBody => {
    const { id, output } = response;
    if (store) {
      kept.put({
        id,
        previous: previous ?? null,
        owner,
        response,
        items: [...input, ...output],
        named: new Map(output.map((item) => [item.id, item])),
      });
    }
    return response;
  };
  const body = bodyOf(request, prepared, store);
  if (request.stream === true) return yield* stream(prepared, body, keep);
  const [answer] = yield* answerAll(prepared.ask);
  const { completion } = answer!;
  const { text, calls } = readAnswer(completion.text, prepared);
  const cut = completion.finishReason === "length";
  const output: OutputItem[] = [
    ...(text === "" && calls.length > 0 ? [] : [textItem(
      id("msg"),
      text,
      cut,
      prepared.logprobs ? logprobEntries(completion) : undefined,
    )]),
    ...calls.map(callItem),
  ];
  return keep(finished(body, output, completion.usage, cut));
});

const looking = <A>(look: () => A): Effect.Effect<A, ApiError> =>
  Effect.try({ try: look, catch: (error) => error as ApiError });

/** An answer that was kept. */
export const keptResponse = (
  id: string,
): Effect.Effect<ResponseBody, ApiError, ServerParts | HttpServerRequest> =>
  Effect.gen(function* () {
    const { kept } = yield* ServerParts;
    const { owner } = yield* RequestInfo;
    const { url } = yield* HttpServerRequest;
    return yield* looking(() => {
      const query = new URLSearchParams(url.split("?")[1]);
      if (query.get("stream") === "true") {
        throw unsupported(
          "stream",
          "an answer that was kept is not streamed; leave stream out",
        );
      }
      return kept.get(id, owner) as ResponseBody;
    });
  });

/** Forgets an answer. */
export const forgetResponse = (
  id: string,
): Effect.Effect<typeof ResponseDeleted.Type, ApiError, ServerParts> =>
  Effect.gen(function* () {
    const { kept } = yield* ServerParts;
    const { owner } = yield* RequestInfo;
    yield* looking(() => kept.delete(id, owner));
    return { id, object: "response", deleted: true };
  });

const stream = Effect.fnUntraced(function* (
  prepared: Prepared,
  body: ResponseBody,
  keep: (response: ResponseBody) => ResponseBody,
) {
  let sequence = 0;
  const send = (type: string, fields: object) =>
    sseEvent({ type, sequence_number: sequence++, ...fields }, type);
  const reader = prepared.calls === "marked"
    ? makeCallReader(prepared.tools, prepared.mostCalls)
    : undefined;
  const message = id("msg");
  const output: OutputItem[] = [];
  /** The tokens so far with their probabilities, and how many of them were sent. */
  const tokens: LogprobEntry[] = [];
  let told = 0;
  let text = "";
  let begun = false;
  const place = { item_id: message, output_index: 0, content_index: 0 };
  const part = (said: string) => ({
    type: "output_text",
    text: said,
    annotations: [],
  });
  const start = () => [
    send("response.created", { response: body }),
    send("response.in_progress", { response: body }),
  ];
  const beginText = () => {
    if (begun) return [];
    begun = true;
    return [
      send("response.output_item.added", {
        output_index: 0,
        item: {
          ...textItem(message, "", false),
          status: "in_progress",
          content: [],
        },
      }),
      send("response.content_part.added", { ...place, part: part("") }),
    ];
  };
  const say = (delta: string) => {
    if (delta === "") return [];
    const lines = beginText();
    text += delta;
    const logprobs = tokens.slice(told);
    told = tokens.length;
    return [
      ...lines,
      send("response.output_text.delta", { ...place, delta, logprobs }),
    ];
  };
  const endText = (cut: boolean) => {
    if (!begun) return [];
    const item = textItem(
      message,
      text,
      cut,
      prepared.logprobs ? tokens : undefined,
    );
    output.push(item);
    return [
      send("response.output_text.done", { ...place, text, logprobs: tokens }),
      send("response.content_part.done", { ...place, part: item.content[0] }),
      send("response.output_item.done", { output_index: 0, item }),
    ];
  };
  const call = (asked: AnswerToolCall) => {
    const item = callItem(asked);
    const at = { item_id: item.id, output_index: output.length };
    output.push(item);
    return [
      send("response.output_item.added", {
        output_index: at.output_index,
        item: { ...item, status: "in_progress", arguments: "" },
      }),
      send("response.function_call_arguments.delta", {
        ...at,
        delta: item.arguments,
      }),
      send("response.function_call_arguments.done", {
        ...at,
        name: item.name,
        arguments: item.arguments,
      }),
      send("response.output_item.done", {
        output_index: at.output_index,
        item,
      }),
    ];
  };
  const calls: AnswerToolCall[] = [];
  const take = (parsed: { text: string; calls: readonly AnswerToolCall[] }) => {
    calls.push(...parsed.calls);
    return say(parsed.text);
  };
  let opened = false;
  const feed = (push: (event: AnswerEvent) => void) =>
    answerEvents([prepared.ask], push);
  const read = (event: AnswerEvent) => {
    switch (event.type) {
      case "token":
        tokens.push(logprobEntry(event.token));
        return [];
      case "text":
        return prepared.calls === "forced"
          ? []
          : reader === undefined
          ? say(event.delta)
          : take(reader.push(event.delta));
      case "end": {
        const { completion } = event.answer;
        const cut = completion.finishReason === "length";
        const lines = reader !== undefined
          ? take(reader.end())
          : prepared.calls === "forced"
          ? take(readAnswer(completion.text, prepared))
          : [];
        // An answer of nothing is a message of no words.
        if (calls.length === 0) lines.push(...beginText());
        lines.push(...endText(cut), ...calls.flatMap(call));
        const done = keep(finished(body, output, completion.usage, cut));
        lines.push(
          send(cut ? "response.incomplete" : "response.completed", {
            response: done,
          }),
        );
        return lines;
      }
    }
  };
  return yield* sseResponse<AnswerEvent>(feed, (event) => {
    const before = opened ? [] : start();
    opened = true;
    return [...before, ...read(event)].join("");
  }, {
    sentinel: false,
    failure: (error) =>
      send("response.failed", {
        response: {
          ...body,
          status: "failed",
          error: {
            code: error.fields.code ?? "server_error",
            message: error.message,
          },
        },
      }),
  });
});
