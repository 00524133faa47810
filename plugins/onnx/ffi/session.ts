/**
 * Sessions of the FFI backend.
 * @module
 */
import { Effect, Scope } from "effect";
import { BackendError } from "../../../nodes/errors.ts";
import { type DType, hostTensor, type Tensor } from "../../../nodes/tensor.ts";
import type {
  BackendTensor,
  Device,
  ModelSource,
  PreparedRun,
  RunOptions,
  Session,
  SessionOptions,
} from "../backend.ts";
import {
  checkThreads,
  closedSession,
  shapeFault,
  signatureOf,
} from "../check.ts";
import { showShape } from "../dtype.ts";
import type { Pointer } from "./api.ts";
import { toCString } from "./library.ts";
import { addressOf, allocateHost, attempt, NativeTensor } from "./memory.ts";
import { copyModel, DeviceMemory } from "./device.ts";
import { appendProvider } from "./providers.ts";
import { ForeignTensor, type Frame, type RunTarget } from "./frame.ts";
import { Plans } from "./plan.ts";
import { FramedRun, type RunCounter } from "./prepared.ts";
import { startRun } from "../running.ts";
import { valueInfos } from "./signature.ts";
import { LOG_FATAL, type OrtRuntime } from "./runtime.ts";

/** Native state of a session; made before the library is asked, so that a scope owns it throughout. */
class NativeSession {
  options: Pointer = null;
  session: Pointer = null;
  plans: Plans | undefined;
  memory: DeviceMemory | undefined;
  readonly prepared: Set<PreparedRun> = new Set();
  /** Runs in flight. */
  active = 0;
  closed = false;
  #idle: (() => void) | undefined;

  constructor(readonly runtime: OrtRuntime) {}

  enter(): void {
    this.active++;
  }

  leave(): void {
    if (--this.active === 0) this.#idle?.();
  }

  /** Waits for the runs in flight, then releases everything. */
  readonly close: Effect.Effect<void> = Effect.suspend(() => {
    this.closed = true;
    if (this.active === 0) return Effect.sync(() => this.#release());
    return Effect.callback<void>((resume) => {
      this.#idle = () => resume(Effect.sync(() => this.#release()));
    });
  });

  #release(): void {
    for (const run of this.prepared) run.close();
    this.prepared.clear();
    this.plans?.close();
    this.plans = undefined;
    this.runtime.release("sessionOptions", this.options);
    this.options = null;
    // The session owns the allocator of its tensors, which may outlive it.
    const end = () => this.runtime.release("session", this.session);
    if (this.memory === undefined) end();
    else this.memory.close(end);
  }
}

/** Loads a model into the current scope. */
export function loadSession(
  runtime: OrtRuntime,
  model: ModelSource,
  options: SessionOptions = {},
): Effect.Effect<Session, BackendError, Scope.Scope> {
  return Effect.gen(function* () {
    const name = options.name ?? "model";
    const native = new NativeSession(runtime);
    yield* Effect.addFinalizer(() => native.close);
    yield* attempt(() => configure(native, model, options));
    yield* create(native, model, name);
    const scope = yield* Effect.scope;
    const copySession = yield* loadSession(
      runtime,
      { bytes: copyModel() },
      { ...options, name: `${name} (copies)`, threads: 1 },
    ).pipe(
      Effect.provideService(Scope.Scope, scope),
      Effect.uninterruptible,
      Effect.cached,
    );
    return yield* attempt(() =>
      describe(native, name, {
        device: options.device ?? "cpu",
        deviceId: options.deviceId ?? 0,
        copySession,
      })
    );
  }).pipe(
    Effect.withSpan("onnx.load", {
      attributes: {
        "onnx.session": options.name ?? "model",
        "onnx.device": options.device ?? "cpu",
        "onnx.binding": "ffi",
      },
    }, { captureStackTrace: false }),
  );
}

function configure(
  native: NativeSession,
  model: ModelSource,
  options: SessionOptions,
): void {
  const { runtime } = native;
  const { api } = runtime;
  const what = `session "${options.name ?? "model"}"`;
  native.options = runtime.create(
    "sessionOptions",
    what,
    (out) => api.createSessionOptions(out),
  );
  const set = (status: Pointer) => runtime.check(status, what);
  const entry = (key: string, value: string) =>
    set(
      api.addSessionConfigEntry(
        native.options,
        toCString(key),
        toCString(value),
      ),
    );
  set(api.setSessionLogSeverityLevel(native.options, LOG_FATAL));
  const threads = options.threads ?? 0;
  checkThreads(options.name ?? "model", threads);
  set(api.setIntraOpNumThreads(native.options, threads));
  set(api.setInterOpNumThreads(native.options, 1));
  // Idle threads that spin take the cores from everybody else. Measured on 2 busy cores, 24 layers:
  // 2048 wide 38 to 64 ms a step with spinning, 19 to 32 ms without; 512 wide 0.4 and 0.6 ms.
  entry("session.intra_op.allow_spinning", "0");
  if (model.externalDataFolder !== undefined) {
    entry(
      "session.model_external_initializers_file_folder_path",
      model.externalDataFolder,
    );
  }
  appendProvider(
    runtime,
    native.options,
    options.device ?? "cpu",
    options.deviceId ?? 0,
  );
}

/** `CreateSessionFromArray` off the event loop; interruption cancels it and waits for its end. */
function create(
  native: NativeSession,
  model: ModelSource,
  name: string,
): Effect.Effect<void, BackendError> {
  return Effect.callback<void, BackendError>((resume) => {
    const { runtime } = native;
    const out = new BigUint64Array(1);
    const { bytes } = model;
    native.enter();
    const ended = runtime.api.createSessionFromArray(
      runtime.env,
      bytes,
      bytes.byteLength,
      native.options,
      out,
    ).then((status) => {
      void bytes; // referenced until here
      if (status === null) {
        native.session = runtime.create("session", name, (cell) => {
          cell[0] = out[0];
          return null;
        });
        resume(Effect.void);
      } else {
        resume(
          Effect.fail(
            runtime.error(status, `session "${name}": the model was refused`),
          ),
        );
      }
    }).finally(() => native.leave());
    return Effect.suspend(() => {
      runtime.check(
        runtime.api.setLoadCancellationFlag(native.options, true),
        name,
      );
      return Effect.promise(() => ended);
    });
  });
}

function describe(
  native: NativeSession,
  name: string,
  place: {
    readonly device: Device;
    readonly deviceId: number;
    readonly copySession: Effect.Effect<Session, BackendError>;
  },
): Session {
  const { runtime } = native;
  const { device, deviceId } = place;
  const inputs = valueInfos(runtime, native.session, name, "input");
  const outputs = valueInfos(runtime, native.session, name, "output");
  const names = new Map<string, Uint8Array<ArrayBuffer>>();
  for (const { name } of [...inputs, ...outputs]) {
    names.set(name, toCString(name));
  }
  const target: RunTarget = {
    signature: signatureOf(name, inputs, outputs),
    runtime,
    session: native.session,
    names,
    nameAddresses: new Map(
      [...names].map(([name, bytes]) => [name, addressOf(bytes)]),
    ),
    accepts: (block) =>
      block.device === "cpu" ||
      (block.device === device && block.deviceId === deviceId),
  };
  const plans = new Plans(target);
  native.plans = plans;
  const allocate = <D extends DType>(
    dtype: D,
    shape: readonly number[],
  ): Effect.Effect<BackendTensor<D>, BackendError, Scope.Scope> =>
    Effect.suspend(() => {
      const fault = shapeFault(shape);
      if (fault !== undefined) {
        return Effect.fail(
          new BackendError({
            message: `session "${name}": allocate: shape ${
              showShape(shape)
            } ${fault}`,
          }),
        );
      }
      if (native.closed) return Effect.fail(closedSession(name));
      return Effect.acquireRelease(
        device === "cpu"
          ? attempt(() => allocateHost(runtime, dtype, shape))
          : Effect.flatMap(
            attempt(() =>
              native.memory ??= new DeviceMemory(
                runtime,
                native.session,
                device,
                deviceId,
                place.copySession,
              )
            ),
            (memory) => memory.allocate(dtype, shape),
          ),
        (tensor) => tensor.block.close,
      );
    });

  const run = (
    feeds: Readonly<Record<string, Tensor>>,
    options: RunOptions = {},
  ): Effect.Effect<Readonly<Record<string, Tensor>>, BackendError> =>
    Effect.callback<Readonly<Record<string, Tensor>>, BackendError>(
      (resume) => {
        if (native.closed) return resume(Effect.fail(closedSession(name)));
        let frame: Frame;
        try {
          frame = plans.of(feeds, options).frame(feeds, options.into ?? {});
        } catch (cause) {
          if (cause instanceof BackendError) return resume(Effect.fail(cause));
          if (!(cause instanceof ForeignTensor)) throw cause;
          return resume(
            Effect.flatMap(
              toHost(feeds, target),
              (host) => run(host, options),
            ),
          );
        }
        native.enter();
        const ended = frame.start().then((status) => {
          try {
            resume(Effect.succeed(frame.finish(status)));
          } catch (cause) {
            resume(
              cause instanceof BackendError
                ? Effect.fail(cause)
                : Effect.die(cause),
            );
          } finally {
            native.leave();
          }
        });
        return Effect.suspend(() => {
          frame.terminate();
          return Effect.promise(() => ended);
        });
      },
    );

  const counter: RunCounter = {
    enter: () => {
      if (native.closed) throw closedSession(name);
      native.enter();
    },
    leave: () => native.leave(),
  };
  const prepare = (
    feeds: Readonly<Record<string, Tensor>>,
    options: RunOptions = {},
  ): PreparedRun => {
    if (native.closed) throw closedSession(name);
    let framed: FramedRun;
    try {
      framed = new FramedRun(plans, counter, feeds, options);
    } catch (cause) {
      if (!(cause instanceof ForeignTensor)) throw cause;
      return {
        start: () => startRun(session, feeds, options),
        close: () => {},
      };
    }
    native.prepared.add(framed);
    return {
      start: () => framed.start(),
      close: () => {
        native.prepared.delete(framed);
        framed.close();
      },
    };
  };
  const session: Session = {
    name,
    device,
    inputs,
    outputs,
    allocate,
    run,
    prepare,
  };
  return session;
}

/** The same feeds with every tensor read to the host whose memory the session cannot use. */
function toHost(
  feeds: Readonly<Record<string, Tensor>>,
  target: RunTarget,
): Effect.Effect<Readonly<Record<string, Tensor>>, BackendError> {
  return Effect.gen(function* () {
    const host: Record<string, Tensor> = {};
    for (const [name, tensor] of Object.entries(feeds)) {
      const usable = tensor instanceof NativeTensor
        ? target.accepts(tensor.block)
        : "data" in tensor;
      host[name] = usable
        ? tensor
        : hostTensor(tensor.dtype, tensor.shape, yield* tensor.read);
    }
    return host;
  });
}
