/**
 * The tensors that the graphs read, by part, with the shapes the configuration asks for; and what they
 * amount to.
 * @module
 */
import { bytesPerElement, elementCount } from "../../../nodes/tensor.ts";
import type { ExpectedTensor } from "../checkpoint.ts";
import {
  type InternVLConfig,
  type LanguageConfig,
  tileSize,
  visionLayersUsed,
} from "../config.ts";
import { familyOf } from "../families.ts";
import { layoutOf } from "../layouts.ts";
import {
  inPrefill,
  prefillName,
  roleOf,
  schemeOf,
  storedTensors,
} from "../quantize/scheme.ts";
import type { TensorEntry, WeightDType } from "../safetensors.ts";
import type { ComputeType, KvType } from "./types.ts";

/** The parts of a model. */
export type Part = "vision" | "projector" | "language";

/** All parts, in the order data passes through them. */
export const parts: readonly Part[] = ["vision", "projector", "language"];

/**
 * The tensors a part reads. For use with `expectTensors`, which reports a missing one or a wrong shape
 * before any session is made. Layers that `select_layer` passes over are not asked for.
 */
export function expectedTensors(
  config: InternVLConfig,
  part: Part,
): readonly ExpectedTensor[] {
  const { quantization } = config;
  return partTensors(config, part).flatMap((tensor) => {
    const { name, shape: [rows, columns], matrix } = tensor;
    if (!matrix) return [tensor];
    const stored = (name: string) =>
      storedTensors(name, rows!, columns!, schemeOf(quantization, name));
    if (!inPrefill(quantization, name)) return stored(name);
    const again = stored(prefillName(name));
    return [
      ...stored(name),
      ...again.map((tensor) => ({ ...tensor, prefill: true, parameters: 0 })),
    ];
  });
}

/** A tensor of the model itself, however it is stored. */
export interface ModelTensor {
  /** Name in a checkpoint that is not quantized. */
  readonly name: string;
  /** Extents, outermost first; of a matrix rows (outputs) and columns (inputs). */
  readonly shape: readonly number[];
  /** Whether it is a weight matrix, which may be quantized. */
  readonly matrix?: true;
}

/** The tensors of a part as they are before any quantization. */
export function partTensors(
  config: InternVLConfig,
  part: Part,
): readonly ModelTensor[] {
  switch (part) {
    case "vision":
      return visionTensors(config);
    case "projector":
      return projectorTensors(config);
    case "language":
      return languageTensors(config.language);
  }
}

/** The tensors of all parts. */
export function allExpectedTensors(
  config: InternVLConfig,
): readonly ExpectedTensor[] {
  return parts.flatMap((part) => expectedTensors(config, part));
}

function linear(
  name: string,
  out: number,
  into: number,
  bias: boolean,
): readonly ModelTensor[] {
  const weight: ModelTensor = {
    name: `${name}.weight`,
    shape: [out, into],
    matrix: true,
  };
  return bias ? [weight, { name: `${name}.bias`, shape: [out] }] : [weight];
}

function visionTensors(
  { architecture, vision, selectLayer }: InternVLConfig,
): readonly ModelTensor[] {
  const layout = layoutOf(architecture);
  const { hiddenSize: width, intermediateSize, patchSize, imageSize } = vision;
  const positions = 1 + (imageSize / patchSize) ** 2;
  const tensors: ModelTensor[] = [
    { name: layout.classToken, shape: [1, 1, width] },
    { name: layout.positions, shape: [1, positions, width] },
    {
      name: `${layout.patches}.weight`,
      shape: [width, 3, patchSize, patchSize],
    },
    { name: `${layout.patches}.bias`, shape: [width] },
  ];
  const layers = visionLayersUsed(vision.layers, selectLayer);
  for (let i = 0; i < layers; i++) {
    const layer = `${layout.layers}${i}`;
    for (const norm of [layout.attentionNorm, layout.mlpNorm]) {
      tensors.push({ name: `${layer}.${norm}.weight`, shape: [width] });
      if (vision.normType === "layer_norm") {
        tensors.push({ name: `${layer}.${norm}.bias`, shape: [width] });
      }
    }
    tensors.push(
      { name: `${layer}.${layout.attentionScale}`, shape: [width] },
      { name: `${layer}.${layout.mlpScale}`, shape: [width] },
      ...layout.qkv.flatMap((name) =>
        linear(
          `${layer}.${name}`,
          3 * width / layout.qkv.length,
          width,
          vision.qkvBias,
        )
      ),
      ...linear(`${layer}.${layout.output}`, width, width, true),
      ...linear(`${layer}.${layout.mlp[0]}`, intermediateSize, width, true),
      ...linear(`${layer}.${layout.mlp[1]}`, width, intermediateSize, true),
    );
    if (vision.qkNormalization) {
      tensors.push(
        { name: `${layer}.${layout.queryNorm}.weight`, shape: [width] },
        { name: `${layer}.${layout.keyNorm}.weight`, shape: [width] },
      );
    }
  }
  return tensors;
}

function projectorTensors(config: InternVLConfig): readonly ModelTensor[] {
  const block = Math.round(1 / config.downsampleRatio);
  const inner = config.vision.hiddenSize * block * block;
  const hidden = config.language.hiddenSize;
  const { norm, first, second } = layoutOf(config.architecture).projector;
  return [
    { name: `${norm}.weight`, shape: [inner] },
    { name: `${norm}.bias`, shape: [inner] },
    ...linear(first, hidden, inner, true),
    ...linear(second, hidden, hidden, true),
  ];
}

function languageTensors(language: LanguageConfig): readonly ModelTensor[] {
  const { hiddenSize: width, intermediateSize, vocabSize, headDim } = language;
  const { names, headNorms } = familyOf(language.architecture);
  const top = "language_model.model";
  const tensors: ModelTensor[] = [
    ...linear(`${top}.${names.embedding}`, vocabSize, width, false),
    { name: `${top}.norm.weight`, shape: [width] },
  ];
  const rows = qkvRows(language);
  const inner = language.heads * headDim;
  for (let i = 0; i < language.layers; i++) {
    const layer = `${top}.layers.${i}`;
    tensors.push(
      { name: `${layer}.${names.attentionNorm}.weight`, shape: [width] },
      { name: `${layer}.${names.mlpNorm}.weight`, shape: [width] },
      ...names.qkv.flatMap((name, part) =>
        linear(`${layer}.${name}`, rows[part]!, width, language.qkvBias)
      ),
      ...linear(`${layer}.${names.output}`, width, inner, language.outputBias),
      ...names.gateUp.flatMap((name) =>
        linear(
          `${layer}.${name}`,
          2 * intermediateSize / names.gateUp.length,
          width,
          false,
        )
      ),
      ...linear(`${layer}.${names.down}`, width, intermediateSize, false),
    );
    if (headNorms) {
      const { query, key } = names.headNorms;
      tensors.push(
        { name: `${layer}.${query}.weight`, shape: [headDim] },
        { name: `${layer}.${key}.weight`, shape: [headDim] },
      );
    }
  }
  if (!language.tieWordEmbeddings) {
    tensors.push(
      ...linear(`language_model.${names.head}`, vocabSize, width, false),
    );
  }
  return tensors;
}

/** Rows of each matrix of queries, keys and values. */
function qkvRows(
  { architecture, heads, kvHeads, headDim }: LanguageConfig,
): readonly number[] {
  const apart = [heads, kvHeads, kvHeads].map((count) => count * headDim);
  const { qkv } = familyOf(architecture).names;
  return qkv.length === 1 ? [apart.reduce((sum, rows) => sum + rows)] : apart;
}

/** What a part amounts to. */
export interface PartSize {
  /** Numbers of the model: elements of its tensors, were they not quantized. */
  readonly parameters: number;
  /** Bytes in the checkpoint's files. */
  readonly bytes: number;
  /** Parameters by the type they are stored in; scales and zero points count for none. */
  readonly byType: Readonly<Partial<Record<WeightDType | "int4", number>>>;
}

/** Parameters and stored bytes by part. Tensors that the checkpoint lacks are not counted. */
export function partSizes(
  config: InternVLConfig,
  tensors: ReadonlyMap<string, TensorEntry>,
): Readonly<Record<Part, PartSize>> {
  const size = (part: Part): PartSize => {
    let parameters = 0;
    let bytes = 0;
    const byType: Partial<Record<WeightDType | "int4", number>> = {};
    for (const expected of expectedTensors(config, part)) {
      const entry = tensors.get(expected.name);
      if (entry === undefined) continue;
      const count = expected.parameters ?? elementCount(entry.shape);
      parameters += count;
      bytes += entry.length;
      if (count === 0) continue;
      const type = expected.stored ?? entry.dtype;
      byType[type] = (byType[type] ?? 0) + count;
    }
    return { parameters, bytes, byType };
  };
  return {
    vision: size("vision"),
    projector: size("projector"),
    language: size("language"),
  };
}

/** Bytes of the key-value cache per token of context: 2 · layers · kvHeads · headDim elements. */
export function cacheBytesPerToken(
  language: LanguageConfig,
  kvCache: KvType = "float32",
): number {
  const { layers, kvHeads, headDim } = language;
  return 2 * layers * kvHeads * headDim * bytesPerElement[kvCache];
}

/** Memory a loaded model needs, in bytes. Quantized weights stay quantized; their scales take part in the computation. */
export interface MemoryEstimate {
  /** Weights in the type of the computation, by part; the embedding table not among them. */
  readonly weights: Readonly<Record<Part, number>>;
  /** The embedding table: mapped from its file on the CPU, in the type it is stored in. */
  readonly embeddingTable: number;
  /**
   * The second set of the decoder's weights, for prompts, and what is held twice beside it, the output head
   * above all. 0 where there is none, and in 16 bits, where it is not loaded.
   */
  readonly prefill: number;
  /** Key-value cache for `contextLength` tokens. */
  readonly cache: number;
  /** Scratch memory of the largest run: one tile group, or one chunk of a prompt. */
  readonly activations: number;
  /** All of them together. */
  readonly total: number;
}

/** What {@link memoryEstimate} is asked about. */
export interface MemoryQuestion {
  /** Type of the computation; default `"float32"`. */
  readonly dtype?: ComputeType;
  /** Type of keys and values; default: `dtype`. */
  readonly kvCache?: KvType;
  /** Tokens of context; default: the longest. */
  readonly contextLength?: number;
  /** Prompt tokens computed at once; default 256. */
  readonly chunk?: number;
}

/**
 * Estimates the memory a loaded model needs. The weights and the cache are exact; loading needs about a
 * fifth of the weights more for a moment (measured on the CPU provider), which is not in it.
 */
export function memoryEstimate(
  config: InternVLConfig,
  tensors: ReadonlyMap<string, TensorEntry>,
  question: MemoryQuestion = {},
): MemoryEstimate {
  const { language, vision } = config;
  const dtype = question.dtype ?? "float32";
  const width = bytesPerElement[dtype];
  let embeddingTable = 0;
  let prefill = 0;
  const tableName = `language_model.model.${
    familyOf(language.architecture).names.embedding
  }.`;
  const twice = config.quantization?.prefill !== undefined &&
    dtype === "float32";
  const loaded = (part: Part) => {
    let bytes = 0;
    for (const expected of expectedTensors(config, part)) {
      const { name, dtypes } = expected;
      const entry = tensors.get(name);
      if (entry === undefined) continue;
      const table = name.startsWith(tableName);
      if (table) embeddingTable += entry.length;
      // A tied head is a copy of the table in the form it is computed with.
      if (table && !language.tieWordEmbeddings) continue;
      // Packed numbers stay packed, but no 16-bit graph multiplies the bytes of w8a8.
      const packed = dtypes !== undefined && (entry.dtype === "uint8" ||
        entry.dtype === "int8" && dtype === "float32");
      const size = packed ? entry.length : elementCount(entry.shape) * width;
      if (!expected.prefill) bytes += size;
      const shared = dtypes !== undefined && roleOf(name) === "language";
      const again = part === "language" && (expected.prefill || !shared);
      if (twice && again) prefill += size;
    }
    return bytes;
  };
  const weights = {
    vision: loaded("vision"),
    projector: loaded("projector"),
    language: loaded("language"),
  };
  const cache = (question.contextLength ?? language.maxPositionEmbeddings) *
    cacheBytesPerToken(language, question.kvCache ?? dtype);
  const rows = 1 + (tileSize(config) / vision.patchSize) ** 2;
  const activations = width * Math.max(
    rows * (2 * vision.intermediateSize + 6 * vision.hiddenSize),
    (question.chunk ?? 256) *
      (3 * language.intermediateSize + 6 * language.hiddenSize),
  );
  return {
    weights,
    embeddingTable,
    prefill,
    cache,
    activations,
    total: weights.vision + weights.projector + weights.language +
      embeddingTable + prefill + cache + activations,
  };
}
