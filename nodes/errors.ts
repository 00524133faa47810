/**
 * The errors of this domain: checkpoints, media, prompts, backends.
 * @module
 */
import { type ErrorFields, TesseraError } from "../pipeline/errors.ts";

/** A checkpoint folder is missing something, is damaged, or is of an architecture we do not have. */
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

/** A picture or video could not be read, is of an unsupported kind, or is over a limit. */
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

/** A prompt that cannot be right: image placeholders and images that do not match, an empty question. */
export class PromptError extends TesseraError {
  /** The discriminator. */
  readonly _tag = "PromptError" as const;
  /** Makes the error. */
  constructor(fields: ErrorFields) {
    super(fields);
    this.name = this._tag;
  }
}

/** The inference backend refused or failed: a missing provider, a failed run, no memory. */
export class BackendError extends TesseraError {
  /** The discriminator. */
  readonly _tag = "BackendError" as const;
  /** Makes the error. */
  constructor(fields: ErrorFields) {
    super(fields);
    this.name = this._tag;
  }
}
