/**
 * The promise face: a loaded model for plain scripts.
 * @module
 */
import {
  Cause,
  type Context,
  Effect,
  Exit,
  Layer,
  ManagedRuntime,
  type Scope,
} from "effect";
import type { BackendError, CheckpointError } from "../nodes/errors.ts";
import { ModelInfo } from "../nodes/services.ts";
import {
  type Pipeline,
  type Ports,
  run,
  type RunInputs,
  type RunResult,
  type StoreError,
  TesseraError,
} from "../pipeline/mod.ts";
import {
  type AskServices,
  batchChat,
  chat,
  watched,
  type WatchOptions,
} from "./ask.ts";
import {
  quantize,
  type QuantizeResult,
  type QuantizeSettings,
} from "../plugins/internvl/mod.ts";
import { modelLayer, quiet } from "./layers.ts";
import { folderOf } from "./request.ts";
import type {
  AskOptions,
  BatchRequest,
  ChatRequest,
  ChatResult,
  ChatStream,
  LoadOptions,
} from "./types.ts";

/** Where a model's effects run, and what ends with it. */
interface Runtime {
  readonly run: <A, E>(
    effect: Effect.Effect<A, E, AskServices>,
    signal: AbortSignal | undefined,
  ) => Promise<Exit.Exit<A, unknown>>;
  readonly dispose: () => Promise<void>;
}

/**
 * A loaded checkpoint of the InternVL-Chat family.
 *
 * Every method rejects with one of the SDK's tagged errors, or with the reason of its `AbortSignal`.
 *
 * ```ts
 * import { InternVL } from "@tessera/sdk";
 * import assert from "node:assert/strict";
 *
 * await using model = await InternVL.load("models/nano");
 * const { response, usage, timings } = await model.chat({
 *   images: ["examples/images/shapes.png"],
 *   question: "What is in the picture?",
 *   generation: { maxNewTokens: 32 },
 * });
 * assert.ok(response.length > 0);
 * assert.ok(usage.promptTokens > usage.imageTokens && usage.imageTokens > 0);
 * assert.ok("vision-encode" in timings);
 * ```
 */
export class InternVL implements AsyncDisposable {
  readonly #runtime: Runtime;
  readonly #closing = new AbortController();
  readonly #running = new Set<Promise<unknown>>();
  /** Facts about the model. */
  readonly info: ModelInfo;

  private constructor(runtime: Runtime, info: ModelInfo) {
    this.#runtime = runtime;
    this.info = info;
  }

  /**
   * Loads a checkpoint folder in the Hugging Face layout, by its path or `file:` URL. The weights are read
   * where they lie.
   *
   * Rejects with `CheckpointError` (something missing, damaged, or of an architecture we do not have)
   * or `BackendError` (a device that is not there, no memory).
   *
   * ```ts
   * import { InternVL } from "@tessera/sdk";
   * import assert from "node:assert/strict";
   *
   * await using model = await InternVL.load("models/nano", {
   *   threads: 1,
   *   cacheBytes: 64 * 2 ** 20,
   *   signal: AbortSignal.timeout(60_000),
   * });
   * assert.equal(model.info.name, "nano");
   * ```
   */
  static async load(
    dir: string | URL,
    options: LoadOptions = {},
  ): Promise<InternVL> {
    const managed: ManagedRuntime.ManagedRuntime<
      AskServices,
      CheckpointError | BackendError | StoreError
    > = ManagedRuntime.make(Layer.merge(modelLayer(dir, options), quiet));
    const runtime: Runtime = {
      run: (effect, signal) => managed.runPromiseExit(effect, { signal }),
      dispose: () => managed.dispose(),
    };
    const caller = callerOf();
    try {
      const info = await settle(runtime, ModelInfo, options?.signal);
      return new InternVL(runtime, info);
    } catch (error) {
      await runtime.dispose();
      throw locate(error, caller);
    }
  }

  /**
   * The same face for a model that somebody else owns, such as a server's. Every call takes the services
   * in a scope of its own, so that the owner may unload the model between calls; disposing of this one
   * ends its calls and leaves the model alone. Rejects with what taking the services fails with.
   *
   * ```ts
   * import { InternVL, modelLayer } from "@tessera/sdk";
   * import { Effect, Layer } from "effect";
   * import assert from "node:assert/strict";
   *
   * const program = Effect.gen(function* () {
   *   const services = yield* Layer.build(modelLayer("models/nano"));
   *   const model = yield* Effect.promise(() => InternVL.over(Effect.succeed(services)));
   *   return yield* Effect.promise(() => model.chat({ question: "Hello!" }));
   * });
   * const { response } = await Effect.runPromise(Effect.scoped(program));
   * assert.ok(response.length > 0);
   * ```
   */
  static async over<E>(
    services: Effect.Effect<Context.Context<AskServices>, E, Scope.Scope>,
  ): Promise<InternVL> {
    const runtime: Runtime = {
      run: (effect, signal) =>
        Effect.runPromiseExit(
          Effect.scoped(
            Effect.flatMap(
              services,
              (context) => Effect.provideContext(effect, context),
            ),
          ).pipe(Effect.provide(quiet)),
          { signal },
        ),
      dispose: () => Promise.resolve(),
    };
    return new InternVL(runtime, await settle(runtime, ModelInfo, undefined));
  }

  /**
   * Writes a smaller copy of a checkpoint folder, to be loaded as any other, both by path or `file:` URL;
   * see {@link quantize}. An aborted one leaves a folder that `resume` goes on with.
   *
   * ```ts
   * import { InternVL } from "@tessera/sdk";
   * import assert from "node:assert/strict";
   *
   * const out = await Deno.makeTempDir();
   * await InternVL.quantize("models/nano", out, { weights: "int8" });
   * await using model = await InternVL.load(out);
   * const { response } = await model.chat({ question: "Hello!" });
   * assert.ok(response.length > 0);
   * await Deno.remove(out, { recursive: true });
   * ```
   */
  static async quantize(
    dir: string | URL,
    out: string | URL,
    settings: QuantizeSettings & { readonly signal?: AbortSignal },
  ): Promise<QuantizeResult> {
    const signal = settings?.signal;
    signal?.throwIfAborted();
    const caller = callerOf();
    const [from, to] = [folderOf(dir), folderOf(out, "the copy")];
    for (const folder of [from, to]) {
      if (typeof folder !== "string") throw locate(folder, caller);
    }
    const exit = await Effect.runPromiseExit(
      quantize(from as string, to as string, settings ?? {}),
      { signal },
    );
    try {
      return settled(exit, signal);
    } catch (error) {
      throw locate(error, caller);
    }
  }

  /**
   * Asks one question: text only, about pictures, about a video, or about both.
   *
   * ```ts
   * import { InternVL } from "@tessera/sdk";
   * import assert from "node:assert/strict";
   *
   * await using model = await InternVL.load("models/nano");
   * const images = ["examples/images/shapes.png"];
   * const first = await model.chat({ images, question: "What is in the picture?" });
   * const second = await model.chat({
   *   images,
   *   question: "How many shapes are there?",
   *   history: first.history,
   * });
   * assert.equal(second.history.length, 2);
   * ```
   */
  chat(request: ChatRequest): Promise<ChatResult> {
    return this.#settle(chat(request), request?.signal);
  }

  /**
   * Asks one question and streams the answer in whole characters. The run begins at once; leaving the
   * loop early stops it. Of several loops each gets the whole answer, and the last to leave stops it.
   *
   * ```ts
   * import { InternVL } from "@tessera/sdk";
   * import assert from "node:assert/strict";
   *
   * await using model = await InternVL.load("models/nano");
   * const answer = model.chatStream({ question: "Hello!" });
   * let text = "";
   * for await (const part of answer) text += part;
   * assert.equal(text, (await answer.result).response);
   * ```
   */
  chatStream(request: ChatRequest): ChatStream {
    const leave = new AbortController();
    const signal = request?.signal === undefined
      ? leave.signal
      : AbortSignal.any([leave.signal, request.signal]);
    const deltas: string[] = [];
    let ended = false;
    let news = Promise.withResolvers<void>();
    const tell = () => {
      news.resolve();
      news = Promise.withResolvers();
    };
    const result = this.chat({
      ...request,
      signal,
      onEvent: (event) => {
        if (event._tag === "NodeProgress" && event.port === "text") {
          deltas.push(String(event.delta));
          tell();
        }
        request.onEvent?.(event);
      },
    }).finally(() => {
      ended = true;
      tell();
    });
    // Who only iterates sees the failure there; it must not end the process besides.
    result.catch(() => {});
    let readers = 0;
    // No generator: one that was never started, or that waits, does not hear of being left.
    const read = (): AsyncIterator<string, undefined> => {
      const over = { done: true, value: undefined } as const;
      let at = 0;
      let left = false;
      readers++;
      return {
        async next() {
          while (!left) {
            const value = deltas.slice(at).join("");
            at = deltas.length;
            if (value !== "") return { done: false, value };
            if (ended) {
              left = true;
              await result;
            } else await news.promise;
          }
          return over;
        },
        return() {
          if (!left) {
            left = true;
            if (--readers === 0) {
              leave.abort(
                new DOMException("the reader left the stream", "AbortError"),
              );
            }
            tell();
          }
          return Promise.resolve(over);
        },
      };
    };
    return { result, [Symbol.asyncIterator]: read };
  }

  /**
   * Asks several independent questions; their stages overlap. Unlike the reference's `batch_chat`, a
   * sample may hold several pictures, a video and a history. Rejects with the first failure.
   *
   * ```ts
   * import { InternVL } from "@tessera/sdk";
   * import assert from "node:assert/strict";
   *
   * await using model = await InternVL.load("models/nano");
   * const answers = await model.batchChat({
   *   samples: [
   *     { question: "What is this?", images: ["examples/images/shapes.png"] },
   *     { question: "Hello!" },
   *   ],
   *   generation: { maxNewTokens: 16 },
   * });
   * assert.equal(answers[1]?.usage.imageTokens, 0);
   * ```
   */
  batchChat(request: BatchRequest): Promise<ChatResult[]> {
    return this.#settle(batchChat(request), request?.signal);
  }

  /**
   * Runs a pipeline of your own whose services this model provides. Rejects with what its nodes fail with,
   * or with `GraphError` for inputs that do not fit.
   *
   * ```ts
   * import { ImageSource, InternVL, load, pipeline } from "@tessera/sdk";
   * import assert from "node:assert/strict";
   *
   * await using model = await InternVL.load("models/nano");
   * const size = pipeline("size", (g) =>
   *   g.add(load, { source: g.input("image", ImageSource) }));
   * const { outputs } = await model.run(size, { image: "examples/images/shapes.png" });
   * assert.ok(outputs.image.width > 0);
   * ```
   */
  run<In extends Ports, Out extends Ports, E>(
    pipeline: Pipeline<In, Out, E, AskServices>,
    inputs: RunInputs<In>,
    options: Pick<AskOptions, "signal"> & WatchOptions = {},
  ): Promise<RunResult<Out>> {
    return this.#settle(
      watched(options, (runOptions) => run(pipeline, inputs, runOptions)),
      options.signal,
    );
  }

  /**
   * Runs any effect over the model's services: the door from promises to Effect.
   *
   * ```ts
   * import { InternVL, RunStore } from "@tessera/sdk";
   * import { Effect } from "effect";
   * import assert from "node:assert/strict";
   *
   * await using model = await InternVL.load("models/nano");
   * await model.chat({ question: "Hello!", generation: { maxNewTokens: 4 } });
   * const { runs } = await model.effect(
   *   Effect.flatMap(RunStore, (store) => store.list()),
   * );
   * assert.equal(runs[0]?.pipeline, "chat");
   * ```
   */
  effect<A, E>(
    effect: Effect.Effect<A, E, AskServices>,
    options: { readonly signal?: AbortSignal } = {},
  ): Promise<A> {
    return this.#settle(effect, options.signal);
  }

  /**
   * Stops running work and releases everything native.
   *
   * ```ts
   * import { InternVL } from "@tessera/sdk";
   * import assert from "node:assert/strict";
   *
   * const model = await InternVL.load("models/nano");
   * await model[Symbol.asyncDispose](); // what `await using` does at the end of its block
   * await assert.rejects(model.chat({ question: "Hello!" }), { name: "AbortError" });
   * ```
   */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing.abort(
      new DOMException("the model was closed", "AbortError"),
    );
    await Promise.allSettled(this.#running);
    await this.#runtime.dispose();
  }

  /** Runs an effect until it ends, the caller's signal aborts, or the model is closed. */
  #settle<A, E>(
    effect: Effect.Effect<A, E, AskServices>,
    signal: AbortSignal | undefined,
  ): Promise<A> {
    const closing = this.#closing.signal;
    const caller = callerOf();
    const running = settle(
      this.#runtime,
      effect,
      signal === undefined ? closing : AbortSignal.any([closing, signal]),
    ).catch((error) => {
      throw locate(error, caller);
    }).finally(() => this.#running.delete(running));
    this.#running.add(running);
    return running;
  }
}

/** The lines of the stack that belong to whoever called this module, which must be called by it at once. */
function callerOf(): string {
  const lines = (new Error().stack ?? "").split("\n").slice(1);
  const first = lines.findIndex((line) => !line.includes(import.meta.url));
  return first < 0 ? "" : lines.slice(first).join("\n");
}

/**
 * An error arises in a fiber, whose stack knows nothing of the script: its own lines come first, or nobody
 * would learn which of several questions failed.
 */
function locate(error: unknown, caller: string): unknown {
  if (!(error instanceof TesseraError) || caller === "") return error;
  const { stack = "" } = error;
  const frames = stack.search(/\n {4}at /);
  // Two callers may wait for one and the same picture, and then for one error.
  if (frames < 0 || stack.includes(caller)) return error;
  error.stack = `${stack.slice(0, frames)}\n${caller}${stack.slice(frames)}`;
  return error;
}

/** Runs an effect; an interruption by the caller's signal rejects with the signal's reason. */
async function settle<A, E>(
  runtime: Runtime,
  effect: Effect.Effect<A, E, AskServices>,
  signal: AbortSignal | undefined,
): Promise<A> {
  signal?.throwIfAborted();
  return settled(await runtime.run(effect, signal), signal);
}

/** The value of an effect that has ended, or what a promise rejects with. */
function settled<A, E>(
  exit: Exit.Exit<A, E>,
  signal: AbortSignal | undefined,
): A {
  if (Exit.isSuccess(exit)) return exit.value;
  if (signal?.aborted && Cause.hasInterruptsOnly(exit.cause)) {
    throw signal.reason;
  }
  if (Cause.hasInterruptsOnly(exit.cause)) {
    // Nobody here asked for it: the run was cancelled through its store.
    throw new DOMException("the run was cancelled", "AbortError");
  }
  throw Cause.squash(exit.cause);
}
