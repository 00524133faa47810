import assert from "node:assert/strict";
import { encodeNpy } from "./npy.ts";

Deno.test("encodeNpy writes NumPy's header, padded to 64 bytes, and the numbers", () => {
  const bytes = encodeNpy(
    "float32",
    [2, 3],
    new Float32Array([1, 2, 3, 4, 5, 6]),
  );
  assert.deepEqual([...bytes.subarray(0, 8)], [147, 78, 85, 77, 80, 89, 1, 0]);
  const header = new DataView(bytes.buffer).getUint16(8, true);
  assert.equal((10 + header) % 64, 0);
  assert.equal(
    new TextDecoder().decode(bytes.subarray(10, 10 + header)).trimEnd(),
    "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }",
  );
  assert.deepEqual(
    [...new Float32Array(bytes.slice(10 + header).buffer)],
    [1, 2, 3, 4, 5, 6],
  );
});

Deno.test("encodeNpy writes a tuple of one with its comma", () => {
  const bytes = encodeNpy("int64", [2], new BigInt64Array([1n, -1n]));
  assert.match(
    new TextDecoder().decode(bytes),
    /'<i8', .*'shape': \(2,\), }/,
  );
});
