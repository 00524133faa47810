/**
 * The memory of the key-value cache: for every layer one tensor [slots, kvHeads, capacity, headDim] of
 * keys and one of values. A run works on a window of neighbouring slots, in place.
 * @module
 */
import { Effect, Exit, Scope } from "effect";
import type { BackendError } from "../../../nodes/errors.ts";
import { bytesPerElement, type HostArrays } from "../../../nodes/tensor.ts";
import type { BackendTensor, Session } from "../../onnx/mod.ts";
import type { LanguageConfig } from "../config.ts";
import { encodeFloats } from "../generate/floats.ts";
import type { RotaryTables } from "../generate/rope.ts";
import { cacheNames } from "../graphs/language.ts";
import type { ComputeType, KvType } from "../graphs/types.ts";

/** Feeds of a run that belong to neighbouring slots, and where its outputs go. */
export interface Window {
  /** `past_key.N`, `past_value.N`, `cos`, `sin`. */
  readonly feeds: Readonly<Record<string, BackendTensor>>;
  /** `present_key.N`, `present_value.N`: the same memory as the past. */
  readonly into: Readonly<Record<string, BackendTensor>>;
}

/** Tokens to keep when the pool changes its shape. */
export interface Move {
  /** Slot before. */
  readonly from: number;
  /** Slot afterwards. */
  readonly to: number;
  /** Tokens. */
  readonly length: number;
}

/** What a pool is made for. */
export interface PoolParts {
  /** A session of `languageGraph`. */
  readonly session: Session;
  /** The graph's configuration. */
  readonly config: LanguageConfig;
  /** Type of keys and values, and of the rotary tables unless it is int8. */
  readonly kvCache: KvType;
  /** Rotary tables. */
  readonly rotary: RotaryTables;
}

/** One tensor and the scope that owns it. */
interface Part {
  readonly scope: Scope.Closeable;
  readonly tensor: BackendTensor<KvType>;
}

/**
 * Bytes copied between two turns of the event loop: memory that is written for the first time costs about
 * half a millisecond per megabyte.
 */
const BYTES_PER_TURN = 8 << 20;

/** Bytes that the keys and values of one token take, all layers together. */
export function bytesPerToken(
  config: LanguageConfig,
  kvCache: KvType,
): number {
  return 2 * config.layers * config.kvHeads * config.headDim *
    bytesPerElement[kvCache];
}

/** Type of the rotary tables, which is the attention's. */
export const rotaryType = (kvCache: KvType): ComputeType =>
  kvCache === "int8" ? "float32" : kvCache;

/** See the module. One caller at a time; no run may be under way while it changes. */
export class KvPool {
  readonly #parts: PoolParts;
  /** Keys, then values, of every layer. */
  #tensors: Part[] = [];
  #tables: Part[] = [];
  readonly #windows = new Map<number, Window>();
  #copied = 0;
  /** Sequences there is memory for. */
  slots = 0;
  /** Tokens there is memory for in each. */
  capacity = 0;

  /** An empty pool. */
  constructor(parts: PoolParts) {
    this.#parts = parts;
  }

  /** Whether slots can be copied: where this process can address the memory. */
  get copies(): boolean {
    return this.#tensors.length === 0
      ? this.#parts.session.device === "cpu"
      : this.#tensors[0].tensor.host !== undefined;
  }

  /** The feeds of `count` slots from `first` on. */
  async window(first: number, count: number): Promise<Window> {
    const key = first * 65_536 + count;
    const known = this.#windows.get(key);
    if (known !== undefined) return known;
    const { kvHeads, headDim, layers } = this.#parts.config;
    const row = kvHeads * this.capacity * headDim;
    const shape = [count, kvHeads, this.capacity, headDim];
    const feeds: Record<string, BackendTensor> = {};
    const into: Record<string, BackendTensor> = {};
    const view = ({ tensor }: Part) =>
      Effect.runPromise(tensor.view(shape, first * row));
    for (let layer = 0; layer < layers; layer++) {
      const names = cacheNames(layer);
      feeds[names.pastKey] =
        into[names.presentKey] =
          await view(this.#tensors[2 * layer]);
      feeds[names.pastValue] =
        into[names.presentValue] =
          await view(this.#tensors[2 * layer + 1]);
    }
    [feeds.cos, feeds.sin] = this.#tables.map(({ tensor }) => tensor);
    const made: Window = { feeds, into };
    this.#windows.set(key, made);
    return made;
  }

  /** Overwrites the first `length` tokens of a slot with another's. */
  async copy(from: number, to: number, length: number): Promise<void> {
    const { kvHeads, headDim } = this.#parts.config;
    const head = this.capacity * headDim;
    for (const { tensor } of this.#tensors) {
      const numbers = tensor.host!;
      for (let h = 0; h < kvHeads; h++) {
        const source = (from * kvHeads + h) * head;
        const target = (to * kvHeads + h) * head;
        numbers.copyWithin(target, source, source + length * headDim);
        await this.#turn(length);
      }
    }
  }

  /** Keys and values of a slot's first token, as {@link putFirst} takes them back. */
  first(slot: number): readonly HostArrays[KvType][] {
    return this.#firsts(slot).map((numbers) => numbers.slice());
  }

  /** Puts keys and values of a slot's first token back. */
  putFirst(slot: number, kept: readonly HostArrays[KvType][]): void {
    this.#firsts(slot).forEach((numbers, i) =>
      (numbers as Float32Array).set(kept[i] as Float32Array)
    );
  }

  /** Where a slot's first token is, head by head. */
  #firsts(slot: number): readonly HostArrays[KvType][] {
    const { kvHeads, headDim } = this.#parts.config;
    return this.#tensors.flatMap(({ tensor }) =>
      Array.from({ length: kvHeads }, (_, h) => {
        const at = (slot * kvHeads + h) * this.capacity * headDim;
        return tensor.host!.subarray(at, at + headDim);
      })
    );
  }

  /** Exchanges the first `length` tokens of two slots. */
  async swap(a: number, b: number, length: number): Promise<void> {
    const { kvHeads, headDim } = this.#parts.config;
    const head = this.capacity * headDim;
    for (const { tensor } of this.#tensors) {
      const numbers = tensor.host! as Float32Array;
      for (let h = 0; h < kvHeads; h++) {
        const atA = (a * kvHeads + h) * head;
        const atB = (b * kvHeads + h) * head;
        const held = numbers.slice(atA, atA + length * headDim);
        numbers.copyWithin(atA, atB, atB + length * headDim);
        numbers.set(held, atB);
        await this.#turn(3 * length);
      }
    }
  }

  /**
   * Takes another shape, keeping what `moves` name; the rest is lost. Rejects with {@link BackendError}
   * when there is no memory, and then has changed nothing or is empty.
   */
  async resize(
    slots: number,
    capacity: number,
    moves: readonly Move[],
  ): Promise<void> {
    const { session, config, kvCache } = this.#parts;
    const { layers, kvHeads, headDim } = config;
    const before = this.capacity;
    const shape = [slots, kvHeads, capacity, headDim];
    this.#windows.clear();
    const made: Part[] = [];
    const tables: Part[] = [];
    try {
      // Where nothing can be kept, the old memory goes first: there may not be room for both.
      if (!this.copies) await this.close();
      // All of it before anything is given up. On the CPU, memory costs nothing until it is written.
      for (let i = 0; i < 2 * layers; i++) {
        made.push(await allocate(session, kvCache, shape));
        // A large buffer makes the JavaScript engine collect garbage, some milliseconds each time.
        await this.#turn(BYTES_PER_TURN);
      }
      await this.#makeTables(capacity, tables);
    } catch (cause) {
      for (const part of [...made, ...tables]) await close(part);
      throw cause;
    }
    for (let i = 0; i < made.length; i++) {
      const old = this.#tensors[i];
      this.#tensors[i] = made[i];
      if (old === undefined) continue;
      const source = old.tensor.host;
      const target = made[i].tensor.host as Float32Array | undefined;
      for (const { from, to, length } of moves) {
        for (let h = 0; h < kvHeads; h++) {
          const at = (from * kvHeads + h) * before * headDim;
          target?.set(
            source!.subarray(at, at + length * headDim) as Float32Array,
            (to * kvHeads + h) * capacity * headDim,
          );
          await this.#turn(length);
        }
      }
      await close(old);
    }
    const old = this.#tables;
    this.#tables = tables;
    this.slots = slots;
    this.capacity = capacity;
    for (const table of old) await close(table);
  }

  /** Cosines and sines of all positions; what it makes is in `tables`, also where it fails half-way. */
  async #makeTables(capacity: number, tables: Part[]): Promise<void> {
    const { session, config, kvCache, rotary } = this.#parts;
    const half = config.headDim / 2;
    const dtype = rotaryType(kvCache);
    // Positions past the trained length have the same angles in every sequence whose prompt is not
    // itself longer: see RotaryTables.
    const table = await Effect.runPromise(rotary.forPrompt(1, capacity));
    for (const name of ["cos", "sin"] as const) {
      const part = await allocate(session, dtype, [capacity, half]);
      tables.push(part);
      const numbers = encodeFloats(
        table[name].subarray(0, capacity * half),
        dtype,
      );
      await Effect.runPromise(
        part.tensor.write(numbers as HostArrays[ComputeType]),
      );
    }
  }

  /** Gives all memory back. */
  async close(): Promise<void> {
    this.#windows.clear();
    this.slots = this.capacity = 0;
    const parts = [...this.#tensors.splice(0), ...this.#tables.splice(0)];
    for (const part of parts) await close(part);
  }

  /** Lets the event loop have a turn after so many tokens' worth of one head. */
  async #turn(tokens: number): Promise<void> {
    const { kvCache, config } = this.#parts;
    this.#copied += tokens * config.headDim * bytesPerElement[kvCache];
    if (this.#copied < BYTES_PER_TURN) return;
    this.#copied = 0;
    await new Promise<void>((resolve) => setTimeout(resolve, 0));
  }
}

async function allocate(
  session: Session,
  dtype: KvType,
  shape: readonly number[],
): Promise<Part> {
  const scope = Scope.makeUnsafe();
  const made: Effect.Effect<BackendTensor<KvType>, BackendError> = Effect
    .provideService(session.allocate(dtype, shape), Scope.Scope, scope);
  return { scope, tensor: await Effect.runPromise(made) };
}

function close({ scope }: Part): Promise<void> {
  return Effect.runPromise(Scope.close(scope, Exit.void));
}
