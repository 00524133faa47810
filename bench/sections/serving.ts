/**
 * The server and the dashboard.
 * @module
 */
import { int4Weights } from "../checkpoint.ts";
import { benchDashboard } from "../dashboard.ts";
import { benchHttp, type HttpLoad } from "../http.ts";
import { SERVER, serverProblem, startLlamaServer } from "../llama/server.ts";
import { show } from "../stats.ts";
import { table } from "../table.ts";
import { both, percent, type Section } from "./section.ts";

/** Tables of what clients of the server saw. */
const httpTables = (name: string, loads: readonly HttpLoad[]): string[] => [
  table([
    [
      name,
      "HTTP",
      "runs",
      "engine",
      "HTTP:engine",
      "half of the turns",
      "runs:engine",
      "server, ms",
      "its main thread",
      "client",
      "runs",
      "engine",
      "its main thread",
      "turns",
      "errors",
    ],
    ...loads.map((one) => [
      `${one.concurrency} at once`,
      show(one.tokens),
      show(one.runs),
      show(one.bare),
      percent(one.ratio),
      one.ratioMiddle.map(percent).join(" to "),
      percent(one.runsRatio),
      ...([
        "server",
        "serverMain",
        "client",
        "runs",
        "engine",
        "engineMain",
      ] as const).map((part) => show(one.processorMs[part])),
      String(one.turns),
      String(one.errors),
    ]),
  ]),
  table([
    [`${name}, ms`, "first p50", "p95", "p99", "next p50", "p95", "p99"],
    ...loads.map(({ concurrency, firstMs, betweenMs }) => [
      `${concurrency} at once`,
      ...[firstMs, betweenMs].flatMap(({ p50, p95, p99 }) =>
        [p50, p95, p99].map(show)
      ),
    ]),
  ]),
];

export const http: Section = {
  name: "http",
  about:
    "tokens per second and latencies of clients of the server, against the engine alone",
  title:
    "Server: tokens/s of streams over HTTP, of runs in one process, of the engine alone; processor ms of a request",
  measure: async (place, rounds) => {
    const short = await both((dir, nano) =>
      benchHttp(dir, rounds, {
        concurrency: [1, 4, 16, 64],
        ...(nano ? { tokens: 32, requests: 16 } : { tokens: 16, requests: 4 }),
      }), place);
    // Who has an answer asks again and misses a step or two meanwhile: of short answers that is a large part.
    const long = await both((dir, nano) =>
      benchHttp(dir, rounds, {
        concurrency: [1, 4, 16],
        tokens: 128,
        requests: nano ? 16 : 4,
      }), place);
    const text = (["nano", "synthetic"] as const).flatMap((name) => [
      ...httpTables(name, short[name]),
      ...httpTables(`${name}, 128 tokens`, long[name]),
    ]).join("\n\n");
    return { figures: { ...short, long }, text };
  },
};

export const served: Section = {
  name: "served",
  about:
    "the same for Mini-2B's shape in 4 bits, beside another server, with llama.cpp",
  title: "Server with Mini-2B's shape in 4 bits, and another beside it",
  measure: async (place, rounds) => {
    const dir = await place.mini2b({ quantization: int4Weights });
    const problem = await serverProblem();
    await using other = problem === undefined
      ? await startLlamaServer(dir, place)
      : undefined;
    const loads = await benchHttp(
      dir,
      rounds,
      { concurrency: [1, 4], tokens: 16, requests: 4 },
      other?.request,
    );
    const beside = table([
      [SERVER, "tokens/s", "ours:its", "first p50, ms", "p95", "errors"],
      ...loads.flatMap(({ concurrency, rival }) =>
        rival === undefined ? [] : [[
          `${concurrency} at once`,
          show(rival.tokens),
          show(rival.ratio),
          show(rival.firstMs.p50),
          show(rival.firstMs.p95),
          String(rival.errors),
        ]]
      ),
    ]);
    return {
      figures: { mini2b: loads },
      text: [...httpTables("mini2b", loads), problem ?? beside].join("\n\n"),
    };
  },
};

export const dashboard: Section = {
  name: "dashboard",
  about: "pages over 100,000 runs, events to viewers, scripts, the store",
  title: "Dashboard: 100,000 runs in the store",
  measure: async (_place, rounds) => {
    const figures = await benchDashboard(rounds);
    const { viewers } = figures;
    const both = (
      { p50, p95 }: { readonly p50: number; readonly p95: number },
    ) => [
      show(p50),
      show(p95),
    ];
    return {
      figures: { ...figures },
      text: table([
        ["", "median", "95 %", "processor"],
        ...Object.entries(figures.pages).map(([path, times]) => [
          `page ${path}, ms on the server`,
          ...both(times),
          show(times.cpu),
        ]),
        ["first search for a text, ms", show(figures.search.first)],
        ["  runs entered into its index, ms", show(figures.search.entered)],
        ["  size of the index, MiB", show(figures.search.bytes / 2 ** 20)],
        ["event to a viewer, ms", ...both(figures.event)],
        ["  written by another process", ...both(figures.eventElsewhere)],
        ...(figures.painted === undefined ? [] : [
          [
            "  to the changed page in Chromium",
            ...both(figures.painted.answer),
          ],
          [
            "  the same, written by another process",
            ...both(figures.painted.answerElsewhere),
          ],
          ["new run to the table in Chromium", ...both(figures.painted.table)],
        ]),
        [
          `  to ${viewers.viewers} viewers in another process`,
          ...both(viewers),
          `${percent(viewers.cores)} of a core`,
        ],
        [
          `  of them, with all ${viewers.events} events`,
          `${viewers.whole}`,
        ],
        ["events written a second", show(figures.eventsPerSecond)],
        ...Object.entries(figures.scripts).map(([file, bytes]) => [
          `scripts of ${file}, KiB gzipped`,
          show(bytes / 1024),
        ]),
        ["Viewers read over HTTP in this process, but for those in Chromium."],
      ]),
    };
  },
};
