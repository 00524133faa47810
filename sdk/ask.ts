/**
 * The Effect face: questions as effects over the services that a model's layer provides.
 * @module
 */
import { Effect } from "effect";
import type { MediaError } from "../nodes/errors.ts";
import {
  type AnswerError,
  answerPipeline,
  batchChatPipeline,
  chatPipeline,
  type ImageServices,
  videoChatPipeline,
} from "../nodes/mod.ts";
import {
  LanguageModel,
  ModelInfo,
  type TextTokenizer,
  type VideoProcessor,
} from "../nodes/services.ts";
import type { Completion, History, Prompt, Turn } from "../nodes/values.ts";
import {
  type GraphError,
  type NodeReport,
  observe,
  type Ports,
  run,
  type RunOptions,
  type RunResult,
} from "../pipeline/mod.ts";
import { dumpTo } from "./dump.ts";
import { batchProblem, chatProblem, settingsOf } from "./request.ts";
import { stageTimings } from "./stages.ts";
import type {
  AskOptions,
  BatchRequest,
  ChatAlternative,
  ChatRequest,
  ChatResult,
} from "./types.ts";

/** What goes wrong when a question is asked. */
export type AskError = AnswerError | GraphError;

/** What a question asks for: the services of a loaded model and of the media plugin. */
export type AskServices = ImageServices | VideoProcessor | TextTokenizer;

/**
 * Asks one question. Fails with `MediaError` (a picture or video), `PromptError` (the question or a
 * setting), `CapacityError` (longer than the context), `BackendError`.
 *
 * ```ts
 * import { chat, modelLayer } from "@tessera/sdk";
 * import { Effect } from "effect";
 * import assert from "node:assert/strict";
 *
 * const program = chat({
 *   images: ["examples/images/shapes.png"],
 *   question: "What is in the picture?",
 *   generation: { maxNewTokens: 16 },
 * }).pipe(Effect.catchTag("MediaError", (error) => Effect.fail(error.message)));
 * const { response, usage } = await Effect.runPromise(
 *   Effect.provide(program, modelLayer("models/nano")),
 * );
 * assert.ok(response.length > 0 && usage.imageTokens > 0);
 * ```
 */
export const chat: (
  request: ChatRequest,
) => Effect.Effect<ChatResult, AskError, AskServices> = Effect.fn("chat")(
  function* (request: ChatRequest) {
    const problem = chatProblem(request);
    if (problem !== undefined) return yield* problem;
    const { images = [], video, question, history, numPatchesList } = request;
    const settings = yield* checkedSettings(request);
    const options = pipelineOptions(request);
    const result = yield* watched(
      request,
      (runOptions) =>
        video === undefined
          ? run(
            chatPipeline(options),
            { images, question, history, numPatchesList, settings },
            runOptions,
          )
          : numPatchesList === undefined && Array.isArray(images) &&
              images.length === 0
          ? run(
            videoChatPipeline(options),
            { video, question, history, settings },
            runOptions,
          )
          : run(answerPipeline(options), {
            // The codec of samples knows no `undefined`, and a run is kept only if it can be encoded.
            sample: {
              question,
              images,
              video,
              ...(history === undefined ? {} : { history }),
              ...(numPatchesList === undefined ? {} : { numPatchesList }),
            },
            settings,
          }, runOptions),
    );
    return chatResult(result.outputs, history, result, result.nodes);
  },
);

/**
 * Asks several independent questions; each result carries its own sample's timings. The first failure
 * ends the others and is the failure of all.
 *
 * ```ts
 * import { batchChat, modelLayer } from "@tessera/sdk";
 * import { Effect } from "effect";
 * import assert from "node:assert/strict";
 *
 * const answers = await Effect.runPromise(
 *   batchChat({
 *     samples: [{ question: "Hello!" }, { question: "Who are you?" }],
 *     generation: { maxNewTokens: 8 },
 *   }).pipe(Effect.provide(modelLayer("models/nano"))),
 * );
 * assert.equal(answers.length, 2);
 * ```
 */
export const batchChat: (
  request: BatchRequest,
) => Effect.Effect<ChatResult[], AskError, AskServices> = Effect.fn(
  "batchChat",
)(function* (request: BatchRequest) {
  const problem = batchProblem(request);
  if (problem !== undefined) return yield* problem;
  const settings = yield* checkedSettings(request);
  let failed: string | undefined;
  const result = yield* watched(
    request,
    (runOptions) =>
      observe(
        run(batchChatPipeline(pipelineOptions(request)), {
          samples: request.samples,
          settings,
        }, runOptions),
        (event) => {
          if (event._tag !== "NodeFailed" || event.willRetry) return;
          failed ??= /^answer\[(\d+)\]/.exec(event.node)?.[1];
        },
      ).pipe(Effect.mapError((error) =>
        failed === undefined ? error : inPlace(error, `samples[${failed}]`)
      )),
  );
  return request.samples.map(({ history }, index) =>
    chatResult(
      {
        completion: result.outputs.completions[index]!,
        prompt: result.outputs.prompts[index]!,
      },
      history,
      result,
      result.nodes.filter(({ node }) => node.startsWith(`answer[${index}]/`)),
    )
  );
});

/** The settings of a request, which the model takes. */
const checkedSettings = Effect.fnUntraced(
  function* ({ generation }: AskOptions) {
    const settings = settingsOf(generation);
    const { check } = yield* LanguageModel;
    if (check !== undefined) yield* check(settings);
    return settings;
  },
);

/** The same error with the place in front of what it says; one error may be that of several callers. */
function inPlace<E extends AskError>(error: E, place: string): E {
  const Same = error.constructor as new (fields: E) => E;
  const { cause, message } = error;
  return new Same({ ...error, cause, message: `${place}: ${message}` });
}

interface AnswerValues {
  readonly completion: Completion;
  readonly prompt: Prompt;
}

const pipelineOptions = (
  { maxTiles, minTiles, systemMessage }: AskOptions,
) => ({ maxTiles, minTiles, systemMessage });

/** What is said about a run besides its inputs. */
export type WatchOptions = Pick<AskOptions, "onEvent" | "dump" | "attributes">;

/** Runs with the request's listener, dump and attributes; the model's name is one of these. */
export const watched: <A, E, R>(
  request: WatchOptions,
  start: (options: RunOptions) => Effect.Effect<A, E, R>,
) => Effect.Effect<A, E | MediaError, R | ModelInfo> = Effect.fnUntraced(
  function* <A, E, R>(
    { onEvent, dump, attributes }: WatchOptions,
    start: (options: RunOptions) => Effect.Effect<A, E, R>,
  ) {
    const { name } = yield* ModelInfo;
    const files = dump === undefined ? undefined : dumpTo(dump);
    const running = start({
      attributes: { ...attributes, model: name },
      ...(files === undefined ? {} : { onValue: files.onValue }),
    });
    const result = yield* onEvent === undefined
      ? running
      : observe(running, onEvent);
    if (files !== undefined) yield* files.write;
    return result;
  },
);

function chatResult(
  { completion, prompt }: AnswerValues,
  history: History | undefined,
  { runId, storeError }: Pick<RunResult<Ports>, "runId" | "storeError">,
  nodes: readonly NodeReport[],
): ChatResult {
  const turn: Turn = [prompt.question, completion.text];
  return {
    response: completion.text,
    history: [...(history ?? []), turn],
    usage: completion.usage,
    finishReason: completion.finishReason,
    ...(completion.logprobs === undefined
      ? {}
      : { logprobs: completion.logprobs }),
    ...(completion.alternatives === undefined
      ? {}
      : { alternatives: completion.alternatives.map(alternative) }),
    timings: stageTimings(nodes),
    runId,
    ...(storeError === undefined ? {} : { storeError }),
  };
}

const alternative = (
  { text, usage, finishReason, logprobs }: Completion,
): ChatAlternative => ({
  response: text,
  usage,
  finishReason,
  ...(logprobs === undefined ? {} : { logprobs }),
});
