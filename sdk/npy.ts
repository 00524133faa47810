/**
 * NumPy's `.npy` format, version 1.0, for dumps that other tools read.
 * Source: NumPy enhancement proposal 1 (numpy.lib.format).
 * @module
 */
import type { DType, HostArrays } from "../nodes/tensor.ts";

/** NumPy's type strings; bfloat16 has none and is stored as its raw 16-bit words. */
const descriptors: { readonly [D in DType]: string } = {
  float32: "<f4",
  float16: "<f2",
  bfloat16: "<u2",
  int64: "<i8",
  int32: "<i4",
  uint8: "|u1",
  int8: "|i1",
  bool: "|b1",
};

/** One array as the bytes of a `.npy` file, row-major. */
export function encodeNpy<D extends DType>(
  dtype: D,
  shape: readonly number[],
  data: HostArrays[D],
): Uint8Array<ArrayBuffer> {
  const extents = shape.length === 1 ? `${shape[0]},` : shape.join(", ");
  const dict = `{'descr': '${
    descriptors[dtype]
  }', 'fortran_order': False, 'shape': (${extents}), }`;
  // Magic (6), version (2), header length (2), header: a multiple of 64, ended by a newline.
  const headerLength = Math.ceil((10 + dict.length + 1) / 64) * 64 - 10;
  const bytes = new Uint8Array(10 + headerLength + data.byteLength);
  bytes.set([0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59, 1, 0]);
  new DataView(bytes.buffer).setUint16(8, headerLength, true);
  bytes.set(
    new TextEncoder().encode(`${dict.padEnd(headerLength - 1)}\n`),
    10,
  );
  bytes.set(
    new Uint8Array(data.buffer, data.byteOffset, data.byteLength),
    10 + headerLength,
  );
  return bytes;
}
