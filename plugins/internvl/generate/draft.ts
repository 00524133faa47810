/**
 * The tokens of an answer so far, and what they and the settings do to the scores of the next one.
 * @module
 */
import { BackendError, PromptError } from "../../../nodes/errors.ts";
import type { LogitsProcessor } from "../../../nodes/services.ts";
import type { Prompt } from "../../../nodes/values.ts";
import { ConstraintFault, type Matcher } from "../../grammar/mod.ts";
import {
  addBias,
  forbid,
  keepAllowed,
  penalizeCounts,
  penalizeRepetition,
} from "./penalties.ts";
import type { ResolvedSettings } from "./settings.ts";

/** The settings that change scores. */
export type DraftSettings = Pick<
  ResolvedSettings,
  | "repetitionPenalty"
  | "presencePenalty"
  | "frequencyPenalty"
  | "logitBias"
  | "minNewTokens"
>;

/** What changes scores besides the settings. */
export interface DraftParts {
  /** Ids that end an answer. */
  readonly endIds: readonly number[];
  /** What plugins change. */
  readonly processors?: readonly LogitsProcessor[];
  /** What is answered, for the processors. */
  readonly prompt: Prompt;
}

/** See the module. */
export class Draft {
  readonly #settings: DraftSettings;
  readonly #parts: DraftParts;
  readonly #matcher: Matcher | undefined;
  readonly #bias: readonly (readonly [id: number, bias: number])[];
  readonly #ids: number[];
  /** How often each token was generated. Not the prompt's: the reference generates from embeddings. */
  readonly #counts: Map<number, number>;

  /** An empty draft, or one that goes on from another. */
  constructor(
    settings: DraftSettings,
    parts: DraftParts,
    matcher: Matcher | undefined,
    from?: Draft,
  ) {
    this.#settings = settings;
    this.#parts = parts;
    this.#matcher = matcher;
    this.#bias = from === undefined
      ? Object.entries(settings.logitBias).map((
        [id, bias],
      ) => [Number(id), bias])
      : from.#bias;
    this.#ids = from === undefined ? [] : [...from.#ids];
    this.#counts = new Map(from === undefined ? [] : from.#counts);
  }

  /** The tokens. */
  get ids(): readonly number[] {
    return this.#ids;
  }

  /** Whether the answer may end where it is: always, but under a constraint. */
  get whole(): boolean {
    return this.#matcher?.accepts ?? true;
  }

  /** A draft that stands where this one does and goes its own way. */
  fork(): Draft {
    return new Draft(
      this.#settings,
      this.#parts,
      this.#matcher?.fork(),
      this,
    );
  }

  /**
   * Changes the scores ([vocabulary]) of the next token. Returns an id where there is no choice: an end
   * token, because nothing can follow. Throws `BackendError` when a processor fails, `PromptError` when
   * the constraint costs too much.
   */
  edit(scores: Float32Array): number | undefined {
    const { endIds, prompt, processors = [] } = this.#parts;
    const {
      repetitionPenalty,
      presencePenalty,
      frequencyPenalty,
      minNewTokens,
    } = this.#settings;
    addBias(scores, this.#bias);
    penalizeRepetition(scores, this.#counts.keys(), repetitionPenalty);
    penalizeCounts(scores, this.#counts, presencePenalty, frequencyPenalty);
    if (this.#ids.length < minNewTokens) forbid(scores, endIds);
    for (const { name, process } of processors) {
      try {
        process({ prompt, ids: this.#ids, logits: scores });
      } catch (cause) {
        throw this.failure(`the logits processor ${name} failed: ${cause}`, {
          cause,
        });
      }
    }
    return this.#matcher === undefined
      ? undefined
      : this.#constrain(scores, this.#matcher);
  }

  /** Takes the next token. */
  take(id: number): void {
    if (!this.#parts.endIds.includes(id)) {
      this.#followed(() => this.#matcher?.take(id));
    }
    this.#counts.set(id, (this.#counts.get(id) ?? 0) + 1);
    this.#ids.push(id);
  }

  /** An error that says which token could not be chosen, and why. */
  failure(
    reason: string,
    options: { readonly cause?: unknown } = {},
  ): BackendError {
    return new BackendError({
      message: `token ${this.#ids.length + 1} cannot be chosen: ${reason}`,
      ...options,
    });
  }

  /** Leaves only what the constraint allows. */
  #constrain(scores: Float32Array, matcher: Matcher): number | undefined {
    const { endIds } = this.#parts;
    const ends = endIds.map((id) => scores[id]);
    const allowed = this.#followed(() => matcher.allowed());
    // Nothing can follow: the text is whole, or the vocabulary cannot spell what is missing.
    if (!keepAllowed(scores, allowed)) return endIds[0];
    if (matcher.accepts) endIds.forEach((id, i) => scores[id] = ends[i]);
    return undefined;
  }

  #followed<A>(step: () => A): A {
    try {
      return step();
    } catch (cause) {
      if (!(cause instanceof ConstraintFault)) throw cause;
      throw new PromptError({
        setting: "constraint",
        message: `the constraint ${cause.message}`,
      });
    }
  }
}
