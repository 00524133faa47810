/**
 * `POST /v1/chat/completions`: the request and the answer.
 * @module
 */
import { Schema } from "effect";
import {
  absent,
  between,
  harmless,
  ignored,
  JsonSchema,
  mostTokens,
  MultimodalOptions,
  Name,
  opt,
  sampling,
  StreamOptions,
  UsageBody,
  whole,
} from "./common.ts";

const TextPart = Schema.Struct({
  type: Schema.Literal("text"),
  text: Schema.String,
});

const ImagePart = Schema.Struct({
  type: Schema.Literal("image_url"),
  image_url: Schema.Struct({
    url: Schema.String,
    detail: opt(Schema.Literals(["auto", "low", "high"])),
  }),
});

const VideoPart = Schema.Struct({
  type: Schema.Literal("video_url"),
  video_url: Schema.Struct({
    url: Schema.String,
    num_frames: opt(whole(1, 4096)),
    start: opt(between(0, 1e7)),
    end: opt(between(0, 1e7)),
  }),
});

const Texts = Schema.Union([Schema.String, Schema.Array(TextPart)]);

const ToolCall = Schema.Struct({
  id: Schema.String,
  type: opt(Schema.Literal("function")),
  function: Schema.Struct({
    name: Name,
    arguments: Schema.String,
    parsed_arguments: ignored,
  }),
  index: ignored,
});

// One role each, so that a wrong message is told what its own role wants.
const SystemMessage = Schema.Struct({
  role: Schema.Literal("system"),
  content: Texts,
  name: ignored,
});

const DeveloperMessage = Schema.Struct({
  role: Schema.Literal("developer"),
  content: Texts,
  name: ignored,
});

const UserMessage = Schema.Struct({
  role: Schema.Literal("user"),
  content: Schema.Union([
    Schema.String,
    Schema.Array(Schema.Union([TextPart, ImagePart, VideoPart])),
  ]),
  name: opt(Name),
});

// Clients send answers back as they hold them, with fields that only other servers fill, and with what their
// helpers read in them.
const AssistantMessage = Schema.Struct({
  role: Schema.Literal("assistant"),
  content: opt(Texts),
  tool_calls: opt(Schema.Array(ToolCall)),
  name: ignored,
  refusal: ignored,
  annotations: ignored,
  audio: ignored,
  reasoning_content: ignored,
  parsed: ignored,
  function_call: Schema.optionalKey(Schema.Null),
});

const ToolMessage = Schema.Struct({
  role: Schema.Literal("tool"),
  content: Texts,
  tool_call_id: Schema.String,
  name: ignored,
});

/** A message of a request. */
export const ChatMessage = Schema.Union([
  SystemMessage,
  DeveloperMessage,
  UserMessage,
  AssistantMessage,
  ToolMessage,
]);

/** A message of a request. */
export type ChatMessage = typeof ChatMessage.Type;

/** A part of a user's message. */
export type UserPart = Exclude<
  typeof UserMessage.Type["content"],
  string
>[number];

/** A function that the model may ask for. */
export const Tool = Schema.Struct({
  type: Schema.Literal("function"),
  function: Schema.Struct({
    name: Name,
    description: opt(Schema.String),
    parameters: opt(JsonSchema),
    strict: opt(Schema.Boolean),
  }),
});

/** A function that the model may ask for. */
export type Tool = typeof Tool.Type;

/** Whether and which function must be asked for. */
export const ToolChoice = Schema.Union([
  Schema.Literals(["none", "auto", "required"]),
  Schema.Struct({
    type: Schema.Literal("function"),
    function: Schema.Struct({ name: Name }),
  }),
]);

/** What the answer must look like. */
export const ResponseFormat = Schema.Union([
  Schema.Struct({ type: Schema.Literal("text") }),
  Schema.Struct({ type: Schema.Literal("json_object") }),
  Schema.Struct({
    type: Schema.Literal("json_schema"),
    json_schema: Schema.Struct({
      name: opt(Schema.String),
      description: opt(Schema.String),
      schema: JsonSchema,
      strict: opt(Schema.Boolean),
    }),
  }),
  Schema.Struct({ type: Schema.Literal("regex"), regex: Schema.String }),
  Schema.Struct({
    type: Schema.Literal("regex_schema"),
    regex_schema: Schema.String,
  }),
  Schema.Struct({
    type: Schema.Literal("choice"),
    choices: Schema.Array(Schema.String),
  }),
]);

/** What the answer must look like. */
export type ResponseFormat = typeof ResponseFormat.Type;

/** The request. */
export const ChatRequest = Schema.Struct({
  model: Schema.String,
  messages: Schema.NonEmptyArray(ChatMessage),
  ...sampling,
  max_tokens: opt(whole(1, mostTokens)),
  max_completion_tokens: opt(whole(1, mostTokens)),
  n: opt(whole(1, 128)),
  logprobs: opt(Schema.Boolean),
  top_logprobs: opt(whole(0, 20)),
  response_format: opt(ResponseFormat),
  tools: opt(Schema.Array(Tool)),
  tool_choice: opt(ToolChoice),
  parallel_tool_calls: opt(Schema.Boolean),
  stream: opt(Schema.Boolean),
  stream_options: opt(StreamOptions),
  mm_processor_kwargs: opt(MultimodalOptions),
  continue_final_message: opt(Schema.Boolean),
  reasoning_effort: absent,
  verbosity: absent,
  prediction: absent,
  web_search_options: absent,
  audio: absent,
  functions: absent,
  function_call: absent,
  modalities: opt(Schema.Array(Schema.Literal("text"))),
  ...harmless,
}).annotate({ identifier: "ChatCompletionRequest" });

/** The request. */
export type ChatRequest = typeof ChatRequest.Type;

const LogprobBase = {
  token: Schema.String,
  logprob: Schema.Finite,
  bytes: Schema.NullOr(Schema.Array(Schema.Int)),
};

/** A token with its probability. */
export const LogprobEntry = Schema.Struct({
  ...LogprobBase,
  top_logprobs: Schema.Array(Schema.Struct(LogprobBase)),
});

/** A token with its probability. */
export type LogprobEntry = typeof LogprobEntry.Type;

const Logprobs = Schema.NullOr(Schema.Struct({
  content: Schema.Array(LogprobEntry),
}));

const FinishReason = Schema.Literals(["stop", "length", "tool_calls"]);

/** Why an answer ended. */
export type ChatFinishReason = typeof FinishReason.Type;

const AnswerToolCall = Schema.Struct({
  id: Schema.String,
  type: Schema.Literal("function"),
  function: Schema.Struct({ name: Schema.String, arguments: Schema.String }),
});

/** A function that the model asks for. */
export type AnswerToolCall = typeof AnswerToolCall.Type;

const envelope = {
  id: Schema.String,
  created: Schema.Int,
  model: Schema.String,
  system_fingerprint: Schema.String,
};

/** The answer. */
export const ChatCompletion = Schema.Struct({
  ...envelope,
  object: Schema.Literal("chat.completion"),
  choices: Schema.Array(Schema.Struct({
    index: Schema.Int,
    message: Schema.Struct({
      role: Schema.Literal("assistant"),
      content: Schema.NullOr(Schema.String),
      refusal: Schema.Null,
      tool_calls: Schema.optionalKey(Schema.Array(AnswerToolCall)),
    }),
    logprobs: Logprobs,
    finish_reason: FinishReason,
  })),
  usage: UsageBody,
}).annotate({ identifier: "ChatCompletion" });

/** The answer. */
export type ChatCompletion = typeof ChatCompletion.Type;

/** A part of a streamed answer. */
export const ChatChunk = Schema.Struct({
  ...envelope,
  object: Schema.Literal("chat.completion.chunk"),
  choices: Schema.Array(Schema.Struct({
    index: Schema.Int,
    delta: Schema.Struct({
      role: Schema.optionalKey(Schema.Literal("assistant")),
      content: Schema.optionalKey(Schema.NullOr(Schema.String)),
      tool_calls: Schema.optionalKey(Schema.Array(Schema.Struct({
        index: Schema.Int,
        ...AnswerToolCall.fields,
      }))),
    }),
    logprobs: Logprobs,
    finish_reason: Schema.NullOr(FinishReason),
  })),
  usage: Schema.optionalKey(Schema.NullOr(UsageBody)),
}).annotate({ identifier: "ChatCompletionChunk" });

/** A part of a streamed answer. */
export type ChatChunk = typeof ChatChunk.Type;
