/**
 * The run store in a SQLite file, on `node:sqlite` under effect/sql. Several processes may write to one
 * file.
 * @module
 */
import { Layer } from "effect";
import {
  definePlugin,
  type Plugin,
  RunStore,
  type StoreError,
} from "../../pipeline/mod.ts";
import type { SqliteOptions } from "./client.ts";
import { makeSqliteStore } from "./store.ts";

export type { SqliteOptions } from "./client.ts";
export { makeSqliteStore } from "./store.ts";

/**
 * Provides a run store in a SQLite file, which is made if it is not there (its folder must be). Fails
 * with a `StoreError` when it cannot be opened. What is left in the buffer is written when the layer
 * closes.
 *
 * ```ts
 * const program = Effect.provide(run(chat, inputs), layerSqlite("runs.db"));
 * ```
 */
export function layerSqlite(
  options: string | SqliteOptions,
): Layer.Layer<never, StoreError> {
  return Layer.effect(
    RunStore,
    makeSqliteStore(
      typeof options === "string" ? { filename: options } : options,
    ),
  );
}

/** The store as a plugin. */
export function sqlitePlugin(
  options: string | SqliteOptions,
): Plugin<never, never, never> {
  return definePlugin({
    name: "sqlite",
    description: "Keeps runs in a SQLite file.",
    layers: layerSqlite(options),
  });
}
