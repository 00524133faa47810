/**
 * Tensors in memory that a session's device can use, each with its `OrtValue` made once.
 *
 * On the CPU the memory is a JavaScript buffer: it is zero-filled lazily by the operating system (a KV
 * cache for the longest context costs only the pages that are written), and freed at once when its
 * scope closes. Elsewhere it comes from the execution provider's own allocator.
 * @module
 */
import { Effect } from "effect";
import { BackendError } from "../../../nodes/errors.ts";
import {
  bytesPerElement,
  type DType,
  elementCount,
  type HostArrays,
} from "../../../nodes/tensor.ts";
import type { BackendTensor, Device } from "../backend.ts";
import { closedTensor, viewFault, writeFault } from "../check.ts";
import {
  arrayOver,
  byteLength,
  elementType,
  holds,
  newArray,
  showShape,
} from "../dtype.ts";
import type { Pointer } from "./api.ts";
import { openPages, type Pages } from "./pages.ts";
import type { OrtRuntime } from "./runtime.ts";

/** Copies between host memory and memory that the host cannot address. */
export interface DeviceCopier {
  /** Overwrites a block from byte `offset` on. */
  readonly write: (
    target: Block,
    data: Uint8Array<ArrayBuffer>,
    offset: number,
  ) => Effect.Effect<void, BackendError>;
  /** Fills a host array from a block's byte `offset` on. */
  readonly read: (
    source: Block,
    target: Uint8Array<ArrayBuffer>,
    offset: number,
  ) => Effect.Effect<void, BackendError>;
}

/** One piece of memory, and everything that must end before it may be freed. */
export class Block {
  /** Set when the owning scope has closed. */
  closed = false;
  /** Runs that were under way then. */
  #users = 0;
  /** Views by dtype, offset and shape, the allocated tensor itself among them. */
  readonly views: Map<string, NativeTensor> = new Map();
  #freed: (() => void) | undefined;

  constructor(
    /** For calls into the library. */
    readonly runtime: OrtRuntime,
    /** Whose memory it is. */
    readonly device: Device,
    /** GPU index. */
    readonly deviceId: number,
    /** Describes the memory to the library. */
    readonly memoryInfo: Pointer,
    /** Address of the first element (a buffer handle on WebGPU). */
    readonly address: bigint,
    /** Room in bytes. */
    readonly bytes: number,
    /** The buffer, for host memory. */
    readonly buffer: ArrayBuffer | undefined,
    /** Byte offset of the first element in the buffer. */
    readonly offset: number,
    /** For memory that the host cannot address. */
    readonly copier: DeviceCopier | undefined,
    /** Frees the memory after all views are gone. */
    readonly free: () => void,
  ) {}

  /** Called when a run that used the memory when it was closed has ended. */
  done(): void {
    if (--this.#users === 0) this.#freed?.();
  }

  /** Waits for the runs in flight, then frees views and memory. */
  readonly close: Effect.Effect<void> = Effect.suspend(() => {
    const { runtime } = this;
    this.closed = true;
    runtime.closings++;
    for (const flight of runtime.flights) {
      if (flight.holds(this)) this.#users++;
    }
    return Effect.callback<void>((resume) => {
      this.#freed = () => {
        this.#release();
        resume(Effect.void);
      };
      if (this.#users === 0) this.#freed();
    });
  });

  #release(): void {
    for (const view of this.views.values()) {
      this.runtime.release("value", view.value);
    }
    this.views.clear();
    this.free();
  }

  /**
   * The tensor of a dtype and shape over this memory, from byte `offset` on (which must be 0 where
   * addresses are handles), made on first use. Throws {@link BackendError}.
   */
  view<D extends DType>(
    dtype: D,
    shape: readonly number[],
    offset = 0,
  ): NativeTensor<D> {
    const key = `${dtype}+${offset}:${shape.join()}`;
    const known = this.views.get(key) as NativeTensor<D> | undefined;
    if (known !== undefined) return known;
    const bytes = byteLength(dtype, elementCount(shape));
    const value = createValue(
      this.runtime,
      this.memoryInfo,
      this.address + BigInt(offset),
      bytes,
      dtype,
      shape,
    );
    const made = new NativeTensor(this, dtype, [...shape], value, offset);
    this.views.set(key, made);
    return made;
  }
}

/** A tensor over a {@link Block}. */
export class NativeTensor<D extends DType = DType> implements BackendTensor<D> {
  /** Its numbers are behind the session, even where the device is the CPU. */
  readonly location = "device" as const;
  /** The numbers, copied to the host. */
  readonly read: Effect.Effect<HostArrays[D], BackendError>;
  /** See {@link BackendTensor.host}. */
  readonly host?: HostArrays[D];
  /** `OrtValue*` as an address, ready for `Run`. */
  readonly valueAddress: bigint;

  constructor(
    /** The memory. */
    readonly block: Block,
    /** Element type. */
    readonly dtype: D,
    /** Extents. */
    readonly shape: readonly number[],
    /** `OrtValue*`. */
    readonly value: Pointer,
    /** Byte in the block where it begins. */
    readonly offset: number,
  ) {
    this.valueAddress = Deno.UnsafePointer.value(value);
    this.read = Effect.suspend(() => this.#read());
    if (block.copier === undefined && block.buffer !== undefined) {
      this.host = arrayOver(
        dtype,
        block.buffer,
        block.offset + offset,
        elementCount(shape),
      ) as HostArrays[D];
    }
  }

  #read(): Effect.Effect<HostArrays[D], BackendError> {
    const { block, dtype, shape, offset } = this;
    if (block.closed) return Effect.fail(closedTensor(dtype, shape));
    const count = elementCount(shape);
    if (block.copier === undefined) {
      return Effect.succeed(
        arrayOver(dtype, block.buffer!, block.offset + offset, count)
          .slice() as HostArrays[D],
      );
    }
    const result = newArray(dtype, count);
    return Effect.as(block.copier.read(block, bytesOf(result), offset), result);
  }

  /** See {@link BackendTensor.write}. */
  write(data: HostArrays[D]): Effect.Effect<void, BackendError> {
    return Effect.suspend(() => {
      const { block, dtype, shape, offset } = this;
      if (block.closed) return Effect.fail(closedTensor(dtype, shape));
      const room = elementCount(shape);
      if (!holds(dtype, data) || data.length > room) {
        const expected = newArray(dtype, 0).constructor.name;
        return Effect.fail(writeFault(dtype, shape, expected, data));
      }
      if (data.length === 0) return Effect.void;
      if (block.copier !== undefined) {
        return block.copier.write(block, bytesOf(data), offset);
      }
      const target = arrayOver(
        dtype,
        block.buffer!,
        block.offset + offset,
        data.length,
      );
      (target as Uint8Array).set(data as Uint8Array);
      return Effect.void;
    });
  }

  /** See {@link BackendTensor.view}. */
  readonly view = (
    shape: readonly number[],
    offset = 0,
  ): Effect.Effect<BackendTensor<D>, BackendError> =>
    Effect.suspend(() => {
      const { block, dtype } = this;
      if (block.closed) return Effect.fail(closedTensor(dtype, this.shape));
      const start = this.offset + byteLength(dtype, offset);
      const fault = viewFault(dtype, shape, offset, start, block.bytes);
      if (fault !== undefined) return Effect.fail(fault);
      if (block.device === "webgpu" && start > 0) {
        return Effect.fail(
          new BackendError({
            message: "view: a WebGPU buffer can be seen from its start only",
          }),
        );
      }
      return attempt(() => block.view(dtype, shape, start));
    });
}

/** Runs native code that throws {@link BackendError}. */
export function attempt<A>(body: () => A): Effect.Effect<A, BackendError> {
  return Effect.suspend(() => {
    try {
      return Effect.succeed(body());
    } catch (cause) {
      if (cause instanceof BackendError) return Effect.fail(cause);
      throw cause;
    }
  });
}

/** An `OrtValue` over existing memory. Throws {@link BackendError}. */
export function createValue(
  runtime: OrtRuntime,
  memoryInfo: Pointer,
  address: bigint,
  bytes: number,
  dtype: DType,
  shape: readonly number[],
): Pointer {
  const extents = new BigInt64Array(Math.max(1, shape.length));
  for (let i = 0; i < shape.length; i++) extents[i] = BigInt(shape[i]);
  return runtime.create(
    "value",
    "creating a tensor",
    (out) =>
      runtime.api.createTensorWithDataAsOrtValue(
        memoryInfo,
        address,
        bytes,
        extents,
        shape.length,
        elementType[dtype],
        out,
      ),
  );
}

/** Cache lines, and AVX-512 loads, are 64 bytes. */
const ALIGNMENT = 64;

/** Zeroed host memory as a tensor. Throws {@link BackendError}. */
export function allocateHost<D extends DType>(
  runtime: OrtRuntime,
  dtype: D,
  shape: readonly number[],
): NativeTensor<D> {
  const bytes = bytesPerElement[dtype] * elementCount(shape);
  let pages: Pages;
  try {
    pages = openPages(bytes + ALIGNMENT);
  } catch (cause) {
    throw new BackendError({
      message: `no memory for a ${dtype} tensor ${
        showShape(shape)
      } (${bytes} bytes)`,
      cause,
    });
  }
  const { buffer, free } = pages;
  const start = addressOf(new Uint8Array(buffer));
  const offset = Number(-start & BigInt(ALIGNMENT - 1));
  const block = new Block(
    runtime,
    "cpu",
    0,
    runtime.cpuMemory,
    start + BigInt(offset),
    bytes,
    buffer,
    offset,
    undefined,
    free,
  );
  return block.view(dtype, shape);
}

/** The bytes of a typed array. */
export function bytesOf(
  array: ArrayBufferView<ArrayBuffer>,
): Uint8Array<ArrayBuffer> {
  return new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
}

/** The address of a typed array's first byte; the array must not be empty. */
export function addressOf(array: ArrayBufferView<ArrayBuffer>): bigint {
  return Deno.UnsafePointer.value(Deno.UnsafePointer.of(array));
}
