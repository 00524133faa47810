/**
 * The language model as a service.
 * @module
 */
import { Context, type Effect } from "effect";
import type { CapacityError } from "../../pipeline/errors.ts";
import type { BackendError, PromptError } from "../errors.ts";
import type {
  Completion,
  GenerationSettings,
  Prompt,
  TokenLogprob,
  VisualTokens,
} from "../values.ts";

/** Changes the logits from which a token is chosen. */
export interface LogitsProcessor {
  /** Name, for messages. */
  readonly name: string;
  /**
   * Edits `logits` ([vocabulary], of the next token) in place; minus infinity makes a token impossible.
   * Called once a token, after the penalties of the settings and before a token is chosen; must be quick
   * (it holds up every answer that is computed at the time). `ids` are those generated so far. What it
   * throws fails this answer with `BackendError`.
   */
  readonly process: (step: {
    readonly prompt: Prompt;
    readonly ids: readonly number[];
    readonly logits: Float32Array;
  }) => void;
}

/**
 * The logits processors of what runs in a scope, in order; none by default. A processor for everything is
 * provided around the program, one for a single answer around that answer.
 *
 * ```ts
 * import { InternVL, LogitsProcessors, LanguageModel, PromptRenderer } from "@tessera/sdk";
 * import { Effect } from "effect";
 * import assert from "node:assert/strict";
 *
 * await using model = await InternVL.load("models/nano");
 * const answer = Effect.gen(function* () {
 *   const renderer = yield* PromptRenderer;
 *   const language = yield* LanguageModel;
 *   return yield* language.generate({
 *     prompt: yield* renderer.render({ question: "Hello!", numPatchesList: [] }),
 *     visual: [],
 *     settings: { maxNewTokens: 8 },
 *   });
 * });
 * const free = await model.effect(answer);
 * // Never the token that the answer began with.
 * const processor = {
 *   name: "no-first",
 *   process: ({ logits }: { logits: Float32Array }) => {
 *     logits[free.ids[0]!] = -Infinity;
 *   },
 * };
 * const other = await model.effect(
 *   answer.pipe(Effect.provideService(LogitsProcessors, [processor])),
 * );
 * assert.ok(!other.ids.includes(free.ids[0]!));
 * ```
 */
export const LogitsProcessors: Context.Reference<readonly LogitsProcessor[]> =
  Context.Reference<readonly LogitsProcessor[]>("tessera/LogitsProcessors", {
    defaultValue: () => [],
  });

/** What generation needs. */
export interface GenerationRequest {
  /** The prompt. */
  readonly prompt: Prompt;
  /** Visual tokens in prompt order; together as many as the prompt's context tokens. */
  readonly visual: readonly VisualTokens[];
  /** Settings; defaults as in {@link GenerationSettings}. */
  readonly settings?: GenerationSettings;
  /** Called on the event loop; must not throw. */
  readonly observer?: GenerationObserver;
  /**
   * Milliseconds from the call; a request that has not ended by then fails with `CapacityError` of kind
   * `"deadline"`.
   */
  readonly deadlineMs?: number;
  /** Higher ones are admitted first; equal ones in the order in which they came. Default 0. */
  readonly priority?: number;
}

/** Watches a generation. */
export interface GenerationObserver {
  /** The request waits; so many others are before it. Called again as they become fewer. */
  readonly onQueued?: (ahead: number) => void;
  /** Prompt tokens computed so far. */
  readonly onPrefill?: (done: number, total: number) => void;
  /** The prompt is computed and the first token chosen. */
  readonly onFirstToken?: () => void;
  /** Complete characters only: never half of a UTF-8 sequence, never part of a stop string. */
  readonly onText?: (delta: string, generatedTokens: number) => void;
  /** A token was chosen; before the text it completes. */
  readonly onToken?: (
    token: { readonly id: number; readonly logprob?: TokenLogprob },
  ) => void;
}

/** What a language model holds and has done. */
export interface EngineStats {
  /** Requests being computed. */
  readonly running: number;
  /** Requests that wait. */
  readonly waiting: number;
  /** Requests that can be computed at once. */
  readonly slots: number;
  /** Tokens whose keys and values are kept, those of finished requests included. */
  readonly kvTokensUsed: number;
  /** Tokens there is memory for. */
  readonly kvTokensCapacity: number;
  /** Reuse of keys and values between requests. */
  readonly prefix: {
    /** Requests that found a part of their prompt computed. */
    readonly hits: number;
    /** Requests that did not. */
    readonly misses: number;
    /** Prompt tokens found. */
    readonly tokensReused: number;
    /** Prompt tokens computed. */
    readonly tokensComputed: number;
  };
  /** Work of the vision tower behind this model, where the model knows it. */
  readonly vision?: {
    /** Runs of the tower. */
    readonly batches: number;
    /** Tiles in them. */
    readonly tiles: number;
  };
  /** Runs of the language model. */
  readonly steps: {
    /** Runs over a part of a prompt. */
    readonly prefill: number;
    /** Runs over a token of each sequence. */
    readonly decode: number;
    /** Prompt tokens in them. */
    readonly tokensPrefilled: number;
    /** Generated tokens in them. */
    readonly tokensDecoded: number;
    /** Tokens that were guessed, to be computed before they were chosen. */
    readonly tokensDrafted: number;
    /** Those of them that were chosen. */
    readonly tokensAccepted: number;
  };
  /** Requests that were answered. */
  readonly finished: number;
  /** Requests that were interrupted. */
  readonly cancelled: number;
  /** Requests that failed, those refused by a full queue included. */
  readonly failed: number;
}

/** The language model. */
export interface LanguageModel {
  /**
   * Prefills and decodes one sequence. May be called any number of times at once: sequences are computed
   * together as far as there is room, the others wait; a full queue fails at once with `CapacityError` of
   * kind `"queue"`. Interruption frees the sequence's place within one step.
   */
  readonly generate: (
    request: GenerationRequest,
  ) => Effect.Effect<Completion, PromptError | CapacityError | BackendError>;
  /**
   * Fails for settings that `generate` would refuse: asked before pictures are encoded for nothing. A model
   * without it refuses them when it generates.
   */
  readonly check?: (
    settings: GenerationSettings,
  ) => Effect.Effect<void, PromptError>;
  /** What it holds and has done. */
  readonly stats: Effect.Effect<EngineStats>;
}

/**
 * The language model as a service.
 *
 * ```ts
 * import { InternVL, LanguageModel, PromptRenderer } from "@tessera/sdk";
 * import { Effect } from "effect";
 * import assert from "node:assert/strict";
 *
 * await using model = await InternVL.load("models/nano");
 * let streamed = "";
 * const completion = await model.effect(Effect.gen(function* () {
 *   const renderer = yield* PromptRenderer;
 *   const language = yield* LanguageModel;
 *   return yield* language.generate({
 *     prompt: yield* renderer.render({ question: "Hello!", numPatchesList: [] }),
 *     visual: [],
 *     settings: { maxNewTokens: 8 },
 *     observer: { onText: (delta) => streamed += delta },
 *   });
 * }));
 * assert.equal(streamed, completion.text);
 * ```
 */
export const LanguageModel: Context.Service<LanguageModel, LanguageModel> =
  Context.Service<
    LanguageModel
  >("tessera/LanguageModel");
