/**
 * The `OrtValue` of an input that is fed from the host.
 * @module
 */
import { BackendError } from "../../../nodes/errors.ts";
import {
  type DType,
  elementCount,
  type HostArrays,
  type HostTensor,
} from "../../../nodes/tensor.ts";
import { byteLength, holds, newArray, showShape } from "../dtype.ts";
import type { Pointer } from "./api.ts";
import { addressOf, createValue } from "./memory.ts";
import type { OrtRuntime } from "./runtime.ts";

/**
 * Arrays up to this size are copied into memory of the slot, whose value is kept while dtype and shape
 * stay the same: token ids and positions of every step then cost a copy of a few bytes. A larger array
 * is used where it lies, and let go after the run.
 */
const STAGED_BYTES = 64 * 1024;

/** Something to point at where there is nothing to read. */
const nothing = new Uint8Array(8);

/** An input's value over host memory. */
export class HostSlot {
  readonly #runtime: OrtRuntime;
  #value: Pointer = null;
  #address = 0n;
  #dtype: DType | undefined;
  #shape: readonly number[] = [];
  #staging: HostArrays[DType] | undefined;
  /** The user's own array, while a run reads it. */
  #lent: HostArrays[DType] | undefined;

  constructor(runtime: OrtRuntime) {
    this.#runtime = runtime;
  }

  /** The address of a value that holds the tensor's numbers. Throws {@link BackendError}. */
  bind(tensor: HostTensor): bigint {
    const { dtype, shape, data } = tensor;
    const staging = this.#staging;
    if (
      staging !== undefined && this.#dtype === dtype &&
      data.length === staging.length && sameShape(this.#shape, shape) &&
      holds(dtype, data)
    ) {
      (staging as Uint8Array).set(data as Uint8Array);
      return this.#address;
    }
    this.release();
    if (!holds(dtype, data) || data.length !== elementCount(shape)) {
      throw new BackendError({
        message: `a host tensor ${dtype} ${
          showShape(shape)
        } holds ${data?.length} elements in ${data?.constructor.name}; was its buffer transferred?`,
      });
    }
    const bytes = byteLength(dtype, data.length);
    let memory = data;
    if (bytes <= STAGED_BYTES) {
      memory = newArray(dtype, data.length);
      (memory as Uint8Array).set(data as Uint8Array);
      this.#staging = memory;
      this.#dtype = dtype;
      this.#shape = [...shape];
    } else this.#lent = data;
    this.#value = createValue(
      this.#runtime,
      this.#runtime.cpuMemory,
      addressOf(bytes === 0 ? nothing : memory),
      bytes,
      dtype,
      shape,
    );
    this.#address = Deno.UnsafePointer.value(this.#value);
    return this.#address;
  }

  /** Lets a large array go. */
  afterRun(): void {
    if (this.#lent !== undefined) this.release();
  }

  /** Frees the value. */
  release(): void {
    this.#runtime.release("value", this.#value);
    this.#value = null;
    this.#address = 0n;
    this.#staging = this.#lent = undefined;
    this.#dtype = undefined;
  }
}

function sameShape(a: readonly number[], b: readonly number[]): boolean {
  if (a.length !== b.length) return false;
  for (let d = 0; d < a.length; d++) if (a[d] !== b[d]) return false;
  return true;
}
