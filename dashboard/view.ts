/**
 * Runs as the pages show them: small, plain data for islands and event streams.
 * @module
 */
import type { RunSummary } from "../pipeline/mod.ts";

/** A run in a table. */
export interface RunRow {
  /** The run. */
  readonly id: string;
  /** How it stands. */
  readonly state: string;
  /** Its pipeline. */
  readonly pipeline: string;
  /** Its model; empty for none. */
  readonly model: string;
  /** What was asked; empty for nothing. */
  readonly question: string;
  /** What came out, as text; empty for nothing. */
  readonly answer: string;
  /** What went wrong. */
  readonly error?: string;
  /** When it began. */
  readonly startedAt: number;
  /** When it was last heard of. */
  readonly updatedAt: number;
  /** How long it took. */
  readonly ms?: number;
  /** Generated tokens. */
  readonly tokens?: number;
  /** Milliseconds to the first part of its answer. */
  readonly firstMs?: number;
  /** Milliseconds by stage. */
  readonly stages: readonly (readonly [name: string, ms: number])[];
  /** Results that came from the memo. */
  readonly cached: number;
  /** Whether there is a picture of its input. */
  readonly icon: boolean;
}

const longest = 400;

const cut = (text: string): string =>
  text.length > longest ? `${text.slice(0, longest)}…` : text;

/** The question among the previews of a run's inputs; of a conversation, what the user said last. */
export function questionOf(inputs: RunSummary["inputs"]): string {
  const first = (value: unknown): string => {
    if (typeof value === "string") return value;
    if (Array.isArray(value)) {
      const found = first(value[0]);
      return found === "" || value.length === 1
        ? found
        : `${found} (and ${value.length - 1} more)`;
    }
    const { question } = (value ?? {}) as { readonly question?: unknown };
    return typeof question === "string" ? question : "";
  };
  for (const name of ["question", "sample", "samples", "messages", "text"]) {
    const found = first(inputs[name]);
    if (found !== "") return found;
  }
  return lastSaid(inputs.conversation);
}

/** What the user said last in the preview of a conversation, which is how the server's runs begin. */
function lastSaid(conversation: unknown): string {
  const { messages } = (conversation ?? {}) as { readonly messages?: unknown };
  if (!Array.isArray(messages)) return "";
  const last = messages.findLast((message) => message?.role === "user");
  return typeof last?.text === "string" ? last.text : "";
}

/** The answer among the previews of a run's outputs. */
export function answerOf(outputs: RunSummary["outputs"]): string {
  const textOf = (value: unknown): string | undefined => {
    if (Array.isArray(value)) {
      const texts = value.map(textOf).filter((text) => text !== undefined);
      return texts.length === 0 ? undefined : texts.join("\n\n");
    }
    const { text } = (value ?? {}) as { readonly text?: unknown };
    return typeof text === "string" ? text : undefined;
  };
  for (const value of Object.values(outputs ?? {})) {
    const text = textOf(value);
    if (text !== undefined) return text;
  }
  for (const value of Object.values(outputs ?? {})) {
    if (typeof value === "string") return value;
  }
  return "";
}

/** A run for a table. */
export function rowOf(run: RunSummary): RunRow {
  const { model } = run.attributes;
  return {
    id: run.runId,
    state: run.status,
    pipeline: run.pipeline,
    model: typeof model === "string" ? model : "",
    question: cut(questionOf(run.inputs)),
    answer: cut(answerOf(run.outputs)),
    startedAt: run.startedAt,
    updatedAt: run.updatedAt,
    stages: Object.entries(run.timings),
    cached: run.cached,
    icon: run.icon === true,
    // That it was stopped is how it stands, and nothing that went wrong.
    ...(run.error === undefined || run.error.tag === "Interrupted" &&
        run.error.message === "interrupted"
      ? {}
      : { error: cut(run.error.message) }),
    ...(run.ms === undefined ? {} : { ms: run.ms }),
    ...(run.usage.completionTokens === undefined
      ? {}
      : { tokens: run.usage.completionTokens }),
    ...(run.firstPartMs === undefined ? {} : { firstMs: run.firstPartMs }),
  };
}

/** What a table is narrowed to. */
export interface RunFilter {
  /** How runs stand. */
  readonly state?: string;
  /** Their pipeline. */
  readonly pipeline?: string;
  /** Their model. */
  readonly model?: string;
  /** Text in them. */
  readonly text?: string;
  /** Began at this time or later. */
  readonly since?: number;
  /** Began before. */
  readonly until?: number;
}

/** Whether a run belongs into a table narrowed so; of the text only what a row has is looked at. */
export function fitsFilter(row: RunRow, filter: RunFilter): boolean {
  const { state, pipeline, model, text, since, until } = filter;
  return (state === undefined || row.state === state) &&
    (pipeline === undefined || row.pipeline === pipeline) &&
    (model === undefined || row.model === model) &&
    (since === undefined || row.startedAt >= since) &&
    (until === undefined || row.startedAt < until) &&
    (text === undefined ||
      [row.id, row.pipeline, row.model, row.question, row.answer, row.error]
        .join("\n").toLowerCase().includes(text.toLowerCase()));
}

/** Milliseconds of silence after which a running run is shown as lost. */
export const silence = 90_000;

/** How a run stands for people: one that has said nothing for long is lost. */
export function shownState(
  row: { readonly state: string; readonly updatedAt: number },
  now: number,
): string {
  return row.state === "running" && now - row.updatedAt > silence
    ? "lost"
    : row.state;
}
