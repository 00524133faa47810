/**
 * What the events of runs say about batches: many questions that belong together.
 *
 * Two kinds of runs make a batch. Runs whose caller attached `batch` are one question each, such as those
 * of `tessera batch`. A run that maps a pipeline over a list, such as `batch-chat`, is a batch of its own.
 * @module
 */
import { createHash } from "node:crypto";
import {
  type Json,
  type NodeFinished,
  previewText,
  type RunEvent,
  type RunStarted,
} from "../../../pipeline/mod.ts";
import { usageOf } from "../metrics/observe.ts";

/** What is new of a batch. */
export interface BatchChange {
  /** The batch. */
  readonly batchId: string;
  /** When. */
  readonly at: number;
  /** What its first run says. */
  readonly begun?: {
    readonly name: string;
    readonly pipeline: string;
    readonly model: string;
    readonly settings: Json;
    readonly total: number | null;
  };
  /** How it ended, where one run is all of it. */
  readonly ended?: string;
}

/** What is new of a question; what is left out stays. */
export interface ItemChange {
  readonly batchId: string;
  /** Its place, from 0. */
  readonly item: number;
  readonly runId: string;
  /** Path of the node that answers it; empty where the run is all for it. */
  readonly node: string;
  readonly name?: string;
  readonly status?: string;
  readonly startedAt?: number;
  readonly question?: string;
  /** Under what the question is found again in another batch. */
  readonly asked?: string;
  /** Names of its pictures and its video. */
  readonly sources?: readonly string[];
  /** Preview of its first picture. */
  readonly picture?: Json;
  readonly answer?: string;
  readonly error?: string;
  readonly tokens?: number;
  readonly ms?: number;
}

/** What is new. */
export interface BatchChanges {
  readonly batches: readonly BatchChange[];
  readonly items: readonly ItemChange[];
}

interface Known {
  readonly started: RunStarted;
  /** The question that the run is for, where it is for one. */
  readonly single?: { readonly batchId: string; readonly item: number };
  /** Questions of a run that is a batch, by the path of their node; with a picture or without. */
  readonly items: Map<string, { readonly item: number; pictured: boolean }>;
  pictured: boolean;
}

const mostKnown = 10_000;
const longestPicture = 1 << 16;
const longestName = 200;
const longestQuestion = 20_000;

/** Turns events into changes of batches; remembers what a run's start said until it ends. */
export class BatchObserver {
  readonly #runs = new Map<string, Known>();

  /** The changes of some events, to be asked once for each. */
  of(events: readonly RunEvent[]): BatchChanges {
    const batches: BatchChange[] = [];
    const items: ItemChange[] = [];
    for (const event of events) this.#observe(event, batches, items);
    return { batches, items };
  }

  #observe(event: RunEvent, batches: BatchChange[], items: ItemChange[]): void {
    const { runId, at } = event;
    if (event._tag === "RunStarted") {
      const given = batchOf(event.attributes.batch);
      this.#runs.set(runId, {
        started: event,
        items: new Map(),
        pictured: false,
        ...(given === undefined
          ? {}
          : { single: { batchId: given.id, item: given.index } }),
      });
      for (const oldest of this.#runs.keys()) {
        if (this.#runs.size <= mostKnown) break;
        this.#runs.delete(oldest);
      }
      if (given === undefined) return;
      const { id: batchId, name, total, index: item } = given;
      const begun = { ...factsOf(event), name, total };
      batches.push({
        batchId,
        at,
        begun: given.settings === undefined
          ? begun
          : { ...begun, settings: given.settings },
      });
      items.push({
        batchId,
        item,
        runId,
        node: "",
        name: given.item,
        status: "running",
        startedAt: at,
        ...askedOf(event.inputs, [event.values]),
      });
      return;
    }
    const run = this.#runs.get(runId);
    if (run === undefined) return;
    if (event._tag === "RunFinished") {
      this.#runs.delete(runId);
      if (run.single !== undefined) {
        const { batchId, item } = run.single;
        batches.push({ batchId, at });
        items.push({
          batchId,
          item,
          runId,
          node: "",
          status: event.status,
          ms: event.ms,
          ...(event.error === undefined ? {} : { error: event.error.message }),
          ...answerOf(event.outputs ?? {}),
        });
      } else if (run.items.size > 0) {
        batches.push({ batchId: runId, at, ended: event.status });
      }
      return;
    }
    if (event._tag === "NodeProgress") return;
    if (run.single !== undefined) {
      if (event._tag !== "NodeFinished" || run.pictured) return;
      const picture = pictureOf(event);
      if (picture === undefined) return;
      run.pictured = isFirst(event.node);
      items.push({ ...run.single, runId, node: "", picture });
      return;
    }
    this.#inside(event, run, batches, items);
  }

  /** A node of a run that may be a batch itself. */
  #inside(
    event: Exclude<
      RunEvent,
      { _tag: "RunStarted" | "RunFinished" | "NodeProgress" }
    >,
    run: Known,
    batches: BatchChange[],
    items: ItemChange[],
  ): void {
    const { runId, at, node } = event;
    const path = /^[^/[]+\[(\d+)\]/.exec(node);
    if (path === null) return;
    const [prefix] = path;
    const whole = prefix === node && event.composite;
    const base = { batchId: runId, item: Number(path[1]), runId, node: prefix };
    if (whole && event._tag === "NodeStarted") {
      if (run.items.size === 0) {
        batches.push({
          batchId: runId,
          at,
          begun: { ...factsOf(run.started), total: null },
        });
      }
      run.items.set(prefix, { item: base.item, pictured: false });
      items.push({ ...base, status: "running", startedAt: at });
      return;
    }
    const known = run.items.get(prefix);
    if (known === undefined) return;
    if (whole && event._tag === "NodeFailed") {
      const status = event.error.tag === "Interrupted"
        ? "interrupted"
        : "failed";
      const { message: error } = event.error;
      items.push({ ...base, status, error, ms: event.ms });
    } else if (event._tag === "NodeFinished") {
      if (whole) {
        items.push({
          ...base,
          status: "succeeded",
          ms: event.ms,
          ...answerOf(event.outputs),
        });
        return;
      }
      const picture = known.pictured ? undefined : pictureOf(event);
      if (picture !== undefined) known.pictured = isFirst(node);
      const asked = event.kind === "sample"
        ? askedOf(event.outputs, elementsOf(run.started.values, known.item))
        : {};
      if (picture !== undefined || asked.question !== undefined) {
        items.push({
          ...base,
          ...asked,
          ...(picture === undefined ? {} : { picture }),
        });
      }
    }
  }
}

/** What the caller of a question's run attached, if that is well-formed. */
function batchOf(attribute: Json | undefined) {
  if (typeof attribute !== "object" || attribute === null) return undefined;
  const { id, name, index, item, total, settings } = attribute as {
    readonly [name: string]: Json | undefined;
  };
  if (
    typeof id !== "string" || id === "" || id.length > longestName ||
    !Number.isSafeInteger(index) || (index as number) < 0
  ) return undefined;
  return {
    id,
    name: typeof name === "string" ? name.slice(0, longestName) : "batch",
    index: index as number,
    item: typeof item === "string" || typeof item === "number"
      ? String(item).slice(0, longestName)
      : String(index),
    total: Number.isSafeInteger(total) ? total as number : null,
    settings,
  };
}

function factsOf({ pipeline, attributes, inputs }: RunStarted) {
  return {
    name: pipeline,
    pipeline,
    model: typeof attributes.model === "string" ? attributes.model : "",
    settings: inputs.settings ?? {},
  };
}

type Previews = { readonly [name: string]: Json };

/** Elements of lists, at one place. */
function elementsOf(values: Previews = {}, place: number): Json[] {
  return Object.values(values).flatMap((list) =>
    Array.isArray(list) ? (list as readonly Json[])[place] ?? [] : []
  );
}

/** A text whose preview is known, whole where one of some values has it under a name. */
function wholeOf(
  preview: string,
  name: string,
  values: readonly (Json | undefined)[],
): string {
  for (const value of values) {
    const whole = (value as Previews | null | undefined)?.[name];
    if (typeof whole === "string" && previewText(whole) === preview) {
      return whole.slice(0, longestQuestion);
    }
  }
  return preview;
}

/** Question and sources among the previews of inputs, or of a sample taken apart. */
function askedOf(
  previews: Previews,
  values: readonly (Json | undefined)[],
): Pick<ItemChange, "question" | "asked" | "sources"> {
  const given = previews.sample as Previews | undefined ?? previews;
  const { question, images, video, videos } = given;
  if (typeof question !== "string") return {};
  const list = (value: Json | undefined): readonly Json[] =>
    Array.isArray(value) ? value : value == null ? [] : [value];
  const sources = [...list(video), ...list(videos), ...list(images)].map(
    (source) => {
      const text = typeof source === "string"
        ? source
        : (source as { readonly source?: Json } | null)?.source;
      return String(text ?? "").slice(0, 1000);
    },
  );
  const sample = values.map((value) => (value as Previews | undefined)?.sample);
  return {
    question: wholeOf(question, "question", [...values, ...sample]),
    // By its preview, because not every run keeps more.
    asked: askedKey(question, sources),
    sources,
  };
}

/** Whether a path is that of the first element: several pictures may be read in any order. */
const isFirst = (path: string): boolean => !/\[[1-9]\d*\]$/.test(path);

/**
 * The preview of a picture among a node's outputs: an object with a width and a height, or the first of a
 * list of such, as frames are.
 */
function pictureOf({ outputs }: NodeFinished): Json | undefined {
  for (const value of Object.values(outputs)) {
    const output = Array.isArray(value) ? (value as readonly Json[])[0] : value;
    const { width, height } = (output ?? {}) as {
      readonly width?: unknown;
      readonly height?: unknown;
    };
    if (
      typeof width === "number" && typeof height === "number" &&
      JSON.stringify(output).length <= longestPicture
    ) return output;
  }
  return undefined;
}

function answerOf(
  outputs: Previews,
): { readonly answer?: string; readonly tokens?: number } {
  const usage = usageOf(outputs);
  for (const output of Object.values(outputs)) {
    const text = (output as { readonly text?: unknown } | null)?.text;
    const reason = (output as { readonly finishReason?: unknown } | null)
      ?.finishReason;
    if (typeof text === "string" && reason !== undefined) {
      return {
        answer: text,
        ...(usage === undefined ? {} : { tokens: usage.completionTokens }),
      };
    }
  }
  return {};
}

/** Under what a question is found again in another batch. */
function askedKey(question: string, sources: readonly string[]): string {
  return createHash("sha256").update(JSON.stringify([question, sources]))
    .digest("base64url").slice(0, 22);
}
