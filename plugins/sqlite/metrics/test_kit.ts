/**
 * Events of made-up answers, for tests and benchmarks.
 * @module
 */
import type { RunEvent } from "../../../pipeline/mod.ts";

/** A made-up answer. */
export interface Answered {
  /** When it ends. */
  readonly at: number;
  /** Default `nano`. */
  readonly model?: string;
  /** Default 10. */
  readonly loadMs?: number;
  /** Whether the picture came from the memo. */
  readonly loadCached?: boolean;
  /** Milliseconds before `decode` got its lane; default 0. */
  readonly queuedMs?: number;
  /** Default 20. */
  readonly prefillMs?: number;
  /** Default 50. */
  readonly decodeMs?: number;
  /** Default 11. */
  readonly tokens?: number;
  /** Prompt tokens found computed, of 100; default 0. */
  readonly reused?: number;
  /** Whether it fails after loading. */
  readonly failed?: boolean;
  /** Default `What is it?`. */
  readonly question?: string;
  /** Default `A circle.`. */
  readonly answer?: string | undefined;
  /** Default 1e8. */
  readonly rssBytes?: number;
  /** What its caller attached. */
  readonly attributes?: Extract<RunEvent, { _tag: "RunStarted" }>["attributes"];
}

/** The events of an answer about one picture. */
export function answered(runId: string, answer: Answered): RunEvent[] {
  const {
    at,
    model = "nano",
    loadMs = 10,
    loadCached = false,
    queuedMs = 0,
    prefillMs = 20,
    decodeMs = 50,
    tokens = 11,
    reused = 0,
    failed = false,
    rssBytes = 1e8,
  } = answer;
  const worked = loadCached ? 0 : loadMs;
  const ms = worked + queuedMs + prefillMs + decodeMs;
  const began = at - ms;
  let seq = 0;
  const base = (time: number) => ({ runId, seq: seq++, at: began + time });
  const node = (node: string, kind: string) => ({
    node,
    kind,
    composite: false,
    attempt: 1,
  });
  const events: RunEvent[] = [
    {
      _tag: "RunStarted",
      ...base(0),
      pipeline: "chat",
      inputs: { question: answer.question ?? "What is it?", images: ["a.png"] },
      attributes: { ...answer.attributes, model },
    },
    {
      _tag: "NodeStarted",
      ...base(0),
      ...node("load[0]", "load"),
      queuedMs: 0,
    },
    {
      _tag: "NodeFinished",
      ...base(worked),
      ...node("load[0]", "load"),
      ms: worked,
      queuedMs: 0,
      cached: loadCached,
      outputs: { image: { width: 2, height: 2, source: "a.png" } },
      spans: [],
    },
  ];
  if (failed) {
    const error = { tag: "MediaError", message: "a.png is no picture" };
    events.push({
      _tag: "RunFinished",
      ...base(worked),
      status: "failed",
      ms: worked,
      error,
      rssBytes,
    });
    return events;
  }
  const completion = {
    text: answer.answer ?? "A circle.",
    finishReason: "stop",
    usage: {
      promptTokens: 100,
      imageTokens: 64,
      completionTokens: tokens,
      ...(reused === 0 ? {} : { cachedTokens: reused }),
    },
  };
  events.push(
    {
      _tag: "NodeStarted",
      ...base(worked + queuedMs),
      ...node("decode", "decode"),
      queuedMs,
    },
    {
      _tag: "NodeFinished",
      ...base(ms),
      ...node("decode", "decode"),
      ms: prefillMs + decodeMs,
      queuedMs,
      cached: false,
      outputs: { completion },
      spans: [
        { name: "prefill", startMs: 0, ms: prefillMs },
        { name: "decode", startMs: prefillMs, ms: decodeMs },
      ],
    },
    {
      _tag: "RunFinished",
      ...base(ms),
      status: "succeeded",
      ms,
      outputs: { completion },
      rssBytes,
    },
  );
  return events;
}
