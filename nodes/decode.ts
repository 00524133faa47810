/**
 * `decode`: the language model answers.
 * @module
 */
import { Effect } from "effect";
import {
  type CapacityError,
  defineNode,
  type NodeKind,
  type NoParams,
  Text,
} from "../pipeline/mod.ts";
import type { BackendError, PromptError } from "./errors.ts";
import {
  Completion,
  OptionalSettings,
  OptionalVisualTokensList,
  Prompt,
  TokenLogprob,
} from "./ports.ts";
import { LanguageModel } from "./services.ts";

/** Between two reports of how many tokens there are: each is an event that is stored and shown. */
const PROGRESS_MS = 100;

/**
 * Prefills the prompt with the visual tokens in place and generates. Its sub-spans are `queue` (where it
 * had to wait for others), `prefill` and `decode`; the answer streams on `text`, the
 * probabilities of its tokens on `logprobs` where the settings ask for them. Fails with `CapacityError` for a prompt longer than the
 * context, with `PromptError` for a setting out of range, with `BackendError` when the run fails.
 *
 * ```ts
 * import {
 *   decode,
 *   GenerationSettings,
 *   InternVL,
 *   pipeline,
 *   promptTemplate,
 *   Text,
 * } from "@tessera/sdk";
 * import assert from "node:assert/strict";
 *
 * await using model = await InternVL.load("models/nano");
 * const ask = pipeline("ask", (g) => {
 *   const { prompt } = g.add(promptTemplate, {
 *     question: g.input("question", Text),
 *   });
 *   return g.add(decode, {
 *     prompt,
 *     settings: g.constant(GenerationSettings, { maxNewTokens: 4 }),
 *   });
 * });
 * const { outputs, timings } = await model.run(ask, { question: "Hello!" });
 * assert.ok(outputs.completion.ids.length <= 4);
 * assert.ok("prefill" in timings && "decode" in timings);
 * ```
 */
export const decode: NodeKind<
  "decode",
  {
    readonly prompt: typeof Prompt;
    readonly tokens: typeof OptionalVisualTokensList;
    readonly settings: typeof OptionalSettings;
  },
  { readonly completion: typeof Completion },
  NoParams,
  NoParams,
  PromptError | CapacityError | BackendError,
  LanguageModel
> = defineNode({
  kind: "decode",
  version: 1,
  description: "Prefills the prompt and generates the answer.",
  inputs: {
    prompt: Prompt,
    tokens: OptionalVisualTokensList,
    settings: OptionalSettings,
  },
  outputs: { completion: Completion },
  // The model computes several sequences together, and has a queue of its own.
  lane: "batch",
  // Sampling may be meant to differ, and a generation is asked for by somebody who waits for it.
  memoize: false,
  streams: { text: Text, logprobs: TokenLogprob },
  run: ({ prompt, tokens = [], settings = {} }, _params, context) =>
    Effect.gen(function* () {
      const model = yield* LanguageModel;
      const limit = settings.maxNewTokens ?? 1024;
      let queued = false;
      let prefillStart: number | undefined;
      let decodeStart: number | undefined;
      let generated = 0;
      let told = 0;
      let toldAt = -Infinity;
      const tell = (at: number): void => {
        told = generated;
        toldAt = at;
        context.progress({ done: generated, total: limit, message: "decode" });
      };
      const completion = yield* model.generate({
        prompt,
        visual: tokens,
        settings,
        observer: {
          onQueued: () => queued = true,
          onPrefill: (done, total) => {
            if (prefillStart === undefined) {
              prefillStart = context.now();
              if (queued) context.record("queue", 0, prefillStart);
            }
            context.progress({ done, total, message: "prefill" });
          },
          onFirstToken: () => {
            decodeStart = context.now();
            context.record("prefill", prefillStart ?? 0, decodeStart);
          },
          onToken: ({ logprob }) => {
            if (logprob !== undefined) context.emit("logprobs", logprob);
          },
          onText: (delta, count) => {
            context.emit("text", delta);
            generated = count;
            const at = context.now();
            if (at - toldAt >= PROGRESS_MS) tell(at);
          },
        },
      });
      if (generated > told) tell(context.now());
      if (decodeStart !== undefined) {
        context.record("decode", decodeStart, context.now());
      }
      return { completion };
    }),
});
