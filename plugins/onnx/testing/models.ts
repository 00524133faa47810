/**
 * Small ONNX models for the tests.
 * @module
 */
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

/** An attribute: integer, float, string, or integers. */
export type Attribute = number | string | readonly number[] | {
  readonly float: number;
};

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
    graph: {
      name: "test",
      input: inputs.map(valueInfo),
      output: outputs.map(valueInfo),
      node: nodes.map((node) => {
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
      initializer: initializers.map((tensor) => ({
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
    },
  });
  return new Uint8Array(onnx.ModelProto.encode(proto).finish());
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

function attribute([name, value]: [string, Attribute]) {
  if (typeof value === "number") return { name, type: 2, i: value };
  if (typeof value === "string") {
    return { name, type: 3, s: new TextEncoder().encode(value) };
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
