/**
 * What a loaded model is made of: the layers behind `InternVL.load`, for programs on Effect.
 * @module
 */
import { Effect, Layer, Logger } from "effect";
import { BackendError, type CheckpointError } from "../nodes/errors.ts";
import {
  layerMemory,
  makeMemoCache,
  MemoCache,
  RunStore,
  type StoreError,
} from "../pipeline/mod.ts";
import { internvl } from "../plugins/internvl/mod.ts";
import { imageProcessor, videoProcessor } from "../plugins/media/mod.ts";
import {
  Backend,
  defaultBackend,
  ffiBackend,
  napiBackend,
} from "../plugins/onnx/mod.ts";
import { layerSqlite } from "../plugins/sqlite/mod.ts";
import type { AskServices } from "./ask.ts";
import { folderOf, loadProblem } from "./request.ts";
import type { LoadOptions } from "./types.ts";

/** Warnings go to stderr: stdout belongs to the script. */
export const quiet: Layer.Layer<never> = Logger.layer([
  Logger.withConsoleError(Logger.formatSimple),
]);

const backends = { ffi: ffiBackend, napi: napiBackend };

/** A binding by its name, which JavaScript and JSON may get wrong. */
const named = (name: keyof typeof backends) =>
  Object.hasOwn(backends, name) ? backends[name] : Layer.effect(
    Backend,
    new BackendError({
      message: `there is no binding ${JSON.stringify(name)}; known: ffi, napi`,
    }),
  );

/** A layer that is never built. */
const refused = (error: CheckpointError | BackendError) =>
  Layer.effectContext(Effect.fail(error));

/** Bytes kept for reuse by default. */
const defaultCacheBytes = 512 * 2 ** 20;

/**
 * The services of a model: the checkpoint's, the media plugin's, a memo and a run store. Loads the model
 * when it is built; fails with `CheckpointError`, `BackendError`, or `StoreError` for a SQLite file that
 * cannot be opened.
 *
 * ```ts
 * import { chat, modelLayer } from "@tessera/sdk";
 * import { Effect } from "effect";
 * import assert from "node:assert/strict";
 *
 * const answer = await Effect.runPromise(
 *   chat({ question: "Hello!", generation: { maxNewTokens: 16 } }).pipe(
 *     Effect.provide(modelLayer("models/nano", { store: "memory" })),
 *   ),
 * );
 * assert.ok(answer.response.length > 0);
 * ```
 */
export function modelLayer(
  dir: string | URL,
  options: LoadOptions = {},
): Layer.Layer<AskServices, CheckpointError | BackendError | StoreError> {
  const folder = folderOf(dir);
  if (typeof folder !== "string") return refused(folder);
  const problem = loadProblem(options);
  if (problem !== undefined) return refused(problem);
  const { backend, store = "memory", cacheBytes = defaultCacheBytes } = options;
  const model = internvl(folder, options).pipe(
    Layer.provide(backend === undefined ? defaultBackend : named(backend)),
  );
  if (!(cacheBytes >= 0)) {
    return refused(
      new BackendError({
        message:
          `cacheBytes is ${cacheBytes}; it must be a number of bytes from 0`,
      }),
    );
  }
  const memo = cacheBytes === 0 ? Layer.empty : Layer.effect(
    MemoCache,
    makeMemoCache({ maxEntries: 4096, maxBytes: cacheBytes }),
  );
  return Layer.mergeAll(
    model,
    imageProcessor,
    videoProcessor,
    memo,
    typeof store !== "string"
      ? Layer.succeed(RunStore, store)
      : store === "memory"
      ? layerMemory()
      : layerSqlite(store),
  );
}
