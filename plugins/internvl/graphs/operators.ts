/**
 * The few operator patterns the graphs are made of.
 * @module
 */
import {
  attribute,
  type GraphBuilder,
  type GraphValue,
} from "../../onnx/mod.ts";
import type { ComputeType, Weights } from "./weights.ts";

/** ONNX Runtime's own operators. */
export const microsoft = "com.microsoft";

/** Graph and weights, as every pattern needs them. */
export interface Emitter {
  /** The graph being written. */
  readonly graph: GraphBuilder;
  /** Its weights. */
  readonly weights: Weights;
}

/**
 * A linear layer on rows: [m, in] · [out, in]ᵀ (+ bias) → [m, out]. `Gemm` takes the weight as it is
 * stored and starts from the bias, so nothing is transposed or added afterwards.
 */
export function linear(
  { graph, weights }: Emitter,
  x: GraphValue,
  weight: string,
  bias?: string,
): GraphValue {
  return graph.node(
    "Gemm",
    [
      x,
      weights.get(weight),
      bias === undefined ? undefined : weights.get(bias),
    ].slice(0, bias === undefined ? 2 : 3),
    { attributes: { transB: attribute.int(1) }, name: `${weight}.linear` },
  );
}

/** RMSNorm over the last axis: x / sqrt(mean(x²) + eps) · weight. */
export function rmsNorm(
  { graph, weights }: Emitter,
  x: GraphValue,
  weight: string,
  epsilon: number,
): GraphValue {
  return graph.node("SimplifiedLayerNormalization", [x, weights.get(weight)], {
    attributes: {
      axis: attribute.int(-1),
      epsilon: attribute.float(epsilon),
      stash_type: attribute.int(1),
    },
    name: `${weight}.rms`,
  });
}

/** LayerNorm over the last axis, with `<name>.weight` and `<name>.bias`. */
export function layerNorm(
  { graph, weights }: Emitter,
  x: GraphValue,
  name: string,
  epsilon: number,
): GraphValue {
  return graph.node(
    "LayerNormalization",
    [x, weights.get(`${name}.weight`), weights.get(`${name}.bias`)],
    {
      attributes: {
        axis: attribute.int(-1),
        epsilon: attribute.float(epsilon),
        stash_type: attribute.int(1),
      },
      name: `${name}.norm`,
    },
  );
}

/** Reshape with a constant shape: 0 keeps an extent, -1 infers one. */
export function reshape(
  { graph }: Emitter,
  x: GraphValue,
  shape: readonly number[],
): GraphValue {
  return graph.node("Reshape", [x, graph.int64s(shape)]);
}

/** Transpose. */
export function transpose(
  { graph }: Emitter,
  x: GraphValue,
  permutation: readonly number[],
): GraphValue {
  return graph.node("Transpose", [x], {
    attributes: { perm: attribute.ints(permutation) },
  });
}

/** Cast, or the value itself when it has the type already. */
export function cast(
  { graph }: Emitter,
  x: GraphValue,
  from: ComputeType,
  to: ComputeType,
): GraphValue {
  return from === to
    ? x
    : graph.node("Cast", [x], { attributes: { to: attribute.dtype(to) } });
}
