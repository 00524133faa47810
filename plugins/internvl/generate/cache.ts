/**
 * What one generation keeps on the device: the key-value cache and the rotary tables, as feeds of the
 * language graph.
 * @module
 */
import { Effect, type Scope } from "effect";
import type { BackendError } from "../../../nodes/errors.ts";
import {
  bytesPerElement,
  elementCount,
  type HostArrays,
} from "../../../nodes/tensor.ts";
import type { BackendTensor, Session } from "../../onnx/mod.ts";
import type { LanguageConfig } from "../config.ts";
import { cacheNames } from "../graphs/language.ts";
import type { ComputeType } from "../graphs/weights.ts";
import { encodeFloats } from "./floats.ts";
import type { RotaryTable } from "./rope.ts";

/** Feeds that stay the same for a whole generation, and where its outputs go. */
export interface CacheFeeds {
  /** Tokens there is room for. */
  readonly capacity: number;
  /** `past_key.N`, `past_value.N`, `cos`, `sin`. */
  readonly feeds: Readonly<Record<string, BackendTensor>>;
  /** `present_key.N`, `present_value.N`: the same memory as the past. */
  readonly into: Readonly<Record<string, BackendTensor>>;
}

/** Capacities are multiples of this, so that allocations of like size repeat. */
const CAPACITY_STEP = 64;

/** Room for `tokens`, rounded up. */
export function roundCapacity(tokens: number): number {
  return Math.ceil(tokens / CAPACITY_STEP) * CAPACITY_STEP;
}

/**
 * Memory allocated between two turns of the event loop. Large buffers make the JavaScript engine collect
 * garbage (some milliseconds each), which must not add up to a pause.
 */
const BYTES_PER_TURN = 16 << 20;

/** Allocates the cache in the current scope and writes the rotary table (at least `capacity` rows). */
export const allocateCache: (
  session: Session,
  config: LanguageConfig,
  dtype: ComputeType,
  capacity: number,
  rotary: RotaryTable,
) => Effect.Effect<CacheFeeds, BackendError, Scope.Scope> = Effect.fnUntraced(
  function* (session, config, dtype, capacity, rotary) {
    const feeds: Record<string, BackendTensor> = {};
    const into: Record<string, BackendTensor> = {};
    const shape = [1, config.kvHeads, capacity, config.headDim];
    const bytes = 2 * bytesPerElement[dtype] * elementCount(shape);
    let allocated = 0;
    for (let layer = 0; layer < config.layers; layer++) {
      const names = cacheNames(layer);
      const key = yield* session.allocate(dtype, shape);
      const value = yield* session.allocate(dtype, shape);
      feeds[names.pastKey] = into[names.presentKey] = key;
      feeds[names.pastValue] = into[names.presentValue] = value;
      allocated += bytes;
      if (allocated > BYTES_PER_TURN) {
        yield* Effect.yieldNow;
        allocated = 0;
      }
    }
    const half = config.headDim / 2;
    for (const name of ["cos", "sin"] as const) {
      const table = yield* session.allocate(dtype, [capacity, half]);
      const numbers = rotary[name].subarray(0, capacity * half);
      yield* table.write(
        encodeFloats(numbers, dtype) as HostArrays[typeof dtype],
      );
      feeds[name] = table;
    }
    return { capacity, feeds, into };
  },
);
