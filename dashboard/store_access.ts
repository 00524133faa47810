/**
 * The run store, and how it is asked.
 * @module
 */
import type { Effect } from "effect";
import type { SqliteStore } from "../plugins/sqlite/mod.ts";

/** The run store, and how it is asked. */
export interface StoreAccess {
  /** The runs, and figures about them. */
  readonly store: SqliteStore;
  /** Runs an effect; rejects with its first failure. */
  readonly run: <A, E>(effect: Effect.Effect<A, E>) => Promise<A>;
}
