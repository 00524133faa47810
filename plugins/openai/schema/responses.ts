/**
 * `POST /v1/responses`: OpenAI's newer way to ask.
 * @module
 */
import { Schema } from "effect";
import { LogprobEntry } from "./chat.ts";
import {
  absent,
  harmless,
  ignored,
  JsonSchema,
  mostTokens,
  MultimodalOptions,
  Name,
  notSupported,
  opt,
  sampling,
  whole,
} from "./common.ts";

// One member for each type and each role, so that a mistake is told by what its own kind wants. Answers are
// sent back as clients hold them: with what their helpers read in them.
const textPart = <T extends string>(type: T) =>
  Schema.Struct({
    type: Schema.Literal(type),
    text: Schema.String,
    annotations: ignored,
    logprobs: ignored,
    parsed: ignored,
  });

const TextParts = [
  textPart("input_text"),
  textPart("output_text"),
  textPart("text"),
] as const;

const InputPart = Schema.Union([
  ...TextParts,
  Schema.Struct({
    type: Schema.Literal("input_image"),
    image_url: Schema.String,
    file_id: Schema.optionalKey(Schema.Null),
    detail: opt(Schema.Literals(["auto", "low", "high"])),
  }),
  Schema.Struct({ type: Schema.Literal("refusal"), refusal: Schema.String }),
]);

/** A part of an input message. */
export type InputPart = typeof InputPart.Type;

const messageOf = <R extends string>(role: R) =>
  Schema.Struct({
    role: Schema.Literal(role),
    type: Schema.optionalKey(Schema.Literal("message")),
    id: ignored,
    status: ignored,
    content: Schema.Union([Schema.String, Schema.Array(InputPart)]),
  });

const FunctionCall = Schema.Struct({
  type: Schema.Literal("function_call"),
  id: ignored,
  status: ignored,
  call_id: Schema.String,
  name: Name,
  arguments: Schema.String,
  parsed_arguments: ignored,
});

const FunctionResult = Schema.Struct({
  type: Schema.Literal("function_call_output"),
  id: ignored,
  status: ignored,
  call_id: Schema.String,
  output: Schema.Union([Schema.String, Schema.Array(Schema.Union(TextParts))]),
});

/** Stands for an item of an answer that was kept. */
const ItemReference = Schema.Struct({
  type: Schema.Literal("item_reference"),
  id: Schema.String,
});

/** An item of what is said. */
const SaidItem = Schema.Union([
  messageOf("system"),
  messageOf("developer"),
  messageOf("user"),
  messageOf("assistant"),
  FunctionCall,
  FunctionResult,
]);

/** An item of what is said. */
export type SaidItem = typeof SaidItem.Type;

/** An item of the input: what is said, or where it was said. */
const InputItem = Schema.Union([...SaidItem.members, ItemReference]);

/** An item of the input. */
export type InputItem = typeof InputItem.Type;

const ResponseTool = Schema.Struct({
  type: Schema.Literal("function"),
  name: Name,
  description: opt(Schema.String),
  parameters: opt(JsonSchema),
  strict: opt(Schema.Boolean),
});

const TextFormat = Schema.Union([
  Schema.Struct({ type: Schema.Literal("text") }),
  Schema.Struct({ type: Schema.Literal("json_object") }),
  Schema.Struct({
    type: Schema.Literal("json_schema"),
    name: opt(Schema.String),
    description: opt(Schema.String),
    schema: JsonSchema,
    strict: opt(Schema.Boolean),
  }),
]);

const { temperature, top_p, ...more } = sampling;

/** The request. */
export const ResponsesRequest = Schema.Struct({
  model: Schema.String,
  input: Schema.Union([Schema.String, Schema.NonEmptyArray(InputItem)]),
  instructions: opt(Schema.String),
  max_output_tokens: opt(whole(1, mostTokens)),
  temperature,
  top_p,
  ...more,
  text: opt(Schema.Struct({ format: opt(TextFormat), verbosity: ignored })),
  tools: opt(Schema.Array(ResponseTool)),
  tool_choice: opt(Schema.Union([
    Schema.Literals(["none", "auto", "required"]),
    Schema.Struct({ type: Schema.Literal("function"), name: Name }),
  ])),
  parallel_tool_calls: opt(Schema.Boolean),
  stream: opt(Schema.Boolean),
  stream_options: ignored,
  // What there is none of here is left out of an answer whoever asks for it.
  include: opt(Schema.Array(Schema.Literals([
    "message.output_text.logprobs",
    "message.input_image.image_url",
    "reasoning.encrypted_content",
    "web_search_call.results",
    "web_search_call.action.sources",
    "file_search_call.results",
    "code_interpreter_call.outputs",
    "computer_call_output.output.image_url",
  ]))),
  // Of OpenAI's own tools, which there are none of here.
  max_tool_calls: opt(whole(1, mostTokens)),
  background: Schema.optionalKey(
    Schema.NullOr(Schema.Literal(false)).annotate({ message: notSupported }),
  ),
  conversation: absent,
  prompt: absent,
  reasoning: absent,
  top_logprobs: opt(whole(0, 20)),
  truncation: opt(Schema.Literal("disabled")),
  mm_processor_kwargs: opt(MultimodalOptions),
  ...harmless,
  previous_response_id: opt(Schema.String),
  store: opt(Schema.Boolean),
}).annotate({ identifier: "ResponsesRequest" });

/** The request. */
export type ResponsesRequest = typeof ResponsesRequest.Type;

const OutputItem = Schema.Union([
  Schema.Struct({
    type: Schema.Literal("message"),
    id: Schema.String,
    status: Schema.Literals(["in_progress", "completed", "incomplete"]),
    role: Schema.Literal("assistant"),
    content: Schema.Array(Schema.Struct({
      type: Schema.Literal("output_text"),
      text: Schema.String,
      annotations: Schema.Array(Schema.Unknown),
      logprobs: Schema.optionalKey(Schema.Array(LogprobEntry)),
    })),
  }),
  Schema.Struct({
    type: Schema.Literal("function_call"),
    id: Schema.String,
    status: Schema.Literals(["in_progress", "completed"]),
    call_id: Schema.String,
    name: Schema.String,
    arguments: Schema.String,
  }),
]);

/** An item of the output. */
export type OutputItem = typeof OutputItem.Type;

/** The answer. */
export const ResponseBody = Schema.Struct({
  id: Schema.String,
  object: Schema.Literal("response"),
  created_at: Schema.Int,
  status: Schema.Literals(["in_progress", "completed", "incomplete", "failed"]),
  incomplete_details: Schema.NullOr(Schema.Struct({ reason: Schema.String })),
  error: Schema.NullOr(
    Schema.Struct({ code: Schema.String, message: Schema.String }),
  ),
  instructions: Schema.NullOr(Schema.String),
  max_output_tokens: Schema.NullOr(Schema.Int),
  model: Schema.String,
  output: Schema.Array(OutputItem),
  parallel_tool_calls: Schema.Boolean,
  previous_response_id: Schema.NullOr(Schema.String),
  store: Schema.Boolean,
  temperature: Schema.NullOr(Schema.Finite),
  top_p: Schema.NullOr(Schema.Finite),
  text: Schema.Struct({ format: TextFormat }),
  tool_choice: Schema.Unknown,
  tools: Schema.Array(ResponseTool),
  metadata: Schema.Unknown,
  usage: Schema.NullOr(Schema.Struct({
    input_tokens: Schema.Int,
    input_tokens_details: Schema.Struct({ cached_tokens: Schema.Int }),
    output_tokens: Schema.Int,
    output_tokens_details: Schema.Struct({ reasoning_tokens: Schema.Int }),
    total_tokens: Schema.Int,
  })),
}).annotate({ identifier: "Response" });

/** The answer. */
export type ResponseBody = typeof ResponseBody.Type;

/** An event of a streamed answer; what else it has goes by its type, as OpenAI's reference has it. */
export const ResponseEvent = Schema.StructWithRest(
  Schema.Struct({ type: Schema.String, sequence_number: Schema.Int }),
  [Schema.Record(Schema.String, Schema.Unknown)],
).annotate({ identifier: "ResponseStreamEvent" });

/** What is said of an answer that is not kept any more. */
export const ResponseDeleted = Schema.Struct({
  id: Schema.String,
  object: Schema.Literal("response"),
  deleted: Schema.Literal(true),
});
