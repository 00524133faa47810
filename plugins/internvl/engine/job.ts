/**
 * What the engine is asked to compute, and what it tells about it.
 * @module
 */
import type { Tensor } from "../../../nodes/tensor.ts";
import type { VisualRows } from "../generate/visual.ts";

/** How a job ended: complete, failed with a cause, or dropped because it was cancelled. */
export type Outcome =
  | { readonly kind: "complete" }
  | { readonly kind: "failed"; readonly cause: unknown }
  | { readonly kind: "dropped" };

/** A prompt and what is to follow it. All callbacks are called on the event loop. */
export interface Job {
  /** The prompt's ids. */
  readonly ids: Int32Array;
  /** Its contents by position, see `ContentKeys`. */
  readonly keys: Int32Array;
  /** Its visual tokens. */
  readonly visual: VisualRows;
  /** Tokens whose keys and values there must be room for: the prompt's and those that may follow. */
  readonly room: number;
  /** Rotary table of this prompt alone, where it differs from everybody's; its keys serve no other. */
  readonly rotary: Readonly<Record<"cos" | "sin", Tensor>> | undefined;
  /** Whether tokens may be computed before they are chosen, where that is likely to save time. */
  readonly guessable?: boolean;
  /** Higher ones first. */
  readonly priority: number;
  /** It waits behind so many. */
  readonly onQueued?: (ahead: number) => void;
  /** Work on it begins; so many tokens of the prompt were computed before. */
  readonly onStart: (reused: number) => void;
  /** Tokens of the prompt that are computed. */
  readonly onPrefill?: (done: number) => void;
  /**
   * Chooses the next token, whose logits these are (valid during the call, may be changed). Returns the
   * token to go on with, or `undefined` when the job is complete. What it throws fails the job.
   */
  readonly next: (logits: Float32Array) => number | undefined;
  /** Called once, at the end. */
  readonly onEnd: (outcome: Outcome) => void;
}
