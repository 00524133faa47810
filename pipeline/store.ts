/**
 * The run store keeps the events of runs so that they can be listed and looked at later.
 * @module
 */
import { Context, Effect } from "effect";
import { StoreError } from "./errors.ts";
import type {
  ErrorReport,
  NodeFinished,
  RunEvent,
  RunStarted,
  RunStatus,
  SpanReport,
} from "./events.ts";
import type { Json, Preview } from "./port.ts";

/** How a stored run stands. `running` also stays when the process died; see `updatedAt`. */
export type StoredStatus = RunStatus | "running";

/** A run without its nodes and events. */
export interface RunSummary {
  /** The run. */
  readonly runId: string;
  /** Name of its pipeline. */
  readonly pipeline: string;
  /** How it stands. */
  readonly status: StoredStatus;
  /** When it began, in milliseconds since 1970. */
  readonly startedAt: number;
  /** When its last event happened. */
  readonly updatedAt: number;
  /** How long it took, in milliseconds, once it has ended. */
  readonly ms?: number;
  /** What went wrong, if something did. */
  readonly error?: ErrorReport;
  /** Previews of its inputs. */
  readonly inputs: { readonly [name: string]: Preview };
  /** Previews of its outputs, once it has succeeded. */
  readonly outputs?: { readonly [name: string]: Preview };
  /** What its caller attached. */
  readonly attributes: { readonly [name: string]: Json };
}

/** A node, or one element of a mapped node, of a stored run. */
export interface StoredNode {
  /** Path, such as `tile` or `chat[1]/load[0]`. */
  readonly node: string;
  /** Kind. */
  readonly kind: string;
  /** Whether it is a pipeline whose nodes are listed as well. */
  readonly composite: boolean;
  /** How it stands. */
  readonly status: "running" | "succeeded" | "failed";
  /** The last attempt, from 1. */
  readonly attempt: number;
  /** When that attempt began. */
  readonly startedAt: number;
  /** How long it waited for its lane, in milliseconds. */
  readonly queuedMs: number;
  /** How long the attempt ran, once it has ended. */
  readonly ms?: number;
  /** Whether the result came from the memo. */
  readonly cached: boolean;
  /** Named parts of its work. */
  readonly spans: readonly SpanReport[];
  /** Previews of its outputs. */
  readonly outputs?: NodeFinished["outputs"];
  /** What went wrong. */
  readonly error?: ErrorReport;
}

/** A run with all that is known of it. */
export interface StoredRun extends RunSummary {
  /** The pipeline as a document, where it could be one. */
  readonly document?: Json;
  /** Nodes in order of their starts. */
  readonly nodes: readonly StoredNode[];
  /** All events in order. */
  readonly events: readonly RunEvent[];
}

/** Which runs to list. */
export interface RunQuery {
  /** At most this many, 1 to 1000; default 50. */
  readonly limit?: number;
  /** Where the page before ended. */
  readonly cursor?: string;
  /** Only runs that stand so. */
  readonly status?: StoredStatus;
  /** Only runs of this pipeline. */
  readonly pipeline?: string;
  /** Only runs whose inputs, outputs, attributes or error contain this text, whatever the case of ASCII letters. */
  readonly text?: string;
}

/** A page of runs, latest first. */
export interface RunPage {
  /** The runs. */
  readonly runs: readonly RunSummary[];
  /** Where to go on; absent on the last page. */
  readonly cursor?: string;
}

/** Keeps the events of runs. */
export interface RunStore {
  /** Whether anything is kept; runs make no events for a store that keeps nothing. */
  readonly enabled: boolean;
  /** Takes an event into the buffer. Never waits, never throws; a failure shows at the run's `flush`. */
  readonly record: (event: RunEvent) => void;
  /**
   * Waits until everything recorded before is written, in order. Fails when an event of this run could
   * not be written; then nothing more of the run is, and what was written stands as it is.
   */
  readonly flush: (runId: string) => Effect.Effect<void, StoreError>;
  /** Lists runs, latest first. */
  readonly list: (query?: RunQuery) => Effect.Effect<RunPage, StoreError>;
  /** A run with its nodes and events; `undefined` if there is none. */
  readonly get: (
    runId: string,
  ) => Effect.Effect<StoredRun | undefined, StoreError>;
  /** Forgets a run; tells whether there was one. */
  readonly remove: (runId: string) => Effect.Effect<boolean, StoreError>;
}

const keepsNothing: RunStore = {
  enabled: false,
  record: () => {},
  flush: () => Effect.void,
  list: () => Effect.succeed({ runs: [] }),
  get: () => Effect.succeed(undefined),
  remove: () => Effect.succeed(false),
};

/**
 * The store in force; the default keeps nothing.
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
 *   yield* run(shout, { text: "hello" }, { attributes: { user: "ada" } });
 *   const store = yield* RunStore;
 *   return yield* store.list({ text: "ada", limit: 10 });
 * });
 * const { runs } = await Effect.runPromise(Effect.provide(program, layerMemory()));
 * assert.equal(runs[0]?.pipeline, "shout");
 * ```
 */
export const RunStore: Context.Reference<RunStore> = Context.Reference<
  RunStore
>("tessera/RunStore", { defaultValue: () => keepsNothing });

/**
 * The summary of a run from its first event.
 *
 * ```ts
 * import { summaryOf } from "@tessera/sdk";
 * import assert from "node:assert/strict";
 *
 * const summary = summaryOf({
 *   _tag: "RunStarted",
 *   runId: "r",
 *   seq: 0,
 *   at: 0,
 *   pipeline: "shout",
 *   inputs: {},
 *   attributes: {},
 * });
 * assert.equal(summary.status, "running");
 * ```
 */
export function summaryOf(event: RunStarted): RunSummary {
  return {
    runId: event.runId,
    pipeline: event.pipeline,
    status: "running",
    startedAt: event.at,
    updatedAt: event.at,
    inputs: event.inputs,
    attributes: event.attributes,
  };
}

/**
 * The summary after one more event.
 *
 * ```ts
 * import { summarize, summaryOf } from "@tessera/sdk";
 * import assert from "node:assert/strict";
 *
 * const started = { runId: "r", seq: 0, at: 0 };
 * const summary = summarize(
 *   summaryOf({
 *     _tag: "RunStarted",
 *     ...started,
 *     pipeline: "shout",
 *     inputs: {},
 *     attributes: {},
 *   }),
 *   { _tag: "RunFinished", ...started, seq: 1, at: 7, status: "succeeded", ms: 7 },
 * );
 * assert.equal(summary.status, "succeeded");
 * assert.equal(summary.updatedAt, 7);
 * ```
 */
export function summarize(summary: RunSummary, event: RunEvent): RunSummary {
  return event._tag !== "RunFinished" ? { ...summary, updatedAt: event.at } : {
    ...summary,
    updatedAt: event.at,
    status: event.status,
    ms: event.ms,
    ...(event.error === undefined ? {} : { error: event.error }),
    ...(event.outputs === undefined ? {} : { outputs: event.outputs }),
  };
}

/**
 * The nodes of a run from its events, in order of their starts.
 *
 * ```ts
 * import { nodesFrom } from "@tessera/sdk";
 * import assert from "node:assert/strict";
 *
 * const nodes = nodesFrom([{
 *   _tag: "NodeStarted",
 *   runId: "r",
 *   seq: 1,
 *   at: 0,
 *   node: "load[0]",
 *   kind: "load",
 *   composite: false,
 *   attempt: 1,
 *   queuedMs: 0,
 * }]);
 * assert.equal(nodes[0]?.status, "running");
 * ```
 */
export function nodesFrom(events: readonly RunEvent[]): StoredNode[] {
  const nodes = new Map<string, StoredNode>();
  for (const event of events) {
    switch (event._tag) {
      case "NodeStarted": {
        const { node, kind, composite, attempt, queuedMs, at } = event;
        nodes.set(node, {
          node,
          kind,
          composite,
          attempt,
          queuedMs,
          startedAt: at,
          status: "running",
          cached: false,
          spans: [],
        });
        break;
      }
      case "NodeFinished":
      case "NodeFailed": {
        const known = nodes.get(event.node);
        if (known === undefined) break;
        const { attempt, ms } = event;
        nodes.set(
          event.node,
          event._tag === "NodeFailed"
            ? { ...known, attempt, ms, status: "failed", error: event.error }
            : {
              ...known,
              attempt,
              ms,
              status: "succeeded",
              queuedMs: event.queuedMs,
              cached: event.cached,
              spans: event.spans,
              outputs: event.outputs,
            },
        );
      }
    }
  }
  return [...nodes.values()];
}

/**
 * What `text` in a {@link RunQuery} is looked for in.
 *
 * ```ts
 * import { searchText } from "@tessera/sdk";
 * import assert from "node:assert/strict";
 *
 * const text = searchText({
 *   runId: "r",
 *   pipeline: "shout",
 *   status: "running",
 *   startedAt: 0,
 *   updatedAt: 0,
 *   inputs: { text: "hello" },
 *   attributes: { user: "ada" },
 * });
 * assert.ok(text.includes("hello") && text.includes("ada"));
 * ```
 */
export function searchText(summary: RunSummary): string {
  const { runId, pipeline, inputs, outputs, attributes, error } = summary;
  return [
    runId,
    pipeline,
    ...leaves(inputs),
    ...leaves(outputs ?? {}),
    ...leaves(attributes),
    error?.message ?? "",
  ].join("\n");
}

function leaves(value: Json): string[] {
  if (typeof value !== "object" || value === null) return [String(value)];
  return Object.values(value).flatMap(leaves);
}

/**
 * The page size of a query; fails for a number out of range.
 *
 * ```ts
 * import { pageSize } from "@tessera/sdk";
 * import { Effect } from "effect";
 * import assert from "node:assert/strict";
 *
 * assert.equal(await Effect.runPromise(pageSize({})), 50);
 * const error = await Effect.runPromise(Effect.flip(pageSize({ limit: 2000 })));
 * assert.equal(error._tag, "StoreError");
 * ```
 */
export function pageSize(
  query: RunQuery,
): Effect.Effect<number, StoreError> {
  const { limit = 50 } = query;
  return Number.isInteger(limit) && limit >= 1 && limit <= 1000
    ? Effect.succeed(limit)
    : Effect.fail(
      new StoreError({
        message:
          `run store: limit ${limit} is not a whole number from 1 to 1000`,
      }),
    );
}

/**
 * The last run of a page as a cursor.
 *
 * ```ts
 * import { cursorOf } from "@tessera/sdk";
 * import assert from "node:assert/strict";
 *
 * const cursor = cursorOf({
 *   runId: "r",
 *   pipeline: "shout",
 *   status: "running",
 *   startedAt: 12,
 *   updatedAt: 12,
 *   inputs: {},
 *   attributes: {},
 * });
 * assert.equal(cursor, "12:r");
 * ```
 */
export function cursorOf(last: RunSummary): string {
  return `${last.startedAt}:${last.runId}`;
}

/**
 * Reads a cursor; fails for text that {@link cursorOf} did not write.
 *
 * ```ts
 * import { readCursor } from "@tessera/sdk";
 * import { Effect } from "effect";
 * import assert from "node:assert/strict";
 *
 * assert.deepEqual(await Effect.runPromise(readCursor("12:r")), {
 *   startedAt: 12,
 *   runId: "r",
 * });
 * ```
 */
export function readCursor(
  cursor: string,
): Effect.Effect<
  { readonly startedAt: number; readonly runId: string },
  StoreError
> {
  const match = /^(-?\d+(?:\.\d+)?):(.+)$/s.exec(cursor);
  return match === null
    ? Effect.fail(
      new StoreError({
        message: `run store: "${
          cursor.slice(0, 40)
        }" is no cursor; pass on the one of the page before`,
      }),
    )
    : Effect.succeed({ startedAt: Number(match[1]), runId: match[2]! });
}
