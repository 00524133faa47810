/**
 * Tensors that live in the worker.
 * @module
 */
import { Effect, type Scope } from "effect";
import type { BackendError } from "../../../nodes/errors.ts";
import {
  type DType,
  elementCount,
  type HostArrays,
} from "../../../nodes/tensor.ts";
import type { BackendTensor } from "../backend.ts";
import { closedTensor, viewFault, writeFault } from "../check.ts";
import { arrayOver, byteLength, holds, newArray } from "../dtype.ts";
import { acquired, released } from "../handles.ts";
import type { WorkerClient } from "./client.ts";

/** Memory in a worker. */
export interface WorkerBlock {
  /** The worker. */
  readonly client: WorkerClient;
  /** Its number there. */
  readonly tensor: number;
  /** Room. */
  readonly bytes: number;
  /** Set when the owning scope, or the session, has closed. */
  closed: boolean;
}

/** A tensor over a {@link WorkerBlock}. */
export class WorkerTensor<D extends DType = DType> implements BackendTensor<D> {
  /** In the worker. */
  readonly location = "device" as const;
  /** The numbers, copied to this thread. */
  readonly read: Effect.Effect<HostArrays[D], BackendError>;

  constructor(
    /** The memory. */
    readonly block: WorkerBlock,
    /** Element type. */
    readonly dtype: D,
    /** Extents. */
    readonly shape: readonly number[],
    /** Byte in the memory where it begins. */
    readonly offset: number,
  ) {
    this.read = Effect.suspend(() => {
      if (block.closed) return Effect.fail(closedTensor(dtype, shape));
      const count = elementCount(shape);
      return Effect.map(
        block.client.request<"read">(() => ({
          request: {
            op: "read",
            tensor: block.tensor,
            offset,
            bytes: byteLength(dtype, count),
          },
        })),
        (bytes) => arrayOver(dtype, bytes.buffer, bytes.byteOffset, count),
      );
    });
  }

  /** See {@link BackendTensor.write}. */
  write(data: HostArrays[D]): Effect.Effect<void, BackendError> {
    return Effect.suspend(() => {
      const { block, dtype, shape, offset } = this;
      if (block.closed) return Effect.fail(closedTensor(dtype, shape));
      if (!holds(dtype, data) || data.length > elementCount(shape)) {
        const expected = newArray(dtype, 0).constructor.name;
        return Effect.fail(writeFault(dtype, shape, expected, data));
      }
      return block.client.request<"write">(() => {
        const bytes = new Uint8Array(
          data.buffer,
          data.byteOffset,
          data.byteLength,
        ).slice();
        return {
          request: { op: "write", tensor: block.tensor, offset, data: bytes },
          transfer: [bytes.buffer],
        };
      });
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
      return Effect.succeed(new WorkerTensor(block, dtype, [...shape], start));
    });
}

/** Zeroed memory in a worker, freed with the scope. */
export function allocateInWorker<D extends DType>(
  client: WorkerClient,
  blocks: Set<WorkerBlock>,
  tensor: number,
  dtype: D,
  shape: readonly number[],
): Effect.Effect<WorkerTensor<D>, BackendError, Scope.Scope> {
  const bytes = byteLength(dtype, elementCount(shape));
  return Effect.acquireRelease(
    Effect.map(
      client.request<"allocate">(() => ({
        request: { op: "allocate", tensor, dtype, bytes },
      })),
      () => {
        const block: WorkerBlock = { client, tensor, bytes, closed: false };
        blocks.add(block);
        acquired("workerTensor");
        return new WorkerTensor(block, dtype, [...shape], 0);
      },
    ),
    ({ block }) =>
      Effect.suspend(() => {
        if (block.closed) return Effect.void;
        releaseBlock(blocks, block);
        // Requests are answered in order, so a run that uses the memory ends first.
        return Effect.ignore(
          client.request<"free">(() => ({ request: { op: "free", tensor } })),
        );
      }),
  );
}

/** Marks memory as gone: its worker frees it or ends. */
export function releaseBlock(
  blocks: Set<WorkerBlock>,
  block: WorkerBlock,
): void {
  if (!blocks.delete(block)) return;
  block.closed = true;
  released("workerTensor");
}
