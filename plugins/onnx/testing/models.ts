/**
 * Small ONNX models for the tests, and a file of weights.
 * @module
 */
import { fileURLToPath } from "node:url";
import protobuf from "onnx-proto";
import { type DType, elementCount } from "../../../nodes/tensor.ts";
import { elementType } from "../dtype.ts";

const { onnx } = protobuf;

/** Name, dtype and shape of a graph input or output. */
export type Value = readonly [
  name: string,
  dtype: DType,
  shape: readonly (number | string)[],
];

/** An attribute: integer, float, string, integers, or a graph. */
export type Attribute =
  | number
  | string
  | readonly number[]
  | { readonly float: number }
  | { readonly graph: Graph };

/** A graph, as a model's or as the body of a loop. */
export interface Graph {
  /** Inputs. */
  readonly inputs: readonly Value[];
  /** Outputs. */
  readonly outputs: readonly Value[];
  /** Operators in order. */
  readonly nodes: readonly Node[];
  /** Weights. */
  readonly initializers?: readonly Initializer[];
}

/** An operator. */
export interface Node {
  /** Operator, such as `Add`, or `com.microsoft:GroupQueryAttention`. */
  readonly op: string;
  /** Input names. */
  readonly inputs: readonly string[];
  /** Output names. */
  readonly outputs: readonly string[];
  /** Attributes. */
  readonly attributes?: Readonly<Record<string, Attribute>>;
}

/** Bytes of an initializer: in the model, or in a file of the external data folder. */
export type Initializer =
  | {
    readonly name: string;
    readonly dtype: DType;
    readonly shape: readonly number[];
    readonly data: Uint8Array;
  }
  | {
    readonly name: string;
    readonly dtype: DType;
    readonly shape: readonly number[];
    readonly location: string;
    readonly offset: number;
    readonly length: number;
  };

/** A serialized model. */
export function model(
  inputs: readonly Value[],
  outputs: readonly Value[],
  nodes: readonly Node[],
  initializers: readonly Initializer[] = [],
): Uint8Array<ArrayBuffer> {
  const proto = onnx.ModelProto.create({
    irVersion: 8,
    opsetImport: [
      { domain: "", version: 17 },
      { domain: "com.microsoft", version: 1 },
    ],
    graph: graphProto({ inputs, outputs, nodes, initializers }),
  });
  return new Uint8Array(onnx.ModelProto.encode(proto).finish());
}

function graphProto(graph: Graph): protobuf.onnx.IGraphProto {
  return {
    name: "test",
    input: graph.inputs.map(valueInfo),
    output: graph.outputs.map(valueInfo),
    node: graph.nodes.map((node) => {
      const [domain, op] = node.op.includes(":")
        ? node.op.split(":")
        : ["", node.op];
      return {
        opType: op,
        domain,
        name: `${op}_${node.outputs[0]}`,
        input: [...node.inputs],
        output: [...node.outputs],
        attribute: Object.entries(node.attributes ?? {}).map(attribute),
      };
    }),
    initializer: (graph.initializers ?? []).map((tensor) => ({
      name: tensor.name,
      dataType: elementType[tensor.dtype],
      dims: [...tensor.shape],
      ...("data" in tensor ? { rawData: tensor.data } : {
        dataLocation: 1,
        externalData: [
          { key: "location", value: tensor.location },
          { key: "offset", value: String(tensor.offset) },
          { key: "length", value: String(tensor.length) },
        ],
      }),
    })),
  };
}

function valueInfo([name, dtype, shape]: Value) {
  return {
    name,
    type: {
      tensorType: {
        elemType: elementType[dtype],
        shape: {
          dim: shape.map((extent) =>
            typeof extent === "string"
              ? { dimParam: extent }
              : { dimValue: extent }
          ),
        },
      },
    },
  };
}

function attribute(
  [name, value]: [string, Attribute],
): protobuf.onnx.IAttributeProto {
  if (typeof value === "number") return { name, type: 2, i: value };
  if (typeof value === "string") {
    return { name, type: 3, s: new TextEncoder().encode(value) };
  }
  if ("graph" in value) {
    return { name, type: 5, g: graphProto(value.graph) };
  }
  if ("float" in value) return { name, type: 1, f: value.float };
  return { name, type: 7, ints: [...value] };
}

/** An initializer from a typed array. */
export function constant(
  name: string,
  dtype: DType,
  shape: readonly number[],
  data: ArrayBufferView<ArrayBuffer>,
): Initializer {
  if (data.byteLength === 0 && elementCount(shape) > 0) {
    throw new RangeError(`constant ${name}: no data`);
  }
  return {
    name,
    dtype,
    shape,
    data: new Uint8Array(data.buffer, data.byteOffset, data.byteLength),
  };
}

/** next[3] = state[3] + x[n]; n is 3 or 1, other sizes fail in the operator. */
export function accumulator(): Uint8Array<ArrayBuffer> {
  return model(
    [["x", "float32", ["n"]], ["state", "float32", [3]]],
    [["next", "float32", [3]]],
    [{ op: "Add", inputs: ["state", "x"], outputs: ["next"] }],
  );
}

/** Rows and columns of {@link longRun}'s output. */
export const LONG = 96;

/** y = `steps` matrix products in a loop, so that one run takes as long as one likes. */
export function longRun(): Uint8Array<ArrayBuffer> {
  const square: Value[2] = [LONG, LONG];
  const numbers = Float32Array.from(
    { length: LONG * LONG },
    (_, i) => Math.sin(i) / LONG,
  );
  const body: Graph = {
    inputs: [
      ["i", "int64", []],
      ["go", "bool", []],
      ["before", "float32", square],
    ],
    outputs: [["on", "bool", []], ["after", "float32", square]],
    nodes: [
      { op: "Identity", inputs: ["go"], outputs: ["on"] },
      { op: "MatMul", inputs: ["before", "w"], outputs: ["product"] },
      { op: "Add", inputs: ["product", "w"], outputs: ["after"] },
    ],
  };
  return model(
    [["steps", "int64", []]],
    [["y", "float32", square]],
    [{
      op: "Loop",
      inputs: ["steps", "", "w"],
      outputs: ["y"],
      attributes: { body: { graph: body } },
    }],
    [constant("w", "float32", [LONG, LONG], numbers)],
  );
}

/** Causal attention of 2 heads of 16 over a KV cache: `com.microsoft.GroupQueryAttention`, q k v packed. */
export function attention(): {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly width: number;
  readonly heads: number;
  readonly size: number;
} {
  const heads = 2, size = 16, width = heads * size;
  const cache = [1, heads, "room", size] as const;
  const bytes = model(
    [
      ["qkv", "float32", [1, "tokens", width * 3]],
      ["past_key", "float32", cache],
      ["past_value", "float32", cache],
      ["seqlens", "int32", [1]],
      ["total", "int32", []],
    ],
    [
      ["y", "float32", [1, "tokens", width]],
      ["present_key", "float32", cache],
      ["present_value", "float32", cache],
    ],
    [{
      op: "com.microsoft:GroupQueryAttention",
      inputs: ["qkv", "", "", "past_key", "past_value", "seqlens", "total"],
      outputs: ["y", "present_key", "present_value"],
      attributes: { num_heads: heads, kv_num_heads: heads },
    }],
  );
  return { bytes, width, heads, size };
}

/**
 * The folder of `weights.bin`, 28 bytes: bf16 [1.5, -2] at the odd offset 13, float32 [10, 20] at 20,
 * something else between.
 */
export const weightsFolder: string = fileURLToPath(
  new URL(".", import.meta.url),
);

/** A model whose load computes: 12 matrix products of constants, which the optimizer folds. */
export function slowToLoad(): Uint8Array<ArrayBuffer> {
  const size = 384;
  const numbers = Float32Array.from(
    { length: size * size },
    (_, i) => Math.sin(i) / size,
  );
  const nodes: Node[] = [];
  let last = "w";
  for (let i = 0; i < 12; i++) {
    nodes.push({ op: "MatMul", inputs: [last, "w"], outputs: [`p${i}`] });
    last = `p${i}`;
  }
  nodes.push({ op: "Add", inputs: ["x", last], outputs: ["y"] });
  return model(
    [["x", "float32", [size, size]]],
    [["y", "float32", [size, size]]],
    nodes,
    [constant("w", "float32", [size, size], numbers)],
  );
}
