/**
 * The language model as a service: chunked prefill, then one token after the other.
 * @module
 */
import { Cause, Effect, Exit, type Scope } from "effect";
import { type BackendError, PromptError } from "../../../nodes/errors.ts";
import {
  type EngineStats,
  type GenerationObserver,
  type GenerationRequest,
  type LanguageModel,
  LogitsProcessors,
} from "../../../nodes/services.ts";
import {
  type HostTensor,
  hostTensor,
  type Tensor,
} from "../../../nodes/tensor.ts";
import type {
  Completion,
  FinishReason,
  Prompt,
  TokenLogprob,
} from "../../../nodes/values.ts";
import { CapacityError } from "../../../pipeline/errors.ts";
import type { Session } from "../../onnx/mod.ts";
import type { LanguageConfig } from "../config.ts";
import type { ComputeType } from "../graphs/weights.ts";
import { allocateCache, roundCapacity } from "./cache.ts";
import { RotaryTables } from "./rope.ts";
import { makeChooser } from "./chooser.ts";
import type { TokenNames } from "./logprobs.ts";
import { type ResolvedSettings, resolveSettings } from "./settings.ts";
import { AnswerText, type Detokenizer } from "./text.ts";
import { noVisual, type VisualFeeds, visualRows } from "./visual.ts";

/** What a language model is made of. */
export interface LanguageModelParts {
  /** A session of `languageGraph`. */
  readonly session: Session;
  /** The configuration the graph was built from. */
  readonly config: LanguageConfig;
  /** Type the graph computes in; default `"float32"`. */
  readonly dtype?: ComputeType;
  /** Ids that end an answer: the id of the template's separator, and no other. */
  readonly endIds: readonly number[];
  /** Texts an answer is cut before, such as the template's separator; as `stop` of the settings. */
  readonly endTexts?: readonly string[];
  /** Makes a decoder that leaves special tokens out. */
  readonly detokenizer: () => Detokenizer;
  /** What ids stand for, in reports of probabilities. Default: nothing. */
  readonly names?: TokenNames;
  /**
   * Longest sequence, prompt and answer together; default: the configuration's
   * `max_position_embeddings`. With dynamic NTK it may be longer.
   */
  readonly contextLength?: number;
  /**
   * Prompt tokens computed at once. Default 256 on the CPU, where longer chunks gain 2 % in the matrix
   * products and lose 10 % in the attention; 1,024 elsewhere.
   */
  readonly chunk?: number;
}

/** Makes the language model. */
export function makeLanguageModel(parts: LanguageModelParts): LanguageModel {
  const rotary = new RotaryTables(parts.config);
  const counts = new Counts();
  const generate: LanguageModel["generate"] = Effect.fn("internvl.generate")(
    function* (request) {
      const settings = yield* resolveSettings(
        request.settings,
        parts.config.vocabSize,
      );
      const length = yield* sequenceLength(parts, request.prompt, settings);
      counts.running++;
      const answer = Effect.scoped(
        run(parts, rotary, request, settings, length, counts),
      ).pipe(
        Effect.ensuring(Effect.sync(() => void counts.running--)),
      );
      const { deadlineMs } = request;
      return yield* deadlineMs === undefined
        ? answer
        : Effect.timeoutOrElse(answer, {
          duration: deadlineMs,
          orElse: () =>
            Effect.fail(
              new CapacityError({
                kind: "deadline",
                message:
                  `the answer was not ready within ${deadlineMs} ms, its deadline`,
              }),
            ),
        });
    },
    Effect.onExit((exit) =>
      Effect.sync(() => {
        if (Exit.isSuccess(exit)) counts.finished++;
        else if (Cause.hasInterruptsOnly(exit.cause)) counts.cancelled++;
        else counts.failed++;
      })
    ),
  );
  return { generate, stats: Effect.sync(() => counts.snapshot()) };
}

const noNames: TokenNames = {
  tokenOf: () => undefined,
  bytesOf: () => undefined,
};

/** What has happened. */
class Counts {
  running = 0;
  finished = 0;
  cancelled = 0;
  failed = 0;
  prefill = 0;
  decode = 0;
  tokensPrefilled = 0;

  snapshot(): EngineStats {
    const { running, finished, cancelled, failed, prefill, decode } = this;
    return {
      running,
      waiting: 0,
      slots: Infinity,
      kvTokensUsed: 0,
      kvTokensCapacity: 0,
      prefix: {
        hits: 0,
        misses: finished,
        tokensReused: 0,
        tokensComputed: this.tokensPrefilled,
      },
      steps: {
        prefill,
        decode,
        tokensPrefilled: this.tokensPrefilled,
        tokensDecoded: decode,
      },
      finished,
      cancelled,
      failed,
    };
  }
}

/** Prompt and answer together, bounded by the context. */
function sequenceLength(
  { config, contextLength = config.maxPositionEmbeddings }: LanguageModelParts,
  { ids }: Prompt,
  settings: ResolvedSettings,
): Effect.Effect<number, PromptError | CapacityError> {
  if (ids.length === 0) {
    return Effect.fail(
      new PromptError({ message: "the prompt has no tokens" }),
    );
  }
  if (ids.length >= contextLength) {
    return Effect.fail(
      new CapacityError({
        kind: "length",
        message:
          `the prompt has ${ids.length} tokens; the context holds ${contextLength}, one of them at least for the answer`,
      }),
    );
  }
  const foreign = ids.findIndex((id) => !(id >= 0 && id < config.vocabSize));
  if (foreign >= 0) {
    return Effect.fail(
      new PromptError({
        message: `token ${
          ids[foreign]
        } at position ${foreign} of the prompt is not in the model's vocabulary of ${config.vocabSize}`,
      }),
    );
  }
  return Effect.succeed(
    Math.min(contextLength, ids.length + settings.maxNewTokens),
  );
}

/** The language graph with one generation's cache: takes ids, gives logits. */
interface Sequence {
  /**
   * Computes the next tokens; `position` is the first one's. The logits are the last token's, and may be
   * overwritten by the next call.
   */
  readonly advance: (
    ids: HostTensor<"int64">,
    position: number,
    visual: VisualFeeds,
  ) => Effect.Effect<Float32Array<ArrayBuffer>, BackendError>;
}

const openSequence = Effect.fnUntraced(function* (
  { session, config, dtype = "float32" }: LanguageModelParts,
  rotary: RotaryTables,
  promptLength: number,
  length: number,
): Effect.fn.Return<Sequence, BackendError, Scope.Scope> {
  // The last token of all is never fed back.
  const capacity = roundCapacity(length - 1);
  const table = yield* rotary.forPrompt(promptLength, capacity);
  const cache = yield* allocateCache(session, config, dtype, capacity, table);
  const lastIndex = hostTensor("int32", [1], new Int32Array(1));
  const total = hostTensor("int32", [], new Int32Array(1));
  // One object for all runs: the backend then has nothing new to bind but what changed.
  const feeds: Record<string, Tensor> = {
    ...cache.feeds,
    seqlens_k: lastIndex,
    total_sequence_length: total,
  };
  // Where the host can address the session's memory, logits come without a copy or fresh memory.
  const logits = session.device === "cpu"
    ? yield* session.allocate("float32", [1, config.vocabSize])
    : undefined;
  const shared = logits?.host;
  const options = logits === undefined || shared === undefined
    ? { into: cache.into, outputs: ["logits"] }
    : { into: { ...cache.into, logits }, outputs: [] };
  const read = (outputs: Readonly<Record<string, Tensor>>) =>
    shared !== undefined
      ? Effect.succeed(shared)
      : outputs.logits.read as Effect.Effect<
        Float32Array<ArrayBuffer>,
        BackendError
      >;
  return {
    advance: (ids, position, visual) =>
      Effect.suspend(() => {
        total.data[0] = position + ids.data.length;
        lastIndex.data[0] = total.data[0] - 1;
        feeds.input_ids = ids;
        feeds.visual_embeds = visual.embeds;
        feeds.visual_rows = visual.rows;
        return Effect.flatMap(session.run(feeds, options), read);
      }),
  };
});

const run = Effect.fnUntraced(function* (
  parts: LanguageModelParts,
  rotary: RotaryTables,
  { prompt, visual, observer = {} }: GenerationRequest,
  settings: ResolvedSettings,
  length: number,
  counts: Counts,
): Effect.fn.Return<Completion, PromptError | BackendError, Scope.Scope> {
  const { config, endIds } = parts;
  const began = performance.now();
  let firstToken = began;
  const promptLength = prompt.ids.length;
  const rows = yield* visualRows(prompt, visual, config.hiddenSize);
  const sequence = yield* openSequence(parts, rotary, promptLength, length);

  const chunk = Math.max(
    1,
    parts.chunk ?? (parts.session.device === "cpu" ? 256 : 1024),
  );
  let logits = new Float32Array(0);
  for (let start = 0; start < promptLength; start += chunk) {
    const end = Math.min(promptLength, start + chunk);
    logits = yield* sequence.advance(
      hostTensor(
        "int64",
        [end - start],
        BigInt64Array.from(prompt.ids.subarray(start, end), BigInt),
      ),
      start,
      rows.chunk(start, end),
    );
    counts.prefill++;
    counts.tokensPrefilled += end - start;
    observer.onPrefill?.(end, promptLength);
  }
  // Before the repetition penalty can touch them: nothing has been generated yet.
  const firstLogits = hostTensor("float32", [config.vocabSize], logits.slice());

  const chooser = makeChooser(settings, {
    endIds,
    names: parts.names ?? noNames,
    processors: yield* LogitsProcessors,
    prompt,
  });
  const logprobs: TokenLogprob[] = [];
  const answer = new Answer(parts, settings, observer);
  const none = noVisual(config.hiddenSize);
  const input = hostTensor("int64", [1], new BigInt64Array(1));
  const limit = length - promptLength;
  let reason: FinishReason = "length";
  for (;;) {
    const id = chooser.choose(logits);
    if (id < 0) return yield* chooser.fault!;
    const { logprob } = chooser;
    if (logprob !== undefined) logprobs.push(logprob);
    if (answer.ids.length === 0) {
      firstToken = performance.now();
      observer.onFirstToken?.();
    }
    observer.onToken?.(logprob === undefined ? { id } : { id, logprob });
    if (endIds.includes(id)) {
      answer.ids.push(id);
      reason = "stop";
      break;
    }
    answer.push(id);
    if (answer.stopped) {
      reason = "stop";
      break;
    }
    if (answer.ids.length === limit) break;
    input.data[0] = BigInt(id);
    logits = yield* sequence.advance(
      input,
      promptLength + answer.ids.length - 1,
      none,
    );
    counts.decode++;
  }
  if (answer.finish()) reason = "stop";
  let imageTokens = 0;
  for (const span of prompt.images) imageTokens += span.length;
  return {
    text: answer.text,
    ids: Int32Array.from(answer.ids),
    finishReason: reason,
    usage: {
      promptTokens: promptLength,
      imageTokens,
      completionTokens: answer.ids.length,
      cachedTokens: 0,
    },
    firstLogits,
    ...(settings.logprobs === undefined ? {} : { logprobs }),
    timings: {
      queueMs: 0,
      prefillMs: firstToken - began,
      decodeMs: performance.now() - firstToken,
      firstTokenMs: firstToken - began,
    },
  };
});

/** The answer as it grows: ids, text, and what the observer has been told. */
class Answer {
  readonly ids: number[] = [];
  readonly #text: AnswerText;
  readonly #detokenizer: Detokenizer;
  readonly #observer: GenerationObserver;

  constructor(
    parts: LanguageModelParts,
    settings: ResolvedSettings,
    observer: GenerationObserver,
  ) {
    this.#text = new AnswerText([...parts.endTexts ?? [], ...settings.stop]);
    this.#detokenizer = parts.detokenizer();
    this.#observer = observer;
  }

  get text(): string {
    return this.#text.text;
  }

  get stopped(): boolean {
    return this.#text.stopped;
  }

  push(id: number): void {
    this.ids.push(id);
    this.#tell(this.#text.push(this.#detokenizer.push(id)));
  }

  /** Releases what was held back; says whether that completed a stop string. */
  finish(): boolean {
    if (this.stopped) return false;
    this.#tell(this.#text.push(this.#detokenizer.end()));
    const stopped = this.stopped;
    this.#tell(this.#text.end());
    return stopped;
  }

  #tell(delta: string): void {
    if (delta !== "") this.#observer.onText?.(delta, this.ids.length);
  }
}
