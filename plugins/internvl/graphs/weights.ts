/**
 * Weights as graph values: they stay in the checkpoint's files; a graph only says where they lie.
 * @module
 */
import {
  attribute,
  type GraphBuilder,
  type GraphValue,
} from "../../onnx/mod.ts";
import { Effect } from "effect";
import { CheckpointError } from "../../../nodes/errors.ts";
import type { Checkpoint } from "../checkpoint.ts";
import type { InternVLConfig } from "../config.ts";
import { joinPath, realPath } from "../files.ts";
import type { ComputeType } from "./types.ts";
import {
  inPrefill,
  prefillName,
  type Scheme,
  schemeOf,
} from "../quantize/scheme.ts";
import type { TensorEntry } from "../safetensors.ts";
import { parts, partTensors } from "./tensors.ts";

/** What a number of 8 bits stands for, channel by channel: float32 [kvHeads · headDim] for each layer. */
export interface KvScales {
  /** Of keys, after the rotation. */
  readonly keys: readonly Float32Array<ArrayBuffer>[];
  /** Of values. */
  readonly values: readonly Float32Array<ArrayBuffer>[];
}

/** What a graph is built from. */
export interface GraphSource extends Pick<Checkpoint, "config" | "tensors"> {
  /** Folder that external data locations are relative to. */
  readonly folder: string;
  /** Location, relative to `folder`, of a file as a {@link TensorEntry} names it. */
  readonly locations: ReadonlyMap<string, string>;
}

/** How a graph is built. */
export interface GraphSettings {
  /** Type of weights and activations; default `"float32"`. Norms always compute in float32. */
  readonly dtype?: ComputeType;
  /**
   * Type of keys and values, the attention's own and those it keeps; default: `dtype`. Only the language
   * model has any. The attention itself computes in this type, unless it is int8.
   */
  readonly kvCache?: ComputeType;
  /** Keys and values are kept in int8 with these scales, whatever `kvCache` says. */
  readonly kvScales?: KvScales;
  /**
   * The decoder's layers compute with the checkpoint's second set of weights, which it must have. Only the
   * language model has one.
   */
  readonly prefill?: boolean;
  /** Each layer's packed queries, keys and values are outputs `qkv.N`, before the rotation. */
  readonly calibrate?: boolean;
}

/** A weight, or several that are computed with as one, one behind the other. */
export type Stack = string | readonly string[];

/** The stack of these weights; one alone is itself. */
export const stackOf = (names: readonly string[]): Stack =>
  names.length === 1 ? names[0]! : names;

/** `GroupQueryAttention` with rotary inside takes heads whose width is a multiple of this. */
const HEAD_STEP = 16;

/** What the graphs cannot compute of a configuration that is otherwise right, if anything. */
export function unsupported(config: InternVLConfig): string | undefined {
  const { headDim } = config.language;
  return headDim % HEAD_STEP === 0
    ? undefined
    : `llm_config has heads of width ${headDim}; multiples of ${HEAD_STEP} are supported`;
}

/**
 * Finds the real places of a checkpoint's weight files. ONNX Runtime follows no symbolic link out of
 * the folder it is given, and in the Hugging Face cache every file is such a link: so the folder
 * is the innermost one that holds all the files the links lead to. Fails with {@link CheckpointError}
 * on a file that cannot be found, and on a language model the attention operator cannot compute.
 */
export const graphSource: (
  checkpoint: Pick<Checkpoint, "dir" | "config" | "tensors">,
) => Effect.Effect<GraphSource, CheckpointError> = Effect.fn(
  "internvl.graphSource",
)(function* (checkpoint) {
  const fault = unsupported(checkpoint.config);
  if (fault !== undefined) {
    const path = `${checkpoint.dir}/config.json`;
    return yield* new CheckpointError({ path, message: `${path}: ${fault}` });
  }
  const files = new Set<string>();
  for (const entry of checkpoint.tensors.values()) files.add(entry.file);
  const real = new Map<string, readonly string[]>();
  for (const file of files) {
    const found = yield* realPath(joinPath(checkpoint.dir, file));
    real.set(file, found.split("/"));
  }
  const folder = commonFolder([...real.values()]);
  const locations = new Map<string, string>();
  for (const [file, parts] of real) {
    locations.set(file, parts.slice(folder.length).join("/"));
  }
  return {
    config: checkpoint.config,
    tensors: checkpoint.tensors,
    folder: folder.length === 0 ? checkpoint.dir : folder.join("/") || "/",
    locations,
  };
});

/** The longest list of path parts that all paths start with, their last parts (the files) left out. */
function commonFolder(
  paths: readonly (readonly string[])[],
): readonly string[] {
  const first = paths[0] ?? [];
  let length = Math.max(0, first.length - 1);
  for (const path of paths) {
    let same = 0;
    while (
      same < length && same < path.length - 1 && path[same] === first[same]
    ) same++;
    length = same;
  }
  return first.slice(0, length);
}

/**
 * The weights of one graph. Each is declared once, at its first use; one whose stored type is not the
 * type of the computation goes through `Cast`, which ONNX Runtime folds while it loads.
 */
export class Weights {
  readonly #graph: GraphBuilder;
  readonly #source: GraphSource;
  readonly #stored: Map<string, GraphValue> = new Map<string, GraphValue>();
  readonly #cast: Map<string, GraphValue> = new Map<string, GraphValue>();
  #columns: ReadonlyMap<string, number> | undefined;
  /** Type of the computation. */
  readonly dtype: ComputeType;

  readonly #prefill: boolean;

  /** Weights of `source`, declared in `graph`; with `prefill` the second set of those that have one. */
  constructor(
    graph: GraphBuilder,
    source: GraphSource,
    dtype: ComputeType,
    prefill = false,
  ) {
    this.#graph = graph;
    this.#source = source;
    this.dtype = dtype;
    this.#prefill = prefill;
  }

  /** The name that a matrix of the model is to be read by. */
  nameOf(weight: string): string {
    return this.#prefill && inPrefill(this.#source.config.quantization, weight)
      ? prefillName(weight)
      : weight;
  }

  /** How a weight matrix is stored. */
  scheme(name: string): Scheme {
    return schemeOf(this.#source.config.quantization, name);
  }

  /** Inputs of a matrix, which the shape of packed numbers does not tell. */
  columns(name: string): number {
    this.#columns ??= new Map(
      parts.flatMap((part) => partTensors(this.#source.config, part))
        .flatMap(({ name, shape, matrix }) =>
          matrix ? [[name, shape[1]!] as const] : []
        ),
    );
    const columns = this.#columns.get(name);
    if (columns === undefined) {
      throw new RangeError(`graph: the model has no matrix ${name}`);
    }
    return columns;
  }

  /** The weight in the type of the computation. */
  get(name: Stack): GraphValue {
    return this.as(name, this.dtype);
  }

  /** The weight in any type. */
  as(name: Stack, dtype: ComputeType): GraphValue {
    const { value, entry } = this.stacked(name);
    if (entry.dtype === dtype) return value;
    const key = `${name}|${dtype}`;
    let cast = this.#cast.get(key);
    if (cast === undefined) {
      cast = this.#graph.node("Cast", [value], {
        attributes: { to: attribute.dtype(dtype) },
        name: `${name}.${dtype}`,
      });
      this.#cast.set(key, cast);
    }
    return cast;
  }

  /**
   * Weights as they are stored, one behind the other along `axis`: a `Concat` that ONNX Runtime folds while
   * it loads. Where they are stored in several types they are cast to that of the computation before.
   */
  stacked(
    names: Stack,
    axis = 0,
  ): {
    readonly value: GraphValue;
    readonly entry: Pick<TensorEntry, "dtype" | "shape">;
  } {
    if (typeof names === "string") return this.stored(names);
    const key = names.join("+");
    const entries = names.map((name) => this.stored(name).entry);
    // Of packed numbers there is one type.
    const dtype = entries.every(({ dtype }) => dtype === entries[0]!.dtype)
      ? entries[0]!.dtype
      : this.dtype;
    const { shape } = entries[0]!;
    let value = this.#stored.get(key);
    if (value === undefined) {
      value = this.#graph.node(
        "Concat",
        names.map((name) =>
          dtype === this.dtype ? this.get(name) : this.stored(name).value
        ),
        { attributes: { axis: attribute.int(axis) }, name: key },
      );
      this.#stored.set(key, value);
    }
    const extent = entries.reduce((sum, { shape }) => sum + shape[axis]!, 0);
    return { value, entry: { dtype, shape: shape.with(axis, extent) } };
  }

  /** The weight as it is stored, or the same bytes seen with another shape. */
  stored(
    name: string,
    shape?: readonly number[],
  ): { readonly value: GraphValue; readonly entry: TensorEntry } {
    const entry = this.#source.tensors.get(name);
    if (entry === undefined) {
      throw new RangeError(`graph: the checkpoint has no tensor ${name}`);
    }
    const key = shape === undefined ? name : `${name}|${shape.join()}`;
    let value = this.#stored.get(key);
    if (value === undefined) {
      const location = this.#source.locations.get(entry.file) ?? entry.file;
      value = this.#graph.external(name, entry.dtype, shape ?? entry.shape, {
        location,
        offset: entry.offset,
        length: entry.length,
      });
      this.#stored.set(key, value);
    }
    return { value, entry };
  }
}
