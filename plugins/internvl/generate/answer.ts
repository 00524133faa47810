/**
 * One answer as it grows, token by token.
 * @module
 */
import type { GenerationObserver } from "../../../nodes/services.ts";
import { type HostTensor, hostTensor } from "../../../nodes/tensor.ts";
import type {
  Completion,
  CompletionTimings,
  FinishReason,
  Prompt,
  TokenLogprob,
} from "../../../nodes/values.ts";
import type { Chooser } from "./chooser.ts";
import type { AnswerText, Detokenizer } from "./text.ts";

/** What an answer is made with. */
export interface AnswerParts {
  /** What is answered. */
  readonly prompt: Prompt;
  /** Most tokens. */
  readonly limit: number;
  /** Chooses them. */
  readonly chooser: Chooser;
  /** Ids that end it. */
  readonly endIds: readonly number[];
  /** Its text, which ends where it says. */
  readonly text: AnswerText;
  /** Turns ids into text. */
  readonly detokenizer: Detokenizer;
  /** Is told what happens. */
  readonly observer: GenerationObserver;
  /** Whether probabilities are reported. */
  readonly logprobs: boolean;
}

/** See the module. */
export class Answer {
  readonly #parts: AnswerParts;
  readonly #text: AnswerText;
  readonly #ids: number[] = [];
  readonly #logprobs: TokenLogprob[] = [];
  readonly #created = performance.now();
  #started = this.#created;
  #firstToken = this.#created;
  #ended = this.#created;
  #reused = 0;
  #firstLogits: HostTensor<"float32"> | undefined;
  #reason: FinishReason = "length";

  /** An answer without any token. */
  constructor(parts: AnswerParts) {
    this.#parts = parts;
    this.#text = parts.text;
  }

  /** Work on the prompt begins; so many of its tokens were computed before. */
  start(reused: number): void {
    this.#started = performance.now();
    this.#reused = reused;
    this.prefilled(reused);
  }

  /** So many tokens of the prompt are computed. */
  prefilled(done: number): void {
    const { observer, prompt } = this.#parts;
    observer.onPrefill?.(done, prompt.ids.length);
  }

  /**
   * Chooses the next token from its logits, which are changed. Returns the token to go on with, or
   * `undefined` when the answer is complete. Throws `BackendError` when none can be chosen.
   */
  next(logits: Float32Array): number | undefined {
    const { chooser, observer, endIds, limit } = this.#parts;
    const first = this.#ids.length === 0;
    if (first) {
      // Before the settings change them.
      const own = new Float32Array(logits);
      this.#firstLogits = hostTensor("float32", [own.length], own);
    }
    const id = chooser.choose(logits);
    if (id < 0) throw chooser.fault;
    const { logprob } = chooser;
    if (logprob !== undefined) this.#logprobs.push(logprob);
    if (first) {
      this.#firstToken = performance.now();
      observer.onFirstToken?.();
    }
    observer.onToken?.(logprob === undefined ? { id } : { id, logprob });
    this.#ids.push(id);
    if (endIds.includes(id)) {
      return this.#end(chooser.whole ? "stop" : "length");
    }
    this.#tell(this.#text.push(this.#parts.detokenizer.push(id)));
    if (this.#text.stopped) return this.#end("stop");
    return this.#ids.length === limit ? this.#end("length") : id;
  }

  /** The complete answer. */
  get completion(): Completion {
    const { prompt } = this.#parts;
    let imageTokens = 0;
    for (const span of prompt.images) imageTokens += span.length;
    return {
      text: this.#text.text,
      ids: Int32Array.from(this.#ids),
      finishReason: this.#reason,
      usage: {
        promptTokens: prompt.ids.length,
        imageTokens,
        completionTokens: this.#ids.length,
        cachedTokens: this.#reused,
      },
      firstLogits: this.#firstLogits!,
      ...(this.#parts.logprobs ? { logprobs: this.#logprobs } : {}),
      timings: this.#timings,
    };
  }

  get #timings(): CompletionTimings {
    return {
      queueMs: this.#started - this.#created,
      prefillMs: this.#firstToken - this.#started,
      decodeMs: this.#ended - this.#firstToken,
      firstTokenMs: this.#firstToken - this.#created,
    };
  }

  /** Releases what was held back, which may complete a stop string. */
  #end(reason: FinishReason): undefined {
    this.#reason = reason;
    if (!this.#text.stopped) {
      this.#tell(this.#text.push(this.#parts.detokenizer.end()));
      if (this.#text.stopped) this.#reason = "stop";
      this.#tell(this.#text.end());
    }
    this.#ended = performance.now();
    return undefined;
  }

  #tell(delta: string): void {
    if (delta !== "") this.#parts.observer.onText?.(delta, this.#ids.length);
  }
}
