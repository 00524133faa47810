/**
 * What the HTTP server costs: the tokens per second that clients get from a server process, against those
 * that the same engine gives in this process without HTTP, in turns; and between the two, what a run of the
 * pipeline that the server runs gives in this process, recorded as the server records it.
 * @module
 */
import { Effect } from "effect";
import { cpuUsage } from "node:process";
import {
  conversePipeline,
  InternVL,
  LanguageModel,
  observe,
  PromptRenderer,
  run,
} from "../mod.ts";
import { startServer } from "../tests/process_kit.ts";
import { median, quantile } from "./stats.ts";

/** What clients saw at one number of requests at once. */
export interface HttpLoad {
  /** Requests at once. */
  readonly concurrency: number;
  /** Requests per second. */
  readonly requests: number;
  /** Tokens per second over HTTP. */
  readonly tokens: number;
  /** Tokens per second of runs in this process. */
  readonly runs: number;
  /** Tokens per second of the engine alone. */
  readonly bare: number;
  /** The first over the third: the median of the ratios of measurements in turns. */
  readonly ratio: number;
  /** The second over the third. */
  readonly runsRatio: number;
  /** Turns that were measured. */
  readonly turns: number;
  /** Milliseconds of processor time that a request costs, all threads: medians of the turns. */
  readonly processorMs: {
    /** The server's process. */
    readonly server: number;
    /** The client's, which has the same cores. */
    readonly client: number;
    /** A run in this process. */
    readonly runs: number;
    /** The engine alone. */
    readonly engine: number;
  };
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
  /** Requests of a turn; at least as many as are asked at once. */
  readonly requests: number;
  /** Requests at once. */
  readonly concurrency: readonly number[];
}

/** Short requests that each side answers before anything is measured, within a time. */
const WARM = 100;
const WARM_MS = 10_000;

/** Three turns are measured for every number of requests at once; more only within this time. */
const MOST_MS = 20_000;

const percentiles = (numbers: readonly number[]): Percentiles => ({
  p50: quantile(numbers, 0.5),
  p95: quantile(numbers, 0.95),
  p99: quantile(numbers, 0.99),
});

/** No two prompts have a beginning in common, so that nothing is kept from one to the next; all are as long. */
const systemMessage = () =>
  `${Math.random().toFixed(12).slice(2)} is the question's number.`;
const question = "What is the meaning of this?";
const messages = () => [
  { role: "system" as const, content: systemMessage() },
  { role: "user" as const, content: question },
];

interface Seen {
  readonly first: number[];
  readonly between: number[];
  errors: number;
}

const nothingSeen = (): Seen => ({ first: [], between: [], errors: 0 });

/** One streamed request, as a client sees it; returns the tokens of its answer. */
async function ask(
  url: string,
  tokens: number,
  seen: Seen,
): Promise<number> {
  const start = performance.now();
  const response = await fetch(`${url}/chat/completions`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({
      model: "bench",
      messages: messages(),
      max_tokens: tokens,
      min_tokens: tokens,
      stream: true,
      stream_options: { include_usage: true },
    }),
  });
  if (!response.ok) {
    seen.errors++;
    await response.body?.cancel();
    return 0;
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
  return Number(counted?.[1] ?? 0);
}

/** Seconds of processor time that the server has used, by its metrics. */
async function serverSeconds(url: string): Promise<number> {
  const response = await fetch(new URL("/metrics", url));
  const text = await response.text();
  return Number(/^tessera_process_cpu_seconds_total (\S+)$/m.exec(text)![1]);
}

/** Seconds of processor time that this process has used. */
function ownSeconds(): number {
  const { user, system } = cpuUsage();
  return (user + system) / 1e6;
}

/** Keeps `concurrency` requests going until `count` were made; returns seconds. */
async function load(
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

/** Measures a checkpoint. */
export async function benchHttp(
  dir: string,
  rounds: number,
  amount: Amount,
): Promise<readonly HttpLoad[]> {
  const server = await startServer(["--model", `bench=${dir}`]);
  const { url } = server.line;
  try {
    await using model = await InternVL.load(dir);
    const settings = {
      maxNewTokens: amount.tokens,
      minNewTokens: amount.tokens,
    };
    const generate = (most: typeof settings = settings) =>
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
          settings: most,
          observer: { onText: () => {} },
        });
        return usage.completionTokens;
      }));
    const converse = conversePipeline();
    const runOne = (most: typeof settings = settings) =>
      model.effect(Effect.map(
        observe(
          run(converse, {
            conversation: {
              messages: messages().map(({ role, content }) => ({
                role,
                parts: [{ text: content }],
              })),
            },
            images: [],
            small: [],
            videos: [],
            settings: most,
          }),
          () => {},
        ),
        ({ outputs }) => outputs.completion.usage.completionTokens,
      ));
    const results: HttpLoad[] = [];
    // A program that has just begun is compiled while it runs; a server runs for days.
    const brief = { maxNewTokens: 2, minNewTokens: 2 };
    const early = nothingSeen();
    for (
      const one of [
        () => ask(url, 2, early),
        () => runOne(brief),
        () => generate(brief),
      ]
    ) await load(4, WARM, one, WARM_MS);
    for (const concurrency of amount.concurrency) {
      const count = Math.max(concurrency, amount.requests);
      const seen = nothingSeen();
      const cost = { server: [], client: [], runs: [], engine: [] } as {
        [part in keyof HttpLoad["processorMs"]]: number[];
      };
      /** Tokens per second of one side in one turn; notes the processor time of this process. */
      const rate = async (
        one: () => Promise<number>,
        own: number[],
      ): Promise<number> => {
        let tokens = 0;
        const before = ownSeconds();
        const seconds = await load(concurrency, count, async () => {
          // Not `tokens += await …`, which would forget what the others added meanwhile.
          const made = await one();
          tokens += made;
        });
        own.push((ownSeconds() - before) * 1000 / count);
        return tokens / seconds;
      };
      const sides = {
        http: () => ask(url, amount.tokens, seen),
        runs: () => runOne(),
        bare: () => generate(),
      };
      const rates = { http: [], runs: [], bare: [] } as {
        [side in keyof typeof sides]: number[];
      };
      // What is asked at once for the first time takes memory for the first time.
      const warm = nothingSeen();
      await load(
        concurrency,
        concurrency,
        () => ask(url, 2, warm),
      );
      await load(concurrency, concurrency, () => generate(brief));
      const start = performance.now();
      for (let turn = 0; turn < rounds; turn++) {
        if (turn >= 3 && performance.now() - start > MOST_MS) break;
        const before = await serverSeconds(url);
        rates.http.push(await rate(sides.http, cost.client));
        cost.server.push((await serverSeconds(url) - before) * 1000 / count);
        rates.runs.push(await rate(sides.runs, cost.runs));
        rates.bare.push(await rate(sides.bare, cost.engine));
      }
      const over = (side: "http" | "runs") =>
        median(rates[side].map((value, i) => value / rates.bare[i]!));
      results.push({
        concurrency,
        requests: median(rates.http) / amount.tokens,
        tokens: median(rates.http),
        runs: median(rates.runs),
        bare: median(rates.bare),
        ratio: over("http"),
        runsRatio: over("runs"),
        turns: rates.http.length,
        processorMs: {
          server: median(cost.server),
          client: median(cost.client),
          runs: median(cost.runs),
          engine: median(cost.engine),
        },
        firstMs: percentiles(seen.first),
        betweenMs: percentiles(seen.between),
        errors: seen.errors + warm.errors + early.errors,
      });
      // Each is minutes away from the last on a slow machine.
      const { tokens, runs, bare, ratio, runsRatio, turns, processorMs } =
        results.at(-1)!;
      console.error(
        `[http] ${concurrency} at once: ${tokens.toFixed(1)} tokens/s, runs ${
          runs.toFixed(1)
        }, engine ${bare.toFixed(1)}; ratios ${ratio.toFixed(3)}, ${
          runsRatio.toFixed(3)
        } (${turns} turns); processor ms a request: ${
          Object.entries(processorMs).map(([part, ms]) =>
            `${part} ${ms.toFixed(1)}`
          ).join(", ")
        }`,
      );
    }
    return results;
  } finally {
    server.child.kill("SIGTERM");
    await server.end();
  }
}
