/**
 * The one interface both ONNX Runtime bindings stand behind (the C API through FFI, the N-API package
 * in a Worker). One contract suite runs against both.
 * @module
 */
import { Context, type Effect, type Scope } from "effect";
import type { BackendError } from "../../nodes/errors.ts";
import type { DType, HostArrays, Tensor } from "../../nodes/tensor.ts";

/** Where a session computes. */
export type Device = "cpu" | "cuda" | "webgpu";

/** An ONNX model held in memory whose initializers may point into files of one folder. */
export interface ModelSource {
  /** Serialized `ModelProto`. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Folder that the model's external data locations are relative to (a checkpoint folder). */
  readonly externalDataFolder?: string;
}

/** How a session is made. */
export interface SessionOptions {
  /** Default `"cpu"`. */
  readonly device?: Device;
  /** Index of the GPU; default 0. */
  readonly deviceId?: number;
  /** Threads inside one operator; default: the machine's cores. */
  readonly threads?: number;
  /** A short name for messages and spans, such as `vision`. */
  readonly name?: string;
}

/** Name, dtype and shape of a model's input or output; a symbolic extent is its name. */
export interface ValueInfo {
  /** Name in the graph. */
  readonly name: string;
  /** Element type. */
  readonly dtype: DType;
  /** Extents; a string is a symbolic one. */
  readonly shape: readonly (number | string)[];
}

/** A tensor in the memory of a session's device, owned by the scope that allocated it. */
export interface BackendTensor<D extends DType = DType> extends Tensor<D> {
  /**
   * The numbers themselves, where this process can address them: what a run writes shows here without
   * a copy. Not to be used after the tensor's scope has closed.
   */
  readonly host?: HostArrays[D];
  /**
   * Overwrites the numbers from the start; `data` may be shorter than the tensor. (A method, so that a
   * tensor of one dtype is assignable to {@link RunOptions.into}.)
   */
  write(data: HostArrays[D]): Effect.Effect<void, BackendError>;
  /**
   * The same memory seen with another shape, from element `offset` of this tensor on (default 0; WebGPU
   * knows no other), within the memory that was allocated; owned by the same scope.
   */
  readonly view: (
    shape: readonly number[],
    offset?: number,
  ) => Effect.Effect<BackendTensor<D>, BackendError>;
}

/** Options of one run. */
export interface RunOptions {
  /**
   * Outputs to be written into tensors made by {@link Session.allocate}. A tensor may be an input
   * and an output of the same run (a KV cache): the FFI backend then computes in place, the N-API
   * backend has the same effect with a copy.
   */
  readonly into?: Readonly<Record<string, BackendTensor>>;
  /** Which other outputs to return; default: all that are not in `into`. */
  readonly outputs?: readonly string[];
}

/** A run under way. */
export interface Running {
  /** What the run returns. Rejects with {@link BackendError}, and with `Stopped` after {@link stop}. */
  readonly ended: Promise<Readonly<Record<string, Tensor>>>;
  /** Ends the native run at its next operator, where the binding can. */
  readonly stop: () => void;
}

/** A run whose tensors have been checked and bound, to be repeated: arrays of the host are read anew each time. */
export interface PreparedRun {
  /** Starts it; not before the last one has ended. */
  readonly start: () => Running;
  /** Gives the native handles back, at the latest when a run under way ends. The session's end does it too. */
  readonly close: () => void;
}

/** A loaded model. Released with the scope it was made in. */
export interface Session {
  /** The session's name. */
  readonly name: string;
  /** The device it computes on. */
  readonly device: Device;
  /** Inputs in graph order. */
  readonly inputs: readonly ValueInfo[];
  /** Outputs in graph order. */
  readonly outputs: readonly ValueInfo[];
  /** Memory on the session's device, zero-filled. */
  readonly allocate: <D extends DType>(
    dtype: D,
    shape: readonly number[],
  ) => Effect.Effect<BackendTensor<D>, BackendError, Scope.Scope>;
  /**
   * Runs the model off the event loop. Interrupting the effect terminates the native run and waits
   * until it has ended. Outputs returned are host tensors (owned by the garbage collector).
   */
  readonly run: (
    feeds: Readonly<Record<string, Tensor>>,
    options?: RunOptions,
  ) => Effect.Effect<Readonly<Record<string, Tensor>>, BackendError>;
  /**
   * Binds the tensors of a run once, for a loop that runs it for every token: see `prepareRun`, which also
   * serves where the binding has no such thing. Throws {@link BackendError} for tensors that do not fit.
   */
  readonly prepare?: (
    feeds: Readonly<Record<string, Tensor>>,
    options?: RunOptions,
  ) => PreparedRun;
}

/** A binding to ONNX Runtime. */
export interface Backend {
  /** Which binding: `ffi`, `napi`, or the name of one of your own. */
  readonly binding: string;
  /** ONNX Runtime's version, such as `1.30.0`. */
  readonly version: string;
  /** Devices this build can use here. */
  readonly devices: readonly Device[];
  /** Execution providers compiled in, by ONNX Runtime's names. */
  readonly providers: readonly string[];
  /** Loads a model. The session lives in the current scope. */
  readonly load: (
    model: ModelSource,
    options?: SessionOptions,
  ) => Effect.Effect<Session, BackendError, Scope.Scope>;
}

/**
 * The backend as a service.
 *
 * ```ts
 * import { Backend, ffiBackend } from "@tessera/sdk";
 * import { Effect } from "effect";
 * import assert from "node:assert/strict";
 *
 * const program = Effect.map(Backend, ({ binding, version }) => `${binding} ${version}`);
 * const name = await Effect.runPromise(Effect.provide(program, ffiBackend));
 * assert.match(name, /^ffi 1\.\d+\.\d+/);
 * ```
 */
export const Backend: Context.Service<Backend, Backend> = Context.Service<
  Backend
>(
  "tessera/onnx/Backend",
);
