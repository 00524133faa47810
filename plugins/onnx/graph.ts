/**
 * Writes ONNX models in memory: nodes in the order they are added, weights left in the files they lie
 * in (ONNX external data), small constants embedded. A model of 48 decoder layers takes milliseconds.
 * @module
 */
import proto from "onnx-proto";
import { elementType } from "./dtype.ts";
import {
  bytesPerElement,
  type DType,
  elementCount,
  type HostArrays,
} from "../../nodes/tensor.ts";

/** An edge of the graph: what a node, an input or an initializer yields. */
export interface GraphValue {
  /** Name in the graph, unique. */
  readonly name: string;
}

/** An attribute with its ONNX type spelled out, since a JavaScript number may be an int or a float. */
export type Attribute =
  | { readonly type: "int"; readonly value: number }
  | { readonly type: "float"; readonly value: number }
  | { readonly type: "string"; readonly value: string }
  | { readonly type: "ints"; readonly value: readonly number[] }
  | { readonly type: "floats"; readonly value: readonly number[] };

/** Makes attributes. */
export const attribute: {
  /** An `int`. */
  readonly int: (value: number) => Attribute;
  /** A `float`, rounded to float32. */
  readonly float: (value: number) => Attribute;
  /** A `string`. */
  readonly text: (value: string) => Attribute;
  /** `ints`. */
  readonly ints: (value: readonly number[]) => Attribute;
  /** `floats`, rounded to float32. */
  readonly floats: (value: readonly number[]) => Attribute;
  /** An element type, as `Cast` wants it. */
  readonly dtype: (value: DType) => Attribute;
} = {
  int: (value) => ({ type: "int", value }),
  float: (value) => ({ type: "float", value }),
  text: (value) => ({ type: "string", value }),
  ints: (value) => ({ type: "ints", value }),
  floats: (value) => ({ type: "floats", value }),
  dtype: (value) => ({ type: "int", value: elementType[value] }),
};

/** Extents of an input or output; a string names a symbolic one. */
export type SymbolicShape = readonly (number | string)[];

/** Bytes of a weight in a file beside the model. */
export interface ExternalData {
  /** Path relative to the folder that the session is told about; `/` as separator. */
  readonly location: string;
  /** First byte in the file. */
  readonly offset: number;
  /** Number of bytes; must be what dtype and shape need. */
  readonly length: number;
}

/** What else a node may have. */
export interface NodeOptions {
  /** Operator domain; default `""` (ai.onnx). */
  readonly domain?: string;
  /** Attributes by name. */
  readonly attributes?: Readonly<Record<string, Attribute>>;
  /** Base of the names of the outputs; default: the operator's name. */
  readonly name?: string;
  /** Number of outputs, default 1; an array says which of them are wanted. */
  readonly outputs?: number | readonly boolean[];
}

/** How a model is declared. */
export interface GraphOptions {
  /** Name of the graph. */
  readonly name: string;
  /** Operator set versions by domain; default `{ "": 17, "com.microsoft": 1 }`. */
  readonly opsets?: Readonly<Record<string, number>>;
}

const { onnx } = proto;

/** IR 8 goes with operator set 17 and is read by every ONNX Runtime since 1.12. */
const IR_VERSION = 8;

/**
 * Builds one ONNX model. Values can only come from this builder, so the nodes are in topological order
 * by construction. Misuse (a foreign value, a wrong length) throws `RangeError`: it is a mistake in
 * the program, never in a checkpoint.
 *
 * @example
 * ```ts
 * import { GraphBuilder } from "./graph.ts";
 *
 * const g = new GraphBuilder({ name: "double" });
 * const x = g.input("x", "float32", ["n"]);
 * const y = g.node("Mul", [x, g.constant("float32", [], Float32Array.of(2))]);
 * g.output("y", y, "float32", ["n"]);
 * const model: Uint8Array = g.build();
 * ```
 */
export class GraphBuilder {
  readonly #name: string;
  readonly #opsets: Readonly<Record<string, number>>;
  readonly #taken: Set<string> = new Set<string>();
  readonly #counters: Map<string, number> = new Map<string, number>();
  readonly #values: WeakSet<GraphValue> = new WeakSet<GraphValue>();
  readonly #inputs: proto.onnx.IValueInfoProto[] = [];
  readonly #outputs: proto.onnx.IValueInfoProto[] = [];
  readonly #initializers: proto.onnx.ITensorProto[] = [];
  readonly #nodes: NodeRecord[] = [];
  readonly #produced: WeakSet<GraphValue> = new WeakSet<GraphValue>();
  readonly #outputNames: Map<GraphValue, string> = new Map<
    GraphValue,
    string
  >();
  readonly #constants: Map<string, GraphValue> = new Map<string, GraphValue>();

  /** An empty graph. */
  constructor(options: GraphOptions) {
    this.#name = options.name;
    this.#opsets = options.opsets ?? { "": 17, "com.microsoft": 1 };
  }

  /** Number of nodes added so far. */
  get nodeCount(): number {
    return this.#nodes.length;
  }

  /** Declares an input; the name is kept exactly. */
  input(name: string, dtype: DType, shape: SymbolicShape): GraphValue {
    const value = this.#value(this.#claim(name));
    this.#inputs.push(valueInfo(name, dtype, shape));
    return value;
  }

  /**
   * Declares an output under exactly this name. A node's output is renamed (an in-place cache must be
   * the operator's own output); an input, an initializer or a second name goes through `Identity`.
   */
  output(
    name: string,
    value: GraphValue,
    dtype: DType,
    shape: SymbolicShape,
  ): void {
    this.#own(value, `output ${name}`);
    this.#claim(name);
    const target = this.#produced.has(value) && !this.#outputNames.has(value)
      ? value
      : this.node("Identity", [value], { name: `${name}.copy` });
    this.#outputNames.set(target, name);
    this.#outputs.push(valueInfo(name, dtype, shape));
  }

  /** A weight that stays in its file. `name` is made unique when it is taken. */
  external(
    name: string,
    dtype: DType,
    shape: readonly number[],
    data: ExternalData,
  ): GraphValue {
    const expected = elementCount(shape) * bytesPerElement[dtype];
    if (data.length !== expected) {
      throw new RangeError(
        `external ${name}: ${dtype} [${
          shape.join(", ")
        }] needs ${expected} bytes, ${data.length} given`,
      );
    }
    const unique = this.#unique(name);
    this.#initializers.push({
      name: unique,
      dataType: elementType[dtype],
      dims: [...shape],
      dataLocation: onnx.TensorProto.DataLocation.EXTERNAL,
      externalData: [
        { key: "location", value: data.location },
        { key: "offset", value: String(data.offset) },
        { key: "length", value: String(data.length) },
      ],
    });
    return this.#value(unique);
  }

  /** A constant embedded in the model. Equal small constants are written once. */
  constant<D extends DType>(
    dtype: D,
    shape: readonly number[],
    data: HostArrays[D],
    name = "constant",
  ): GraphValue {
    if (data.length !== elementCount(shape)) {
      throw new RangeError(
        `constant ${name}: shape [${shape.join(", ")}] needs ${
          elementCount(shape)
        } elements, ${data.length} given`,
      );
    }
    const key = data.length <= 16
      ? `${dtype}|${shape.join()}|${
        // -0 and 0 print alike but are different numbers.
        Array.from(data as ArrayLike<number | bigint>, (x) =>
          Object.is(x, -0) ? "-0" : String(x)).join()}`
      : undefined;
    const known = key === undefined ? undefined : this.#constants.get(key);
    if (known !== undefined) return known;
    const unique = this.#unique(name);
    this.#initializers.push({
      name: unique,
      dataType: elementType[dtype],
      dims: [...shape],
      rawData: littleEndian(data),
    });
    const value = this.#value(unique);
    if (key !== undefined) this.#constants.set(key, value);
    return value;
  }

  /** An int64 vector, as shapes and axes are given. */
  int64s(values: readonly number[]): GraphValue {
    return this.constant(
      "int64",
      [values.length],
      BigInt64Array.from(values, (x) => BigInt(x)),
      "shape",
    );
  }

  /** Adds a node with one output. `undefined` leaves an optional input out. */
  node(
    operator: string,
    inputs: readonly (GraphValue | undefined)[],
    options: Omit<NodeOptions, "outputs"> = {},
  ): GraphValue {
    return this.nodes(operator, inputs, { ...options, outputs: 1 })[0]!;
  }

  /** Adds a node with several outputs; an unwanted one is `undefined`. */
  nodes(
    operator: string,
    inputs: readonly (GraphValue | undefined)[],
    options: NodeOptions = {},
  ): readonly (GraphValue | undefined)[] {
    const count = options.outputs ?? 1;
    const wanted = typeof count === "number"
      ? new Array<boolean>(count).fill(true)
      : count;
    const name = this.#unique(options.name ?? operator);
    const outputs = wanted.map((want, i) => {
      if (!want) return undefined;
      const value = this.#value(i === 0 ? name : this.#unique(`${name}.${i}`));
      this.#produced.add(value);
      return value;
    });
    for (const value of inputs) {
      if (value !== undefined) this.#own(value, `node ${name}`);
    }
    this.#nodes.push({
      operator,
      name,
      domain: options.domain ?? "",
      inputs,
      outputs,
      attributes: options.attributes ?? {},
    });
    return outputs;
  }

  /** The serialized `ModelProto`. */
  build(): Uint8Array<ArrayBuffer> {
    const nameOf = (value: GraphValue | undefined) =>
      value === undefined ? "" : this.#outputNames.get(value) ?? value.name;
    const writer = onnx.ModelProto.encode({
      irVersion: IR_VERSION,
      producerName: "tessera",
      opsetImport: Object.entries(this.#opsets).map(([domain, version]) => ({
        domain,
        version,
      })),
      graph: {
        name: this.#name,
        node: this.#nodes.map((node) => ({
          opType: node.operator,
          name: node.name,
          domain: node.domain,
          input: node.inputs.map(nameOf),
          output: node.outputs.map(nameOf),
          attribute: Object.entries(node.attributes).map(attributeProto),
        })),
        initializer: this.#initializers,
        input: this.#inputs,
        output: this.#outputs,
      },
    });
    // protobufjs hands out slices of a pooled Node Buffer: the copy gives the memory an owner.
    return new Uint8Array(writer.finish());
  }

  #value(name: string): GraphValue {
    const value: GraphValue = { name };
    this.#values.add(value);
    return value;
  }

  #own(value: GraphValue, where: string): void {
    if (!this.#values.has(value)) {
      throw new RangeError(`${where}: ${value.name} is of another graph`);
    }
  }

  #claim(name: string): string {
    if (name === "" || this.#taken.has(name)) {
      throw new RangeError(`graph ${this.#name}: name "${name}" is taken`);
    }
    this.#taken.add(name);
    return name;
  }

  #unique(base: string): string {
    if (base !== "" && !this.#taken.has(base)) return this.#claim(base);
    let n = this.#counters.get(base) ?? 0;
    let name: string;
    do name = `${base}_${++n}`; while (this.#taken.has(name));
    this.#counters.set(base, n);
    return this.#claim(name);
  }
}

/** A node before names are settled. */
interface NodeRecord {
  readonly operator: string;
  readonly name: string;
  readonly domain: string;
  readonly inputs: readonly (GraphValue | undefined)[];
  readonly outputs: readonly (GraphValue | undefined)[];
  readonly attributes: Readonly<Record<string, Attribute>>;
}

function valueInfo(
  name: string,
  dtype: DType,
  shape: SymbolicShape,
): proto.onnx.IValueInfoProto {
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

function attributeProto(
  [name, attribute]: readonly [string, Attribute],
): proto.onnx.IAttributeProto {
  const Type = onnx.AttributeProto.AttributeType;
  switch (attribute.type) {
    case "int":
      return { name, type: Type.INT, i: attribute.value };
    case "float":
      return { name, type: Type.FLOAT, f: attribute.value };
    case "string":
      return {
        name,
        type: Type.STRING,
        s: new TextEncoder().encode(attribute.value),
      };
    case "ints":
      return { name, type: Type.INTS, ints: [...attribute.value] };
    case "floats":
      return { name, type: Type.FLOATS, floats: [...attribute.value] };
  }
}

/** ONNX raw data is little-endian, as is every machine that Deno runs on. */
function littleEndian(
  data: ArrayBufferView<ArrayBuffer>,
): Uint8Array<ArrayBuffer> {
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
}
