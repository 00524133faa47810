/**
 * Memory on a GPU: allocated by the session's execution provider, and filled and read through a model
 * of one `Identity` operator. That model is the one way to copy which works for every provider: ONNX
 * Runtime moves a run's inputs and outputs to and from the device itself.
 * @module
 */
import { Effect } from "effect";
import protobuf from "onnx-proto";
import { BackendError } from "../../../nodes/errors.ts";
import { type DType, elementCount, hostTensor } from "../../../nodes/tensor.ts";
import type { Device, Session } from "../backend.ts";
import { byteLength, showShape } from "../dtype.ts";
import type { Pointer } from "./api.ts";
import { toCString } from "./library.ts";
import {
  attempt,
  Block,
  type DeviceCopier,
  type NativeTensor,
} from "./memory.ts";
import type { OrtRuntime } from "./runtime.ts";

/** Names under which `CreateMemoryInfo` knows a device's memory (allocator.h). */
const memoryNames: Readonly<Record<Exclude<Device, "cpu">, string>> = {
  cuda: "Cuda",
  webgpu: "WebGPU_Buf",
};

/** The bytes of `y = Identity(x)` on uint8 vectors. */
export function copyModel(): Uint8Array<ArrayBuffer> {
  const { onnx } = protobuf;
  const value = (name: string) => ({
    name,
    type: {
      tensorType: { elemType: 2, shape: { dim: [{ dimParam: "bytes" }] } },
    },
  });
  const proto = onnx.ModelProto.create({
    irVersion: 8,
    opsetImport: [{ domain: "", version: 17 }],
    graph: {
      name: "copy",
      input: [value("x")],
      output: [value("y")],
      node: [{ opType: "Identity", name: "copy", input: ["x"], output: ["y"] }],
    },
  });
  return new Uint8Array(onnx.ModelProto.encode(proto).finish());
}

/** One session's access to its GPU's memory. */
export class DeviceMemory {
  readonly #runtime: OrtRuntime;
  readonly #device: Exclude<Device, "cpu">;
  readonly #deviceId: number;
  readonly #copier: DeviceCopier;
  readonly #info: Pointer;
  readonly #allocator: Pointer;
  #blocks = 0;
  #closed: (() => void) | undefined;

  /** Takes the session's allocator. Throws {@link BackendError}. */
  constructor(
    runtime: OrtRuntime,
    session: Pointer,
    device: Exclude<Device, "cpu">,
    deviceId: number,
    copySession: Effect.Effect<Session, BackendError>,
  ) {
    this.#runtime = runtime;
    this.#device = device;
    this.#deviceId = deviceId;
    this.#copier = deviceCopier(device, copySession);
    const what = `memory of device ${device}`;
    this.#info = runtime.create(
      "memoryInfo",
      what,
      (out) =>
        runtime.api.createMemoryInfo(
          toCString(memoryNames[device]),
          0,
          deviceId,
          0,
          out,
        ),
    );
    try {
      this.#allocator = runtime.create(
        "allocator",
        what,
        (out) => runtime.api.createAllocator(session, this.#info, out),
      );
    } catch (cause) {
      runtime.release("memoryInfo", this.#info);
      throw cause;
    }
  }

  /** A zeroed tensor. */
  allocate<D extends DType>(
    dtype: D,
    shape: readonly number[],
  ): Effect.Effect<NativeTensor<D>, BackendError> {
    return Effect.suspend(() => {
      const runtime = this.#runtime;
      const bytes = byteLength(dtype, elementCount(shape));
      let address: bigint;
      try {
        address = runtime.outWord(
          `a ${dtype} tensor ${showShape(shape)} on ${this.#device}`,
          // Rounded up: WebGPU buffers are written in whole words.
          (out) =>
            runtime.api.allocatorAlloc(
              this.#allocator,
              Math.max(16, Math.ceil(bytes / 16) * 16),
              out,
            ),
        );
        if (address === 0n) {
          throw new BackendError({
            message: `no memory for a ${dtype} tensor ${
              showShape(shape)
            } on ${this.#device}`,
          });
        }
      } catch (cause) {
        return cause instanceof BackendError
          ? Effect.fail(cause)
          : Effect.die(cause);
      }
      this.#blocks++;
      const block = new Block(
        runtime,
        this.#device,
        this.#deviceId,
        this.#info,
        address,
        bytes,
        undefined,
        0,
        this.#copier,
        () => {
          runtime.api.allocatorFree(
            this.#allocator,
            Deno.UnsafePointer.create(address),
          );
          if (--this.#blocks === 0) this.#closed?.();
        },
      );
      return zero(block, this.#copier).pipe(
        Effect.andThen(attempt(() => block.view(dtype, shape))),
        Effect.onExit((exit) =>
          exit._tag === "Failure" ? block.close : Effect.void
        ),
      );
    });
  }

  /**
   * Gives the allocator back once every tensor is freed, then calls `done`. Does not wait: a tensor's
   * scope may well close after the session's.
   */
  close(done: () => void): void {
    const release = () => {
      this.#runtime.release("allocator", this.#allocator);
      this.#runtime.release("memoryInfo", this.#info);
      done();
    };
    if (this.#blocks === 0) release();
    else this.#closed = release;
  }
}

/** Bounds the provider's own scratch memory while a large tensor is copied. */
const CHUNK_BYTES = 32 << 20;

function deviceCopier(
  device: Exclude<Device, "cpu">,
  copySession: Effect.Effect<Session, BackendError>,
): DeviceCopier {
  // A WebGPU "address" is a buffer's handle: no arithmetic, so one piece.
  const step = device === "webgpu" ? Number.MAX_SAFE_INTEGER : CHUNK_BYTES;
  return {
    write: (target, data, offset) =>
      Effect.gen(function* () {
        const session = yield* copySession;
        const whole = device === "webgpu"
          ? yield* wholeWords(session, target, data)
          : data;
        for (let at = 0; at < whole.length; at += step) {
          const part = whole.subarray(at, at + step);
          const x = hostTensor("uint8", [part.length], part);
          const y = yield* attempt(() =>
            target.view("uint8", [part.length], offset + at)
          );
          yield* session.run({ x }, { into: { y } });
        }
      }),
    read: (source, target, offset) =>
      Effect.gen(function* () {
        const session = yield* copySession;
        for (let at = 0; at < target.length; at += step) {
          const part = target.subarray(at, at + step);
          const x = yield* attempt(() =>
            source.view("uint8", [part.length], offset + at)
          );
          const { y } = yield* session.run({ x });
          part.set(yield* y.read as Effect.Effect<Uint8Array<ArrayBuffer>>);
        }
      }),
  };
}

/**
 * WebGPU writes words of 4 bytes: data that ends inside a word is filled up with what stands there.
 * (The allocation has room, it is rounded up to 16 bytes.)
 */
function wholeWords(
  session: Session,
  target: Block,
  data: Uint8Array<ArrayBuffer>,
): Effect.Effect<Uint8Array<ArrayBuffer>, BackendError> {
  if (data.length % 4 === 0) return Effect.succeed(data);
  return Effect.gen(function* () {
    const words = Math.ceil(data.length / 4) * 4;
    const x = yield* attempt(() => target.view("uint8", [words]));
    const { y } = yield* session.run({ x });
    const bytes = (yield* y.read as Effect.Effect<Uint8Array<ArrayBuffer>>)
      .slice();
    bytes.set(data);
    return bytes;
  });
}

/** Zeroes a block. (An untouched JavaScript buffer costs no memory: the system gives zero pages.) */
function zero(
  block: Block,
  copier: DeviceCopier,
): Effect.Effect<void, BackendError> {
  return block.bytes === 0
    ? Effect.void
    : copier.write(block, new Uint8Array(block.bytes), 0);
}
