/**
 * One run: its arrays of handles, its tensors, its start, its end. Frames are reused, so that a tensor
 * fed again costs a comparison, and a small host array a copy into memory that already has a handle.
 * @module
 */
import { BackendError } from "../../../nodes/errors.ts";
import type { HostTensor, Tensor } from "../../../nodes/tensor.ts";
import type { ValueInfo } from "../backend.ts";
import {
  checkFit,
  closedTensor,
  foreignOutput,
  type Signature,
} from "../check.ts";
import type { Pointer } from "./api.ts";
import { type Block, NativeTensor } from "./memory.ts";
import { hostCopy } from "./output.ts";
import { type Flight, LOG_FATAL, type OrtRuntime } from "./runtime.ts";
import { HostSlot } from "./slot.ts";

/** What a run needs to know of its session. */
export interface RunTarget {
  /** Names and types. */
  readonly signature: Signature;
  /** The environment. */
  readonly runtime: OrtRuntime;
  /** `OrtSession*`. */
  readonly session: Pointer;
  /** The names as C strings, kept here so that their addresses hold. */
  readonly names: ReadonlyMap<string, Uint8Array<ArrayBuffer>>;
  /** Addresses of the names as C strings. */
  readonly nameAddresses: ReadonlyMap<string, bigint>;
  /** Whether tensors of this block may be fed as they are. */
  readonly accepts: (block: Block) => boolean;
}

/** What is fed and made in a run, as all runs of one plan share it. */
export interface RunNames {
  /** Names fed, in the caller's order. */
  readonly feedNames: readonly string[];
  /** Outputs that are written into the caller's tensors. */
  readonly intoNames: readonly string[];
  /** Outputs that ONNX Runtime allocates. */
  readonly freeNames: readonly string[];
  /** `const char*` of the names fed. */
  readonly inputNames: BigUint64Array<ArrayBuffer>;
  /** `const char*` of the outputs: those written into first, then the free ones. */
  readonly outputNames: BigUint64Array<ArrayBuffer>;
}

/** Thrown where a tensor lies in memory the session cannot use, and has to be read to the host first. */
export class ForeignTensor extends Error {}

const noTensors: Readonly<Record<string, never>> = {};

/** The arrays and handles of one run. */
export class Frame implements Flight {
  readonly #target: RunTarget;
  readonly #plan: RunNames;
  readonly #giveBack: (frame: Frame) => void;
  readonly #inputs: BigUint64Array<ArrayBuffer>;
  readonly #outputs: BigUint64Array<ArrayBuffer>;
  /** The native tensor of each input, then of each output written into. */
  readonly #tensors: (NativeTensor | undefined)[];
  /** Values over host arrays, by input. */
  readonly #slots: (HostSlot | undefined)[];
  readonly #runOptions: Pointer;
  /** Memory that was closed during the run. */
  readonly #leaving: { readonly done: () => void }[] = [];
  /** {@link OrtRuntime.closings} when the tensors were last found open. */
  #closings = -1;
  #terminated = false;
  #closed = false;

  /** Makes the run options; `giveBack` takes the frame after each run. Throws {@link BackendError}. */
  constructor(
    target: RunTarget,
    plan: RunNames,
    giveBack: (frame: Frame) => void,
  ) {
    const { runtime } = target;
    const feeds = plan.feedNames.length;
    this.#target = target;
    this.#plan = plan;
    this.#giveBack = giveBack;
    this.#inputs = new BigUint64Array(Math.max(1, feeds));
    this.#outputs = new BigUint64Array(
      Math.max(1, plan.intoNames.length + plan.freeNames.length),
    );
    this.#tensors = new Array(feeds + plan.intoNames.length).fill(undefined);
    this.#slots = new Array(feeds).fill(undefined);
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

  /** Takes the tensors of a run, which holds them from here on. Throws {@link BackendError}. */
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
      if (tensor === undefined || tensor !== tensors[i]) {
        this.#bindInput(i, tensor, feedInfos[i]);
      }
    }
    for (let i = 0; i < intoNames.length; i++) {
      const tensor = into[intoNames[i]];
      if (tensor === undefined || tensor !== tensors[count + i]) {
        this.#bindOutput(i, tensor, intoInfos[i]);
      }
    }
    this.#checkOpen();
    // Nothing can fail any more.
    this.#target.runtime.flights.add(this);
  }

  /** Takes the tensors it has for another run; of the inputs in `hosts` the numbers. Throws {@link BackendError}. */
  reload(
    hosts: readonly (readonly [input: number, tensor: HostTensor])[],
  ): void {
    this.#checkOpen();
    for (const [i, tensor] of hosts) {
      this.#inputs[i] = this.#slots[i]!.bind(tensor);
    }
    this.#target.runtime.flights.add(this);
  }

  /** Lets go of tensors that were taken for a run which is not to start yet. */
  rest(): void {
    this.#giveFree();
  }

  /** See {@link Flight}. */
  holds(memory: { readonly done: () => void }): boolean {
    const holds = this.#tensors.some((tensor) => tensor?.block === memory);
    if (holds) this.#leaving.push(memory);
    return holds;
  }

  #checkOpen(): void {
    const { closings } = this.#target.runtime;
    if (closings === this.#closings) return;
    for (const tensor of this.#tensors) {
      if (tensor?.block.closed) throw closedTensor(tensor.dtype, tensor.shape);
    }
    this.#closings = closings;
  }

  #bindInput(i: number, tensor: Tensor, info: ValueInfo): void {
    const { name } = this.#target.signature;
    checkFit(name, "input", tensor, info);
    this.#tensors[i] = undefined;
    if (tensor instanceof NativeTensor) {
      if (tensor.block.closed) throw closedTensor(tensor.dtype, tensor.shape);
      if (!this.#target.accepts(tensor.block)) throw new ForeignTensor();
      this.#slots[i]?.release();
      this.#inputs[i] = tensor.valueAddress;
      this.#tensors[i] = tensor;
      return;
    }
    if (!("data" in tensor)) throw new ForeignTensor();
    const slot = this.#slots[i] ??= new HostSlot(this.#target.runtime);
    this.#inputs[i] = slot.bind(tensor as HostTensor);
  }

  #bindOutput(i: number, tensor: Tensor, info: ValueInfo): void {
    const { signature: { name }, accepts } = this.#target;
    checkFit(name, "output", tensor, info);
    if (!(tensor instanceof NativeTensor) || !accepts(tensor.block)) {
      throw foreignOutput(name, info.name);
    }
    if (tensor.block.closed) throw closedTensor(tensor.dtype, tensor.shape);
    this.#outputs[i] = tensor.valueAddress;
    this.#tensors[this.#plan.feedNames.length + i] = tensor;
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
    const { runtime, signature: { name } } = this.#target;
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
    const { runtime, signature: { name } } = this.#target;
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
    this.#target.runtime.flights.delete(this);
    for (const memory of this.#leaving.splice(0)) memory.done();
    for (const slot of this.#slots) slot?.afterRun();
    if (this.#terminated) {
      this.#terminated = false;
      const { runtime } = this.#target;
      runtime.api.runOptionsUnsetTerminate(this.#runOptions);
    }
    this.#giveBack(this);
  }

  /** Releases the handles. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    for (const slot of this.#slots) slot?.release();
    this.#target.runtime.release("runOptions", this.#runOptions);
  }
}
