/**
 * Element types a graph computes in and keeps keys and values in.
 * @module
 */

/** Element types a graph can compute in. The CPU provider has kernels for float32 only. */
export type ComputeType = "float32" | "float16" | "bfloat16";

/** Types keys and values can be kept in. */
export type KvType = ComputeType | "int8";
