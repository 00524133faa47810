/**
 * The few operator patterns the graphs are made of.
 * @module
 */
import {
  attribute,
  type GraphBuilder,
  type GraphValue,
} from "../../onnx/mod.ts";
import { type BlockScheme, storedNames } from "../quantize/scheme.ts";
import type { WeightDType } from "../safetensors.ts";
import type { ComputeType } from "./types.ts";
import type { Stack, Weights } from "./weights.ts";

/** ONNX Runtime's own operators. */
export const microsoft = "com.microsoft";

/** Graph and weights, as every pattern needs them. */
export interface Emitter {
  /** The graph being written. */
  readonly graph: GraphBuilder;
  /** Its weights. */
  readonly weights: Weights;
}

/** Something of each weight of a stack. */
export function each(stack: Stack, of: (name: string) => string): Stack {
  return typeof stack === "string" ? of(stack) : stack.map(of);
}

/** The one of a stack that speaks for all: they are stored alike and have the same inputs. */
const first = (stack: Stack): string =>
  typeof stack === "string" ? stack : stack[0]!;

/** The tensors that hold the numbers, scales or zero points of quantized weights. */
const storedPart = (
  weight: Stack,
  part: keyof ReturnType<typeof storedNames>,
): Stack => each(weight, (name) => storedNames(name)[part]);

/**
 * A linear layer on rows: [m, in] · [out, in]ᵀ (+ bias) → [m, out], by the operator that takes the
 * weight as it is stored; times a layer scale [out], if there is one. Of a stack of matrices, which are
 * stored alike, the outputs stand side by side.
 */
export function linear(
  e: Emitter,
  x: GraphValue,
  matrix: Stack,
  bias?: Stack,
  layerScale?: string,
): GraphValue {
  const weight = each(matrix, (name) => e.weights.nameOf(name));
  const scheme = e.weights.scheme(first(weight));
  if (scheme.type === "w8a8") return byteLinear(e, x, weight, bias, layerScale);
  const y = scheme.type === "float"
    ? floatLinear(e, x, weight, bias)
    : blockLinear(e, x, weight, bias, scheme);
  return layerScale === undefined
    ? y
    : e.graph.node("Mul", [y, e.weights.get(layerScale)]);
}

/** `Gemm` starts from the bias, so nothing is transposed or added afterwards. */
function floatLinear(
  { graph, weights }: Emitter,
  x: GraphValue,
  weight: Stack,
  bias: Stack | undefined,
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

/**
 * Numbers of 4 or 8 bits with a scale for each block. On the CPU the activations of each row are
 * quantized to int8, block by block, so that a row does not depend on its neighbours.
 */
function blockLinear(
  { graph, weights }: Emitter,
  x: GraphValue,
  weight: Stack,
  bias: Stack | undefined,
  { bits, blockSize, symmetric }: BlockScheme,
): GraphValue {
  const { value, entry } = weights.stacked(storedPart(weight, "numbers"));
  return graph.node(
    "MatMulNBits",
    trimmed([
      x,
      value,
      weights.get(storedPart(weight, "scales")),
      symmetric
        ? undefined
        : weights.stacked(storedPart(weight, "zeros")).value,
      undefined,
      bias === undefined ? undefined : weights.get(bias),
    ]),
    {
      domain: microsoft,
      attributes: {
        K: attribute.int(weights.columns(first(weight))),
        N: attribute.int(entry.shape[0]!),
        bits: attribute.int(bits),
        block_size: attribute.int(blockSize),
        accuracy_level: attribute.int(4),
      },
      name: `${weight}.linear`,
    },
  );
}

/**
 * 8-bit weights times 8-bit activations. Each row of activations is scaled by its own largest number:
 * one scale for all rows, as `DynamicQuantizeMatMul` takes it, would make a tile depend on the tiles
 * it is computed with, and one row of large numbers spoil the others.
 */
function byteLinear(
  e: Emitter,
  x: GraphValue,
  weight: Stack,
  bias: Stack | undefined,
  layerScale: string | undefined,
): GraphValue {
  const { graph, weights } = e;
  // Stored with the inputs first.
  const { value } = weights.stacked(storedPart(weight, "numbers"), 1);
  const scales = storedPart(weight, "scales");
  const name = `${weight}.linear`;
  // What the columns are multiplied by is one constant when the model has loaded, and so is the bias.
  const scaled = (column: GraphValue, dtype: ComputeType) =>
    layerScale === undefined
      ? column
      : graph.node("Mul", [column, weights.as(layerScale, dtype)]);
  const columns = scaled(weights.as(scales, "float32"), "float32");
  const plus = (y: GraphValue) =>
    bias === undefined
      ? y
      : graph.node("Add", [y, scaled(weights.get(bias), weights.dtype)]);
  if (weights.dtype !== "float32") {
    // No provider for 16-bit types multiplies bytes: the weight is unpacked while the model loads.
    const unpacked = graph.node("DequantizeLinear", [value, columns], {
      attributes: { axis: attribute.int(1) },
    });
    const matrix = cast(e, unpacked, "float32", weights.dtype);
    return plus(graph.node("MatMul", [x, matrix], { name }));
  }
  const scalar = (number: number) =>
    graph.constant("float32", [], Float32Array.of(number));
  const largest = graph.node("ReduceMax", [graph.node("Abs", [x])], {
    attributes: { axes: attribute.ints([-1]), keepdims: attribute.int(1) },
  });
  // [m, 1]: what a row's bytes stand for.
  const steps = graph.node("Max", [
    graph.node("Mul", [largest, scalar(1 / 127)]),
    scalar(1e-30),
  ]);
  const perRow = reshape(e, steps, [-1]);
  const bytes = graph.node("QuantizeLinear", [
    x,
    perRow,
    graph.node("Expand", [
      graph.constant("uint8", [1], Uint8Array.of(128)),
      graph.node("Shape", [perRow]),
    ]),
  ], { attributes: { axis: attribute.int(0) } });
  const product = graph.node("MatMulIntegerToFloat", [
    bytes,
    value,
    scalar(1),
    columns,
    graph.constant("uint8", [], Uint8Array.of(128)),
  ], { domain: microsoft, name });
  return plus(graph.node("Mul", [product, steps]));
}

/** Rows of the embedding table: ids [s] → [s, D] in the type of the computation. */
export function embed(
  e: Emitter,
  ids: GraphValue,
  weight: string,
): GraphValue {
  const { graph, weights } = e;
  const scheme = weights.scheme(weight);
  if (scheme.type !== "blocks") {
    // The table stays in its stored type: only the rows looked up are cast.
    const { value, entry } = weights.stored(weight);
    const rows = graph.node("Gather", [value, ids]);
    return cast(e, rows, entry.dtype, weights.dtype);
  }
  const { numbers, scales, zeros } = storedNames(weight);
  const { shape: [rows, blocks, bytes] } = weights.stored(numbers).entry;
  const words = graph.node(
    "GatherBlockQuantized",
    trimmed([
      weights.stored(numbers, [rows!, blocks! * bytes!]).value,
      ids,
      weights.get(scales),
      scheme.symmetric ? undefined : weights.stored(zeros).value,
    ]),
    {
      domain: microsoft,
      attributes: {
        gather_axis: attribute.int(0),
        quantize_axis: attribute.int(1),
        block_size: attribute.int(scheme.blockSize),
        bits: attribute.int(scheme.bits),
      },
    },
  );
  const width = weights.columns(weight);
  return blocks! * scheme.blockSize === width ? words : graph.node("Slice", [
    words,
    graph.int64s([0]),
    graph.int64s([width]),
    graph.int64s([-1]),
  ]);
}

/** Inputs without the optional ones that are left out at the end. */
function trimmed(
  inputs: readonly (GraphValue | undefined)[],
): readonly (GraphValue | undefined)[] {
  return inputs.slice(0, inputs.findLastIndex((x) => x !== undefined) + 1);
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

/** Columns side by side, each part as wide as `widths` says. */
export function split(
  { graph }: Emitter,
  x: GraphValue,
  widths: readonly number[],
): readonly GraphValue[] {
  return graph.nodes("Split", [x, graph.int64s(widths)], {
    attributes: { axis: attribute.int(-1) },
    outputs: widths.length,
  }) as GraphValue[];
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
  from: WeightDType,
  to: ComputeType,
): GraphValue {
  return from === to
    ? x
    : graph.node("Cast", [x], { attributes: { to: attribute.dtype(to) } });
}
