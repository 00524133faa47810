/**
 * A job on its way through the engine.
 * @module
 */
import { commonLength } from "./content.ts";
import type { Job } from "./job.ts";
import type { Slot } from "./slots.ts";
import type { Speculation } from "./speculate.ts";

/** See the module. */
export class Sequence {
  /** Where its keys and values are, once work on it has begun. */
  slot: Slot | undefined;
  /** Tokens of the prompt computed. */
  done = 0;
  /** The token to feed next, once the prompt is computed. */
  next = -1;
  /** Nobody waits for it any more. */
  cancelled = false;
  readonly #common = new WeakMap<Sequence, number>();

  /** A job that nothing has been done of. */
  constructor(
    /** What is to be done. */
    readonly job: Job,
    /** Guesses what follows, if it may. */
    readonly speculation?: Speculation,
  ) {}

  /** Tokens with which both prompts begin, as far as this one could take them over. */
  common(other: Sequence): number {
    let length = this.#common.get(other);
    if (length === undefined) {
      const { keys, ids } = other.job;
      // At least two tokens are computed: see the engine's chunks.
      const limit = Math.min(this.job.ids.length - 2, ids.length);
      length = commonLength(this.job.keys, keys, limit);
      this.#common.set(other, length);
    }
    return length;
  }

  /** Tokens of the prompt still to compute. */
  get remaining(): number {
    return this.job.ids.length - this.done;
  }
}

/**
 * The prompt to compute a chunk of, if any: the oldest, or the one with the least to go. Taking turns
 * between the two, the oldest is never starved and a short one need not wait for a long one.
 */
export function nextPrompt(
  active: readonly Sequence[],
  oldestFirst: boolean,
): Sequence | undefined {
  let best: Sequence | undefined;
  for (const sequence of active) {
    if (sequence.next >= 0) continue;
    if (oldestFirst) return sequence;
    if (best === undefined || sequence.remaining < best.remaining) {
      best = sequence;
    }
  }
  return best;
}
