/**
 * Which kernels the CUDA provider has for the operators of our graphs.
 *
 * From `docs/OperatorKernels.md` of microsoft/onnxruntime (generated from the registered kernels), at
 * commit 001d12d2623fd411ce0f83d05abb5e82304a3389, section CUDAExecutionProvider: the row of each operator
 * whose range of opset versions holds ours (17), its types as ours of `nodes/tensor.ts`.
 * @module
 */
import type { DType } from "../../../nodes/tensor.ts";

/** Types of an operator's inputs, by position; a position that is not listed takes any. */
export type Kernel = Readonly<Record<number, readonly DType[]>>;

const f16 = "float16", bf16 = "bfloat16", f32 = "float32";
const floats: readonly DType[] = [bf16, f32, f16];
const indices: readonly DType[] = ["int32", "int64"];
/** Tensors of any kind: what only moves numbers takes these. */
const any: readonly DType[] = [
  ...floats,
  "bool",
  "int8",
  "uint8",
  ...indices,
];
const same = (types: readonly DType[], count: number): Kernel =>
  Object.fromEntries(Array.from({ length: count }, (_, i) => [i, types]));

/** By operator, `com.microsoft`'s with that prefix. */
export const cudaKernels: Readonly<Record<string, Kernel>> = {
  Abs: same([...floats, "int8", "uint8", ...indices], 1),
  Add: same([...floats, "int8", "uint8", ...indices], 2),
  Cast: same(any, 1),
  Concat: same(any, 8),
  // 11 to 21; bfloat16 only from 22.
  Conv: same([f32, f16], 3),
  // 13 to 18: float scales only.
  DequantizeLinear: { 0: ["int8", "uint8"], 1: [f32] },
  Div: same([...floats, "int8", "uint8", ...indices], 2),
  Expand: { 0: any, 1: ["int64"] },
  Gather: { 0: any, 1: indices },
  Gemm: same(floats, 3),
  LayerNormalization: same(floats, 3),
  MatMul: same(floats, 2),
  Max: same([...floats, ...indices], 2),
  Mul: same([...floats, "int8", "uint8", ...indices], 2),
  // 13 to 18.
  QuantizeLinear: { 0: [f32], 1: [f32], 2: ["int8", "uint8"] },
  // Up to 17; no bfloat16.
  ReduceMax: same([f32, f16, ...indices], 1),
  Reshape: { 0: any, 1: ["int64"] },
  Resize: same([f32, f16, "int32", "uint8"], 1),
  ScatterND: { 0: any, 1: ["int64"], 2: any },
  Shape: same(any, 1),
  SimplifiedLayerNormalization: same(floats, 2),
  Slice: { 0: any, 1: indices, 2: indices, 3: indices, 4: indices },
  Split: { 0: any, 1: ["int64"] },
  Transpose: same(any, 1),
  "com.microsoft.GatherBlockQuantized": {
    0: ["uint8"],
    1: indices,
    2: floats,
    3: ["uint8"],
  },
  "com.microsoft.Gelu": same(floats, 1),
  // No float32: a model on CUDA computes in 16 bits.
  "com.microsoft.GroupQueryAttention": {
    0: [bf16, f16],
    1: [bf16, f16],
    2: [bf16, f16],
    3: [bf16, f16, "int8"],
    4: [bf16, f16, "int8"],
    5: ["int32"],
    6: ["int32"],
    7: [bf16, f16],
    8: [bf16, f16],
  },
  "com.microsoft.MatMulNBits": {
    0: floats,
    1: ["uint8"],
    2: floats,
    3: [...floats, "uint8"],
    5: floats,
  },
  "com.microsoft.MultiHeadAttention": same(floats, 4),
  "com.microsoft.QuickGelu": same(floats, 1),
  "com.microsoft.SkipSimplifiedLayerNormalization": same(floats, 4),
};
