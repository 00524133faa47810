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
import type { TokenLogprob } from "../../../nodes/values.ts";
import type { Matcher } from "../../grammar/mod.ts";
import { Draft, type DraftParts, type DraftSettings } from "./draft.ts";
import { tokenLogprob, type TokenNames } from "./logprobs.ts";
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
export type ChooserSettings =
  & DraftSettings
  & Pick<
    ResolvedSettings,
    | "doSample"
    | "temperature"
    | "topK"
    | "topP"
    | "minP"
    | "logprobs"
    | "seed"
  >;

/** What choosing depends on besides the settings. */
export interface ChooserParts extends DraftParts {
  /** What the ids stand for, for the report of probabilities. */
  readonly names: TokenNames;
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
  readonly #names: TokenNames;
  readonly #draft: Draft;
  readonly #random: () => number;
  /** The model's own logits, where they are needed after the settings have changed them. */
  #own: Float32Array | undefined;

  constructor(settings: ChooserSettings, parts: ChooserParts) {
    this.#settings = settings;
    this.#names = parts.names;
    this.#draft = new Draft(settings, parts, parts.matcher);
    this.#random = seededRandom(settings.seed);
  }

  get whole(): boolean {
    return this.#draft.whole;
  }

  choose(logits: Float32Array): number {
    const settings = this.#settings;
    if (settings.logprobs !== undefined) {
      this.#own ??= new Float32Array(logits.length);
      this.#own.set(logits);
    }
    try {
      const id = this.#draft.edit(logits) ??
        (settings.doSample
          ? draw(distribution(logits, settings), this.#random)
          : argMax(logits));
      if (id < 0) throw this.#draft.failure("no logit is a finite number");
      this.#draft.take(id);
      if (settings.logprobs !== undefined) {
        const own = this.#own!;
        this.logprob = tokenLogprob(own, id, settings.logprobs, this.#names);
      }
      return id;
    } catch (cause) {
      if (!(cause instanceof BackendError || cause instanceof PromptError)) {
        throw cause;
      }
      this.fault = cause;
      return -1;
    }
  }
}
