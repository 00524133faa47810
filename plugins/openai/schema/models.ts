/**
 * `GET /v1/models`.
 * @module
 */
import { Schema } from "effect";

/** A model. */
export const ModelBody = Schema.Struct({
  id: Schema.String,
  object: Schema.Literal("model"),
  created: Schema.Int,
  owned_by: Schema.String,
  /** Longest sequence, where the model is loaded. */
  max_model_len: Schema.NullOr(Schema.Int),
}).annotate({ identifier: "Model" });

/** A model. */
export type ModelBody = typeof ModelBody.Type;

/** All models. */
export const ModelList = Schema.Struct({
  object: Schema.Literal("list"),
  data: Schema.Array(ModelBody),
}).annotate({ identifier: "ModelList" });
