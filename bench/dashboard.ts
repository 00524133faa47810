/**
 * What the dashboard costs: pages over 100,000 runs, events on their way to viewers, scripts, the store.
 * @module
 */
import { Buffer } from "node:buffer";
import { cpuUsage } from "node:process";
import { DatabaseSync } from "node:sqlite";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { Effect } from "effect";
import { assets, scripts } from "../dashboard/generated/assets.ts";
import { makeDashboard, makeServices, serve } from "../dashboard/mod.ts";
import { fillTable, madeUp } from "../dashboard/runs_kit.ts";
import type { RunEvent } from "../pipeline/mod.ts";
import { makeSqliteStore, type SqliteStore } from "../plugins/sqlite/mod.ts";
import { painted } from "./painted.ts";

/** Median and 95 % of some milliseconds. */
export interface Times {
  /** Half take at most this. */
  readonly p50: number;
  /** 95 % take at most this. */
  readonly p95: number;
}

/** Milliseconds of a page. */
export interface PageTimes extends Times {
  /** Processor time of this process for one, on average. */
  readonly cpu: number;
}

/** Many readers of one run's stream, in another process. */
export interface Viewers extends Times {
  /** How many. */
  readonly viewers: number;
  /** Events sent to each. */
  readonly events: number;
  /** Readers that got every event in time. */
  readonly whole: number;
  /** Share of one core that the server took meanwhile. */
  readonly cores: number;
}

/** What was found. */
export interface DashboardBench {
  /** Milliseconds of pages on the server, by path. */
  readonly pages: Readonly<Record<string, PageTimes>>;
  /** The first search for a text, which looks through all runs, and entering them into the index after. */
  readonly search: {
    /** Milliseconds of the search. */
    readonly first: number;
    /** Milliseconds until all runs are entered; others get their turn meanwhile. */
    readonly entered: number;
    /** Bytes of the file that the index takes. */
    readonly bytes: number;
  };
  /** Milliseconds from `record` to one viewer over HTTP: written by this process. */
  readonly event: Times;
  /** The same, written through another connection to the file. */
  readonly eventElsewhere: Times;
  /** Milliseconds from `record` to the changed page in Chromium, where there is one. */
  readonly painted?: {
    /** A part of an answer on its run's page. */
    readonly answer: Times;
    /** The same, written through another connection to the file. */
    readonly answerElsewhere: Times;
    /** A new run in the table. */
    readonly table: Times;
  };
  /** Milliseconds from `record` to 200 viewers over HTTP. */
  readonly viewers: Viewers;
  /** Gzipped bytes of scripts by island file, with everything it imports. */
  readonly scripts: Readonly<Record<string, number>>;
  /** Events written a second, runs of 25 events. */
  readonly eventsPerSecond: number;
}

const runs = 100_000;

function timesOf(values: readonly number[]): Times {
  const sorted = [...values].sort((a, b) => a - b);
  const at = (share: number) =>
    sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ??
      NaN;
  return { p50: at(0.5), p95: at(0.95) };
}

function scriptSizes(): Record<string, number> {
  const size = (path: string) =>
    gzipSync(Buffer.from(assets[path]!.body)).length;
  return Object.fromEntries(
    Object.entries(scripts).map(([file, { script, imports }]) => [
      file,
      [script, ...imports].reduce((sum, path) => sum + size(path), 0),
    ]),
  );
}

const progress = (runId: string, seq: number): RunEvent => ({
  _tag: "NodeProgress",
  runId,
  seq,
  at: Date.now(),
  node: "decode",
  port: "text",
  delta: `${performance.timeOrigin + performance.now()}`,
});

/** Reads a run's stream and tells how long ago each part was recorded. */
async function view(
  address: string,
  cookie: string,
  signal: AbortSignal,
  onPart: (ms: number) => void,
  onOpen: () => void,
): Promise<void> {
  const response = await fetch(address, { headers: { cookie }, signal });
  let rest = "";
  const decoder = new TextDecoder();
  onOpen();
  for await (const chunk of response.body!) {
    rest += decoder.decode(chunk, { stream: true });
    for (let end; (end = rest.indexOf("\n\n")) >= 0;) {
      const sent = /"delta":"([\d.]+)"/.exec(rest.slice(0, end));
      rest = rest.slice(end + 2);
      if (sent) {
        onPart(performance.timeOrigin + performance.now() - Number(sent[1]));
      }
    }
  }
}

async function watched(
  base: string,
  cookie: string,
  store: SqliteStore,
  runId: string,
  events: number,
  pause: number,
): Promise<Times> {
  const stop = new AbortController();
  const times: number[] = [];
  const opened = Promise.withResolvers<void>();
  const reading = view(
    `${base}/runs/${runId}/live`,
    cookie,
    stop.signal,
    (ms) => times.push(ms),
    opened.resolve,
  ).catch(() => {});
  store.record({ ...madeUp(1, Date.now())[0]!, runId } as RunEvent);
  await Effect.runPromise(store.flush(runId));
  await opened.promise;
  const wait = (ms: number) =>
    new Promise<void>((resolve) => setTimeout(resolve, ms));
  await wait(300);
  for (let seq = 1; seq <= events; seq++) {
    store.record(progress(runId, seq));
    await wait(pause);
  }
  for (let i = 0; i < 200 && times.length < events; i++) await wait(20);
  stop.abort();
  await reading;
  if (times.length < events) {
    throw new Error("a viewer did not get every event");
  }
  return timesOf(times);
}

/** Runs a chat of so many events under the eyes of many, as fast as a model talks. */
async function crowd(
  base: string,
  cookie: string,
  store: SqliteStore,
  viewers: number,
  events: number,
): Promise<Viewers> {
  const runId = "crowd";
  store.record({ ...madeUp(1, Date.now())[0]!, runId } as RunEvent);
  await Effect.runPromise(store.flush(runId));
  const child = new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "--allow-net=127.0.0.1",
      fileURLToPath(new URL("./viewers.ts", import.meta.url)),
      `${base}/runs/${runId}/live`,
      cookie,
      `${viewers}`,
      `${events}`,
      "60",
    ],
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  let said = "";
  const lines = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  const hear = async (): Promise<boolean> => {
    const { value, done } = await lines.read();
    said += value ?? "";
    return !done;
  };
  while (!said.includes("ready") && await hear());
  const before = cpuUsage();
  const began = performance.now();
  for (let seq = 1; seq <= events; seq++) {
    store.record(progress(runId, seq));
    await new Promise<void>((resolve) => setTimeout(resolve, 25));
  }
  const { user, system } = cpuUsage(before);
  const cores = (user + system) / 1000 / (performance.now() - began);
  while (await hear());
  const { times, whole } = JSON.parse(said.slice(said.indexOf("{")));
  return { ...timesOf(times), viewers, events, whole, cores };
}

/** Searches for the first time, and waits for the index that comes of it. */
async function enterAll(
  store: SqliteStore,
  filename: string,
): Promise<DashboardBench["search"]> {
  const db = new DatabaseSync(filename);
  const ask = (text: string) =>
    Number(Object.values(db.prepare(text).get()!)[0]);
  const size = () => ask("PRAGMA page_count") * ask("PRAGMA page_size");
  const before = size();
  let began = performance.now();
  await Effect.runPromise(store.list({ text: "photos/500.jpg" }));
  const first = performance.now() - began;
  began = performance.now();
  while (ask("SELECT count(*) FROM runs WHERE place IS NULL") > 0) {
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  const entered = performance.now() - began;
  const bytes = size() - before;
  db.close();
  return { first, entered, bytes };
}

/** Measures. */
export async function benchDashboard(rounds: number): Promise<DashboardBench> {
  const folder = await Deno.makeTempDir({ prefix: "tessera-bench-" });
  try {
    return await Effect.runPromise(Effect.scoped(Effect.gen(function* () {
      const filename = `${folder}/runs.sqlite`;
      const store = yield* makeSqliteStore({ filename });
      const began = performance.now();
      const since = Date.now() - runs * 10_000;
      // 1,000 chats of 25 events.
      for (let i = 0; i < 1000; i++) {
        const [first, ...rest] = madeUp(i, since + i * 10_000);
        const talk = Array.from({ length: 20 }, (_, seq) => ({
          ...progress(first!.runId, 0),
          seq: 5 + seq,
        }));
        const last = rest.pop()!;
        for (const event of [first!, ...rest, ...talk, { ...last, seq: 25 }]) {
          store.record(event);
        }
      }
      yield* store.flush("made-00000999");
      const eventsPerSecond = 25_000 / (performance.now() - began) * 1000;
      fillTable(filename, runs, since);

      const search = yield* Effect.promise(() => enterAll(store, filename));

      let services!: Effect.Success<ReturnType<typeof makeServices>>;
      let host!: ReturnType<typeof makeDashboard>;
      const { port } = yield* serve({
        host: "127.0.0.1",
        port: 0,
        make: (port) =>
          Effect.map(makeServices({ store, access: { port } }), (made) => {
            services = made;
            return host = makeDashboard(services);
          }),
      });
      const base = `http://127.0.0.1:${port}`;
      const { pages, cookie } = yield* Effect.promise(async () => {
        const ask = async (path: string) =>
          await host(new Request(`${base}${path}`));
        const cookie = (await ask("/")).headers.get("set-cookie")!
          .split(";")[0]!;
        const pages: Record<string, PageTimes> = {};
        for (
          const path of [
            "/",
            "/?sort=ms",
            "/?state=failed&model=nano",
            "/?q=photos%2F500.jpg",
            "/runs/made-00000500",
          ]
        ) {
          const times: number[] = [];
          let before = cpuUsage();
          for (let i = 0; i < 6 + rounds * 5; i++) {
            if (i === 6) before = cpuUsage();
            const began = performance.now();
            await (await ask(path)).text();
            // The first ones are compiled while they run.
            if (i > 5) times.push(performance.now() - began);
          }
          const { user, system } = cpuUsage(before);
          pages[path] = {
            ...timesOf(times),
            cpu: (user + system) / 1000 / times.length,
          };
        }
        return { pages, cookie };
      });
      const other = yield* makeSqliteStore({ filename });
      return yield* Effect.promise(async () => {
        const one = await watched(base, cookie, store, "one", 100, 15);
        const far = await watched(base, cookie, other, "far", 100, 15);
        const shown = await painted(base, store, other);
        const viewers = await crowd(base, cookie, store, 200, 200);
        return {
          pages,
          search,
          event: one,
          eventElsewhere: far,
          ...(shown === undefined ? {} : {
            painted: {
              answer: timesOf(shown.answer),
              answerElsewhere: timesOf(shown.answerElsewhere),
              table: timesOf(shown.table),
            },
          }),
          viewers,
          scripts: scriptSizes(),
          eventsPerSecond,
        };
      });
    })));
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}
