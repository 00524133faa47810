/**
 * What the HTTP server costs: the tokens per second that clients get from a server process, against those
 * that the same engine gives in this process without HTTP, in turns.
 * @module
 */
import { Effect } from "effect";
import { InternVL, LanguageModel, PromptRenderer } from "../mod.ts";
import { median, quantile } from "./stats.ts";

/** What clients saw at one number of requests at once. */
export interface HttpLoad {
  /** Requests at once. */
  readonly concurrency: number;
  /** Requests per second. */
  readonly requests: number;
  /** Tokens per second over HTTP. */
  readonly tokens: number;
  /** Tokens per second of the engine alone. */
  readonly bare: number;
  /** The first over the second: the median of the ratios of measurements in turns. */
  readonly ratio: number;
  /** Milliseconds to the first token: median, 95 % and 99 %. */
  readonly firstMs: Percentiles;
  /** Milliseconds between tokens. */
  readonly betweenMs: Percentiles;
  /** Requests that failed. */
  readonly errors: number;
}

/** The middle, and how bad it gets. */
export interface Percentiles {
  /** The middle one. */
  readonly p50: number;
  /** 95 % are below. */
  readonly p95: number;
  /** 99 % are below. */
  readonly p99: number;
}

/** How much is asked: a large model does less in the same time. */
export interface Amount {
  /** Tokens of an answer. */
  readonly tokens: number;
  /** Requests of each client in a turn. */
  readonly each: number;
}

const CONCURRENCY = [1, 4, 16, 64];

const percentiles = (numbers: readonly number[]): Percentiles => ({
  p50: quantile(numbers, 0.5),
  p95: quantile(numbers, 0.95),
  p99: quantile(numbers, 0.99),
});

/** A server of a checkpoint in a process of its own. */
async function startServer(dir: string) {
  const root = new URL("../", import.meta.url);
  const child = new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "--no-check",
      "--no-prompt",
      "--config",
      new URL("deno.json", root).pathname,
      ...["--allow-read", "--allow-env", "--allow-ffi", "--allow-sys"],
      "--allow-net=127.0.0.1",
      new URL("cli.ts", root).pathname,
      ...["serve", "--model", `bench=${dir}`, "--port", "0", "--json"],
      ...["--store", "none"],
    ],
    stdin: "null",
    stdout: "piped",
    stderr: "null",
    env: { TESSERA_CWD: "" },
  }).spawn();
  const reader = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  let out = "";
  while (!out.includes("\n")) {
    const { value, done } = await reader.read();
    if (done) throw new Error("the server did not start");
    out += value;
  }
  const { url } = JSON.parse(out) as { readonly url: string };
  return {
    url,
    stop: async () => {
      child.kill("SIGTERM");
      await reader.cancel();
      await child.status;
    },
  };
}

/** No two prompts have a beginning in common: nothing is kept from one to the next. */
let asked = 0;
const systemMessage = () => `Question number ${asked++}, ${Math.random()}.`;
const question = "What is the meaning of this?";

interface Seen {
  readonly first: number[];
  readonly between: number[];
  tokens: number;
  errors: number;
}

/** One streamed request, as a client sees it. */
async function ask(
  url: string,
  tokens: number,
  seen: Seen,
): Promise<void> {
  const start = performance.now();
  const response = await fetch(`${url}/chat/completions`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({
      model: "bench",
      messages: [
        { role: "system", content: systemMessage() },
        { role: "user", content: question },
      ],
      max_tokens: tokens,
      min_tokens: tokens,
      stream: true,
      stream_options: { include_usage: true },
    }),
  });
  if (!response.ok) {
    seen.errors++;
    await response.body?.cancel();
    return;
  }
  let last = 0;
  let text = "";
  for await (
    const part of response.body!.pipeThrough(new TextDecoderStream())
  ) {
    text += part;
    const now = performance.now();
    if (!part.includes('"content":"')) continue;
    if (last === 0) seen.first.push(now - start);
    else seen.between.push(now - last);
    last = now;
  }
  const counted = /"completion_tokens":(\d+)/.exec(text);
  if (counted === null) seen.errors++;
  else seen.tokens += Number(counted[1]);
}

/** Keeps `concurrency` requests going until `count` were made; returns seconds. */
async function load(
  concurrency: number,
  count: number,
  one: () => Promise<unknown>,
): Promise<number> {
  let left = count;
  const start = performance.now();
  await Promise.all(
    Array.from({ length: Math.min(concurrency, count) }, async () => {
      while (left-- > 0) await one();
    }),
  );
  return (performance.now() - start) / 1000;
}

/** Measures a checkpoint. */
export async function benchHttp(
  dir: string,
  rounds: number,
  amount: Amount,
): Promise<readonly HttpLoad[]> {
  const server = await startServer(dir);
  try {
    await using model = await InternVL.load(dir);
    const generate = () =>
      model.effect(Effect.gen(function* () {
        const renderer = yield* PromptRenderer;
        const language = yield* LanguageModel;
        const prompt = yield* renderer.render({
          question,
          numPatchesList: [],
          systemMessage: systemMessage(),
        });
        const { usage } = yield* language.generate({
          prompt,
          visual: [],
          settings: {
            maxNewTokens: amount.tokens,
            minNewTokens: amount.tokens,
          },
          observer: { onText: () => {} },
        });
        return usage.completionTokens;
      }));
    const results: HttpLoad[] = [];
    for (const concurrency of CONCURRENCY) {
      const count = Math.max(4, concurrency) * amount.each;
      const seen: Seen = { first: [], between: [], tokens: 0, errors: 0 };
      const http: number[] = [], bare: number[] = [], requests: number[] = [];
      // The first turn warms both up.
      for (let round = -1; round < rounds; round++) {
        const of = round < 0
          ? { first: [], between: [], tokens: 0, errors: 0 }
          : seen;
        const before = of.tokens;
        const seconds = await load(
          concurrency,
          count,
          () => ask(server.url, amount.tokens, of),
        );
        let tokens = 0;
        const alone = await load(concurrency, count, async () => {
          // Not `tokens += await …`, which would forget what the others added meanwhile.
          const made = await generate();
          tokens += made;
        });
        if (round < 0) continue;
        http.push((of.tokens - before) / seconds);
        requests.push(count / seconds);
        bare.push(tokens / alone);
      }
      results.push({
        concurrency,
        requests: median(requests),
        tokens: median(http),
        bare: median(bare),
        ratio: median(http.map((value, i) => value / bare[i]!)),
        firstMs: percentiles(seen.first),
        betweenMs: percentiles(seen.between),
        errors: seen.errors,
      });
    }
    return results;
  } finally {
    await server.stop();
  }
}
