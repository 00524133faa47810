/**
 * How ports recognise, digest and show tensors.
 * @module
 */
import { Effect } from "effect";
import { digestBytes } from "../digest.ts";
import { type TensorPreview, tensorStats } from "../stats.ts";
import type { Tensor } from "../tensor.ts";

/** Whether a value has properties. */
export const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null;

/** Whether a value is a tensor. */
export const isTensor = (value: unknown): value is Tensor =>
  isRecord(value) && typeof value.dtype === "string" &&
  Array.isArray(value.shape) &&
  Effect.isEffect(value.read);

/** Digest of a tensor: its type, shape and data. */
export const tensorDigest = (tensor: Tensor): Effect.Effect<string> =>
  tensor.read.pipe(
    Effect.orDie,
    Effect.flatMap((data) =>
      digestBytes(
        new Uint8Array(data.buffer, data.byteOffset, data.byteLength),
        `${tensor.dtype}[${tensor.shape.join(",")}]`,
      )
    ),
  );

/** A tensor's type, shape and figures. */
export const tensorPreview = (tensor: Tensor): TensorPreview => ({
  dtype: tensor.dtype,
  shape: [...tensor.shape],
  ...tensorStats(tensor),
});
