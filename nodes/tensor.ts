/**
 * Tensors pass between nodes as handles. A handle knows its dtype and shape; its numbers stay where
 * they are (host or device memory) until somebody reads them.
 * @module
 */
import { Effect } from "effect";
import type { BackendError } from "./errors.ts";

/** Element types, by their ONNX names in lower case. */
export type DType =
  | "float32"
  | "float16"
  | "bfloat16"
  | "int64"
  | "int32"
  | "uint8"
  | "int8"
  | "bool";

/** Host arrays by dtype; float16 and bfloat16 travel as raw 16-bit words. */
export interface HostArrays {
  /** Numbers as they are. */
  readonly float32: Float32Array<ArrayBuffer>;
  /** Raw 16-bit words (IEEE half). */
  readonly float16: Uint16Array<ArrayBuffer>;
  /** Raw 16-bit words (the upper half of a float32). */
  readonly bfloat16: Uint16Array<ArrayBuffer>;
  /** Whole numbers as BigInt. */
  readonly int64: BigInt64Array<ArrayBuffer>;
  /** Whole numbers. */
  readonly int32: Int32Array<ArrayBuffer>;
  /** Bytes. */
  readonly uint8: Uint8Array<ArrayBuffer>;
  /** Signed bytes. */
  readonly int8: Int8Array<ArrayBuffer>;
  /** 0 or 1. */
  readonly bool: Uint8Array<ArrayBuffer>;
}

/** A handle to an n-dimensional array. */
export interface Tensor<D extends DType = DType> {
  /** Element type. */
  readonly dtype: D;
  /** Extents, outermost first. */
  readonly shape: readonly number[];
  /** Where the numbers lie. */
  readonly location: "host" | "device";
  /** The numbers on the host, row-major. No copy for a host tensor: treat as read-only. */
  readonly read: Effect.Effect<HostArrays[D], BackendError>;
}

/** A tensor in host memory owned by the garbage collector, so it needs no scope. */
export interface HostTensor<D extends DType = DType> extends Tensor<D> {
  /** Always on the host. */
  readonly location: "host";
  /** The numbers, row-major. */
  readonly data: HostArrays[D];
}

/**
 * Wraps a typed array as a tensor; the product of `shape` must be `data.length`.
 *
 * ```ts
 * import { hostTensor } from "@tessera/sdk";
 * import { Effect } from "effect";
 * import assert from "node:assert/strict";
 *
 * const identity = hostTensor("float32", [2, 2], Float32Array.of(1, 0, 0, 1));
 * assert.deepEqual(await Effect.runPromise(identity.read), identity.data);
 * assert.throws(() => hostTensor("int32", [3], Int32Array.of(1, 2)), RangeError);
 * ```
 */
export function hostTensor<D extends DType>(
  dtype: D,
  shape: readonly number[],
  data: HostArrays[D],
): HostTensor<D> {
  const count = elementCount(shape);
  if (count !== data.length) {
    throw new RangeError(
      `hostTensor: shape [${
        shape.join(", ")
      }] needs ${count} elements, the array has ${data.length}`,
    );
  }
  return { dtype, shape, location: "host", data, read: Effect.succeed(data) };
}

/**
 * Number of elements of a shape.
 *
 * ```ts
 * import { elementCount } from "@tessera/sdk";
 * import assert from "node:assert/strict";
 *
 * assert.equal(elementCount([13, 3, 448, 448]), 7_827_456);
 * assert.equal(elementCount([]), 1);
 * ```
 */
export function elementCount(shape: readonly number[]): number {
  return shape.reduce((product, extent) => product * extent, 1);
}

/**
 * Bytes per element.
 *
 * ```ts
 * import { bytesPerElement, elementCount } from "@tessera/sdk";
 * import assert from "node:assert/strict";
 *
 * assert.equal(bytesPerElement.bfloat16 * elementCount([92553, 6144]), 1_137_291_264);
 * ```
 */
export const bytesPerElement: { readonly [D in DType]: number } = {
  float32: 4,
  float16: 2,
  bfloat16: 2,
  int64: 8,
  int32: 4,
  uint8: 1,
  int8: 1,
  bool: 1,
};
