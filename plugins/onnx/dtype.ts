/**
 * ONNX element types and the typed arrays that hold them.
 * @module
 */
// Types only: the worker of the N-API backend imports this file and should start quickly.
import type { DType, HostArrays } from "../../nodes/tensor.ts";

/** `ONNXTensorElementDataType` (and `TensorProto.DataType`) by dtype. */
export const elementType: { readonly [D in DType]: number } = {
  float32: 1,
  uint8: 2,
  int8: 3,
  int32: 6,
  int64: 7,
  bool: 9,
  float16: 10,
  bfloat16: 16,
};

const dtypeOf = new Map<number, DType>(
  (Object.keys(elementType) as DType[]).map((dtype) => [
    elementType[dtype],
    dtype,
  ]),
);

/** The dtype of an ONNX element type; undefined for one that Tessera does not carry. */
export function dtypeOfElementType(type: number): DType | undefined {
  return dtypeOf.get(type);
}

const elementTypeNames = [
  "undefined",
  "float32",
  "uint8",
  "int8",
  "uint16",
  "int16",
  "int32",
  "int64",
  "string",
  "bool",
  "float16",
  "float64",
  "uint32",
  "uint64",
  "complex64",
  "complex128",
  "bfloat16",
];

/** A readable name for any ONNX element type. */
export function elementTypeName(type: number): string {
  return elementTypeNames[type] ?? `element type ${type}`;
}

const constructors = {
  float32: Float32Array,
  float16: Uint16Array,
  bfloat16: Uint16Array,
  int64: BigInt64Array,
  int32: Int32Array,
  uint8: Uint8Array,
  int8: Int8Array,
  bool: Uint8Array,
} as const;

/** A typed array over `length` elements of `buffer` from byte `offset` on. */
export function arrayOver<D extends DType>(
  dtype: D,
  buffer: ArrayBuffer,
  offset: number,
  length: number,
): HostArrays[D] {
  return new constructors[dtype](buffer, offset, length) as HostArrays[D];
}

/** A zero-filled typed array. */
export function newArray<D extends DType>(
  dtype: D,
  length: number,
): HostArrays[D] {
  return new constructors[dtype](length) as HostArrays[D];
}

/** Whether an array is of the kind that holds `dtype`. */
export function holds(dtype: DType, data: unknown): boolean {
  return data instanceof constructors[dtype];
}

/** Bytes of `count` elements. */
export function byteLength(dtype: DType, count: number): number {
  return constructors[dtype].BYTES_PER_ELEMENT * count;
}

/** Number of elements of a shape. */
export function countElements(shape: readonly number[]): number {
  return shape.reduce((product, extent) => product * extent, 1);
}

/** A shape for messages: `[2, seq, 64]`. */
export function showShape(shape: readonly (number | string)[]): string {
  return `[${shape.join(", ")}]`;
}
