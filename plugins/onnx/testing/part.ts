/**
 * What the parts of the contract share.
 * @module
 */
import assert from "node:assert/strict";
import { Effect } from "effect";
import type { BackendError } from "../../../nodes/errors.ts";
import type { Device } from "../backend.ts";
import type { effectTest } from "./effect.ts";

/** What a binding may do differently, by its documentation. */
export interface ContractOptions {
  /** Where the sessions compute; default the CPU. */
  readonly device?: Device;
  /** Whether a run that has begun can be ended; the N-API has no way to. */
  readonly endsRuns: boolean;
  /** Whether bfloat16 goes in and out. */
  readonly bfloat16: boolean;
}

/** What a part is given. */
export interface Part {
  /** Where the sessions compute. */
  readonly device: Device;
  /** What the binding can do. */
  readonly options: ContractOptions;
  /** Registers a test. */
  readonly test: (
    name: string,
    body: Parameters<typeof effectTest>[2],
  ) => void;
}

/** The one-line message of an effect's failure. */
export function message<A, R>(
  effect: Effect.Effect<A, BackendError, R>,
): Effect.Effect<string, A, R> {
  return Effect.map(Effect.flip(effect), (error) => {
    assert.equal(error._tag, "BackendError");
    assert.ok(!error.message.includes("\n"), error.message);
    return error.message;
  });
}
