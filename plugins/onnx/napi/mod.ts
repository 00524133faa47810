/**
 * The N-API backend: the `onnxruntime-node` package in workers, for platforms where FFI is not allowed
 * and as a cross-check.
 *
 * Differences from the FFI backend, all of them limits of the package's JavaScript API: a run that has
 * begun cannot be stopped, so an interruption waits for its end; a tensor written by a run is replaced,
 * not updated in place, so every run makes new memory for it; bfloat16 inputs and outputs do not exist;
 * GPU sessions take and give host memory.
 * @module
 */
import { Effect, Layer } from "effect";
import { BackendError } from "../../../nodes/errors.ts";
import { Backend, type Device } from "../backend.ts";
import { WorkerClient } from "./client.ts";
import type { Answers } from "./protocol.ts";
import { loadSession } from "./session.ts";

/** ONNX Runtime's names of the package's backends. */
const providerNames: Readonly<Record<string, string>> = {
  cpu: "CPUExecutionProvider",
  cuda: "CUDAExecutionProvider",
  webgpu: "WebGpuExecutionProvider",
  dml: "DmlExecutionProvider",
  coreml: "CoreMLExecutionProvider",
};

/**
 * `onnxruntime-node` in workers. Needs `--allow-ffi --allow-read --allow-env`, as native addons do.
 * `devices` lists what the package was built with, the CUDA libraries it does not carry left out:
 * whether there is a GPU shows when a session is loaded.
 *
 * ```ts
 * import { Backend, napiBackend } from "@tessera/sdk";
 * import { Effect } from "effect";
 * import assert from "node:assert/strict";
 *
 * const backend = await Effect.runPromise(Effect.provide(Backend, napiBackend));
 * assert.equal(backend.binding, "napi");
 * ```
 */
export const napiBackend: Layer.Layer<Backend, BackendError> = Layer.effect(
  Backend,
  Effect.gen(function* () {
    const { version, backends } = known ??= yield* Effect.scoped(about);
    const backend: Backend = {
      binding: "napi",
      version,
      providers: backends.map(({ name }) => providerNames[name] ?? name),
      devices: backends
        .filter(({ name, bundled }) => bundled && isDevice(name))
        .map(({ name }) => name as Device),
      load: loadSession,
    };
    return backend;
  }),
);

/** Asked once per process: the package does not change. */
let known: Answers["about"] | undefined;

const about = Effect.flatMap(
  Effect.acquireRelease(
    Effect.sync(() => new WorkerClient("onnxruntime-node")),
    (client) => client.close,
  ),
  (client) =>
    client.request<"about">(() => ({
      request: { op: "about" },
    })).pipe(Effect.mapError((error) =>
      /--allow-ffi/.test(error.message)
        ? new BackendError({
          message:
            "native addons need --allow-ffi as well: run again with --allow-ffi --allow-read --allow-env",
          cause: error,
        })
        : error
    )),
);

function isDevice(name: string): name is Device {
  return name === "cpu" || name === "cuda" || name === "webgpu";
}
