/**
 * Answers by beam search: from a prompt to a completion.
 * @module
 */
import { Effect } from "effect";
import type { BackendError, PromptError } from "../../../nodes/errors.ts";
import type { GenerationObserver } from "../../../nodes/services.ts";
import { type HostTensor, hostTensor } from "../../../nodes/tensor.ts";
import type { Completion, Prompt } from "../../../nodes/values.ts";
import { type Advance, type BeamAnswer, beamSearch } from "./beam.ts";
import type { ChooserParts } from "./chooser.ts";
import { Draft } from "./draft.ts";
import type { ResolvedSettings } from "./settings.ts";
import type { AnswerText, Detokenizer } from "./text.ts";

/** What a search is made with. */
export interface SearchParts<E> extends ChooserParts {
  /** Settings with `numBeams` of 2 or more. */
  readonly settings: ResolvedSettings;
  /** Most tokens. */
  readonly limit: number;
  /** Makes an empty text. */
  readonly text: () => AnswerText;
  /** Makes a decoder. */
  readonly detokenizer: () => Detokenizer;
  /** Is told how far the search is; the text comes when it is over. */
  readonly observer: GenerationObserver;
  /** Computes logits. */
  readonly advance: Advance<E>;
  /** Tokens of the prompt that were computed before, as far as it is known by now. */
  readonly reused: () => number;
}

/** Searches; the best answer, with the others as its alternatives. */
export const searchAnswers: <E>(
  parts: SearchParts<E>,
) => Effect.Effect<Completion, E | BackendError | PromptError> = Effect
  .fnUntraced(function* <E>(parts: SearchParts<E>) {
    const { settings, observer } = parts;
    const began = performance.now();
    let firstToken = began;
    let reused = 0;
    let firstLogits: HostTensor<"float32"> | undefined;
    const draft = new Draft(settings, parts, parts.matcher);
    const search = beamSearch(
      settings,
      {
        draft,
        endIds: parts.endIds,
        limit: parts.limit,
        names: parts.names,
        onStep: (tokens) => {
          if (tokens > 1) return;
          firstToken = performance.now();
          observer.onFirstToken?.();
        },
      },
      (rows) =>
        Effect.tap(parts.advance(rows), ([logits]) =>
          Effect.sync(() => {
            if (firstLogits !== undefined) return;
            firstLogits = hostTensor(
              "float32",
              [logits.length],
              logits.slice() as Float32Array<ArrayBuffer>,
            );
            reused = parts.reused();
          })),
    );
    const answers = yield* Effect.catchDefect(search, typed);
    if (answers.length === 0) {
      return yield* draft.failure("no logit is a finite number");
    }
    const timings = {
      queueMs: 0,
      prefillMs: firstToken - began,
      decodeMs: performance.now() - firstToken,
      firstTokenMs: firstToken - began,
    };
    const completions = answers.map((answer, i) => {
      const logits = firstLogits!;
      return complete(parts, answer, i, {
        ...(i === 0 ? { timings } : {}),
        cachedTokens: reused,
        firstLogits: logits,
      });
    });
    const [best, ...alternatives] = completions;
    return settings.n > 1 ? { ...best, alternatives } : best;
  });

/** What a draft throws is typed; anything else stays a defect. */
function typed(
  defect: unknown,
): Effect.Effect<never, BackendError | PromptError> {
  const tag = (defect as { readonly _tag?: unknown } | null)?._tag;
  return tag === "BackendError" || tag === "PromptError"
    ? Effect.fail(defect as BackendError | PromptError)
    : Effect.die(defect);
}

function complete<E>(
  parts: SearchParts<E>,
  { ids, ended, logprobs }: BeamAnswer,
  index: number,
  { timings, cachedTokens, firstLogits }: {
    readonly cachedTokens: number;
    readonly firstLogits: HostTensor<"float32">;
    readonly timings?: Completion["timings"];
  },
): Completion {
  const { endIds, settings, prompt } = parts;
  const observer = index === 0 ? parts.observer : {};
  const text = parts.text();
  const detokenizer = parts.detokenizer();
  const told = (delta: string, done: number) => {
    if (delta !== "") observer.onText?.(delta, done);
  };
  for (const [i, id] of ids.entries()) {
    const logprob = logprobs[i];
    observer.onToken?.(logprob === undefined ? { id } : { id, logprob });
    if (!endIds.includes(id)) told(text.push(detokenizer.push(id)), i + 1);
  }
  told(text.push(detokenizer.end()), ids.length);
  const { stopped } = text;
  told(text.end(), ids.length);
  return {
    text: text.text,
    ids: Int32Array.from(ids),
    finishReason: ended || stopped ? "stop" : "length",
    usage: {
      promptTokens: prompt.ids.length,
      imageTokens: imageTokens(prompt),
      completionTokens: ids.length,
      cachedTokens,
    },
    firstLogits,
    ...(settings.logprobs === undefined ? {} : { logprobs }),
    ...(timings === undefined ? {} : { timings }),
  };
}

function imageTokens({ images }: Prompt): number {
  let tokens = 0;
  for (const span of images) tokens += span.length;
  return tokens;
}
