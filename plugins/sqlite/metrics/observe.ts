/**
 * What the events of runs say in figures.
 * @module
 */
import type { Json, NodeFinished, RunEvent } from "../../../pipeline/mod.ts";

/**
 * What is measured.
 *
 * | metric | of a stage | value |
 * |---|---|---|
 * | `ms` | yes | milliseconds of one node's work, not of results from the memo |
 * | `queue` | yes | milliseconds it waited for its lane or its place |
 * | `cached` | yes | 1 for a result from the memo |
 * | `run` | | milliseconds of a run that succeeded |
 * | `ttft` | | milliseconds until the first token of an answer |
 * | `rate` | | tokens a second of an answer after the first |
 * | `tokens`, `promptTokens`, `reusedTokens` | | tokens of an answer: generated, in its prompt, of these found computed |
 * | `failed`, `interrupted` | | 1 for a run that ended so |
 * | `rss` | | resident memory in bytes at the end of a run |
 */
export type Metric =
  | "ms"
  | "queue"
  | "cached"
  | "run"
  | "ttft"
  | "rate"
  | "tokens"
  | "promptTokens"
  | "reusedTokens"
  | "failed"
  | "interrupted"
  | "rss";

/** A figure. */
export interface Observation {
  /** Milliseconds since 1970. */
  readonly at: number;
  /** The run's pipeline. */
  readonly pipeline: string;
  /** The run's model; empty for none. */
  readonly model: string;
  /** What is measured. */
  readonly metric: Metric;
  /** The node's kind or sub-span; empty where the run or the answer is measured. */
  readonly stage: string;
  /** How much. */
  readonly value: number;
}

/** What is known of a run until it ends. */
interface Known {
  readonly pipeline: string;
  readonly model: string;
  readonly startedAt: number;
  /** Starts of the pipelines inside it, by path. */
  readonly inner: Map<string, number>;
}

/** Runs at most remembered; those of a process that never ends them must not fill the memory. */
const mostKnown = 10_000;

/** Turns events into figures; remembers what a run's start said until it ends. */
export class Observer {
  readonly #runs = new Map<string, Known>();

  /** The figures of one event. */
  observe(event: RunEvent): Observation[] {
    if (event._tag === "RunStarted") {
      const { model } = event.attributes;
      this.#runs.set(event.runId, {
        pipeline: event.pipeline,
        model: typeof model === "string" ? model : "",
        startedAt: event.at,
        inner: new Map(),
      });
      for (const oldest of this.#runs.keys()) {
        if (this.#runs.size <= mostKnown) break;
        this.#runs.delete(oldest);
      }
      return [];
    }
    const run = this.#runs.get(event.runId);
    if (run === undefined) return [];
    const { at } = event;
    const { pipeline, model } = run;
    const found: Observation[] = [];
    const add = (metric: Metric, value: number, stage = ""): void => {
      if (Number.isFinite(value)) {
        found.push({ at, pipeline, model, metric, stage, value });
      }
    };
    switch (event._tag) {
      case "NodeStarted":
        if (event.composite) run.inner.set(event.node, at);
        break;
      case "NodeFailed":
        if (event.composite) run.inner.delete(event.node);
        break;
      case "NodeFinished":
        if (event.composite) run.inner.delete(event.node);
        else nodeFigures(event, run, add);
        break;
      case "RunFinished":
        this.#runs.delete(event.runId);
        if (event.status === "succeeded") add("run", event.ms);
        else add(event.status, 1);
        if (event.rssBytes !== undefined) add("rss", event.rssBytes);
    }
    return found;
  }
}

function nodeFigures(
  event: NodeFinished,
  run: Known,
  add: (metric: Metric, value: number, stage?: string) => void,
): void {
  const { kind, node, at, ms } = event;
  if (event.cached) return add("cached", 1, kind);
  const parts = new Map<string, number>();
  for (const { name, ms } of event.spans) {
    parts.set(name, (parts.get(name) ?? 0) + ms);
  }
  add("queue", event.queuedMs + (parts.get("queue") ?? 0), kind);
  parts.delete("queue");
  if (parts.size === 0) add("ms", ms, kind);
  for (const [name, sum] of parts) add("ms", sum, name);
  const prefill = event.spans.findLast(({ name }) => name === "prefill");
  if (prefill !== undefined) {
    // An answer inside a batch is waited for from its own start.
    const pipeline = node.slice(0, Math.max(0, node.lastIndexOf("/")));
    const asked = run.inner.get(pipeline) ?? run.startedAt;
    add("ttft", at - ms + prefill.startMs + prefill.ms - asked);
  }
  const usage = usageOf(event.outputs);
  if (usage === undefined) return;
  const { completionTokens, promptTokens, cachedTokens = 0 } = usage;
  add("tokens", completionTokens);
  add("promptTokens", promptTokens);
  add("reusedTokens", cachedTokens);
  const decode = parts.get("decode");
  if (decode !== undefined && decode > 0 && completionTokens > 1) {
    // The first token comes with the prefill.
    add("rate", (completionTokens - 1) / decode * 1000);
  }
}

/** Token counts of an answer, as previews of outputs carry them. */
export interface UsagePreview {
  /** Generated tokens. */
  readonly completionTokens: number;
  /** Tokens of the prompt. */
  readonly promptTokens: number;
  /** Tokens of the prompt found computed. */
  readonly cachedTokens?: number;
}

/** The token counts among the previews of a node's outputs. */
export function usageOf(
  outputs: { readonly [port: string]: Json },
): UsagePreview | undefined {
  for (const output of Object.values(outputs)) {
    const usage = (output as { readonly usage?: Partial<UsagePreview> } | null)
      ?.usage;
    if (
      typeof usage?.completionTokens === "number" &&
      typeof usage.promptTokens === "number"
    ) return usage as UsagePreview;
  }
  return undefined;
}
