/**
 * Chooses the tokens of one answer, one after the other, from the model's logits.
 *
 * The order is that of Hugging Face `generate`'s processors, with OpenAI's between them: `logitBias`,
 * `repetitionPenalty`, `presencePenalty` and `frequencyPenalty`, `minNewTokens`, the processors of
 * plugins, the constraint; then the largest is taken, or one is drawn after temperature, top-k, top-p and min-p. A chooser knows no engine: any loop
 * that has a row of logits can call it.
 * @module
 */
import { BackendError, PromptError } from "../../../nodes/errors.ts";
import { ConstraintFault, type Matcher } from "../../grammar/mod.ts";
import type { LogitsProcessor } from "../../../nodes/services.ts";
import type { Prompt, TokenLogprob } from "../../../nodes/values.ts";
import { tokenLogprob, type TokenNames } from "./logprobs.ts";
import {
  addBias,
  forbid,
  keepAllowed,
  penalizeCounts,
  penalizeRepetition,
} from "./penalties.ts";
import { seededRandom } from "./random.ts";
import { argMax, distribution, draw } from "./sampling.ts";
import type { ResolvedSettings } from "./settings.ts";

/** Chooses tokens for one answer; remembers those it has chosen. */
export interface Chooser {
  /**
   * Id of the next token, or -1 when there is none: {@link fault} then says why. `logits` are the model's
   * for this place, [vocabulary]; they are changed.
   */
  readonly choose: (logits: Float32Array) => number;
  /** Probability of the token chosen last, where the settings ask for it. */
  readonly logprob: TokenLogprob | undefined;
  /** Why the last token could not be chosen. */
  readonly fault: BackendError | PromptError | undefined;
  /** Whether the answer may end where it is: always, but under a constraint. */
  readonly whole: boolean;
}

/** The settings that choosing depends on. */
export type ChooserSettings = Pick<
  ResolvedSettings,
  | "doSample"
  | "temperature"
  | "topK"
  | "topP"
  | "minP"
  | "repetitionPenalty"
  | "presencePenalty"
  | "frequencyPenalty"
  | "logitBias"
  | "minNewTokens"
  | "logprobs"
  | "seed"
>;

/** What choosing depends on besides the settings. */
export interface ChooserParts {
  /** Ids that end an answer. */
  readonly endIds: readonly number[];
  /** What the ids stand for, for the report of probabilities. */
  readonly names: TokenNames;
  /** What plugins change in the logits. */
  readonly processors?: readonly LogitsProcessor[];
  /** What is answered, for the processors. */
  readonly prompt: Prompt;
  /** What the answer must be. */
  readonly matcher?: Matcher | undefined;
}

/** A chooser for one answer. */
export function makeChooser(
  settings: ChooserSettings,
  parts: ChooserParts,
): Chooser {
  return new SettingsChooser(settings, parts);
}

class SettingsChooser implements Chooser {
  logprob: TokenLogprob | undefined;
  fault: BackendError | PromptError | undefined;
  readonly #settings: ChooserSettings;
  readonly #parts: ChooserParts;
  readonly #processors: readonly LogitsProcessor[];
  readonly #bias: readonly (readonly [id: number, bias: number])[];
  readonly #random: () => number;
  readonly #ids: number[] = [];
  /** How often each token was generated. Not the prompt's: the reference generates from embeddings. */
  readonly #counts = new Map<number, number>();
  /** The model's own logits, where they are needed after the settings have changed them. */
  #own: Float32Array | undefined;

  constructor(settings: ChooserSettings, parts: ChooserParts) {
    this.#settings = settings;
    this.#parts = parts;
    this.#processors = parts.processors ?? [];
    this.#bias = Object.entries(settings.logitBias)
      .map(([id, bias]) => [Number(id), bias]);
    this.#random = seededRandom(settings.seed);
  }

  choose(logits: Float32Array): number {
    const settings = this.#settings;
    if (settings.logprobs !== undefined) {
      this.#own ??= new Float32Array(logits.length);
      this.#own.set(logits);
    }
    addBias(logits, this.#bias);
    penalizeRepetition(
      logits,
      this.#counts.keys(),
      settings.repetitionPenalty,
    );
    penalizeCounts(
      logits,
      this.#counts,
      settings.presencePenalty,
      settings.frequencyPenalty,
    );
    if (this.#ids.length < settings.minNewTokens) {
      forbid(logits, this.#parts.endIds);
    }
    if (!this.#process(logits)) return -1;
    const forced = this.#constrain(logits);
    if (this.fault !== undefined) return -1;
    const id = forced ??
      (settings.doSample
        ? draw(distribution(logits, settings), this.#random)
        : argMax(logits));
    if (id < 0) return this.#fail("no logit is a finite number");
    this.#take(id);
    if (this.fault !== undefined) return -1;
    this.#counts.set(id, (this.#counts.get(id) ?? 0) + 1);
    this.#ids.push(id);
    if (settings.logprobs !== undefined) {
      this.logprob = tokenLogprob(
        this.#own!,
        id,
        settings.logprobs,
        this.#parts.names,
      );
    }
    return id;
  }

  /** Lets the processors change the logits; what one throws is this answer's failure alone. */
  #process(logits: Float32Array): boolean {
    for (const { name, process } of this.#processors) {
      try {
        process({ prompt: this.#parts.prompt, ids: this.#ids, logits });
      } catch (cause) {
        this.#fail(`the logits processor ${name} failed: ${cause}`, cause);
        return false;
      }
    }
    return true;
  }

  /** Leaves only what the constraint allows; the token itself where that is an end token and no other. */
  #constrain(logits: Float32Array): number | undefined {
    const { matcher, endIds } = this.#parts;
    if (matcher === undefined) return undefined;
    const ends = endIds.map((id) => logits[id]);
    try {
      // Nothing can follow: the text is whole, or the vocabulary cannot spell what is missing.
      if (!keepAllowed(logits, matcher.allowed())) return endIds[0];
      if (matcher.accepts) endIds.forEach((id, i) => logits[id] = ends[i]);
    } catch (cause) {
      this.#refuse(cause);
    }
    return undefined;
  }

  #take(id: number): void {
    const { matcher, endIds } = this.#parts;
    if (matcher === undefined || endIds.includes(id)) return;
    try {
      matcher.take(id);
    } catch (cause) {
      this.#refuse(cause);
    }
  }

  #refuse(cause: unknown): void {
    if (!(cause instanceof ConstraintFault)) throw cause;
    this.fault = new PromptError({
      message: `the constraint ${cause.message}`,
    });
  }

  get whole(): boolean {
    return this.#parts.matcher?.accepts ?? true;
  }

  #fail(reason: string, cause?: unknown): -1 {
    this.fault = new BackendError({
      message: `token ${this.#ids.length + 1} cannot be chosen: ${reason}`,
      cause,
    });
    return -1;
  }
}
