/**
 * Pieces that several requests share.
 * @module
 */
import { Schema } from "effect";
import { mostTiles } from "../../../nodes/limits.ts";

/** A field that may be left out or `null`, which means the same. */
export const opt = <S extends Schema.Constraint>(schema: S) =>
  Schema.optionalKey(Schema.NullOr(schema));

/** A field that is known and does nothing here; any value is taken. */
export const ignored = Schema.optionalKey(Schema.Unknown);

/** What is said of a parameter of OpenAI's that cannot be honoured here. */
export const notSupported = "is not supported here; leave it out";

/** A parameter of OpenAI's that is known and cannot be honoured; `null` asks for nothing. */
export const absent = Schema.optionalKey(
  Schema.Null.annotate({ message: notSupported }),
);

/** A number in a range. */
export const between = (minimum: number, maximum: number) =>
  Schema.Finite.check(Schema.isBetween({ minimum, maximum }, {
    message: `must be a number from ${minimum} to ${maximum}`,
  }));

/** A whole number in a range. */
export const whole = (minimum: number, maximum: number) =>
  Schema.Int.check(Schema.isBetween({ minimum, maximum }, {
    message: `must be a whole number from ${minimum} to ${maximum}`,
  }));

/** A whole number of 64 bits, which is what clients may send as a seed; as JSON read it. */
const wide = between(-(2 ** 63), 2 ** 63).check(Schema.isMultipleOf(1, {
  message: "must be a whole number",
}));

const shortText = Schema.String.check(Schema.isMaxLength(512, {
  message: "must have at most 512 characters",
}));

const stops = Schema.Array(shortText).check(Schema.isMaxLength(16, {
  message: "must have at most 16 entries",
}));

/** What the answer ends before. */
export const Stop = Schema.Union([shortText, stops]);

/** Names of functions and of speakers. */
export const Name = Schema.String.check(
  Schema.isPattern(/^[a-zA-Z0-9_-]{1,64}$/, {
    message: "must be 1 to 64 letters, digits, dashes and underscores",
  }),
);

/** Most tokens that can be asked for; the context bounds them further. */
export const mostTokens = 1 << 20;

/** A JSON Schema; what of it is supported is decided by the engine, with a typed answer. */
export const JsonSchema = Schema.Record(Schema.String, Schema.Unknown);

/** How the answer is drawn: settings that every way to ask has. */
export const sampling = {
  temperature: opt(between(0, 2)),
  top_p: opt(between(0, 1)),
  top_k: opt(whole(-1, mostTokens)),
  min_p: opt(between(0, 1)),
  seed: opt(wide),
  stop: opt(Stop),
  presence_penalty: opt(between(-2, 2)),
  frequency_penalty: opt(between(-2, 2)),
  repetition_penalty: opt(between(0.01, 100)),
  logit_bias: opt(Schema.Record(
    Schema.String.check(Schema.isPattern(/^\d{1,7}$/, {
      message: "must be the id of a token",
    })),
    between(-100, 100),
  )),
  min_tokens: opt(whole(0, mostTokens)),
  skip_special_tokens: opt(Schema.Boolean),
};

/** Fields that OpenAI's clients send and that change nothing here. */
export const harmless = {
  user: ignored,
  metadata: ignored,
  store: ignored,
  service_tier: ignored,
  safety_identifier: ignored,
  prompt_cache_key: ignored,
  prompt_cache_retention: ignored,
};

/** How a picture is cut. */
export const MultimodalOptions = Schema.Struct({
  max_dynamic_patch: opt(whole(1, mostTiles)),
  min_dynamic_patch: opt(whole(1, mostTiles)),
});

/** Whether a stream ends with the token counts. */
export const StreamOptions = Schema.Struct({
  include_usage: opt(Schema.Boolean),
  include_obfuscation: ignored,
});

/** Token counts. */
export const UsageBody = Schema.Struct({
  prompt_tokens: Schema.Int,
  completion_tokens: Schema.Int,
  total_tokens: Schema.Int,
  prompt_tokens_details: Schema.Struct({
    cached_tokens: Schema.Int,
    image_tokens: Schema.Int,
  }),
});

/** An error as OpenAI's API gives it. */
export const ErrorBody = Schema.Struct({
  error: Schema.Struct({
    message: Schema.String,
    type: Schema.String,
    param: Schema.NullOr(Schema.String),
    code: Schema.NullOr(Schema.String),
  }),
});
