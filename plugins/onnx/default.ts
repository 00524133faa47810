/**
 * Choosing a binding, and telling what works here.
 * @module
 */
import { Context, Effect, Exit, Layer, Scope } from "effect";
import { BackendError } from "../../nodes/errors.ts";
import { Backend, type Device } from "./backend.ts";
import { ffiBackend } from "./ffi/mod.ts";
import {
  allDevices,
  deviceProblem,
  libraryPath,
  providerName,
} from "./ffi/providers.ts";
import { openRuntime } from "./ffi/runtime.ts";
import { availableProviders } from "./ffi/runtime.ts";
import { napiBackend } from "./napi/mod.ts";

/** Which binding {@link defaultBackend} took, and why not FFI where it is the other one. */
export interface BackendChoice {
  /** The binding in use. */
  readonly binding: Backend["binding"];
  /** Why FFI could not be used; undefined where it is. */
  readonly reason: string | undefined;
}

/**
 * {@link BackendChoice} as a service, beside the backend.
 *
 * ```ts
 * import { BackendChoice, defaultBackend } from "@tessera/sdk";
 * import { Effect } from "effect";
 * import assert from "node:assert/strict";
 *
 * const choice = await Effect.runPromise(Effect.provide(BackendChoice, defaultBackend));
 * assert.ok(choice.binding === "ffi" || choice.reason !== undefined);
 * ```
 */
export const BackendChoice: Context.Service<BackendChoice, BackendChoice> =
  Context.Service<BackendChoice>("tessera/onnx/BackendChoice");

/**
 * The FFI backend where the library can be opened, the N-API backend otherwise. The reason for the
 * second is logged as a warning and kept in {@link BackendChoice}. Fails with both reasons where
 * neither works.
 *
 * ```ts
 * import { Backend, defaultBackend } from "@tessera/sdk";
 * import { Effect } from "effect";
 * import assert from "node:assert/strict";
 *
 * const backend = await Effect.runPromise(Effect.provide(Backend, defaultBackend));
 * assert.ok(backend.providers.includes("CPUExecutionProvider"));
 * ```
 */
export const defaultBackend: Layer.Layer<
  Backend | BackendChoice,
  BackendError
> = firstOf(ffiBackend, napiBackend);

/** {@link defaultBackend} over any two layers. */
export function firstOf(
  preferred: Layer.Layer<Backend, BackendError>,
  fallback: Layer.Layer<Backend, BackendError>,
): Layer.Layer<Backend | BackendChoice, BackendError> {
  return Layer.effectContext(Effect.gen(function* () {
    const build = (layer: Layer.Layer<Backend, BackendError>) =>
      Effect.map(
        Layer.build(layer),
        (context) => Context.get(context, Backend),
      );
    const services = (backend: Backend, reason: string | undefined) =>
      Context.make(Backend, backend).pipe(
        Context.add(BackendChoice, { binding: backend.binding, reason }),
      );
    // A scope of its own: a layer that failed half-way is cleaned up before the other is tried.
    const outer = yield* Effect.scope;
    const inner = yield* Scope.fork(outer);
    const first = yield* Effect.result(
      Effect.provideService(build(preferred), Scope.Scope, inner),
    );
    if (first._tag === "Success") return services(first.success, undefined);
    yield* Scope.close(inner, Exit.fail(first.failure));
    const reason = first.failure.message;
    yield* Effect.logWarning(
      `ONNX Runtime's C API is not usable (${reason}); using the slower N-API binding`,
    );
    const second = yield* Effect.mapError(
      build(fallback),
      (error) =>
        new BackendError({
          message:
            `no binding to ONNX Runtime works here: FFI: ${reason}; N-API: ${error.message}`,
          cause: error,
        }),
    );
    return services(second, reason);
  }));
}

/** Whether one device can be used here. */
export interface DeviceDiagnosis {
  /** The device. */
  readonly device: Device;
  /** ONNX Runtime's name of its execution provider. */
  readonly provider: string;
  /** Whether a session can be made on it. */
  readonly usable: boolean;
  /** Why not, and how to get it; undefined where it is usable. */
  readonly problem: string | undefined;
}

/** What {@link diagnose} finds. */
export interface OnnxDiagnosis {
  /** The binding {@link defaultBackend} would take; undefined where none works. */
  readonly binding: Backend["binding"] | undefined;
  /** ONNX Runtime's version. */
  readonly version: string | undefined;
  /** What the library was built with. */
  readonly buildInfo: string | undefined;
  /** The library's file, where the dynamic loader tells it. */
  readonly library: string | undefined;
  /** Execution providers compiled in, by ONNX Runtime's names. */
  readonly providers: readonly string[];
  /** Every device Tessera knows, usable or not. */
  readonly devices: readonly DeviceDiagnosis[];
  /** Why the FFI binding does not work; undefined where it does. */
  readonly ffiProblem: string | undefined;
  /** Why the N-API binding does not work; undefined where it does. */
  readonly napiProblem: string | undefined;
}

/**
 * Looks at both bindings and every device. Never fails: what does not work is part of the answer. Loads
 * each device's provider, so a GPU driver may write to stderr.
 */
export function diagnose(): Effect.Effect<OnnxDiagnosis> {
  return examine;
}

const examine: Effect.Effect<OnnxDiagnosis> = Effect.scoped(
  Effect.gen(function* () {
    const napi = yield* Effect.result(Effect.map(
      Layer.build(napiBackend),
      (context) => Context.get(context, Backend),
    ));
    const ffi = yield* Effect.result(openRuntime);
    const napiProblem = napi._tag === "Failure"
      ? napi.failure.message
      : undefined;
    if (ffi._tag === "Success") {
      const runtime = ffi.success;
      const providers = availableProviders(runtime);
      return {
        binding: "ffi" as const,
        version: runtime.library.version,
        buildInfo: runtime.library.buildInfo,
        library: libraryPath(runtime),
        providers,
        devices: allDevices.map((device) => {
          const problem = deviceProblem(runtime, device)?.message;
          return {
            device,
            provider: providerName[device],
            usable: problem === undefined,
            problem,
          };
        }),
        ffiProblem: undefined,
        napiProblem,
      };
    }
    const ffiProblem = ffi.failure.message;
    if (napi._tag === "Success") {
      const backend = napi.success;
      return {
        binding: "napi" as const,
        version: backend.version,
        buildInfo: undefined,
        library: undefined,
        providers: backend.providers,
        devices: allDevices.map((device) => {
          const usable = backend.devices.includes(device);
          return {
            device,
            provider: providerName[device],
            usable,
            problem: usable
              ? undefined
              : `onnxruntime-node does not carry the ${device} provider here`,
          };
        }),
        ffiProblem,
        napiProblem,
      };
    }
    return {
      binding: undefined,
      version: undefined,
      buildInfo: undefined,
      library: undefined,
      providers: [],
      devices: allDevices.map((device) => ({
        device,
        provider: providerName[device],
        usable: false,
        problem: ffiProblem,
      })),
      ffiProblem,
      napiProblem,
    };
  }),
);
