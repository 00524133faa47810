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

/**
 * Asks; returns the tokens of the answer. Speaks HTTP itself, over a connection of its own: `fetch` costs
 * several times as much processor time a token, on cores that the server wants.
 */
export async function ask(
  { url, body, mark, count }: StreamRequest,
  seen: Seen,
): Promise<number> {
  const start = performance.now();
  const { hostname, port, host, pathname } = new URL(url);
  using connection = await Deno.connect({ hostname, port: Number(port) });
  const sent = new TextEncoder().encode(JSON.stringify(body));
  const head = `POST ${pathname} HTTP/1.1\r\nhost: ${host}\r\n` +
    `content-type: application/json\r\ncontent-length: ${sent.length}\r\n` +
    "connection: close\r\n\r\n";
  await writeAll(connection, new TextEncoder().encode(head));
  await writeAll(connection, sent);
  let last = 0;
  let text = "";
  const decoder = new TextDecoder();
  const buffer = new Uint8Array(1 << 16);
  for (;;) {
    // The lengths of the answer's chunks stand between them in what is read, and harm nobody.
    const read = await connection.read(buffer);
    if (read === null) break;
    const part = decoder.decode(buffer.subarray(0, read), { stream: true });
    text += part;
    if (!part.includes(mark)) continue;
    const now = performance.now();
    if (last === 0) seen.first.push(now - start);
    else seen.between.push(now - last);
    last = now;
  }
  const counted = /^HTTP\/1\.1 200 /.test(text) ? count(text) : undefined;
  if (counted === undefined) seen.errors++;
  return counted ?? 0;
}

async function writeAll(to: Deno.TcpConn, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length;) {
    at += await to.write(bytes.subarray(at));
  }
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
