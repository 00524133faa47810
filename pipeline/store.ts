/**
 * The run store keeps the events of runs so that they can be listed and looked at later.
 * @module
 */
import { Context, Effect } from "effect";
import type { StoreError } from "./errors.ts";
import type {
  ErrorReport,
  NodeFinished,
  RunEvent,
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
  /** Milliseconds by stage, as `timingsOf` sums them, of the nodes that have ended. */
  readonly timings: { readonly [stage: string]: number };
  /** Results that came from the memo. */
  readonly cached: number;
  /** Milliseconds from its start to the first part of a stream, such as the first words of an answer. */
  readonly firstPartMs?: number;
  /** Sums of the numbers that previews carry under `usage`. */
  readonly usage: { readonly [name: string]: number };
  /** Whether a preview carried a picture under `icon`. */
  readonly icon?: true;
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

/** What runs can be ordered by; `tokens` is `completionTokens` of the usage. */
export type RunSort = "startedAt" | "ms" | "tokens";

/** Which runs to list, and in which order. */
export interface RunQuery {
  /** At most this many, 1 to 1000; default 50. */
  readonly limit?: number;
  /** Where the page before ended. */
  readonly cursor?: string;
  /** Only runs that stand so. */
  readonly status?: StoredStatus;
  /** Only runs of this pipeline. */
  readonly pipeline?: string;
  /** Only runs whose attribute `model` is this. */
  readonly model?: string;
  /** Only runs that began at this time or later, in milliseconds since 1970. */
  readonly since?: number;
  /** Only runs that began before this time. */
  readonly until?: number;
  /** What they are ordered by; default: `startedAt`. Runs without that number come as if it were −1. */
  readonly sort?: RunSort;
  /** Which way; default: `desc`. */
  readonly order?: "asc" | "desc";
  /** Only runs whose inputs, outputs, attributes or error contain this text, whatever the case of ASCII letters. */
  readonly text?: string;
}

/** A page of runs, in the order that was asked for. */
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
   * not be written; then nothing more of the run is, and what was written stands as it is. `lazily` it
   * waits until the store would have written anyway, and hurries nothing.
   */
  readonly flush: (
    runId: string,
    options?: { readonly lazily?: boolean },
  ) => Effect.Effect<void, StoreError>;
  /** Lists runs, latest first if nothing else is asked for. */
  readonly list: (query?: RunQuery) => Effect.Effect<RunPage, StoreError>;
  /** A run with its nodes and events; `undefined` if there is none. */
  readonly get: (
    runId: string,
  ) => Effect.Effect<StoredRun | undefined, StoreError>;
  /** Forgets a run; tells whether there was one. */
  readonly remove: (runId: string) => Effect.Effect<boolean, StoreError>;
  /**
   * Asks whoever runs a run to stop it, in this process or in another that writes to the same store;
   * tells whether it was still running. It then ends as `interrupted`.
   */
  readonly cancel: (runId: string) => Effect.Effect<boolean, StoreError>;
  /** Calls `stop` when a run is asked to stop. The function it returns ends the waiting. */
  readonly onCancel: (runId: string, stop: () => void) => () => void;
}

const keepsNothing: RunStore = {
  enabled: false,
  record: () => {},
  flush: () => Effect.void,
  list: () => Effect.succeed({ runs: [] }),
  get: () => Effect.succeed(undefined),
  remove: () => Effect.succeed(false),
  cancel: () => Effect.succeed(false),
  onCancel: () => () => {},
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
