/**
 * Runs a pipeline once.
 * @module
 */
import process from "node:process";
import { Clock, Effect, Exit, type Scope } from "effect";
import { own } from "./check.ts";
import { toDocument } from "./document.ts";
import type { GraphError, StoreError } from "./errors.ts";
import { RunObserver } from "./events.ts";
import { execute } from "./execute.ts";
import type { Pipeline } from "./handles.ts";
import { keepInputs } from "./keep.ts";
import { Lanes } from "./lanes.ts";
import { MemoCache } from "./memo.ts";
import type { Graph } from "./model.ts";
import type { OutputValues, RunInputs } from "./node.ts";
import { type Data, type Datum, datum, planOf } from "./plan.ts";
import { fits, type Json, misfit, type Ports } from "./port.ts";
import { graphError, type GraphProblem, suggestion } from "./problem.ts";
import {
  errorReport,
  milliseconds,
  type NodeReport,
  type OnValue,
  previews,
  RunState,
} from "./state.ts";
import { RunStore } from "./store.ts";

/** How to run a pipeline. */
export interface RunOptions {
  /** Id of the run; default: a UUID of version 7, so that ids sort by time. */
  readonly runId?: string;
  /** Anything to find the run by later; goes into events and the store. */
  readonly attributes?: { readonly [name: string]: Json };
  /** Sees everything that passes a port, the inputs of the run included; the run waits for it. */
  readonly onValue?: OnValue;
  /**
   * Whether the result waits until the run is stored; default: it does. Otherwise a run that could not be
   * stored is a warning in the log.
   */
  readonly awaitStore?: boolean;
}

/** What a run gives back. */
export interface RunResult<Out extends Ports = Ports> {
  /** Id of the run. */
  readonly runId: string;
  /** The outputs. */
  readonly outputs: OutputValues<Out>;
  /** How long it took, in milliseconds. */
  readonly ms: number;
  /**
   * Milliseconds summed by kind of node; a node that recorded sub-spans counts under their names
   * instead. Nodes that run side by side add up to more than `ms`.
   */
  readonly timings: { readonly [stage: string]: number };
  /** Every node and every element of a mapped node, in order of their ends. */
  readonly nodes: readonly NodeReport[];
  /** Why the run was not stored, when it should have been: a full disk does not cost the result. */
  readonly storeError?: StoreError;
}

/**
 * Runs a pipeline once. Fails with what its nodes fail with, or with a `GraphError` for inputs that do
 * not fit. An interruption stops every node and waits until it has stopped. What the nodes acquired is
 * released at the end: use {@link runScoped} when an output is a handle to it.
 *
 * A run that could not be stored still succeeds; see {@link RunResult.storeError}. When the run itself
 * failed, the store's error is logged as a warning.
 *
 * ```ts
 * import { defineNode, pipeline, run, Text } from "@tessera/sdk";
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
 * const result = await Effect.runPromise(
 *   run(shout, { text: "hello" }, { attributes: { user: "ada" } }),
 * );
 * assert.equal(result.outputs.text, "HELLO");
 * assert.ok("upper" in result.timings);
 * ```
 */
export function run<In extends Ports, Out extends Ports, E, R>(
  pipeline: Pipeline<In, Out, E, R>,
  inputs: RunInputs<NoInfer<In>>,
  options: RunOptions = {},
): Effect.Effect<RunResult<Out>, E | GraphError, Exclude<R, Scope.Scope>> {
  return Effect.scoped(runScoped(pipeline, inputs, options));
}

/**
 * Runs a pipeline once; what its nodes acquire lives until the surrounding scope closes.
 *
 * ```ts
 * import { defineNode, pipeline, runScoped, Text } from "@tessera/sdk";
 * import { Effect } from "effect";
 * import assert from "node:assert/strict";
 *
 * let open = 0;
 * const lend = defineNode({
 *   kind: "lend",
 *   inputs: { text: Text },
 *   outputs: { text: Text },
 *   run: ({ text }) =>
 *     Effect.acquireRelease(
 *       Effect.sync(() => (open++, { text })),
 *       () => Effect.sync(() => void open--),
 *     ),
 * });
 * const borrow = pipeline("borrow", (g) => g.add(lend, { text: g.input("text", Text) }));
 * const program = Effect.gen(function* () {
 *   yield* runScoped(borrow, { text: "hello" });
 *   return open; // still there
 * });
 * assert.equal(await Effect.runPromise(Effect.scoped(program)), 1);
 * assert.equal(open, 0);
 * ```
 */
export function runScoped<In extends Ports, Out extends Ports, E, R>(
  pipeline: Pipeline<In, Out, E, R>,
  inputs: RunInputs<NoInfer<In>>,
  options: RunOptions = {},
): Effect.Effect<RunResult<Out>, E | GraphError, R | Scope.Scope> {
  const running: Effect.Effect<
    RunResult<Out>,
    E | GraphError,
    R | Scope.Scope
  > = Effect.gen(function* () {
    const { name, graph } = pipeline;
    const data = yield* checkInputs(name, graph, inputs);
    const clock = yield* Clock.Clock;
    const state = new RunState(
      options.runId ?? timeOrderedId(clock.currentTimeMillisUnsafe()),
      clock,
      yield* RunObserver,
      yield* RunStore,
      yield* Lanes,
      yield* MemoCache,
      options.onValue,
    );
    const { runId } = state;
    let storeError: StoreError | undefined;
    if (state.observed) {
      const document = documentOf(pipeline);
      const values = document === undefined ? undefined : keepInputs(data);
      state.emit({
        _tag: "RunStarted",
        pipeline: name,
        ...(document === undefined ? {} : { document }),
        inputs: previews(data),
        attributes: options.attributes ?? {},
        ...(values === undefined ? {} : { values }),
      });
    }
    const finish = (exit: Exit.Exit<Data, unknown>): Effect.Effect<void> => {
      if (!state.observed) return Effect.void;
      const report = Exit.isSuccess(exit) ? undefined : errorReport(exit.cause);
      state.emit({
        _tag: "RunFinished",
        status: report === undefined
          ? "succeeded"
          : report.tag === "Interrupted"
          ? "interrupted"
          : "failed",
        ms: state.now(),
        ...(report === undefined ? {} : { error: report }),
        ...(Exit.isSuccess(exit) ? { outputs: previews(exit.value) } : {}),
        rssBytes: process.memoryUsage.rss(),
      });
      const behind = options.awaitStore === false;
      const stored = Effect.catch(
        state.store.flush(runId, { lazily: behind }),
        (error) => {
          storeError = error;
          return Exit.isSuccess(exit) && !behind
            ? Effect.void
            : Effect.logWarning(`run ${runId}: ${error.message}`);
        },
      );
      return behind ? Effect.asVoid(Effect.forkDetach(stored)) : stored;
    };
    // The types of the pipeline say what its nodes fail with and ask for.
    let body: Effect.Effect<Data, E | GraphError, R | Scope.Scope> = execute(
      state,
      planOf(name, graph),
      data,
      "",
    );
    const { onValue } = options;
    if (onValue !== undefined) {
      const show = Effect.forEach(
        Object.entries(data),
        ([input, { port, value }]) => onValue("", input, port, value),
        { discard: true },
      );
      body = Effect.andThen(show, body);
    }
    if (state.store.enabled) body = cancellable(body, state.store, runId);
    const outputs = yield* Effect.withSpan(
      Effect.onExit(body, finish),
      `pipeline ${name}`,
      {
        attributes: {
          "tessera.run": runId,
          ...spanAttributes(options.attributes),
        },
        captureStackTrace: false,
      },
    );
    const values: Record<string, unknown> = {};
    for (const [output, { value }] of Object.entries(outputs)) {
      values[output] = value;
    }
    const result: RunResult<Out> = {
      runId,
      outputs: values as OutputValues<Out>,
      ms: state.now(),
      timings: timingsOf(state.reports),
      nodes: state.reports,
      ...(storeError === undefined ? {} : { storeError }),
    };
    return result;
  });
  return running;
}

/** What the caller attached, as far as a span can carry it, as `tessera.` and the name. */
function spanAttributes(
  attributes: RunOptions["attributes"] = {},
): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(attributes)
      .filter(([, value]) => value !== null && typeof value !== "object")
      .map(([name, value]) => [`tessera.${name}`, value]),
  );
}

/** Interrupts the body when the store is asked to cancel the run. */
function cancellable<A, E, R>(
  body: Effect.Effect<A, E, R>,
  store: RunStore,
  runId: string,
): Effect.Effect<A, E, R> {
  return Effect.raceFirst(
    body,
    Effect.callback<never>((resume) => {
      const end = store.onCancel(runId, () => resume(Effect.interrupt));
      return Effect.sync(end);
    }),
  );
}

const documents = new WeakMap<Graph, Json | null>();

/** The pipeline as a document; `undefined` when a constant of it has no codec. */
function documentOf(
  pipeline: Pipeline<Ports, Ports, unknown, unknown>,
): Json | undefined {
  let document = documents.get(pipeline.graph);
  if (document === undefined) {
    try {
      document = toDocument(pipeline) as unknown as Json;
    } catch {
      document = null;
    }
    documents.set(pipeline.graph, document);
  }
  return document ?? undefined;
}

function checkInputs(
  name: string,
  graph: Graph,
  given: { readonly [name: string]: unknown },
): Effect.Effect<Data, GraphError> {
  const problems: GraphProblem[] = [];
  const data: Record<string, Datum> = {};
  for (
    const [input, { port, default: fallback }] of Object.entries(graph.inputs)
  ) {
    let value = own(given, input);
    if (value === undefined) value = fallback?.value;
    const absent = value === undefined;
    if (absent && port.derived !== "optional") {
      problems.push({
        port: input,
        message: `input "${input}" is missing; it needs ${port.name}`,
      });
    } else if (!absent && !fits(port, value)) {
      problems.push({
        port: input,
        message: `input ${misfit(port, value, input)}`,
      });
    }
    data[input] = datum(port, value, absent ? "absent" : undefined);
  }
  for (const input of Object.keys(given)) {
    if (!Object.hasOwn(graph.inputs, input)) {
      problems.push({
        port: input,
        message: `there is no input "${input}"${
          suggestion(input, Object.keys(graph.inputs))
        }`,
      });
    }
  }
  return problems.length > 0
    ? Effect.fail(graphError(name, problems))
    : Effect.succeed(data);
}

/**
 * Milliseconds by stage: each node's time under its kind, or under the names of its sub-spans where it
 * has any. Pipelines used as nodes are left out, because their nodes are in.
 *
 * ```ts
 * import { timingsOf } from "@tessera/sdk";
 * import assert from "node:assert/strict";
 *
 * const report = { composite: false, queuedMs: 0, cached: false, attempt: 1 };
 * const span = (name: string, ms: number) => ({ name, startMs: 0, ms });
 * assert.deepEqual(
 *   timingsOf([
 *     { ...report, node: "load[0]", kind: "load", ms: 2, spans: [] },
 *     { ...report, node: "load[1]", kind: "load", ms: 3, spans: [] },
 *     { ...report, node: "decode", kind: "decode", ms: 9, spans: [span("prefill", 4)] },
 *   ]),
 *   { load: 5, prefill: 4 },
 * );
 * ```
 */
export function timingsOf(
  reports: readonly NodeReport[],
): { readonly [stage: string]: number } {
  const timings: Record<string, number> = {};
  const add = (stage: string, ms: number): void => {
    timings[stage] = milliseconds((timings[stage] ?? 0) + ms);
  };
  for (const { composite, kind, ms, spans } of reports) {
    if (composite) continue;
    if (spans.length === 0) add(kind, ms);
    for (const span of spans) add(span.name, span.ms);
  }
  return timings;
}

/** A UUID of version 7 (RFC 9562): 48 bits of milliseconds, then random bits. */
function timeOrderedId(ms: number): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  const view = new DataView(bytes.buffer);
  const time = Math.max(0, Math.floor(ms));
  view.setUint32(0, Math.floor(time / 2 ** 16));
  view.setUint16(4, time % 2 ** 16);
  view.setUint8(6, (bytes[6]! & 0x0f) | 0x70);
  view.setUint8(8, (bytes[8]! & 0x3f) | 0x80);
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0"))
    .join("");
  return [
    hex.slice(0, 8),
    hex.slice(8, 12),
    hex.slice(12, 16),
    hex.slice(16, 20),
    hex.slice(20),
  ].join("-");
}
