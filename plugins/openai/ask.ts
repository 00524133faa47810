/**
 * Runs of a server: a request becomes one run of a pipeline for each answer that it wants, and what
 * happens in them is told as it happens.
 * @module
 */
import { Context, Effect } from "effect";
import {
  type AnswerError,
  type CompletePipeline,
  completePipeline,
  type CompletionValue,
  type ConversationValue,
  type ConversePipeline,
  conversePipeline,
  type GenerationSettingsValue,
  type ImageSourceValue,
  type PromptValue,
  type TilingParams,
  type VideoClipValue,
} from "../../nodes/mod.ts";
import {
  type GraphError,
  observe,
  run,
  type RunEvent,
  type RunListener,
  type RunOptions,
  type RunResult,
} from "../../pipeline/mod.ts";
import {
  ApiError,
  fromRunError,
  isServerFault,
  oneLine,
  type SettingNames,
} from "./errors.ts";
import { countAnswer } from "./metrics.ts";
import type { ServedModel } from "./pool.ts";
import { Place, RequestInfo } from "./request_info.ts";

/** What is asked: messages, or a text to go on with. */
export type Question =
  | {
    readonly type: "converse";
    readonly conversation: ConversationValue;
    readonly images: readonly ImageSourceValue[];
    readonly small: readonly ImageSourceValue[];
    readonly videos: readonly VideoClipValue[];
    readonly tiling: TilingParams;
    /** Where the request names pictures and videos, which is what the run calls them. */
    readonly params: ReadonlySet<string>;
  }
  | { readonly type: "complete"; readonly prompt: PromptValue };

/** A question with how it is to be answered. */
export interface Ask {
  /** The model. */
  readonly model: ServedModel;
  /** The question. */
  readonly question: Question;
  /** Settings of the answer. */
  readonly settings: GenerationSettingsValue;
  /** What the request calls them; default: as most do. */
  readonly names?: SettingNames;
  /** Answers wanted. */
  readonly choices: number;
  /** Milliseconds until an answer is given up; 0 for any time. */
  readonly timeoutMs: number;
}

/** An answer. */
export interface Answer {
  /** The answer. */
  readonly completion: CompletionValue;
  /** The run in the run store. */
  readonly runId: string;
}

/** What happens while answers are made. */
export type AnswerEvent =
  | { readonly type: "text"; readonly choice: number; readonly delta: string }
  | {
    readonly type: "token";
    readonly choice: number;
    readonly token: unknown;
  }
  | { readonly type: "end"; readonly choice: number; readonly answer: Answer };

const pipelines = new Map<string, ConversePipeline>();
let completing: CompletePipeline | undefined;

/** One pipeline for each tiling, so that its plan is made once. */
function conversing(tiling: TilingParams): ConversePipeline {
  const key = `${tiling.minTiles ?? ""} ${tiling.maxTiles ?? ""}`;
  let made = pipelines.get(key);
  if (made === undefined) pipelines.set(key, made = conversePipeline(tiling));
  return made;
}

type Run = Effect.Effect<
  RunResult & { readonly outputs: { readonly completion: CompletionValue } },
  AnswerError | GraphError
>;

function start(
  { model, question, settings }: Ask,
  options: RunOptions,
): Run {
  const running = question.type === "converse"
    ? run(conversing(question.tiling), {
      conversation: question.conversation,
      images: question.images,
      small: question.small,
      videos: question.videos,
      settings,
    }, options)
    : run(completing ??= completePipeline(), {
      prompt: question.prompt,
      settings,
    }, options);
  return Effect.provideContext(running, model.context) as Run;
}

/** Makes one answer; watches its run. */
const answerOne: (
  ask: Ask,
  choice: number,
  listener: RunListener | undefined,
) => Effect.Effect<Answer, ApiError> = Effect.fnUntraced(function* (
  ask: Ask,
  choice: number,
  listener: RunListener | undefined,
) {
  const info = yield* RequestInfo;
  const { seed } = ask.settings;
  // Answers to one request differ by their seeds; the first is the one that a single answer would be.
  const settings = seed === undefined || choice === 0
    ? ask.settings
    : { ...ask.settings, seed: (seed + choice) % Number.MAX_SAFE_INTEGER };
  const running = start({ ...ask, settings }, {
    // Whoever asks does not wait for the store.
    awaitStore: false,
    attributes: {
      model: ask.model.id,
      endpoint: info.endpoint,
      request: info.id,
      caller: info.caller,
    },
  });
  const result =
    yield* (listener === undefined ? running : observe(running, listener)).pipe(
      Effect.tapError((error) =>
        isServerFault(error)
          ? Effect.logError(
            `${info.id}: ${error._tag}: ${oneLine(error.message)}`,
          )
          : Effect.void
      ),
      Effect.mapError((error) =>
        fromRunError(
          error,
          ask.question.type === "converse" ? ask.question.params : undefined,
          ask.names,
        )
      ),
      (answering) =>
        ask.timeoutMs === 0 ? answering : Effect.timeoutOrElse(answering, {
          duration: ask.timeoutMs,
          orElse: () =>
            Effect.fail(
              new ApiError({
                status: 504,
                message:
                  `the answer was not ready within ${ask.timeoutMs} ms; ask for fewer tokens`,
                code: "deadline_exceeded",
                retry: false,
              }),
            ),
        }),
    );
  const { completion } = result.outputs;
  info.record?.answered(ask.model.id, completion.usage);
  yield* countAnswer(ask.model.id, completion, result.nodes);
  return { completion, runId: result.runId };
});

/** One answer of a request: what is asked, and which of its answers it is. */
interface Wanted {
  readonly ask: Ask;
  readonly draw: number;
}

const wanted = (asks: readonly Ask[]): readonly Wanted[] =>
  asks.flatMap((ask) =>
    Array.from({ length: ask.choices }, (_, draw) => ({ ask, draw }))
  );

/** Makes all answers, those of the first question first; the first failure is the failure of all. */
export const answerAll = (
  ...asks: readonly Ask[]
): Effect.Effect<readonly Answer[], ApiError> =>
  Effect.forEach(
    wanted(asks),
    ({ ask, draw }) => answerOne(ask, draw, undefined),
    { concurrency: "unbounded" },
  );

/** Makes all answers and tells what happens meanwhile, as it happens: a run does not wait for its reader. */
export const answerEvents: (
  asks: readonly Ask[],
  push: (event: AnswerEvent) => void,
) => Effect.Effect<void, ApiError> = Effect.fnUntraced(function* (
  asks: readonly Ask[],
  push: (event: AnswerEvent) => void,
) {
  const { giveBack } = yield* Place;
  const listen = (choice: number) => (event: RunEvent): void => {
    if (event._tag !== "NodeProgress" || event.port === undefined) return;
    if (event.port === "text") {
      push({ type: "text", choice, delta: String(event.delta) });
    } else if (event.port === "logprobs") {
      push({ type: "token", choice, token: event.delta });
    }
  };
  yield* Effect.forEach(
    wanted(asks),
    ({ ask, draw }, choice) =>
      Effect.map(answerOne(ask, draw, listen(choice)), (answer) => {
        push({ type: "end", choice, answer });
      }),
    { concurrency: "unbounded", discard: true },
  ).pipe(Effect.onExit(() => giveBack));
});

/** A service of a model. */
export const serviceOf = <I, S>(
  model: ServedModel,
  tag: Context.Key<I, S>,
): S => Context.getUnsafe(model.context, tag);
