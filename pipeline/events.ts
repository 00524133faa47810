/**
 * What a run says about itself: plain JSON objects that observers, the run store and the dashboard read.
 * @module
 */
import { Context, Effect, Schema } from "effect";
import type { Json, Preview } from "./port.ts";

/** Fields of every event. */
export interface EventBase {
  /** The run. */
  readonly runId: string;
  /** 0, 1, 2, … within the run. */
  readonly seq: number;
  /** When, in milliseconds since 1970. */
  readonly at: number;
}

/** What went wrong, as plain data. */
export interface ErrorReport {
  /** Tag of the error, such as `MediaError`; `Defect` for a bug, `Interrupted` for an interruption. */
  readonly tag: string;
  /** One line. */
  readonly message: string;
}

/** A named part of a node's work, such as `prefill`. */
export interface SpanReport {
  /** Its name. */
  readonly name: string;
  /** Milliseconds after the node's start. */
  readonly startMs: number;
  /** How long it took, in milliseconds. */
  readonly ms: number;
}

/** A run has begun. Always the first event. */
export interface RunStarted extends EventBase {
  /** The discriminator. */
  readonly _tag: "RunStarted";
  /** Name of the pipeline. */
  readonly pipeline: string;
  /** The pipeline as a document, when all of it can be one. */
  readonly document?: Json;
  /** Previews of the inputs. */
  readonly inputs: { readonly [name: string]: Preview };
  /** What the caller attached. */
  readonly attributes: { readonly [name: string]: Json };
  /** The inputs themselves, by their codecs, where all have one and are small: to run it once more. */
  readonly values?: { readonly [name: string]: Json };
}

/** A node, or one element of a mapped node, has begun an attempt. */
export interface NodeStarted extends EventBase {
  /** The discriminator. */
  readonly _tag: "NodeStarted";
  /** Path, such as `tile`, `load[2]` or `chat[1]/load[0]`. */
  readonly node: string;
  /** Kind of the node. */
  readonly kind: string;
  /** Whether it is a pipeline whose nodes have events of their own. */
  readonly composite: boolean;
  /** From 1. */
  readonly attempt: number;
  /** How long it waited for its lane, in milliseconds. */
  readonly queuedMs: number;
}

/** A node reports progress, or emits a part of a stream. */
export interface NodeProgress extends EventBase {
  /** The discriminator. */
  readonly _tag: "NodeProgress";
  /** Path of the node. */
  readonly node: string;
  /** Units done. */
  readonly done?: number;
  /** Units in all. */
  readonly total?: number;
  /** A few words. */
  readonly message?: string;
  /** The stream, when this is a part of one. */
  readonly port?: string;
  /** The part: the stream's JSON encoding, or its preview where there is no codec. */
  readonly delta?: Json;
}

/** A node is done. */
export interface NodeFinished extends EventBase {
  /** The discriminator. */
  readonly _tag: "NodeFinished";
  /** Path of the node. */
  readonly node: string;
  /** Kind of the node. */
  readonly kind: string;
  /** Whether it is a pipeline whose nodes have events of their own. */
  readonly composite: boolean;
  /** The attempt that succeeded. */
  readonly attempt: number;
  /** How long that attempt ran, in milliseconds. */
  readonly ms: number;
  /** How long it waited for its lane, in milliseconds. */
  readonly queuedMs: number;
  /** Whether the result came from the memo. */
  readonly cached: boolean;
  /** Previews of the outputs. */
  readonly outputs: { readonly [port: string]: Preview };
  /** Named parts of the work. */
  readonly spans: readonly SpanReport[];
}

/** An attempt of a node has failed. */
export interface NodeFailed extends EventBase {
  /** The discriminator. */
  readonly _tag: "NodeFailed";
  /** Path of the node. */
  readonly node: string;
  /** Kind of the node. */
  readonly kind: string;
  /** Whether it is a pipeline whose nodes have events of their own. */
  readonly composite: boolean;
  /** The attempt that failed. */
  readonly attempt: number;
  /** How long that attempt ran, in milliseconds. */
  readonly ms: number;
  /** What went wrong. */
  readonly error: ErrorReport;
  /** Whether another attempt follows. */
  readonly willRetry: boolean;
}

/** How a run ended. */
export type RunStatus = "succeeded" | "failed" | "interrupted";

/** A run has ended. Always the last event. */
export interface RunFinished extends EventBase {
  /** The discriminator. */
  readonly _tag: "RunFinished";
  /** How it ended. */
  readonly status: RunStatus;
  /** How long it took, in milliseconds. */
  readonly ms: number;
  /** What went wrong, unless it succeeded. */
  readonly error?: ErrorReport;
  /** Previews of the outputs, if it succeeded. */
  readonly outputs?: { readonly [name: string]: Preview };
  /** Resident memory of the whole process when the run ended, in bytes. */
  readonly rssBytes?: number;
}

/** An event of a run. */
export type RunEvent =
  | RunStarted
  | NodeStarted
  | NodeProgress
  | NodeFinished
  | NodeFailed
  | RunFinished;

const base = {
  runId: Schema.String,
  seq: Schema.Int,
  at: Schema.Finite,
};
const node = { ...base, node: Schema.String };
const attempt = {
  ...node,
  kind: Schema.String,
  composite: Schema.Boolean,
  attempt: Schema.Int,
};
const previews = Schema.Record(Schema.String, Schema.Json);
const report = Schema.Struct({ tag: Schema.String, message: Schema.String });

/**
 * Codec of events, for stores and wires.
 *
 * ```ts
 * import { RunEventSchema } from "@tessera/sdk";
 * import { Schema } from "effect";
 * import assert from "node:assert/strict";
 *
 * const line =
 *   '{"_tag":"NodeProgress","runId":"r","seq":3,"at":0,"node":"decode","done":5}';
 * const event = Schema.decodeUnknownSync(Schema.fromJsonString(RunEventSchema))(line);
 * assert.equal(event._tag, "NodeProgress");
 * ```
 */
export const RunEventSchema: Schema.Codec<RunEvent> = Schema.Union([
  Schema.Struct({
    _tag: Schema.Literal("RunStarted"),
    ...base,
    pipeline: Schema.String,
    document: Schema.optionalKey(Schema.Json),
    inputs: previews,
    attributes: previews,
    values: Schema.optionalKey(previews),
  }),
  Schema.Struct({
    _tag: Schema.Literal("NodeStarted"),
    ...attempt,
    queuedMs: Schema.Finite,
  }),
  Schema.Struct({
    _tag: Schema.Literal("NodeProgress"),
    ...node,
    done: Schema.optionalKey(Schema.Finite),
    total: Schema.optionalKey(Schema.Finite),
    message: Schema.optionalKey(Schema.String),
    port: Schema.optionalKey(Schema.String),
    delta: Schema.optionalKey(Schema.Json),
  }),
  Schema.Struct({
    _tag: Schema.Literal("NodeFinished"),
    ...attempt,
    ms: Schema.Finite,
    queuedMs: Schema.Finite,
    cached: Schema.Boolean,
    outputs: previews,
    spans: Schema.Array(Schema.Struct({
      name: Schema.String,
      startMs: Schema.Finite,
      ms: Schema.Finite,
    })),
  }),
  Schema.Struct({
    _tag: Schema.Literal("NodeFailed"),
    ...attempt,
    ms: Schema.Finite,
    error: report,
    willRetry: Schema.Boolean,
  }),
  Schema.Struct({
    _tag: Schema.Literal("RunFinished"),
    ...base,
    status: Schema.Literals(["succeeded", "failed", "interrupted"]),
    ms: Schema.Finite,
    error: Schema.optionalKey(report),
    outputs: Schema.optionalKey(previews),
    rssBytes: Schema.optionalKey(Schema.Finite),
  }),
]);

/** Sees every event, at once and on the event loop: it must not block. What it throws is ignored. */
export type RunListener = (event: RunEvent) => void;

/**
 * Who watches the runs of an effect; nobody by default.
 *
 * ```ts
 * import { defineNode, pipeline, run, type RunEvent, RunObserver, Text } from "@tessera/sdk";
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
 * let finished = 0;
 * const count = (event: RunEvent) => {
 *   if (event._tag === "RunFinished") finished++;
 * };
 * await Effect.runPromise(
 *   Effect.all([run(shout, { text: "a" }), run(shout, { text: "b" })]).pipe(
 *     Effect.provideService(RunObserver, [count]),
 *   ),
 * );
 * assert.equal(finished, 2);
 * ```
 */
export const RunObserver: Context.Reference<readonly RunListener[]> = Context
  .Reference<readonly RunListener[]>("tessera/RunObserver", {
    defaultValue: () => [],
  });

/**
 * Lets `listener` watch every run inside `effect`, besides those who watch already.
 *
 * ```ts
 * import { defineNode, observe, pipeline, run, Text } from "@tessera/sdk";
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
 * const seen: string[] = [];
 * await Effect.runPromise(
 *   observe(run(shout, { text: "hello" }), (event) => seen.push(event._tag)),
 * );
 * assert.deepEqual(seen, ["RunStarted", "NodeStarted", "NodeFinished", "RunFinished"]);
 * ```
 */
export function observe<A, E, R>(
  effect: Effect.Effect<A, E, R>,
  listener: RunListener,
): Effect.Effect<A, E, R> {
  return Effect.updateService(
    effect,
    RunObserver,
    (listeners) => [...listeners, listener],
  );
}
