/**
 * Sessions of the N-API backend, each in a worker of its own.
 * @module
 */
import { Effect, type Scope, Semaphore } from "effect";
import { BackendError } from "../../../nodes/errors.ts";
import {
  type DType,
  elementCount,
  type HostArrays,
  type HostTensor,
  hostTensor,
  type Tensor,
} from "../../../nodes/tensor.ts";
import type {
  BackendTensor,
  ModelSource,
  RunOptions,
  Session,
  SessionOptions,
} from "../backend.ts";
import {
  checkFit,
  checkNames,
  checkThreads,
  closedSession,
  closedTensor,
  foreignOutput,
  shapeFault,
  type Signature,
  signatureOf,
} from "../check.ts";
import { holds, showShape } from "../dtype.ts";
import { acquired, released } from "../handles.ts";
import { WorkerClient } from "./client.ts";
import type { WireHandle, WireTensor } from "./protocol.ts";
import {
  allocateInWorker,
  releaseBlock,
  type WorkerBlock,
  WorkerTensor,
} from "./tensor.ts";

/** Loads a model into a worker owned by the current scope. */
export function loadSession(
  model: ModelSource,
  options: SessionOptions = {},
): Effect.Effect<Session, BackendError, Scope.Scope> {
  return Effect.gen(function* () {
    const name = options.name ?? "model";
    const device = options.device ?? "cpu";
    yield* Effect.suspend(() => {
      checkThreads(name, options.threads ?? 0);
      return Effect.void;
    }).pipe(asBackendError);
    const blocks = new Set<WorkerBlock>();
    const state = { closed: false };
    const client = yield* Effect.acquireRelease(
      Effect.sync(() => new WorkerClient(`session "${name}"`)),
      (client) =>
        Effect.suspend(() => {
          state.closed = true;
          return Effect.ensuring(
            client.close,
            Effect.sync(() => {
              for (const block of [...blocks]) releaseBlock(blocks, block);
            }),
          );
        }),
    );
    const { inputs, outputs } = yield* client.request<"load">(() => {
      const bytes = model.bytes.slice();
      return {
        request: {
          op: "load",
          bytes,
          externalDataFolder: model.externalDataFolder,
          device,
          deviceId: options.deviceId ?? 0,
          threads: options.threads ?? 0,
        },
        transfer: [bytes.buffer],
      };
    }).pipe(Effect.mapError((error) => explain(error, device)));
    yield* Effect.acquireRelease(
      Effect.sync(() => acquired("workerSession")),
      () => Effect.sync(() => released("workerSession")),
    );
    const signature = signatureOf(name, inputs, outputs);
    // One run at a time in a worker; a run that waits here can still be interrupted.
    const turn = yield* Semaphore.make(1);
    let tensors = 0;

    const allocate = <D extends DType>(
      dtype: D,
      shape: readonly number[],
    ): Effect.Effect<BackendTensor<D>, BackendError, Scope.Scope> =>
      Effect.suspend(() => {
        if (state.closed) return Effect.fail(closedSession(name));
        const fault = shapeFault(shape) ??
          (dtype === "bfloat16"
            ? "cannot be allocated: the N-API carries no bfloat16"
            : undefined);
        if (fault !== undefined) {
          return Effect.fail(
            new BackendError({
              message: `session "${name}": allocate: ${dtype} ${
                showShape(shape)
              } ${fault}`,
            }),
          );
        }
        return allocateInWorker(client, blocks, tensors++, dtype, shape);
      });

    const run = (
      feeds: Readonly<Record<string, Tensor>>,
      options: RunOptions = {},
    ): Effect.Effect<Readonly<Record<string, Tensor>>, BackendError> =>
      turn.withPermits(1)(
        Effect.flatMap(
          toWire(signature, client, feeds, options),
          (wire) =>
            Effect.suspend(() =>
              state.closed ? Effect.fail(closedSession(name)) : Effect.map(
                client.request<"run">(() => ({
                  request: { op: "run", ...wire.request },
                  transfer: wire.transfer,
                })),
                (results) =>
                  Object.fromEntries(
                    Object.entries(results).map((
                      [name, { dtype, shape, data }],
                    ) => [name, hostTensor(dtype, shape, data)]),
                  ),
              )
            ),
        ),
      );

    return { name, device, inputs, outputs, allocate, run };
  }).pipe(
    Effect.withSpan("onnx.load", {
      attributes: {
        "onnx.session": options.name ?? "model",
        "onnx.device": options.device ?? "cpu",
        "onnx.binding": "napi",
      },
    }, { captureStackTrace: false }),
  );
}

interface Wire {
  readonly request: {
    readonly feeds: Readonly<Record<string, WireTensor | WireHandle>>;
    readonly into: Readonly<Record<string, WireHandle>>;
    readonly outputs: readonly string[];
  };
  readonly transfer: ArrayBuffer[];
}

/** Checks a run's tensors; host arrays are copied, since transferring would take them from the caller. */
function toWire(
  signature: Signature,
  client: WorkerClient,
  feeds: Readonly<Record<string, Tensor>>,
  options: RunOptions,
): Effect.Effect<Wire, BackendError> {
  const { name: session } = signature;
  return Effect.gen(function* () {
    const into = options.into ?? {};
    const names = checkNames(
      signature,
      Object.keys(feeds),
      Object.keys(into),
      options.outputs,
    );
    const transfer: ArrayBuffer[] = [];
    const wireFeeds: Record<string, WireTensor | WireHandle> = {};
    for (const info of names.feeds) {
      const tensor = feeds[info.name];
      checkFit(session, "input", tensor, info);
      if (tensor instanceof WorkerTensor && tensor.block.client === client) {
        wireFeeds[info.name] = handle(tensor);
      } else {
        const data = copy(
          tensor,
          "data" in tensor ? (tensor as HostTensor).data : yield* tensor.read,
        );
        transfer.push(data.buffer);
        wireFeeds[info.name] = {
          dtype: tensor.dtype,
          shape: tensor.shape,
          data,
        };
      }
    }
    const wireInto: Record<string, WireHandle> = {};
    for (const info of names.into) {
      const tensor = into[info.name];
      checkFit(session, "output", tensor, info);
      if (!(tensor instanceof WorkerTensor) || tensor.block.client !== client) {
        throw foreignOutput(session, info.name);
      }
      wireInto[info.name] = handle(tensor);
    }
    return {
      request: { feeds: wireFeeds, into: wireInto, outputs: names.free },
      transfer,
    };
  }).pipe(asBackendError);
}

function handle(tensor: WorkerTensor): WireHandle {
  const { block, dtype, shape, offset } = tensor;
  if (block.closed) throw closedTensor(dtype, shape);
  return { tensor: block.tensor, dtype, shape, offset };
}

function copy(tensor: Tensor, data: HostArrays[DType]): HostArrays[DType] {
  const { dtype, shape } = tensor;
  if (!holds(dtype, data) || data.length !== elementCount(shape)) {
    throw new BackendError({
      message: `a host tensor ${dtype} ${
        showShape(shape)
      } holds ${data?.length} elements in ${data?.constructor.name}; was its buffer transferred?`,
    });
  }
  return data.slice() as HostArrays[DType];
}

/** Turns a thrown {@link BackendError} into a failure. */
function asBackendError<A, E>(
  effect: Effect.Effect<A, E>,
): Effect.Effect<A, E | BackendError> {
  return Effect.catchDefect(
    effect,
    (defect) =>
      defect instanceof BackendError ? Effect.fail(defect) : Effect.die(defect),
  );
}

/** A load's error with what a missing device needs. */
function explain(error: BackendError, device: Session["device"]): BackendError {
  const hint = device === "cuda"
    ? /provider|shared library|unsupported/i
    : device === "webgpu"
    ? /adapter|unsupported/i
    : undefined;
  if (hint === undefined || !hint.test(error.message)) return error;
  return new BackendError({
    message: `${error.message}; ${
      device === "cuda"
        ? "CUDA needs linux x64, an NVIDIA driver, CUDA 12, cuDNN 9, and the provider's libraries, which onnxruntime-node's install script fetches: deno approve-scripts npm:onnxruntime-node"
        : "WebGPU needs a GPU driver (on Linux a Vulkan one)"
    }`,
    cause: error,
  });
}
