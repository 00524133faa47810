/**
 * The errors of this domain: checkpoints, media, prompts, backends.
 * @module
 */
import { type ErrorFields, TesseraError } from "../pipeline/errors.ts";

/**
 * A checkpoint folder is missing something, is damaged, or is of an architecture we do not have.
 *
 * ```ts
 * import { CheckpointError, InternVL } from "@tessera/sdk";
 * import assert from "node:assert/strict";
 *
 * await assert.rejects(
 *   InternVL.load("no/such/folder"),
 *   (error) =>
 *     error instanceof CheckpointError && /no\/such\/folder/.test(error.message),
 * );
 * ```
 */
export class CheckpointError extends TesseraError {
  /** The discriminator. */
  readonly _tag = "CheckpointError" as const;
  /** The file or folder. */
  readonly path: string | undefined;
  /** The tensor, where one is to blame. */
  readonly tensor: string | undefined;
  /** Makes the error. */
  constructor(
    fields: ErrorFields & { readonly path?: string; readonly tensor?: string },
  ) {
    super(fields);
    this.name = this._tag;
    this.path = fields.path;
    this.tensor = fields.tensor;
  }
}

/**
 * A picture or video could not be read, is of an unsupported kind, or is over a limit.
 *
 * ```ts
 * import { ImageProcessor, imageProcessor } from "@tessera/sdk";
 * import { Effect } from "effect";
 * import assert from "node:assert/strict";
 *
 * const decoding = Effect.gen(function* () {
 *   const processor = yield* ImageProcessor;
 *   return yield* processor.decode(new Uint8Array([1, 2, 3]));
 * });
 * const error = await Effect.runPromise(
 *   decoding.pipe(Effect.flip, Effect.provide(imageProcessor)),
 * );
 * assert.equal(error._tag, "MediaError");
 * ```
 */
export class MediaError extends TesseraError {
  /** The discriminator. */
  readonly _tag = "MediaError" as const;
  /** The file, or a short word for a source without a name. */
  readonly source: string | undefined;
  /** Makes the error. */
  constructor(fields: ErrorFields & { readonly source?: string }) {
    super(fields);
    this.name = this._tag;
    this.source = fields.source;
  }
}

/**
 * A prompt that cannot be right: image placeholders and images that do not match, an empty question; or a
 * setting of its answer.
 *
 * ```ts
 * import { arrangePrompt, PromptError } from "@tessera/sdk";
 * import assert from "node:assert/strict";
 *
 * const wrong = arrangePrompt({
 *   question: "What is this?",
 *   history: undefined,
 *   images: [7],
 *   frames: [],
 *   numPatchesList: [5],
 * });
 * assert.ok(wrong instanceof PromptError);
 * ```
 */
export class PromptError extends TesseraError {
  /** The discriminator. */
  readonly _tag = "PromptError" as const;
  /** The generation setting, such as `minNewTokens`, where one is to blame. */
  readonly setting: string | undefined;
  /** Makes the error. */
  constructor(fields: ErrorFields & { readonly setting?: string }) {
    super(fields);
    this.name = this._tag;
    this.setting = fields.setting;
  }
}

/**
 * The inference backend refused or failed: a missing provider, a failed run, no memory.
 *
 * ```ts
 * import { BackendError } from "@tessera/sdk";
 * import { Effect } from "effect";
 * import assert from "node:assert/strict";
 *
 * const refused = Effect.fail(
 *   new BackendError({ message: "device cuda: no driver; use cpu" }),
 * );
 * const message = await Effect.runPromise(
 *   refused.pipe(
 *     Effect.catchTag("BackendError", (error) => Effect.succeed(error.message)),
 *   ),
 * );
 * assert.match(message, /use cpu/);
 * ```
 */
export class BackendError extends TesseraError {
  /** The discriminator. */
  readonly _tag = "BackendError" as const;
  /** Makes the error. */
  constructor(fields: ErrorFields) {
    super(fields);
    this.name = this._tag;
  }
}
