/**
 * `POST /v1/completions`: goes on with a text, without a template. And `POST /tokenize`, `/detokenize`.
 * @module
 */
import { Effect, type Scope } from "effect";
import type { HttpServerRequest } from "effect/http/HttpServerRequest";
import type * as HttpServerResponse from "effect/http/HttpServerResponse";
import {
  PromptRenderer,
  type PromptValue,
  TextTokenizer,
  type Usage,
} from "../../nodes/mod.ts";
import {
  type Answer,
  answerAll,
  type AnswerEvent,
  answerEvents,
  type Ask,
  serviceOf,
} from "./ask.ts";
import { envelopeOf, usageOf } from "./chat.ts";
import { type ApiError, fromRunError, invalid, unsupported } from "./errors.ts";
import { logprobEntries, logprobEntry } from "./logprobs.ts";
import { mapMessages } from "./messages.ts";
import { ServerParts } from "./parts.ts";
import type { ModelPool, ServedModel } from "./pool.ts";
import { useModel } from "./request_info.ts";
import type { LogprobEntry } from "./schema/chat.ts";
import type {
  CompletionBody,
  CompletionLogprobs,
  CompletionRequest,
  DetokenizeRequest,
  TokenizeRequest,
} from "./schema/completions.ts";
import { settingsOf } from "./settings.ts";
import { sseEvent, sseResponse, sseTemplate } from "./sse.ts";

type Requirements =
  | ModelPool
  | ServerParts
  | Scope.Scope
  | HttpServerRequest;

/** The texts to go on with. */
function promptsOf(
  prompt: CompletionRequest["prompt"],
  model: ServedModel,
): readonly PromptValue[] {
  const { encode, decode, tokenOf, vocabSize } = serviceOf(
    model,
    TextTokenizer,
  );
  const ofText = (text: string): PromptValue =>
    ofIds([...encode(text, { bos: true })], text);
  const ofIds = (ids: readonly number[], text?: string): PromptValue => {
    if (ids.length === 0) throw invalid("prompt", "prompt: it is empty");
    for (const id of ids) {
      if (id >= vocabSize || tokenOf(id) === "<IMG_CONTEXT>") {
        throw invalid("prompt", `prompt: token ${id} cannot stand in a text`);
      }
    }
    return {
      text: text ?? decode(ids, { special: true }),
      ids: Int32Array.from(ids),
      images: [],
      question: text ?? "",
      continues: true,
    };
  };
  if (typeof prompt === "string") return [ofText(prompt)];
  if (prompt.length === 0) throw invalid("prompt", "prompt: it is empty");
  if (typeof prompt[0] === "number") {
    return [ofIds(prompt as readonly number[])];
  }
  return (prompt as readonly (string | readonly number[])[]).map((one) =>
    typeof one === "string" ? ofText(one) : ofIds(one)
  );
}

/** Answers a request: with one object, or with a stream. */
export const answerCompletion: (
  request: CompletionRequest,
) => Effect.Effect<
  CompletionBody | HttpServerResponse.HttpServerResponse,
  ApiError,
  Requirements
> = Effect.fnUntraced(function* (request: CompletionRequest) {
  const { limits } = yield* ServerParts;
  const model = yield* useModel(request.model);
  const asks = yield* Effect.try({
    try: (): readonly Ask[] => {
      if (request.echo === true && request.logprobs != null) {
        throw unsupported(
          "echo",
          "echo with logprobs is not supported: the prompt's own are not computed",
        );
      }
      const choices = request.n ?? 1;
      const prompts = promptsOf(request.prompt, model);
      if (choices * prompts.length > limits.maxChoices) {
        throw invalid(
          "n",
          `n: at most ${limits.maxChoices} answers are made, of all prompts together`,
        );
      }
      const settings = settingsOf(request, {
        // The default of OpenAI's older API.
        maxTokens: request.max_tokens ?? 16,
        choices,
        ...(request.logprobs == null ? {} : { logprobs: request.logprobs }),
      }, limits);
      return prompts.map((prompt) => ({
        model,
        question: { type: "complete", prompt },
        settings,
        choices,
        timeoutMs: limits.requestTimeoutMs,
      }));
    },
    catch: (error) => error as ApiError,
  });
  const echoes = asks.flatMap(({ question, choices }) =>
    new Array<string>(choices).fill(
      request.echo === true && question.type === "complete"
        ? question.prompt.text
        : "",
    )
  );
  const envelope = {
    ...envelopeOf(asks[0]!, "cmpl"),
    object: "text_completion" as const,
  };
  const wantsLogprobs = request.logprobs != null;
  if (request.stream === true) {
    return yield* stream(
      asks,
      envelope,
      echoes,
      wantsLogprobs,
      request.stream_options?.include_usage === true,
    );
  }
  const answers = yield* answerAll(...asks);
  return {
    ...envelope,
    choices: answers.map(({ completion }, index) => ({
      index,
      text: echoes[index]! + completion.text,
      logprobs: wantsLogprobs
        ? olderLogprobs(logprobEntries(completion), echoes[index]!.length)
        : null,
      finish_reason: completion.finishReason,
    })),
    usage: sumUsage(asks, answers.map(({ completion }) => completion.usage)),
  };
});

const stream = Effect.fnUntraced(function* (
  asks: readonly Ask[],
  envelope: Omit<CompletionBody, "choices" | "usage">,
  echoes: readonly string[],
  wantsLogprobs: boolean,
  includeUsage: boolean,
) {
  const answers: (Answer | undefined)[] = echoes.map(() => undefined);
  const tokens: LogprobEntry[][] = echoes.map(() => []);
  const offsets = echoes.map(() => 0);
  const begun = echoes.map((echo) => echo === "");
  const encode = sseTemplate(
    envelope,
    "choices",
    includeUsage ? { usage: null } : {},
  );
  const chunk = (
    index: number,
    text: string,
    finish: CompletionBody["choices"][number]["finish_reason"],
  ) => {
    const said = begun[index] ? text : echoes[index]! + text;
    begun[index] = true;
    const logprobs = wantsLogprobs
      ? olderLogprobs(tokens[index]!.splice(0), offsets[index]!)
      : null;
    offsets[index]! += said.length;
    return encode([{ index, text: said, logprobs, finish_reason: finish }]);
  };
  const feed = (push: (event: AnswerEvent) => void) => answerEvents(asks, push);
  return yield* sseResponse<AnswerEvent>(feed, (event) => {
    switch (event.type) {
      case "token":
        tokens[event.choice]!.push(logprobEntry(event.token));
        return "";
      case "text":
        return chunk(event.choice, event.delta, null);
      case "end": {
        const { answer, choice } = event;
        answers[choice] = answer;
        const last = chunk(choice, "", answer.completion.finishReason);
        if (!includeUsage || answers.some((one) => one === undefined)) {
          return last;
        }
        const usage = sumUsage(
          asks,
          answers.map((one) => one!.completion.usage),
        );
        return last + sseEvent({ ...envelope, choices: [], usage });
      }
    }
  });
});

/** Token counts of all prompts and answers. */
function sumUsage(asks: readonly Ask[], usages: readonly Usage[]) {
  const sums = { prompt: 0, completion: 0, cached: 0, image: 0 };
  let at = 0;
  for (const { choices } of asks) {
    const one = usageOf(usages.slice(at, at + choices));
    sums.prompt += one.prompt_tokens;
    sums.completion += one.completion_tokens;
    sums.cached += one.prompt_tokens_details.cached_tokens;
    at += choices;
  }
  return {
    prompt_tokens: sums.prompt,
    completion_tokens: sums.completion,
    total_tokens: sums.prompt + sums.completion,
    prompt_tokens_details: { cached_tokens: sums.cached, image_tokens: 0 },
  };
}

function olderLogprobs(
  entries: readonly LogprobEntry[],
  start: number,
): CompletionLogprobs {
  let offset = start;
  return {
    tokens: entries.map(({ token }) => token),
    token_logprobs: entries.map(({ logprob }) => logprob),
    top_logprobs: entries.map(({ top_logprobs: top }) =>
      Object.fromEntries(top.map(({ token, logprob }) => [token, logprob]))
    ),
    text_offset: entries.map(({ token }) => {
      const at = offset;
      offset += token.length;
      return at;
    }),
  };
}

/** Token ids of a text, or of messages as the template renders them. */
export const tokenize = Effect.fnUntraced(function* (
  request: TokenizeRequest,
) {
  const { limits } = yield* ServerParts;
  const model = yield* useModel(request.model);
  const tokenizer = serviceOf(model, TextTokenizer);
  let ids: Int32Array;
  if (request.prompt != null) {
    ids = tokenizer.encode(request.prompt, {
      bos: request.add_special_tokens !== false,
    });
  } else if (request.messages != null) {
    const { messages, tools } = request;
    const { conversation, images, small, videos } = yield* Effect.try({
      try: () => mapMessages(messages, tools ?? [], false, limits),
      catch: (error) => error as ApiError,
    });
    if (images.length + small.length + videos.length > 0) {
      return yield* Effect.fail(invalid(
        "messages",
        "messages: only those without pictures and videos can be tokenized",
      ));
    }
    const renderer = serviceOf(model, PromptRenderer);
    const prompt = yield* renderer.converse({
      conversation,
      tiles: { images: [], small: [], videos: [] },
    }).pipe(Effect.mapError((error) => fromRunError(error)));
    ids = prompt.ids;
  } else {
    return yield* Effect.fail(
      invalid(
        "prompt",
        "give a prompt or messages",
        "missing_required_parameter",
      ),
    );
  }
  return {
    tokens: [...ids],
    count: ids.length,
    max_model_len: model.info.contextLength,
    token_strs: request.return_token_strs === true
      ? [...ids].map((id) => tokenizer.tokenOf(id) ?? "")
      : null,
  };
});

/** The text of token ids. */
export const detokenize = Effect.fnUntraced(function* (
  request: DetokenizeRequest,
) {
  const model = yield* useModel(request.model);
  const { decode } = serviceOf(model, TextTokenizer);
  return { prompt: decode(request.tokens, { special: true }) };
});
