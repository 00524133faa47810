/**
 * How a quantized checkpoint stores its weight matrices, and the tensors that take a matrix's place.
 *
 * Layouts are those of ONNX Runtime's operators, so that nothing is converted while a model loads:
 * `blocks` is `MatMulNBits` and `GatherBlockQuantized` (ContribOperators.md), `w8a8` is the right-hand
 * side of `MatMulIntegerToFloat`.
 * @module
 */
import { families } from "../families.ts";
import type { WeightDType } from "../safetensors.ts";

/** As it was trained: nothing is quantized. */
export interface FloatScheme {
  /** The discriminator. */
  readonly type: "float";
}

/** Numbers of few bits with a float16 scale for each block along a row. */
export interface BlockScheme {
  /** The discriminator. */
  readonly type: "blocks";
  /** Bits of a number. */
  readonly bits: 4 | 8;
  /** Numbers that share a scale. */
  readonly blockSize: 32 | 64 | 128;
  /** Whether zero is in the middle of the range; otherwise each block has a zero point. */
  readonly symmetric: boolean;
}

/** int8 numbers with a float16 scale for each row, multiplied by activations in 8 bits. */
export interface W8A8Scheme {
  /** The discriminator. */
  readonly type: "w8a8";
}

/** How one weight matrix is stored. */
export type Scheme = FloatScheme | BlockScheme | W8A8Scheme;

/** The groups of matrices that may be stored each in its own way. */
export type Role = "vision" | "language" | "prefill" | "head" | "embedding";

/** Something for every group; a second set of weights for prompts need not be there. */
export type ByRole<A> =
  & { readonly [R in Exclude<Role, "prefill">]: A }
  & { readonly prefill?: A };

/**
 * How a checkpoint is quantized, by group: the vision tower with the projector, the decoder's layers, the
 * same layers once more for prompts, the output head, the embedding table. Norms, biases and the patch
 * embedding are never quantized.
 */
export type Quantization = ByRole<Scheme>;

/** All groups. */
export const roles: readonly Role[] = [
  "vision",
  "language",
  "prefill",
  "head",
  "embedding",
];

/** Something for every group that is there. */
export function byRole<A>(
  quantization: Quantization,
  of: (role: Role, scheme: Scheme) => A,
): ByRole<A> {
  return Object.fromEntries(
    roles.flatMap((role) => {
      const scheme = quantization[role];
      return scheme === undefined ? [] : [[role, of(role, scheme)]];
    }),
  ) as ByRole<A>;
}

const prefillSuffix = ".prefill.weight";

/** What a matrix of the decoder's layers is called in the second set, as if it were one of the model's. */
export function prefillName(weight: string): string {
  return weight.replace(/\.weight$/, prefillSuffix);
}

const tables = new Set(
  families.map(({ names }) => `language_model.model.${names.embedding}.weight`),
);
const heads = new Set(
  families.map(({ names }) => `language_model.${names.head}.weight`),
);

/** Which group a matrix belongs to, by its name in the original checkpoint. */
export function roleOf(weight: string): Role {
  if (!weight.startsWith("language_model.")) return "vision";
  if (weight.endsWith(prefillSuffix)) return "prefill";
  if (heads.has(weight)) return "head";
  return tables.has(weight) ? "embedding" : "language";
}

const float: FloatScheme = { type: "float" };

/**
 * The file by which a folder is known whose quantization has not ended: one JSON object a line, the first
 * one of the whole work, then one for each weight file that is whole.
 */
export const journalFile = "quantize.journal";

/** How a matrix is stored. */
export function schemeOf(
  quantization: Quantization | undefined,
  weight: string,
): Scheme {
  return quantization?.[roleOf(weight)] ?? float;
}

/** Whether a matrix is stored a second time, for prompts. */
export function inPrefill(
  quantization: Quantization | undefined,
  weight: string,
): boolean {
  return quantization?.prefill !== undefined && roleOf(weight) === "language";
}

/** Largest number of a `w8a8` weight. */
// x86 without VNNI adds pairs of products in 16 bits: 2 · 255 · 64 fits, 2 · 255 · 127 saturates.
export const w8a8Limit = 64;

/** A tensor in the place of a weight matrix. */
export interface StoredTensor {
  /** Name in the checkpoint. */
  readonly name: string;
  /** Extents, outermost first. */
  readonly shape: readonly number[];
  /** Element types it may have; default: float types. */
  readonly dtypes?: readonly WeightDType[];
  /** Numbers of the model it stands for, where that is not the product of its extents. */
  readonly parameters?: number;
  /** How a number is stored, where the element type does not tell. */
  readonly stored?: "int4" | "int8";
  /** Whether it belongs to the second set of weights, for prompts; its numbers count for none. */
  readonly prefill?: boolean;
}

/** Names of the tensors that take the place of `x.weight`. */
export function storedNames(weight: string): {
  readonly numbers: string;
  readonly scales: string;
  readonly zeros: string;
} {
  const base = weight.replace(/\.weight$/, "");
  return {
    numbers: `${base}.qweight`,
    scales: `${base}.scales`,
    zeros: `${base}.qzeros`,
  };
}

/** Blocks along a row of so many numbers; the last one is filled up. */
export function blocksOf(columns: number, blockSize: number): number {
  return Math.ceil(columns / blockSize);
}

/** Bytes of the zero points of a row. */
export function zeroBytes(blocks: number, bits: 4 | 8): number {
  return Math.ceil(blocks * bits / 8);
}

/**
 * What is stored for a matrix [rows, columns]:
 * - `float`: `x.weight` as it was
 * - `blocks`: `x.qweight` uint8 [rows, blocks, blockSize · bits / 8], the first of two 4-bit numbers in
 *   the low half; `x.scales` float16 [rows, blocks]; unless symmetric `x.qzeros` uint8 [rows, …], packed
 *   alike. A weight is (q - z) · scale, z being 8 or 128 where it is symmetric
 * - `w8a8`: `x.qweight` int8 [columns, rows], from -64 to 64; `x.scales` float16 [rows]
 */
export function storedTensors(
  weight: string,
  rows: number,
  columns: number,
  scheme: Scheme,
): readonly StoredTensor[] {
  const names = storedNames(weight);
  const count = rows * columns;
  switch (scheme.type) {
    case "float":
      return [{ name: weight, shape: [rows, columns] }];
    case "w8a8":
      return [
        {
          name: names.numbers,
          shape: [columns, rows],
          dtypes: ["int8"],
          parameters: count,
          stored: "int8",
        },
        {
          name: names.scales,
          shape: [rows],
          dtypes: ["float16"],
          parameters: 0,
        },
      ];
    case "blocks": {
      const blocks = blocksOf(columns, scheme.blockSize);
      const tensors: StoredTensor[] = [
        {
          name: names.numbers,
          shape: [rows, blocks, scheme.blockSize * scheme.bits / 8],
          dtypes: ["uint8"],
          parameters: count,
          stored: scheme.bits === 4 ? "int4" : "int8",
        },
        {
          name: names.scales,
          shape: [rows, blocks],
          dtypes: ["float16"],
          parameters: 0,
        },
      ];
      if (!scheme.symmetric) {
        tensors.push({
          name: names.zeros,
          shape: [rows, zeroBytes(blocks, scheme.bits)],
          dtypes: ["uint8"],
          parameters: 0,
        });
      }
      return tensors;
    }
  }
}

/** A scheme for people: `float`, `int4 block 32`, `int8 block 64 asymmetric`, `w8a8`. */
export function schemeText(scheme: Scheme): string {
  return scheme.type === "blocks"
    ? `int${scheme.bits} block ${scheme.blockSize}${
      scheme.symmetric ? "" : " asymmetric"
    }`
    : scheme.type;
}
