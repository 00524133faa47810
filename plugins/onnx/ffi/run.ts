/**
 * Running a session: the hot path. A language model calls it once per token with a hundred tensors, so
 * whatever depends only on the names is made once (a {@link Plan}), whatever one run needs for itself
 * is pooled (a {@link Frame}), and a tensor that is fed again costs one comparison.
 * @module
 */
import { BackendError } from "../../../nodes/errors.ts";
import {
  elementCount,
  type HostTensor,
  hostTensor,
  type Tensor,
} from "../../../nodes/tensor.ts";
import type { RunOptions, ValueInfo } from "../backend.ts";
import {
  byteLength,
  dtypeOfElementType,
  elementTypeName,
  holds,
  newArray,
  showShape,
} from "../dtype.ts";
import type { Pointer } from "./api.ts";
import {
  addressOf,
  type Block,
  closedTensor,
  createValue,
  NativeTensor,
} from "./memory.ts";
import { LOG_FATAL, type OrtRuntime } from "./runtime.ts";

/** What a run needs to know of its session. */
export interface RunTarget {
  /** For messages. */
  readonly name: string;
  /** The environment. */
  readonly runtime: OrtRuntime;
  /** `OrtSession*`. */
  readonly session: Pointer;
  /** Inputs by name. */
  readonly inputs: ReadonlyMap<string, ValueInfo>;
  /** Outputs by name. */
  readonly outputs: ReadonlyMap<string, ValueInfo>;
  /** The names as C strings, kept here so that their addresses hold. */
  readonly names: ReadonlyMap<string, Uint8Array<ArrayBuffer>>;
  /** Addresses of the names as C strings. */
  readonly nameAddresses: ReadonlyMap<string, bigint>;
  /** Whether tensors of this block may be fed as they are. */
  readonly accepts: (block: Block) => boolean;
}

/**
 * An `OrtValue` over a host array up to this size is kept for the next run with the same tensor; over a
 * larger one it is not, so that a session holds no large array that its user has let go.
 */
const KEEP_BYTES = 1 << 20;

const noNames: readonly string[] = [];
const noTensors: Readonly<Record<string, never>> = {};
/** Something to point at where there is nothing to read. */
const nothing = new Uint8Array(8);

/** Thrown where a tensor lies in memory the session cannot use, and has to be read to the host first. */
export class ForeignTensor extends Error {}

/** What runs with the same names share. */
export class Plan {
  /** Names fed, in the caller's order. */
  readonly feedNames: readonly string[];
  /** Outputs that are written into the caller's tensors. */
  readonly intoNames: readonly string[];
  /** Outputs that ONNX Runtime allocates. */
  readonly freeNames: readonly string[];
  /** The caller's choice, as it was given. */
  readonly chosen: readonly string[] | undefined;
  readonly #feedInfos: readonly ValueInfo[];
  readonly #intoInfos: readonly ValueInfo[];
  readonly #target: RunTarget;
  /** `const char*` of the names. */
  readonly inputNames: BigUint64Array<ArrayBuffer>;
  /** `const char*` of the names: those written into first, then the free ones. */
  readonly outputNames: BigUint64Array<ArrayBuffer>;
  readonly #idle: Frame[] = [];
  #closed = false;

  /** Checks the names. Throws {@link BackendError}. */
  constructor(
    target: RunTarget,
    feedNames: readonly string[],
    intoNames: readonly string[],
    chosen: readonly string[] | undefined,
  ) {
    this.#target = target;
    this.feedNames = feedNames;
    this.intoNames = intoNames;
    this.chosen = chosen === undefined ? undefined : [...chosen];
    const wanted = chosen ?? [...target.outputs.keys()];
    this.freeNames = [...new Set(wanted)].filter((name) =>
      !intoNames.includes(name)
    );
    this.#feedInfos = feedNames.map((name) =>
      find(target, target.inputs, "input", name)
    );
    this.#intoInfos = intoNames.map((name) =>
      find(target, target.outputs, "output", name)
    );
    for (const name of this.freeNames) {
      find(target, target.outputs, "output", name);
    }
    const missing = [...target.inputs.keys()].filter((name) =>
      !feedNames.includes(name)
    );
    if (missing.length > 0) {
      throw new BackendError({
        message: `session "${target.name}": missing input ${
          missing.map((name) => {
            const info = target.inputs.get(name)!;
            return `"${name}" (${info.dtype} ${showShape(info.shape)})`;
          }).join(", ")
        }`,
      });
    }
    const addresses = (names: readonly string[]) =>
      BigUint64Array.from(
        names.length === 0 ? [""] : names,
        (name) => target.nameAddresses.get(name) ?? 0n,
      );
    this.inputNames = addresses(feedNames);
    this.outputNames = addresses([...intoNames, ...this.freeNames]);
  }

  /** Whether a call with these names may use the plan. */
  fits(
    feeds: readonly string[],
    into: readonly string[],
    chosen: readonly string[] | undefined,
  ): boolean {
    return same(this.feedNames, feeds) && same(this.intoNames, into) &&
      (this.chosen === chosen ||
        (this.chosen !== undefined && chosen !== undefined &&
          same(this.chosen, chosen)));
  }

  /** A frame loaded with the tensors of one run. Throws {@link BackendError}. */
  frame(
    feeds: Readonly<Record<string, Tensor>>,
    into: Readonly<Record<string, Tensor>>,
  ): Frame {
    const frame = this.#idle.pop() ?? new Frame(this.#target, this);
    try {
      frame.load(feeds, into, this.#feedInfos, this.#intoInfos);
      return frame;
    } catch (cause) {
      this.#idle.push(frame);
      throw cause;
    }
  }

  /** Takes a frame back after its run. */
  giveBack(frame: Frame): void {
    if (this.#closed) frame.close();
    else this.#idle.push(frame);
  }

  /** Frees the idle frames, and those in use when their runs end. */
  close(): void {
    this.#closed = true;
    for (const frame of this.#idle.splice(0)) frame.close();
  }
}

function same(a: readonly string[], b: readonly string[]): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

function find(
  target: RunTarget,
  infos: ReadonlyMap<string, ValueInfo>,
  what: string,
  name: string,
): ValueInfo {
  const info = infos.get(name);
  if (info === undefined) {
    throw new BackendError({
      message:
        `session "${target.name}" has no ${what} "${name}"; its ${what}s: ${
          [...infos.keys()].join(", ")
        }`,
    });
  }
  return info;
}

/** The plan for a call's names, the most recently used ones first. */
export class Plans {
  readonly #plans: Plan[] = [];

  constructor(private readonly target: RunTarget) {}

  /** Finds or makes a plan. Throws {@link BackendError}. */
  of(feeds: Readonly<Record<string, Tensor>>, options: RunOptions): Plan {
    const plans = this.#plans;
    const feedNames = Object.keys(feeds);
    const intoNames = options.into === undefined
      ? noNames
      : Object.keys(options.into);
    for (let i = 0; i < plans.length; i++) {
      const plan = plans[i];
      if (plan.fits(feedNames, intoNames, options.outputs)) {
        if (i > 0) {
          plans.splice(i, 1);
          plans.unshift(plan);
        }
        return plan;
      }
    }
    const plan = new Plan(this.target, feedNames, intoNames, options.outputs);
    plans.unshift(plan);
    // A caller that never repeats its names must not grow the list without end.
    if (plans.length > 16) plans.pop()!.close();
    return plan;
  }

  /** Frees all idle frames. */
  close(): void {
    for (const plan of this.#plans.splice(0)) plan.close();
  }
}

/** The arrays and handles of one run. */
export class Frame {
  readonly #target: RunTarget;
  readonly #plan: Plan;
  readonly #inputs: BigUint64Array<ArrayBuffer>;
  readonly #outputs: BigUint64Array<ArrayBuffer>;
  /** The tensor behind each input, then behind each output written into. */
  readonly #tensors: (NativeTensor | HostTensor | undefined)[];
  /** Values made here over host arrays, by input. */
  readonly #owned: Pointer[];
  readonly #runOptions: Pointer;
  #terminated = false;

  /** Makes the run options. Throws {@link BackendError}. */
  constructor(target: RunTarget, plan: Plan) {
    const { runtime } = target;
    const feeds = plan.feedNames.length;
    this.#target = target;
    this.#plan = plan;
    this.#inputs = new BigUint64Array(Math.max(1, feeds));
    this.#outputs = new BigUint64Array(
      Math.max(1, plan.intoNames.length + plan.freeNames.length),
    );
    this.#tensors = new Array(feeds + plan.intoNames.length).fill(undefined);
    this.#owned = new Array(feeds).fill(null);
    this.#runOptions = runtime.create(
      "runOptions",
      "creating run options",
      (out) => runtime.api.createRunOptions(out),
    );
    runtime.check(
      runtime.api.runOptionsSetRunLogSeverityLevel(this.#runOptions, LOG_FATAL),
      "run options",
    );
  }

  /** Takes the tensors of a run and marks them in use. Throws {@link BackendError}. */
  load(
    feeds: Readonly<Record<string, Tensor>>,
    into: Readonly<Record<string, Tensor>>,
    feedInfos: readonly ValueInfo[],
    intoInfos: readonly ValueInfo[],
  ): void {
    const { feedNames, intoNames } = this.#plan;
    const tensors = this.#tensors;
    const count = feedNames.length;
    for (let i = 0; i < count; i++) {
      const tensor = feeds[feedNames[i]];
      if (tensor !== tensors[i]) this.#bindInput(i, tensor, feedInfos[i]);
      else this.#checkAlive(tensor as NativeTensor | HostTensor);
    }
    for (let i = 0; i < intoNames.length; i++) {
      const tensor = into[intoNames[i]];
      if (tensor !== tensors[count + i]) {
        this.#bindOutput(i, tensor, intoInfos[i]);
      } else this.#checkAlive(tensor as NativeTensor);
    }
    for (const tensor of tensors) {
      if (tensor instanceof NativeTensor) tensor.block.users++;
    }
  }

  #checkAlive(tensor: NativeTensor | HostTensor): void {
    if (tensor instanceof NativeTensor) {
      if (tensor.block.closed) throw closedTensor(tensor);
    } else if (tensor.data.length !== elementCount(tensor.shape)) {
      throw detached(this.#target, tensor);
    }
  }

  #bindInput(i: number, tensor: Tensor, info: ValueInfo): void {
    this.#checkFit("input", tensor, info);
    this.#dropInput(i);
    if (tensor instanceof NativeTensor) {
      this.#checkAlive(tensor);
      if (!this.#target.accepts(tensor.block)) throw new ForeignTensor();
      this.#inputs[i] = tensor.valueAddress;
      this.#tensors[i] = tensor;
      return;
    }
    if (!("data" in tensor)) throw new ForeignTensor();
    const { runtime } = this.#target;
    const { data, dtype, shape } = tensor as HostTensor;
    if (!holds(dtype, data) || data.length !== elementCount(shape)) {
      throw detached(this.#target, tensor as HostTensor);
    }
    const value = createValue(
      runtime,
      runtime.cpuMemory,
      addressOf(data.length === 0 ? nothing : data),
      data.byteLength,
      dtype,
      shape,
    );
    this.#owned[i] = value;
    this.#inputs[i] = Deno.UnsafePointer.value(value);
    this.#tensors[i] = tensor as HostTensor;
  }

  #bindOutput(i: number, tensor: Tensor, info: ValueInfo): void {
    this.#checkFit("output", tensor, info);
    const { name, accepts } = this.#target;
    if (!(tensor instanceof NativeTensor) || !accepts(tensor.block)) {
      throw new BackendError({
        message:
          `session "${name}": output "${info.name}" can only be written into a tensor made by allocate on the same device and backend`,
      });
    }
    this.#checkAlive(tensor);
    this.#outputs[i] = tensor.valueAddress;
    this.#tensors[this.#plan.feedNames.length + i] = tensor;
  }

  #checkFit(what: string, tensor: Tensor, info: ValueInfo): void {
    const { dtype, shape } = tensor;
    let fits = dtype === info.dtype && shape.length === info.shape.length;
    for (let d = 0; fits && d < shape.length; d++) {
      const extent = info.shape[d];
      fits = typeof extent === "string" || extent === shape[d];
    }
    if (!fits) {
      throw new BackendError({
        message:
          `session "${this.#target.name}": ${what} "${info.name}" is ${info.dtype} ${
            showShape(info.shape)
          }, got ${dtype} ${showShape(shape)}`,
      });
    }
  }

  #dropInput(i: number): void {
    const value = this.#owned[i];
    if (value !== null) {
      this.#target.runtime.release("value", value);
      this.#owned[i] = null;
    }
    this.#tensors[i] = undefined;
    this.#inputs[i] = 0n;
  }

  /** Starts the native run off the event loop. Settles with the status; see {@link finish}. */
  start(): Promise<Pointer> {
    const { api } = this.#target.runtime;
    const plan = this.#plan;
    const into = plan.intoNames.length;
    const outputs = this.#outputs;
    for (let i = into; i < outputs.length; i++) outputs[i] = 0n;
    return api.run(
      this.#target.session,
      this.#runOptions,
      plan.inputNames,
      this.#inputs,
      plan.feedNames.length,
      plan.outputNames,
      into + plan.freeNames.length,
      outputs,
    );
  }

  /** Asks the native run to end at the next operator. */
  terminate(): void {
    this.#terminated = true;
    const { runtime } = this.#target;
    runtime.check(
      runtime.api.runOptionsSetTerminate(this.#runOptions),
      "ending a run",
    );
  }

  /**
   * Takes the outputs of a run that has ended, gives the tensors free and the frame back to its plan.
   * Throws {@link BackendError} where the run failed.
   */
  finish(status: Pointer): Readonly<Record<string, Tensor>> {
    const { runtime, name } = this.#target;
    const plan = this.#plan;
    try {
      const into = plan.intoNames.length;
      if (status !== null) {
        for (let i = into; i < this.#outputs.length; i++) {
          runtime.api.releaseValue(Deno.UnsafePointer.create(this.#outputs[i]));
        }
        throw runtime.error(status, `session "${name}": the run failed`);
      }
      if (plan.freeNames.length === 0) return noTensors;
      return this.#takeOutputs(into);
    } finally {
      this.#giveFree();
    }
  }

  #takeOutputs(into: number): Readonly<Record<string, Tensor>> {
    const { runtime, name } = this.#target;
    const { freeNames } = this.#plan;
    const results: Record<string, Tensor> = {};
    let failure: unknown;
    for (let i = 0; i < freeNames.length; i++) {
      const value = Deno.UnsafePointer.create(this.#outputs[into + i]);
      try {
        if (value === null) {
          throw new BackendError({
            message: `session "${name}": output "${freeNames[i]}" was not made`,
          });
        }
        results[freeNames[i]] = hostCopy(runtime, value, freeNames[i], name);
      } catch (cause) {
        failure ??= cause;
      } finally {
        runtime.api.releaseValue(value);
      }
    }
    if (failure !== undefined) throw failure;
    return results;
  }

  #giveFree(): void {
    const tensors = this.#tensors;
    const feeds = this.#owned.length;
    for (let i = 0; i < tensors.length; i++) {
      const tensor = tensors[i];
      if (tensor instanceof NativeTensor) tensor.block.done();
      else if (
        i < feeds && tensor !== undefined && tensor.data.byteLength > KEEP_BYTES
      ) this.#dropInput(i);
    }
    if (this.#terminated) {
      this.#terminated = false;
      const { runtime } = this.#target;
      runtime.api.runOptionsUnsetTerminate(this.#runOptions);
    }
    this.#plan.giveBack(this);
  }

  /** Releases the handles. */
  close(): void {
    for (let i = 0; i < this.#owned.length; i++) this.#dropInput(i);
    this.#target.runtime.release("runOptions", this.#runOptions);
  }
}

function detached(target: RunTarget, tensor: HostTensor): BackendError {
  return new BackendError({
    message: `session "${target.name}": a host tensor ${tensor.dtype} ${
      showShape(tensor.shape)
    } holds ${tensor.data?.length} elements in ${tensor.data?.constructor.name}; was its buffer transferred?`,
  });
}

const typeCell = new Int32Array(2);
const shapeCell = new BigUint64Array(1);
const rankCell = new BigUint64Array(1);
const dataCell = new BigUint64Array(1);

/** A copy of a native host tensor in memory of the garbage collector. */
function hostCopy(
  runtime: OrtRuntime,
  value: Pointer,
  output: string,
  session: string,
): HostTensor {
  const { api } = runtime;
  const what = `session "${session}": reading output "${output}"`;
  runtime.check(
    api.getTensorTypeAndShapeReference(value, typeCell, shapeCell, rankCell),
    what,
  );
  const dtype = dtypeOfElementType(typeCell[0]);
  if (dtype === undefined) {
    throw new BackendError({
      message: `${what}: element type ${
        elementTypeName(typeCell[0])
      } is not supported`,
    });
  }
  const rank = Number(rankCell[0]);
  const shape = new Array<number>(rank);
  if (rank > 0) {
    const view = new Deno.UnsafePointerView(
      Deno.UnsafePointer.create(shapeCell[0])!,
    );
    for (let d = 0; d < rank; d++) shape[d] = Number(view.getBigInt64(d * 8));
  }
  const count = elementCount(shape);
  const data = newArray(dtype, count);
  if (byteLength(dtype, count) > 0) {
    runtime.check(api.getTensorMutableData(value, dataCell), what);
    new Deno.UnsafePointerView(Deno.UnsafePointer.create(dataCell[0])!)
      .copyInto(data as Uint8Array<ArrayBuffer>);
  }
  return hostTensor(dtype, shape, data);
}
