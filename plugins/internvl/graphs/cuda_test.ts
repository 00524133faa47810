/**
 * Every node of the graphs has a kernel on CUDA: one that has none runs on the CPU, silently, and its
 * inputs and outputs cross the bus for every token.
 */
import assert from "node:assert/strict";
import proto from "onnx-proto";
import { Effect } from "effect";
import { bytesPerElement, type DType } from "../../../nodes/tensor.ts";
import { elementType } from "../../onnx/dtype.ts";
import { decodeConfig, languageArchitectures } from "../config.ts";
import type { Quantization, Scheme } from "../quantize/scheme.ts";
import type { TensorEntry } from "../safetensors.ts";
import { configJson } from "../testing.ts";
import { languageGraph } from "./language.ts";
import { projectorGraph } from "./projector.ts";
import { allExpectedTensors } from "./tensors.ts";
import { cudaKernels } from "./testing_cuda_kernels.ts";
import { visionGraph } from "./vision.ts";
import type { ComputeType } from "./types.ts";
import type { GraphSource } from "./weights.ts";

const dtypeOf = new Map(
  Object.entries(elementType).map(([name, number]) => [number, name as DType]),
);

/** Where weights lie is of no matter: only the graphs are looked at. */
function sourceOf(
  quantization: Quantization | undefined,
  architecture: string,
): GraphSource {
  const json = configJson({
    language: {
      architectures: [architecture],
      hidden_size: 64,
      rope_scaling: null,
    },
  });
  const config = {
    ...Effect.runSync(decodeConfig(json, "config.json")),
    ...(quantization === undefined ? {} : { quantization }),
  };
  const tensors = new Map<string, TensorEntry>();
  for (const { name, shape, dtypes } of allExpectedTensors(config)) {
    const dtype = dtypes?.[0] ?? "bfloat16";
    const length = shape.reduce((a, b) => a * b, bytesPerElement[dtype]);
    tensors.set(name, { name, file: "w", dtype, shape, offset: 0, length });
  }
  return { config, tensors, folder: ".", locations: new Map() };
}

const blocks = (bits: 4 | 8, symmetric: boolean): Scheme => ({
  type: "blocks",
  bits,
  blockSize: 32,
  symmetric,
});
const all = (scheme: Scheme, vision = scheme): Quantization => ({
  vision,
  language: scheme,
  head: scheme,
  embedding: scheme,
});
const schemes: Readonly<Record<string, Quantization | undefined>> = {
  float: undefined,
  int4: all(blocks(4, true)),
  "int4 asymmetric": all(blocks(4, false)),
  int8: all(blocks(8, true)),
  "int4 with w8a8": all(blocks(4, true), { type: "w8a8" }),
};

/** Nodes that the table has no kernel for, as `operator: input types`; folded ones are left out. */
function missing(
  dtype: ComputeType,
  scheme: string,
  architecture = "InternLM2ForCausalLM",
): string[] {
  const source = sourceOf(schemes[scheme], architecture);
  const found = new Set<string>();
  for (const graph of [visionGraph, projectorGraph, languageGraph]) {
    const model = proto.onnx.ModelProto.decode(
      graph(source, { dtype }).bytes,
    ).graph!;
    const types = new Map<string, DType>();
    const constant = new Set<string>([""]);
    for (const { name, dataType } of model.initializer ?? []) {
      types.set(name!, dtypeOf.get(dataType!)!);
      constant.add(name!);
    }
    for (const { name, type } of model.input ?? []) {
      types.set(name!, dtypeOf.get(type!.tensorType!.elemType!)!);
    }
    for (const { opType, domain, input, output, attribute } of model.node!) {
      const inputs = input!.map((name) => types.get(name));
      const type = outputType(
        opType!,
        inputs,
        Number(attribute?.find(({ name }) => name === "to")?.i ?? NaN),
      );
      for (const name of output!) types.set(name, type);
      // Keys and values keep the type of the cache.
      if (opType === "GroupQueryAttention") {
        output!.slice(1).forEach((name) => types.set(name, inputs[3]!));
      }
      if (input!.every((name) => constant.has(name))) {
        output!.forEach((name) => constant.add(name));
        continue;
      }
      const kernel = cudaKernels[domain ? `${domain}.${opType}` : opType!];
      const wrong = inputs.some((type, i) =>
        type !== undefined && kernel?.[i] !== undefined &&
        !kernel[i].includes(type)
      );
      if (kernel === undefined || wrong) {
        found.add(`${opType}: ${inputs.map((type) => type ?? "-").join(" ")}`);
      }
    }
    // The walk has understood the graph: its outputs have the types it declares.
    for (const { name, type } of model.output!) {
      assert.equal(
        types.get(name!),
        dtypeOf.get(type!.tensorType!.elemType!),
        `${name} in ${dtype}`,
      );
    }
  }
  return [...found];
}

/** The type an operator's first output has. */
function outputType(
  operator: string,
  inputs: readonly (DType | undefined)[],
  to: number,
): DType {
  switch (operator) {
    case "Cast":
      return dtypeOf.get(to)!;
    case "Shape":
      return "int64";
    case "QuantizeLinear":
    case "GatherBlockQuantized":
      return inputs[2]!;
    case "DequantizeLinear":
      return inputs[1]!;
    case "MatMulIntegerToFloat":
      return "float32";
    default:
      return inputs[0]!;
  }
}

for (const dtype of ["float16", "bfloat16"] as const) {
  for (const scheme of Object.keys(schemes)) {
    Deno.test(`CUDA has a kernel for every node: ${dtype}, ${scheme}`, () => {
      for (const architecture of languageArchitectures) {
        assert.deepEqual(
          missing(dtype, scheme, architecture),
          [],
          architecture,
        );
      }
    });
  }
}

Deno.test("CUDA computes in 16 bits only: in float32 it has no attention, and no product of bytes", () => {
  const operators = (scheme: string) => [
    ...new Set(
      missing("float32", scheme).map((line) => line.replace(/:.*/, "")),
    ),
  ];
  assert.deepEqual(operators("float"), ["GroupQueryAttention"]);
  assert.deepEqual(operators("int4 with w8a8"), [
    "MatMulIntegerToFloat",
    "GroupQueryAttention",
  ]);
});
