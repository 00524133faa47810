/**
 * Clients of servers that stream answers as OpenAI's does.
 * @module
 */
import { quantile } from "./stats.ts";

/** The middle, and how bad it gets. */
export interface Percentiles {
  /** The middle one. */
  readonly p50: number;
  /** 95 % are below. */
  readonly p95: number;
  /** 99 % are below. */
  readonly p99: number;
}

/** The middle of some numbers, and how bad they get. */
export const percentiles = (numbers: readonly number[]): Percentiles => ({
  p50: quantile(numbers, 0.5),
  p95: quantile(numbers, 0.95),
  p99: quantile(numbers, 0.99),
});

/** What clients saw. */
export interface Seen {
  /** Milliseconds to the first token. */
  readonly first: number[];
  /** Milliseconds from one to the next. */
  readonly between: number[];
  /** Requests that failed, or whose tokens nobody counted. */
  errors: number;
}

/** Nothing yet. */
export const nothingSeen = (): Seen => ({ first: [], between: [], errors: 0 });

/** A streamed request, and how its answer is read. */
export interface StreamRequest {
  /** Where to. */
  readonly url: string;
  /** The request. */
  readonly body: unknown;
  /** What a chunk with a token has in it. */
  readonly mark: string;
  /** How many tokens the whole stream says it has; `undefined` where it does not say so. */
  readonly count: (stream: string) => number | undefined;
}

/** Asks; returns the tokens of the answer. */
export async function ask(
  { url, body, mark, count }: StreamRequest,
  seen: Seen,
): Promise<number> {
  const start = performance.now();
  const response = await fetch(url, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  });
  if (!response.ok) {
    seen.errors++;
    await response.body?.cancel();
    return 0;
  }
  let last = 0;
  let text = "";
  // Not through a stream of text, which costs as much again on cores that the server wants.
  const decoder = new TextDecoder();
  const reader = response.body!.getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    const part = decoder.decode(value, { stream: true });
    text += part;
    const now = performance.now();
    if (!part.includes(mark)) continue;
    if (last === 0) seen.first.push(now - start);
    else seen.between.push(now - last);
    last = now;
  }
  const counted = count(text);
  if (counted === undefined) seen.errors++;
  return counted ?? 0;
}

/** Keeps `concurrency` requests going until `count` were made; returns seconds. */
export async function load(
  concurrency: number,
  count: number,
  one: () => Promise<unknown>,
  mostMs = Infinity,
): Promise<number> {
  let left = count;
  const start = performance.now();
  await Promise.all(
    Array.from({ length: Math.min(concurrency, count) }, async () => {
      while (left-- > 0 && performance.now() - start < mostMs) await one();
    }),
  );
  return (performance.now() - start) / 1000;
}
