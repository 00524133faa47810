/**
 * The FFI backend: ONNX Runtime's C API, called off the event loop.
 * @module
 */
import { Effect, Layer } from "effect";
import type { BackendError } from "../../../nodes/errors.ts";
import { Backend, type Device } from "../backend.ts";
import { availableProviders, openRuntime } from "./runtime.ts";
import { allDevices, deviceProblem } from "./providers.ts";
import { loadSession } from "./session.ts";

/**
 * ONNX Runtime's C API through Deno's FFI. Needs `--allow-ffi --allow-read --allow-env`.
 *
 * ```ts
 * import { Backend, ffiBackend, ModelInfo, modelLayer } from "@tessera/sdk";
 * import { Effect } from "effect";
 * import assert from "node:assert/strict";
 *
 * const layer = modelLayer("models/nano", { backend: "ffi" });
 * const info = await Effect.runPromise(Effect.provide(ModelInfo, layer));
 * assert.equal(info.name, "nano");
 * const backend = await Effect.runPromise(Effect.provide(Backend, ffiBackend));
 * assert.equal(backend.binding, "ffi");
 * ```
 */
export const ffiBackend: Layer.Layer<Backend, BackendError> = Layer.effect(
  Backend,
  Effect.gen(function* () {
    const runtime = yield* openRuntime;
    let devices: readonly Device[] | undefined;
    const backend: Backend = {
      binding: "ffi",
      version: runtime.library.version,
      providers: availableProviders(runtime),
      // Found out when asked: it loads every provider.
      get devices() {
        return devices ??= allDevices.filter((device) =>
          deviceProblem(runtime, device) === undefined
        );
      },
      load: (model, options) => loadSession(runtime, model, options),
    };
    return backend;
  }),
);
