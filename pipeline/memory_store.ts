/**
 * The run store in memory.
 * @module
 */
import { Effect, Layer } from "effect";
import type { StoreError } from "./errors.ts";
import type { RunEvent } from "./events.ts";
import type { Json } from "./port.ts";
import { cursorOf, pageSize, readCursor, sortKey } from "./run_query.ts";
import {
  type RunPage,
  type RunQuery,
  type RunSort,
  RunStore,
  type RunSummary,
} from "./store.ts";
import { nodesFrom, searchText, summarize, summaryOf } from "./summary.ts";

/** Bounds of the store in memory. */
export interface MemoryStoreOptions {
  /** At most this many runs; the oldest goes first. Default 1000. */
  readonly maxRuns?: number;
  /** At most this many events of one run; of those after it, progress is dropped. Default 100,000. */
  readonly maxEvents?: number;
}

interface MemoryRun {
  summary: RunSummary;
  readonly document: Json | undefined;
  readonly events: RunEvent[];
}

const compareAscii = (text: string): string =>
  text.replace(/[A-Z]+/g, (letters) => letters.toLowerCase());

/**
 * Makes a store in memory.
 *
 * ```ts
 * import { defineNode, makeMemoryStore, pipeline, run, RunStore, Text } from "@tessera/sdk";
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
 * const store = makeMemoryStore({ maxRuns: 10 });
 * await Effect.runPromise(
 *   run(shout, { text: "hello" }).pipe(Effect.provideService(RunStore, store)),
 * );
 * const { runs } = await Effect.runPromise(store.list());
 * assert.equal(runs[0]?.status, "succeeded");
 * ```
 */
export function makeMemoryStore(options: MemoryStoreOptions = {}): RunStore {
  const { maxRuns = 1000, maxEvents = 100_000 } = options;
  const runs = new Map<string, MemoryRun>();
  const stops = new Map<string, () => void>();
  const record = (event: RunEvent): void => {
    if (event._tag === "RunStarted") {
      runs.set(event.runId, {
        summary: summaryOf(event),
        document: event.document,
        events: [event],
      });
      for (const oldest of runs.keys()) {
        if (runs.size <= maxRuns) break;
        runs.delete(oldest);
      }
      return;
    }
    const run = runs.get(event.runId);
    if (run === undefined) return;
    run.summary = summarize(run.summary, event);
    if (run.events.length < maxEvents || event._tag !== "NodeProgress") {
      run.events.push(event);
    }
  };
  const list = (query: RunQuery = {}): Effect.Effect<RunPage, StoreError> =>
    Effect.gen(function* () {
      const limit = yield* pageSize(query);
      const after = query.cursor === undefined
        ? undefined
        : yield* readCursor(query.cursor);
      const sign = query.order === "asc" ? -1 : 1;
      const text = query.text === undefined
        ? undefined
        : compareAscii(query.text);
      const found = Array.from(runs.values(), ({ summary }) => summary)
        .filter((run) =>
          (query.status === undefined || run.status === query.status) &&
          (query.pipeline === undefined || run.pipeline === query.pipeline) &&
          (query.model === undefined ||
            run.attributes.model === query.model) &&
          (query.since === undefined || run.startedAt >= query.since) &&
          (query.until === undefined || run.startedAt < query.until) &&
          (text === undefined ||
            compareAscii(searchText(run)).includes(text)) &&
          (after === undefined ||
            sign * compare(after, positionOf(run, query.sort)) > 0)
        )
        .sort((a, b) =>
          -sign *
          compare(positionOf(a, query.sort), positionOf(b, query.sort))
        );
      const page = found.slice(0, limit);
      const last = page.at(-1);
      return found.length > limit && last !== undefined
        ? { runs: page, cursor: cursorOf(last, query.sort) }
        : { runs: page };
    });
  return {
    enabled: true,
    record,
    flush: () => Effect.void,
    list,
    get: (runId) =>
      Effect.sync(() => {
        const run = runs.get(runId);
        if (run === undefined) return undefined;
        return {
          ...run.summary,
          ...(run.document === undefined ? {} : { document: run.document }),
          nodes: nodesFrom(run.events),
          events: [...run.events],
        };
      }),
    remove: (runId) => Effect.sync(() => runs.delete(runId)),
    cancel: (runId) =>
      Effect.sync(() => {
        if (runs.get(runId)?.summary.status !== "running") return false;
        stops.get(runId)?.();
        return true;
      }),
    onCancel: (runId, stop) => {
      stops.set(runId, stop);
      return () => void stops.delete(runId);
    },
  };
}

interface Position {
  readonly key: number;
  readonly runId: string;
}

const positionOf = (run: RunSummary, sort?: RunSort): Position => ({
  key: sortKey(run, sort),
  runId: run.runId,
});

/** By number, then by id. */
function compare(a: Position, b: Position): number {
  return a.key - b.key || (a.runId > b.runId ? 1 : a.runId < b.runId ? -1 : 0);
}

/**
 * Provides a store in memory.
 *
 * ```ts
 * import { defineNode, layerMemory, pipeline, run, RunStore, Text } from "@tessera/sdk";
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
 *   const { runId } = yield* run(shout, { text: "hello" });
 *   const store = yield* RunStore;
 *   return yield* store.get(runId);
 * });
 * const stored = await Effect.runPromise(Effect.provide(program, layerMemory()));
 * assert.equal(stored?.nodes[0]?.node, "upper");
 * ```
 */
export function layerMemory(
  options: MemoryStoreOptions = {},
): Layer.Layer<never> {
  return Layer.sync(RunStore, () => makeMemoryStore(options));
}
