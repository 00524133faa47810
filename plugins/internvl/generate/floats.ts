/**
 * float32 numbers in the 16-bit types, for what is computed on the host and read by a 16-bit graph.
 * @module
 */
import type { HostArrays } from "../../../nodes/tensor.ts";
import type { ComputeType } from "../graphs/types.ts";

/** The numbers in a type, rounded to nearest, ties to even; the array itself when it is float32. */
export function encodeFloats(
  numbers: Float32Array<ArrayBuffer>,
  dtype: ComputeType,
): HostArrays[ComputeType] {
  switch (dtype) {
    case "float32":
      return numbers;
    case "float16":
      return new Uint16Array(Float16Array.from(numbers).buffer);
    case "bfloat16": {
      const bits = new Uint32Array(
        numbers.buffer,
        numbers.byteOffset,
        numbers.length,
      );
      // Adding half of the last kept bit's weight, less one where that bit is even.
      return Uint16Array.from(
        bits,
        (x) => (x + 0x7fff + ((x >>> 16) & 1)) >>> 16,
      );
    }
  }
}
