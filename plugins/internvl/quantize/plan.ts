/**
 * What a quantized checkpoint will consist of: every tensor's place is known before the first number is
 * read, because shapes follow from the configuration.
 * @module
 */
import { bytesPerElement, elementCount } from "../../../nodes/tensor.ts";
import type { Checkpoint } from "../checkpoint.ts";
import type { InternVLConfig } from "../config.ts";
import { familyOf } from "../families.ts";
import { qkvOrder } from "../graphs/language.ts";
import { type ModelTensor, parts, partTensors } from "../graphs/tensors.ts";
import type { TensorEntry, WeightDType } from "../safetensors.ts";
import {
  inPrefill,
  prefillName,
  type Quantization,
  type Role,
  roleOf,
  type Scheme,
  schemeOf,
  storedTensors,
} from "./scheme.ts";

/** A tensor to be written. */
export interface Output {
  /** Name in the new checkpoint. */
  readonly name: string;
  /** Element type. */
  readonly dtype: WeightDType;
  /** Extents. */
  readonly shape: readonly number[];
  /** Bytes. */
  readonly length: number;
  /** First byte in its shard. */
  readonly offset: number;
}

/** A tensor of the old checkpoint and what becomes of it. */
export interface Task {
  /** Where its numbers are. */
  readonly source: TensorEntry;
  /** `float` copies them. */
  readonly scheme: Scheme;
  /** Which group it belongs to; nothing for what is never quantized. */
  readonly role?: Role;
  /** Rows and columns. A tensor that is copied is rows of one element. */
  readonly rows: number;
  /** Columns. */
  readonly columns: number;
  /** The source's rows in the order they are wanted; default: as they are. */
  readonly order?: Int32Array<ArrayBuffer>;
  /** Numbers, scales, zero points; or the copy. */
  readonly outputs: readonly Output[];
}

/** A file to be written. */
export interface Shard {
  /** Its name. */
  readonly file: string;
  /** The safetensors header, its length in front. */
  readonly header: Uint8Array<ArrayBuffer>;
  /** What is in it. */
  readonly tasks: readonly Task[];
  /** Bytes of the file. */
  readonly size: number;
}

const typeNames: { readonly [D in WeightDType]: string } = {
  float32: "F32",
  float16: "F16",
  bfloat16: "BF16",
  uint8: "U8",
  int8: "I8",
};

/** The tensors of a model that a graph reads, and what becomes of them. */
function planTasks(
  config: InternVLConfig,
  tensors: Checkpoint["tensors"],
  quantization: Quantization,
): readonly Task[] {
  // The attention operator wants queries, keys and values apart; a graph parts those that are floats.
  const { grouped, names } = familyOf(config.language.architecture);
  const order = grouped && quantization.language.type !== "float"
    ? qkvOrder(config.language)
    : undefined;
  const grouping = `.${names.qkv[0]}.`;
  return parts.flatMap((part) => partTensors(config, part)).flatMap(
    (tensor) => {
      const { name, matrix } = tensor;
      const plan = (name: string) =>
        planTask(
          { ...tensor, name },
          tensors.get(tensor.name)!,
          matrix ? schemeOf(quantization, name) : { type: "float" } as const,
          tensor.name.includes(grouping) ? order : undefined,
        );
      return matrix && inPrefill(quantization, name)
        ? [plan(name), plan(prefillName(name))]
        : [plan(name)];
    },
  );
}

function planTask(
  { name, shape, matrix }: ModelTensor,
  source: TensorEntry,
  scheme: Scheme,
  order: Int32Array<ArrayBuffer> | undefined,
): Task {
  const [rows, columns] = matrix
    ? [shape[0]!, shape[1]!]
    : [elementCount(shape), 1];
  const stored = scheme.type === "float"
    ? [{ name, shape: source.shape, dtypes: [source.dtype] }]
    : storedTensors(name, rows, columns, scheme);
  return {
    source,
    scheme,
    ...(matrix ? { role: roleOf(name) } : {}),
    rows,
    columns,
    ...(order === undefined ? {} : { order }),
    outputs: stored.map(({ name, shape, dtypes }) => {
      const dtype = dtypes![0]!;
      return {
        name,
        dtype,
        shape,
        length: elementCount(shape) * bytesPerElement[dtype],
        offset: 0,
      };
    }),
  };
}

/**
 * Shares the tensors out over files of about `shardBytes` each; what belongs to one matrix stays
 * together, so a file is larger where a matrix is.
 */
export function planShards(
  { config, tensors }: Pick<Checkpoint, "config" | "tensors">,
  quantization: Quantization,
  shardBytes: number,
): readonly Shard[] {
  const groups: Task[][] = [];
  let room = 0;
  for (const task of planTasks(config, tensors, quantization)) {
    const length = task.outputs.reduce((sum, out) => sum + out.length, 0);
    if (groups.length === 0 || length > room) {
      groups.push([]);
      room = shardBytes;
    }
    groups.at(-1)!.push(task);
    room -= length;
  }
  const five = (n: number) => String(n).padStart(5, "0");
  return groups.map((tasks, i) =>
    layOut(
      `model-${five(i + 1)}-of-${five(groups.length)}.safetensors`,
      tasks,
    )
  );
}

/** Where the numbers begin is a multiple of this. */
const ALIGNMENT = 64;

/**
 * Gives every tensor its place. The format allows no gap between tensors, so those of wider elements
 * come first, which keeps all of them aligned; the header is filled up with spaces.
 */
function layOut(file: string, tasks: readonly Task[]): Shard {
  const width = (out: Output) => bytesPerElement[out.dtype];
  const outputs = tasks.flatMap((task) => task.outputs)
    .sort((a, b) => width(b) - width(a));
  const header: Record<string, unknown> = { __metadata__: { format: "pt" } };
  const places = new Map<string, number>();
  let at = 0;
  for (const { name, dtype, shape, length } of outputs) {
    header[name] = {
      dtype: typeNames[dtype],
      shape,
      data_offsets: [at, at + length],
    };
    places.set(name, at);
    at += length;
  }
  const json = new TextEncoder().encode(JSON.stringify(header));
  const start = Math.ceil((8 + json.length) / ALIGNMENT) * ALIGNMENT;
  const bytes = new Uint8Array(start).fill(0x20);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(start - 8), true);
  bytes.set(json, 8);
  return {
    file,
    header: bytes,
    size: start + at,
    tasks: tasks.map((task) => ({
      ...task,
      outputs: task.outputs.map((out) => ({
        ...out,
        offset: start + places.get(out.name)!,
      })),
    })),
  };
}
