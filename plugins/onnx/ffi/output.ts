/**
 * Outputs that ONNX Runtime allocated, taken over into memory of the garbage collector.
 * @module
 */
import { BackendError } from "../../../nodes/errors.ts";
import {
  elementCount,
  type HostTensor,
  hostTensor,
} from "../../../nodes/tensor.ts";
import { dtypeOfElementType, elementTypeName, newArray } from "../dtype.ts";
import type { Pointer } from "./api.ts";
import type { OrtRuntime } from "./runtime.ts";

const typeCell = new Int32Array(2);
const shapeCell = new BigUint64Array(1);
const rankCell = new BigUint64Array(1);
const dataCell = new BigUint64Array(1);

/** A copy of a native host tensor in memory of the garbage collector. */
export function hostCopy(
  runtime: OrtRuntime,
  value: Pointer,
  output: string,
  session: string,
): HostTensor {
  const { api } = runtime;
  const what = `session "${session}": reading output "${output}"`;
  runtime.check(
    api.getTensorTypeAndShapeReference(value, typeCell, shapeCell, rankCell),
    what,
  );
  const dtype = dtypeOfElementType(typeCell[0]);
  if (dtype === undefined) {
    throw new BackendError({
      message: `${what}: element type ${
        elementTypeName(typeCell[0])
      } is not supported`,
    });
  }
  const rank = Number(rankCell[0]);
  const shape = new Array<number>(rank);
  if (rank > 0) {
    const view = new Deno.UnsafePointerView(
      Deno.UnsafePointer.create(shapeCell[0])!,
    );
    for (let d = 0; d < rank; d++) shape[d] = Number(view.getBigInt64(d * 8));
  }
  const count = elementCount(shape);
  const data = newArray(dtype, count);
  if (count > 0) {
    runtime.check(api.getTensorMutableData(value, dataCell), what);
    new Deno.UnsafePointerView(Deno.UnsafePointer.create(dataCell[0])!)
      .copyInto(data as Uint8Array<ArrayBuffer>);
  }
  return hostTensor(dtype, shape, data);
}
