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
import {
  ask,
  load,
  nothingSeen,
  type Percentiles,
  percentiles,
  type StreamRequest,
} from "./clients.ts";
import { mainThreadMs } from "./machine.ts";
import { median, pairedRatio } from "./stats.ts";

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
  /** Half of those ratios lie between these. */
  readonly ratioMiddle: readonly [number, number];
  /** The second over the third. */
  readonly runsRatio: number;
  /** Turns that were measured. */
  readonly turns: number;
  /** Milliseconds of processor time that a request costs, all threads: medians of the turns. */
  readonly processorMs: {
    /** The server's process. */
    readonly server: number;
    /** Of it the main thread, which is all that is ours; NaN where nobody says. */
    readonly serverMain: number;
    /** The client's, which has the same cores. */
    readonly client: number;
    /** A run in this process. */
    readonly runs: number;
    /** The engine alone. */
    readonly engine: number;
    /** Of it the main thread. */
    readonly engineMain: number;
  };
  /** Milliseconds to the first token: median, 95 % and 99 %. */
  readonly firstMs: Percentiles;
  /** Milliseconds between tokens. */
  readonly betweenMs: Percentiles;
  /** Requests that failed. */
  readonly errors: number;
  /** What clients of another server saw in the same turns. */
  readonly rival?: {
    /** Tokens per second. */
    readonly tokens: number;
    /** Ours over its. */
    readonly ratio: number;
    /** Milliseconds to the first token. */
    readonly firstMs: Percentiles;
    /** Requests that failed. */
    readonly errors: number;
  };
}

/** Another server's request for so many tokens, after a prompt of so many. */
export type Rival = (length: number, tokens: number) => StreamRequest;

/** How much is asked: a large model does less in the same time. */
export interface Amount {
  /** Tokens of an answer. */
  readonly tokens: number;
  /** Requests of a turn; at least twice as many as are asked at once. */
  readonly requests: number;
  /** Requests at once. */
  readonly concurrency: readonly number[];
}

/** Short requests that each side answers before anything is measured, within a time. */
const WARM = 100;
const WARM_MS = 10_000;

/** Three turns are measured for every number of requests at once; more only within this time. */
const MOST_MS = 60_000;

/** No two prompts have a beginning in common, so that nothing is kept from one to the next; all are as long. */
const systemMessage = () =>
  `${Math.random().toFixed(12).slice(2)} is the question's number.`;
const question = "What is the meaning of this?";
const messages = () => [
  { role: "system" as const, content: systemMessage() },
  { role: "user" as const, content: question },
];

/** The same as a request. */
const request = (url: string, tokens: number): StreamRequest => ({
  url: `${url}/chat/completions`,
  body: {
    model: "bench",
    messages: messages(),
    max_tokens: tokens,
    min_tokens: tokens,
    stream: true,
    stream_options: { include_usage: true },
  },
  mark: '"content":"',
  count: (stream) => {
    const found = /"completion_tokens":(\d+)/.exec(stream);
    return found === null ? undefined : Number(found[1]);
  },
});

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

/** Measures a checkpoint. */
export async function benchHttp(
  dir: string,
  rounds: number,
  amount: Amount,
  rival?: Rival,
): Promise<readonly HttpLoad[]> {
  const server = await startServer(["--model", `bench=${dir}`]);
  const { url } = server.line;
  try {
    await using model = await InternVL.load(dir);
    const settings = {
      maxNewTokens: amount.tokens,
      minNewTokens: amount.tokens,
    };
    let length = 0;
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
        length = usage.promptTokens;
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
        () => ask(request(url, 2), early),
        () => runOne(brief),
        () => generate(brief),
      ]
    ) await load(4, WARM, one, WARM_MS);
    for (const concurrency of amount.concurrency) {
      // One burst would be all beginning and end; who has an answer asks again.
      const count = Math.max(2 * concurrency, amount.requests);
      const seen = nothingSeen(), theirs = nothingSeen();
      const cost = {
        server: [],
        serverMain: [],
        client: [],
        runs: [],
        engine: [],
        engineMain: [],
      } as { [part in keyof HttpLoad["processorMs"]]: number[] };
      /** What a process's main thread computes meanwhile, of each request. */
      const mainOf = async (
        pid: number,
        own: number[],
        work: () => Promise<unknown>,
      ) => {
        const before = await mainThreadMs(pid);
        await work();
        own.push((await mainThreadMs(pid) - before) / count);
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
        http: () => ask(request(url, amount.tokens), seen),
        runs: () => runOne(),
        bare: () => generate(),
      };
      const rates = { http: [], runs: [], bare: [] } as {
        [side in keyof typeof sides]: number[];
      };
      const rivals: number[] = [];
      // What is asked at once for the first time takes memory for the first time.
      const warm = nothingSeen();
      await load(
        concurrency,
        concurrency,
        () => ask(request(url, 2), warm),
      );
      await load(concurrency, concurrency, () => generate(brief));
      const measures: (() => Promise<unknown>)[] = [
        () =>
          mainOf(server.child.pid, cost.serverMain, async () => {
            const before = await serverSeconds(url);
            rates.http.push(await rate(sides.http, cost.client));
            const seconds = await serverSeconds(url) - before;
            cost.server.push(seconds * 1000 / count);
          }),
        async () => rates.runs.push(await rate(sides.runs, cost.runs)),
        () =>
          mainOf(Deno.pid, cost.engineMain, async () => {
            rates.bare.push(await rate(sides.bare, cost.engine));
          }),
      ];
      if (rival !== undefined) {
        const theirRequest = (tokens: number) => rival(length, tokens);
        await load(
          concurrency,
          concurrency,
          () => ask(theirRequest(2), nothingSeen()),
        );
        measures.push(async () =>
          rivals.push(
            await rate(() => ask(theirRequest(amount.tokens), theirs), []),
          )
        );
      }
      const start = performance.now();
      for (let turn = 0; turn < rounds; turn++) {
        if (turn >= 3 && performance.now() - start > MOST_MS) break;
        // Each side is first in turn, so that none always comes after the same other.
        for (let i = 0; i < measures.length; i++) {
          await measures[(turn + i) % measures.length]!();
        }
      }
      const over = (side: "http" | "runs") =>
        pairedRatio(rates[side], rates.bare);
      results.push({
        concurrency,
        requests: median(rates.http) / amount.tokens,
        tokens: median(rates.http),
        runs: median(rates.runs),
        bare: median(rates.bare),
        ratio: over("http"),
        ratioMiddle: [
          pairedRatio(rates.http, rates.bare, 0.25),
          pairedRatio(rates.http, rates.bare, 0.75),
        ],
        runsRatio: over("runs"),
        turns: rates.http.length,
        processorMs: {
          server: median(cost.server),
          serverMain: median(cost.serverMain),
          client: median(cost.client),
          runs: median(cost.runs),
          engine: median(cost.engine),
          engineMain: median(cost.engineMain),
        },
        firstMs: percentiles(seen.first),
        betweenMs: percentiles(seen.between),
        errors: seen.errors + warm.errors + early.errors,
        ...(rival === undefined ? {} : {
          rival: {
            tokens: median(rivals),
            ratio: pairedRatio(rates.http, rivals),
            firstMs: percentiles(theirs.first),
            errors: theirs.errors,
          },
        }),
      });
      // Each is minutes away from the last on a slow machine.
      const last = results.at(-1)!;
      const { tokens, runs, bare, ratio, runsRatio, turns, processorMs } = last;
      const [low, high] = last.ratioMiddle;
      console.error(
        `[http] ${concurrency} at once: ${tokens.toFixed(1)} tokens/s, runs ${
          runs.toFixed(1)
        }, engine ${bare.toFixed(1)}; ratios ${ratio.toFixed(3)} [${
          low.toFixed(3)
        }, ${high.toFixed(3)}], ${
          runsRatio.toFixed(3)
        } (${turns} turns); processor ms a request: ${
          Object.entries(processorMs).map(([part, ms]) =>
            `${part} ${ms.toFixed(1)}`
          ).join(", ")
        }${
          last.rival === undefined
            ? ""
            : `; the other server ${last.rival.tokens.toFixed(1)} tokens/s`
        }`,
      );
    }
    return results;
  } finally {
    server.child.kill("SIGTERM");
    await server.end();
  }
}
