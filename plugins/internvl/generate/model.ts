/**
 * The language model as a service: requests become jobs of the engine.
 * @module
 */
import { Cause, Effect, Exit, identity, Schedule, type Scope } from "effect";
import { promptTooLong } from "../../../nodes/context.ts";
import { BackendError, PromptError } from "../../../nodes/errors.ts";
import {
  type EngineStats,
  type GenerationRequest,
  type LanguageModel,
  LogitsProcessors,
} from "../../../nodes/services.ts";
import { hostTensor, type Tensor } from "../../../nodes/tensor.ts";
import type { Completion, Prompt } from "../../../nodes/values.ts";
import { CapacityError } from "../../../pipeline/errors.ts";
import type { Constrainer } from "../../grammar/mod.ts";
import type { Session } from "../../onnx/mod.ts";
import type { LanguageConfig } from "../config.ts";
import { ContentKeys } from "../engine/content.ts";
import { Engine } from "../engine/engine.ts";
import type { Job } from "../engine/job.ts";
import { engineOptions, type EngineSettings } from "../engine/options.ts";
import { rotaryType } from "../engine/pool.ts";
import type { ComputeType } from "../graphs/types.ts";
import { Answer } from "./answer.ts";
import { type ChooserParts, makeChooser } from "./chooser.ts";
import { answerMatcher, answerText } from "./constrained.ts";
import { encodeFloats } from "./floats.ts";
import type { TokenNames } from "./logprobs.ts";
import { plainLength, RotaryTables } from "./rope.ts";
import { searchAnswers } from "./search.ts";
import { type ResolvedSettings, resolveSettings } from "./settings.ts";
import type { Detokenizer } from "./text.ts";
import { visualRows } from "./visual.ts";

/** What a language model is made of. */
export interface LanguageModelParts extends EngineSettings {
  /** A session of `languageGraph`, built for the same {@link EngineSettings.kvCache}. */
  readonly session: Session;
  /**
   * A session of the same graph with the second set of weights, which computes prompts; default: `session`
   * does. Must be able to use the memory that `session` allocates.
   */
  readonly prefill?: Session;
  /** The configuration the graph was built from. */
  readonly config: LanguageConfig;
  /** Type the graph computes in; default `"float32"`. */
  readonly dtype?: ComputeType;
  /** Ids that end an answer: the id of the template's separator, and no other. */
  readonly endIds: readonly number[];
  /** Texts an answer is cut before, such as the template's separator; as `stop` of the settings. */
  readonly endTexts?: readonly string[];
  /** Makes a decoder that leaves special tokens out, or keeps them. */
  readonly detokenizer: (
    options: { readonly skipSpecialTokens: boolean },
  ) => Detokenizer;
  /** What ids stand for, in reports of probabilities. Default: nothing. */
  readonly names?: TokenNames;
  /** Follows constraints of the output. Default: they are refused. */
  readonly constrainer?: Constrainer;
  /**
   * Longest sequence, prompt and answer together; default: the configuration's
   * `max_position_embeddings`. With dynamic NTK it may be longer.
   */
  readonly contextLength?: number;
  /** What the vision tower beside it has done, for the stats. */
  readonly vision?: () => EngineStats["vision"];
  /** Whether the last of an odd number of rows has other bits in a step: see `EngineSettings.steady`. */
  readonly oddDiffers?: boolean;
  /** The same of a prompt's rows. */
  readonly oddPromptDiffers?: boolean;
}

const noNames: TokenNames = {
  tokenOf: () => undefined,
  bytesOf: () => undefined,
};

/** Makes the language model; its memory and its runs end with the scope. */
export const makeLanguageModel: (
  parts: LanguageModelParts,
) => Effect.Effect<LanguageModel, never, Scope.Scope> = Effect.fnUntraced(
  function* (parts) {
    const { session, config, dtype = "float32", kvCache = dtype } = parts;
    const rotary = new RotaryTables(config);
    const contents = new ContentKeys();
    const contextLength = parts.contextLength ?? config.maxPositionEmbeddings;
    const options = engineOptions(
      parts,
      session.device,
      config,
      kvCache,
      contextLength,
    );
    const engine = yield* Effect.acquireRelease(
      Effect.sync(() =>
        new Engine({ session, config, kvCache, rotary }, options, parts.prefill)
      ),
      (engine) => Effect.promise(() => engine.close()),
    );
    const ended = { finished: 0, cancelled: 0, failed: 0 };

    /** What answers to a prompt have in common. */
    const prepared = Effect.fnUntraced(function* (
      { prompt, visual, observer = {}, priority = 0 }: GenerationRequest,
      settings: ResolvedSettings,
    ) {
      const length = yield* sequenceLength(
        prompt,
        settings,
        contextLength,
        config.vocabSize,
      );
      const chooser: ChooserParts = {
        endIds: parts.endIds,
        names: parts.names ?? noNames,
        processors: yield* LogitsProcessors,
        prompt,
        matcher: yield* answerMatcher(settings, parts.constrainer),
      };
      const job = {
        ids: prompt.ids,
        visual: yield* visualRows(prompt, visual, config.hiddenSize),
        keys: yield* contents.of(prompt, visual),
        rotary: yield* ownRotary(
          rotary,
          config,
          rotaryType(kvCache),
          prompt.ids.length,
          length,
        ),
        // The last token of all is never fed back.
        room: length - 1,
        priority,
        onQueued: observer.onQueued,
      };
      return { chooser, job, limit: length - prompt.ids.length, observer };
    });

    /** One answer, token by token. */
    const chosen = Effect.fnUntraced(function* (
      request: GenerationRequest,
      settings: ResolvedSettings,
    ) {
      const { chooser, job, limit, observer } = yield* prepared(
        request,
        settings,
      );
      const answer = new Answer({
        prompt: request.prompt,
        limit,
        chooser: makeChooser(settings, chooser),
        endIds: parts.endIds,
        text: answerText(settings, parts.endTexts ?? [], request.prompt),
        detokenizer: parts.detokenizer(settings),
        observer,
        logprobs: settings.logprobs !== undefined,
      });
      yield* perform(engine, {
        ...job,
        // What is drawn is seldom what was guessed; several answers are seldom alone.
        guessable: !settings.doSample && settings.n === 1,
        onStart: (reused) => answer.start(reused),
        onPrefill: (done) => answer.prefilled(done),
        next: (logits) => answer.next(logits),
      });
      return answer.completion;
    });

    /** The answers of a beam search: each beam is a job, whose beginning the engine has computed before. */
    const searched = Effect.fnUntraced(function* (
      request: GenerationRequest,
      settings: ResolvedSettings,
    ) {
      const { chooser, job, limit, observer } = yield* prepared(
        request,
        settings,
      );
      const { ids: prompt, keys, onQueued, ...rest } = job;
      let reused: number | undefined;
      const logitsAfter = (ids: readonly number[]) =>
        Effect.suspend(() => {
          let row = new Float32Array(0);
          const first = ids.length === 0;
          return Effect.map(
            perform(engine, {
              ...rest,
              ids: Int32Array.from([...prompt, ...ids]),
              keys: Int32Array.from([...keys, ...ids]),
              ...(first ? { onQueued } : {}),
              onStart: (found) => reused ??= found,
              onPrefill: (done) => {
                if (first) observer.onPrefill?.(done, prompt.length);
              },
              next: (logits) => {
                row = new Float32Array(logits);
                return undefined;
              },
            }),
            () => row,
          ).pipe(first ? identity : patiently);
        });
      return yield* searchAnswers({
        ...chooser,
        settings,
        limit,
        text: () => answerText(settings, parts.endTexts ?? [], request.prompt),
        detokenizer: () => parts.detokenizer(settings),
        observer,
        advance: (rows) =>
          Effect.forEach(rows, ({ ids }) => logitsAfter(ids), {
            concurrency: options.slots,
          }),
        reused: () => reused ?? 0,
      });
    });

    /** As many answers as are asked for. */
    const answer = Effect.fnUntraced(function* (request: GenerationRequest) {
      const settings = yield* resolveSettings(
        request.settings,
        config.vocabSize,
      );
      const { n, seed, numBeams } = settings;
      if (numBeams > 1) return yield* searched(request, settings);
      if (n === 1) return yield* chosen(request, settings);
      const { observer: _, ...unseen } = request;
      const [first, ...alternatives] = yield* Effect.forEach(
        Array.from({ length: n }, (_, i) => i),
        (i) =>
          chosen(i === 0 ? request : unseen, {
            ...settings,
            seed: (seed + i) % Number.MAX_SAFE_INTEGER,
          }).pipe(i === 0 ? identity : patiently),
        { concurrency: options.slots },
      );
      return { ...first, alternatives };
    });

    const check: LanguageModel["check"] = Effect.fnUntraced(
      function* (settings) {
        const resolved = yield* resolveSettings(settings, config.vocabSize);
        yield* answerMatcher(resolved, parts.constrainer);
      },
    );

    const generate: LanguageModel["generate"] = Effect.fn("internvl.generate")(
      function* (request) {
        const { deadlineMs } = request;
        const completion = yield* deadlineMs === undefined
          ? answer(request)
          : Effect.timeoutOrElse(answer(request), {
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
        yield* Effect.annotateCurrentSpan(telemetryOf(completion));
        return completion;
      },
      Effect.onExit((exit) =>
        Effect.sync(() => {
          if (Exit.isSuccess(exit)) ended.finished++;
          else if (Cause.hasInterruptsOnly(exit.cause)) ended.cancelled++;
          else ended.failed++;
        })
      ),
    );
    return {
      generate,
      check,
      stats: Effect.sync(() => {
        const vision = parts.vision?.();
        return {
          ...engine.stats(),
          ...(vision === undefined ? {} : { vision }),
          ...ended,
        };
      }),
    };
  },
);

/** A generation by OpenTelemetry's conventions for generative models. */
const telemetryOf = ({ usage, finishReason }: Completion) => ({
  "gen_ai.operation.name": "generate_content",
  "gen_ai.usage.input_tokens": usage.promptTokens,
  "gen_ai.usage.output_tokens": usage.completionTokens,
  "gen_ai.usage.cache_read.input_tokens": usage.cachedTokens ?? 0,
  "gen_ai.response.finish_reasons": [finishReason],
});

/** How a job fails; with {@link PromptError} where its constraint costs too much to follow. */
type EngineFailure = CapacityError | BackendError | PromptError;

/** What belongs to a request that was let in is not turned away by a full queue: it tries again. */
const patiently = <A, E, R>(
  job: Effect.Effect<A, E, R>,
): Effect.Effect<A, E, R> =>
  Effect.retry(job, {
    schedule: Schedule.spaced(10),
    while: (error: E) =>
      error instanceof CapacityError && error.kind === "queue",
  });

/** Has the engine do a job; interruption cancels it, and waits until its slot is free. */
function perform(
  engine: Engine,
  job: Omit<Job, "onEnd">,
): Effect.Effect<void, EngineFailure> {
  return Effect.callback<void, EngineFailure>((resume) => {
    let over = false;
    let whenOver = () => {};
    let cancel: () => void;
    try {
      cancel = engine.submit({
        ...job,
        onEnd: (outcome) => {
          over = true;
          whenOver();
          if (outcome.kind === "complete") resume(Effect.void);
          else if (outcome.kind === "failed") resume(failure(outcome.cause));
          else {
            resume(
              Effect.fail(
                new BackendError({ message: "the language model was closed" }),
              ),
            );
          }
        },
      });
    } catch (cause) {
      return resume(failure(cause));
    }
    return Effect.callback<void>((resume) => {
      if (over) return resume(Effect.void);
      whenOver = () => resume(Effect.void);
      cancel();
    });
  });
}

function failure(
  cause: unknown,
): Effect.Effect<never, EngineFailure> {
  return cause instanceof CapacityError || cause instanceof BackendError ||
      cause instanceof PromptError
    ? Effect.fail(cause)
    : Effect.die(cause);
}

/** Prompt and answer together, bounded by the context. */
function sequenceLength(
  { ids }: Prompt,
  settings: ResolvedSettings,
  contextLength: number,
  vocabulary: number,
): Effect.Effect<number, PromptError | CapacityError> {
  if (ids.length === 0) {
    return Effect.fail(
      new PromptError({ message: "the prompt has no tokens" }),
    );
  }
  const tooLong = promptTooLong(ids.length, contextLength);
  if (tooLong !== undefined) return Effect.fail(tooLong);
  const foreign = ids.findIndex((id) => !(id >= 0 && id < vocabulary));
  if (foreign >= 0) {
    return Effect.fail(
      new PromptError({
        message: `token ${
          ids[foreign]
        } at position ${foreign} of the prompt is not in the model's vocabulary of ${vocabulary}`,
      }),
    );
  }
  return Effect.succeed(
    Math.min(contextLength, ids.length + settings.maxNewTokens),
  );
}

/**
 * The rotary table of a prompt, and of what may follow it, whose angles not all others have: a prompt that is
 * longer than the plain lengths is rotated by the angles of its own length.
 */
const ownRotary = Effect.fnUntraced(function* (
  tables: RotaryTables,
  config: LanguageConfig,
  kvCache: ComputeType,
  promptLength: number,
  length: number,
): Effect.fn.Return<Readonly<Record<"cos" | "sin", Tensor>> | undefined> {
  if (promptLength <= plainLength(config)) return undefined;
  const table = yield* tables.forPrompt(promptLength, length);
  const half = config.headDim / 2;
  const tensor = (numbers: Float32Array<ArrayBuffer>): Tensor =>
    hostTensor(
      kvCache,
      [length, half],
      encodeFloats(numbers.slice(0, length * half), kvCache),
    );
  return { cos: tensor(table.cos), sin: tensor(table.sin) };
});
