/**
 * `POST /v1/completions`, `POST /tokenize`, `POST /detokenize`.
 * @module
 */
import { Schema } from "effect";
import {
  harmless,
  mostTokens,
  opt,
  sampling,
  StreamOptions,
  UsageBody,
  whole,
} from "./common.ts";
import { ChatMessage, Tool } from "./chat.ts";

const Ids = Schema.Array(whole(0, 1 << 24));

/** The request. */
export const CompletionRequest = Schema.Struct({
  model: Schema.String,
  prompt: Schema.Union([
    Schema.String,
    Schema.Array(Schema.String),
    Ids,
    Schema.Array(Ids),
  ]),
  ...sampling,
  max_tokens: opt(whole(1, mostTokens)),
  n: opt(whole(1, 128)),
  logprobs: opt(whole(0, 20)),
  echo: opt(Schema.Boolean),
  stream: opt(Schema.Boolean),
  stream_options: opt(StreamOptions),
  ...harmless,
}).annotate({ identifier: "CompletionRequest" });

/** The request. */
export type CompletionRequest = typeof CompletionRequest.Type;

const Finish = Schema.NullOr(Schema.Literals(["stop", "length"]));

const CompletionLogprobs = Schema.NullOr(Schema.Struct({
  tokens: Schema.Array(Schema.String),
  token_logprobs: Schema.Array(Schema.Finite),
  top_logprobs: Schema.Array(Schema.Record(Schema.String, Schema.Finite)),
  text_offset: Schema.Array(Schema.Int),
}));

/** Probabilities in the older form. */
export type CompletionLogprobs = typeof CompletionLogprobs.Type;

/** The answer, or a part of it. */
export const CompletionBody = Schema.Struct({
  id: Schema.String,
  object: Schema.Literal("text_completion"),
  created: Schema.Int,
  model: Schema.String,
  system_fingerprint: Schema.String,
  choices: Schema.Array(Schema.Struct({
    index: Schema.Int,
    text: Schema.String,
    logprobs: CompletionLogprobs,
    finish_reason: Finish,
  })),
  usage: Schema.optionalKey(Schema.NullOr(UsageBody)),
}).annotate({ identifier: "Completion" });

/** The answer, or a part of it. */
export type CompletionBody = typeof CompletionBody.Type;

/** What to tokenize: a text, or messages without pictures. */
export const TokenizeRequest = Schema.Struct({
  model: Schema.String,
  prompt: opt(Schema.String),
  messages: opt(Schema.NonEmptyArray(ChatMessage)),
  tools: opt(Schema.Array(Tool)),
  add_special_tokens: opt(Schema.Boolean),
  return_token_strs: opt(Schema.Boolean),
}).annotate({ identifier: "TokenizeRequest" });

/** What to tokenize. */
export type TokenizeRequest = typeof TokenizeRequest.Type;

/** Token ids. */
export const TokenizeBody = Schema.Struct({
  tokens: Schema.Array(Schema.Int),
  count: Schema.Int,
  max_model_len: Schema.Int,
  token_strs: Schema.NullOr(Schema.Array(Schema.String)),
}).annotate({ identifier: "Tokens" });

/** What to turn into text. */
export const DetokenizeRequest = Schema.Struct({
  model: Schema.String,
  tokens: Ids,
}).annotate({ identifier: "DetokenizeRequest" });

/** What to turn into text. */
export type DetokenizeRequest = typeof DetokenizeRequest.Type;

/** The text. */
export const DetokenizeBody = Schema.Struct({ prompt: Schema.String })
  .annotate({ identifier: "Detokenized" });
