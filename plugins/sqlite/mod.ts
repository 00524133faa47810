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
export type {
  BatchComparison,
  Batches,
  BatchItem,
  BatchSummary,
  ItemPage,
  ItemPair,
  ItemQuery,
  ItemStatus,
} from "./batches/read.ts";
export type {
  Distribution,
  LatencyQuery,
  LatencyReport,
  LatencyWindow,
  Points,
  StageReport,
} from "./metrics/report.ts";
export type { Changes, Facets } from "./list.ts";
export type { Retention } from "./retention.ts";
export { latencyWindows } from "./metrics/report.ts";
export { makeSqliteStore, type SqliteStore } from "./store.ts";

/**
 * Provides a run store in a SQLite file, which is made if it is not there (its folder must be). Fails
 * with a `StoreError` when it cannot be opened. What is left in the buffer is written when the layer
 * closes.
 *
 * ```ts
 * import { defineNode, layerSqlite, pipeline, run, RunStore, Text } from "@tessera/sdk";
 * import { Effect } from "effect";
 * import assert from "node:assert/strict";
 *
 * const upper = defineNode({
 *   kind: "upper",
 *   inputs: { text: Text },
 *   outputs: { text: Text },
 *   run: ({ text }) => Effect.succeed({ text: text.toUpperCase() }),
 * });
 * const shout = pipeline("shout", (g) => g.add(upper, { text: g.input("text", Text) }));
 * const program = Effect.gen(function* () {
 *   yield* run(shout, { text: "hello" });
 *   const store = yield* RunStore;
 *   return yield* store.list();
 * });
 * // A file in place of `:memory:` keeps the runs.
 * const { runs } = await Effect.runPromise(
 *   Effect.provide(program, layerSqlite(":memory:")),
 * );
 * assert.equal(runs[0]?.pipeline, "shout");
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
