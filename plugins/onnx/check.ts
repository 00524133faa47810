/**
 * What a run's tensors are checked for before any native code sees them; the same for every binding.
 * @module
 */
import { BackendError } from "../../nodes/errors.ts";
import { type DType, elementCount, type Tensor } from "../../nodes/tensor.ts";
import type { RunOptions, ValueInfo } from "./backend.ts";
import { byteLength, showShape } from "./dtype.ts";

/** Names and types of a session's inputs and outputs. */
export interface Signature {
  /** The session's name, for messages. */
  readonly name: string;
  /** Inputs by name. */
  readonly inputs: ReadonlyMap<string, ValueInfo>;
  /** Outputs by name. */
  readonly outputs: ReadonlyMap<string, ValueInfo>;
}

/** A signature from lists in graph order. */
export function signatureOf(
  name: string,
  inputs: readonly ValueInfo[],
  outputs: readonly ValueInfo[],
): Signature {
  const byName = (infos: readonly ValueInfo[]) =>
    new Map(infos.map((info) => [info.name, info]));
  return { name, inputs: byName(inputs), outputs: byName(outputs) };
}

/** The names of one run, looked up. */
export interface RunNames {
  /** One per feed, in the order of `feeds`. */
  readonly feeds: readonly ValueInfo[];
  /** One per output that is written into a tensor. */
  readonly into: readonly ValueInfo[];
  /** Outputs to return. */
  readonly free: readonly string[];
}

/** Looks up the names of a run. Throws {@link BackendError} for an unknown or missing one. */
export function checkNames(
  signature: Signature,
  feeds: readonly string[],
  into: readonly string[],
  outputs: RunOptions["outputs"],
): RunNames {
  const { inputs } = signature;
  const feedInfos = feeds.map((name) => find(signature, "input", name));
  const intoInfos = into.map((name) => find(signature, "output", name));
  const free = [...new Set(outputs ?? signature.outputs.keys())]
    .filter((name) => !into.includes(name));
  for (const name of free) find(signature, "output", name);
  if (into.length + free.length === 0) {
    throw new BackendError({
      message:
        `session "${signature.name}": a run needs at least one output; its outputs: ${
          [...signature.outputs.keys()].join(", ")
        }`,
    });
  }
  const missing = [...inputs.values()].filter(({ name }) =>
    !feeds.includes(name)
  );
  if (missing.length > 0) {
    throw new BackendError({
      message: `session "${signature.name}": missing input ${
        missing.map(({ name, dtype, shape }) =>
          `"${name}" (${dtype} ${showShape(shape)})`
        ).join(", ")
      }`,
    });
  }
  return { feeds: feedInfos, into: intoInfos, free };
}

function find(
  signature: Signature,
  side: "input" | "output",
  name: string,
): ValueInfo {
  const infos = side === "input" ? signature.inputs : signature.outputs;
  const info = infos.get(name);
  if (info === undefined) {
    throw new BackendError({
      message:
        `session "${signature.name}" has no ${side} "${name}"; its ${side}s: ${
          [...infos.keys()].join(", ")
        }`,
    });
  }
  return info;
}

/** Throws {@link BackendError} unless a tensor is of the dtype and shape that the graph declares. */
export function checkFit(
  session: string,
  side: "input" | "output",
  tensor: Tensor | undefined,
  info: ValueInfo,
): void {
  const { name, dtype, shape } = info;
  let fits = tensor?.dtype === dtype && tensor.shape?.length === shape.length;
  for (let d = 0; fits && d < shape.length; d++) {
    const extent = shape[d];
    fits = typeof extent === "string" || extent === tensor!.shape[d];
  }
  if (fits) return;
  throw new BackendError({
    message: `session "${session}": ${side} "${name}" is ${dtype} ${
      showShape(shape)
    }, got ${
      tensor?.shape === undefined
        ? "no tensor"
        : `${tensor.dtype} ${showShape(tensor.shape)}`
    }`,
  });
}

/** What is wrong with a shape, if anything: extents are integers from 0, 2^47 elements at most. */
export function shapeFault(shape: readonly number[]): string | undefined {
  if (!shape.every((extent) => Number.isSafeInteger(extent) && extent >= 0)) {
    return "has an extent that is not a whole number from 0";
  }
  if (shape.reduce((product, extent) => product * extent, 1) > 2 ** 47) {
    return "is too large";
  }
  return undefined;
}

/** Throws {@link BackendError} for a number of threads that makes no sense. 0: let the library choose. */
export function checkThreads(session: string, threads: number): void {
  if (!Number.isInteger(threads) || threads < 0 || threads > 1024) {
    throw new BackendError({
      message:
        `session "${session}": threads is ${threads}; expected 1 to 1024`,
    });
  }
}

/** The error for a write that does not fit. */
export function writeFault(
  dtype: DType,
  shape: readonly number[],
  expected: string,
  data: {
    readonly length: number;
    readonly constructor: { readonly name: string };
  },
): BackendError {
  return new BackendError({
    message: `write: a ${dtype} tensor ${showShape(shape)} takes up to ${
      shape.reduce((product, extent) => product * extent, 1)
    } elements as ${expected}, got ${data.length} as ${data.constructor.name}`,
  });
}

/**
 * The error for a view that is larger than its tensor's memory or has no proper shape, if it is one.
 * `start` is its first byte in the memory, `room` the memory's bytes.
 */
export function viewFault(
  dtype: DType,
  shape: readonly number[],
  offset: number,
  start: number,
  room: number,
): BackendError | undefined {
  const wrong = shapeFault(shape) ??
    (Number.isSafeInteger(offset) && offset >= 0
      ? undefined
      : `from element ${offset}: not a whole number from 0`);
  const end = wrong === undefined
    ? start + byteLength(dtype, elementCount(shape))
    : 0;
  if (wrong === undefined && end <= room) return undefined;
  return new BackendError({
    message: `view: ${dtype} ${showShape(shape)}${
      wrong === undefined && offset > 0 ? ` from element ${offset}` : ""
    } ${wrong ?? `needs ${end} bytes, the tensor was allocated with ${room}`}`,
  });
}

/** The error for a tensor whose scope has closed. */
export function closedTensor(
  dtype: DType,
  shape: readonly number[],
): BackendError {
  return new BackendError({
    message: `a ${dtype} tensor ${
      showShape(shape)
    } was used after the scope that allocated it had closed`,
  });
}

/** The error for a session whose scope has closed. */
export function closedSession(name: string): BackendError {
  return new BackendError({
    message: `session "${name}" was used after its scope had closed`,
  });
}

/** The error for an output that cannot be written into a tensor. */
export function foreignOutput(session: string, output: string): BackendError {
  return new BackendError({
    message:
      `session "${session}": output "${output}" can only be written into a tensor made by allocate on the same device and backend`,
  });
}
