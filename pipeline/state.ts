/**
 * What one run carries along: its clock, its watchers, its hooks, and the context it gives to nodes.
 * @module
 */
import {
  type Cause,
  type Clock,
  Context,
  Effect,
  Exit,
  Option,
  References,
  Schema,
} from "effect";
import type {
  ErrorReport,
  EventBase,
  RunEvent,
  RunListener,
  SpanReport,
} from "./events.ts";
import type { Lanes } from "./lanes.ts";
import type { MemoCache } from "./memo.ts";
import type { NodeContext, Progress } from "./node.ts";
import type { Data } from "./plan.ts";
import {
  type AnyPort,
  Bool,
  Num,
  type Ports,
  type Preview,
  Text,
} from "./port.ts";
import { oneLine } from "./problem.ts";
import type { RunStore } from "./store.ts";

/** Sees what passes a port; the run waits for it. */
export type OnValue = (
  /** Path of the node that made the value; empty for the inputs of the run. */
  node: string,
  /** Name of the output, or of the run's input. */
  name: string,
  /** Its port type. */
  port: AnyPort,
  /** The value. */
  value: unknown,
) => Effect.Effect<void>;

/** How one node, or one element of a mapped node, ran. */
export interface NodeReport {
  /** Path, such as `tile`, `load[2]` or `chat[1]/load[0]`. */
  readonly node: string;
  /** Kind. */
  readonly kind: string;
  /** Whether it is a pipeline whose nodes are reported as well. */
  readonly composite: boolean;
  /** How long the successful attempt ran, in milliseconds. */
  readonly ms: number;
  /** How long it waited for its lane, in milliseconds. */
  readonly queuedMs: number;
  /** Whether the result came from the memo. */
  readonly cached: boolean;
  /** Which attempt succeeded, from 1. */
  readonly attempt: number;
  /** Named parts of the work. */
  readonly spans: readonly SpanReport[];
}

/** What running a node gives; errors and services are the pipeline's, which its type already says. */
// deno-lint-ignore no-explicit-any
export type Running<A> = Effect.Effect<A, any, any>;

/** An event without what every event has. */
type Fields<E> = E extends RunEvent ? Omit<E, keyof EventBase> : never;

/** Rounded to the microsecond, because clocks say no more and the rest is only digits in a file. */
export function milliseconds(ms: number): number {
  return Math.round(ms * 1000) / 1000;
}

/** What one run carries along. */
export class RunState {
  /** Nodes that have succeeded, in order of their ends. */
  readonly reports: NodeReport[] = [];
  /** Whether anybody wants events. */
  readonly observed: boolean;
  private seq = 0;
  private readonly start: bigint;

  constructor(
    readonly runId: string,
    readonly clock: Clock.Clock,
    readonly listeners: readonly RunListener[],
    readonly store: RunStore,
    readonly lanes: Lanes,
    readonly memo: MemoCache | undefined,
    readonly onValue: OnValue | undefined,
  ) {
    this.start = clock.currentTimeNanosUnsafe();
    this.observed = listeners.length > 0 || store.enabled;
  }

  /** Milliseconds since the run began, to the microsecond. */
  now(): number {
    return milliseconds(
      Number(this.clock.currentTimeNanosUnsafe() - this.start) / 1e6,
    );
  }

  /** The clock's nanoseconds at so many milliseconds after the start of the run. */
  nanosAt(ms: number): bigint {
    return this.start + BigInt(Math.round(ms * 1e6));
  }

  /** Tells everybody. What a listener throws is its own affair. */
  emit(fields: Fields<RunEvent>): void {
    const event = {
      ...fields,
      runId: this.runId,
      seq: this.seq++,
      at: this.clock.currentTimeMillisUnsafe(),
    } as RunEvent;
    for (const listener of this.listeners) {
      try {
        listener(event);
      } catch {
        // A run must not fail because somebody who watches it does.
      }
    }
    this.store.record(event);
  }
}

/** Previews of values by name; a preview that throws is replaced, not passed on. */
export function previews(data: Data): { readonly [name: string]: Preview } {
  const made: Record<string, Preview> = {};
  for (const [name, { port, value }] of Object.entries(data)) {
    try {
      made[name] = port.preview(value);
    } catch {
      made[name] = `(no preview of this ${port.name})`;
    }
  }
  return made;
}

/** A cause as plain data: its first failure, else its first defect, else an interruption. */
export function errorReport(cause: Cause.Cause<unknown>): ErrorReport {
  let defect: { readonly defect: unknown } | undefined;
  for (const reason of cause.reasons) {
    if (reason._tag === "Fail") return describe(reason.error, "Error");
    if (reason._tag === "Die") defect ??= reason;
  }
  return defect === undefined
    ? { tag: "Interrupted", message: "interrupted" }
    : { tag: "Defect", message: describe(defect.defect, "Defect").message };
}

function describe(error: unknown, fallback: string): ErrorReport {
  if (typeof error !== "object" || error === null) {
    return { tag: fallback, message: oneLine(String(error)) };
  }
  const { _tag, name, message } = error as {
    readonly _tag?: unknown;
    readonly name?: unknown;
    readonly message?: unknown;
  };
  const tag = typeof _tag === "string"
    ? _tag
    : typeof name === "string"
    ? name
    : fallback;
  return {
    tag,
    message: oneLine(typeof message === "string" ? message : tag),
  };
}

const encoders = new WeakMap<AnyPort, (value: unknown) => Preview>();

/** A part of a stream as JSON. */
function encodeDelta(port: AnyPort, value: unknown): Preview {
  if (port === Text || port === Num || port === Bool) return value as Preview;
  let encode = encoders.get(port);
  if (encode === undefined) {
    const { schema } = port;
    if (schema === undefined) encode = port.preview;
    else {
      const codec = Schema.encodeUnknownExit(schema);
      encode = (value) => {
        const exit = codec(value);
        return Exit.isSuccess(exit)
          ? exit.value as Preview
          : port.preview(value);
      };
    }
    encoders.set(port, encode);
  }
  return encode(value);
}

/** Gives the tracer spans that have happened already. */
function traceSpans(
  run: RunState,
  startedAt: number,
  spans: readonly SpanReport[],
): Effect.Effect<void> {
  return Effect.gen(function* () {
    if (!(yield* References.TracerEnabled)) return;
    const tracer = yield* Effect.tracer;
    const parent = yield* Effect.option(Effect.currentSpan);
    for (const { name, startMs, ms } of spans) {
      const start = startedAt + startMs;
      tracer.span({
        name,
        parent,
        annotations: Context.empty(),
        links: [],
        startTime: run.nanosAt(start),
        kind: "internal",
        root: false,
        sampled: Option.isNone(parent) || parent.value.sampled,
      }).end(run.nanosAt(start + ms), Exit.void);
    }
  });
}

/** A node's context and what was recorded through it. */
export interface Recorder {
  /** What the node gets. */
  readonly context: NodeContext;
  /** Sub-spans recorded so far. */
  readonly spans: readonly SpanReport[];
  /** Hands on to the tracer those that the node measured itself. */
  readonly trace: Effect.Effect<void> | undefined;
  /** From now on the context is deaf: callbacks may come late. */
  readonly end: () => void;
}

const noSpans: readonly SpanReport[] = [];

/** Makes the context of one attempt. */
export function recorder(
  run: RunState,
  node: string,
  attempt: number,
  streams: Ports,
  startedAt: number,
): Recorder {
  let spans = noSpans as SpanReport[];
  let ended = false;
  const now = (): number => milliseconds(run.now() - startedAt);
  let measured: SpanReport[] | undefined;
  const add = (name: string, startMs: number, endMs: number): SpanReport => {
    const span = {
      name,
      startMs: milliseconds(startMs),
      ms: milliseconds(Math.max(0, endMs - startMs)),
    };
    if (spans === noSpans) spans = [];
    spans.push(span);
    return span;
  };
  const record = (name: string, startMs: number, endMs: number): void => {
    if (!ended) (measured ??= []).push(add(name, startMs, endMs));
  };
  const context: NodeContext = {
    node,
    runId: run.runId,
    attempt,
    now,
    record,
    progress: ({ done, total, message }: Progress) => {
      if (ended || !run.observed) return;
      run.emit({
        _tag: "NodeProgress",
        node,
        done,
        ...(total === undefined ? {} : { total }),
        ...(message === undefined ? {} : { message }),
      });
    },
    emit: (port, delta) => {
      if (ended || !run.observed || !Object.hasOwn(streams, port)) return;
      try {
        run.emit({
          _tag: "NodeProgress",
          node,
          port,
          delta: encodeDelta(streams[port]!, delta),
        });
      } catch {
        // The contract with native callbacks: never throw.
      }
    },
    span: (name, effect) =>
      Effect.suspend(() => {
        const startMs = now();
        return Effect.withSpan(
          Effect.onExit(
            effect,
            () => Effect.sync(() => void (ended || add(name, startMs, now()))),
          ),
          name,
          { captureStackTrace: false },
        );
      }),
  };
  return {
    context,
    get spans() {
      return spans;
    },
    get trace() {
      return measured && traceSpans(run, startedAt, measured);
    },
    end: () => {
      ended = true;
    },
  };
}

/** Whether a cause is a typed failure that another attempt might not have. */
export function retryable(cause: Cause.Cause<unknown>): boolean {
  if (cause.reasons.some((reason) => reason._tag !== "Fail")) return false;
  const [first] = cause.reasons;
  const tag = (first as Cause.Fail<unknown> | undefined)?.error as
    | { readonly _tag?: unknown }
    | undefined;
  return first !== undefined && tag?._tag !== "GraphError";
}
