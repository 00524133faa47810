/**
 * The sections of the benchmark: what each measures, and its table.
 * @module
 */
import { benchBindings } from "./bindings.ts";
import {
  benchEngine,
  benchRounds,
  benchWide,
  type EngineBench,
} from "./engine.ts";
import { int4Weights } from "./checkpoint.ts";
import { benchConstrain } from "./constrain.ts";
import { type Figures, goals } from "./goals.ts";
import { benchDashboard } from "./dashboard.ts";
import { benchGraph } from "./graph.ts";
import { benchHttp, type HttpLoad } from "./http.ts";
import { benchLlama, benchPrefill } from "./llama/bench.ts";
import { SERVER, serverProblem, startLlamaServer } from "./llama/server.ts";
import { benchModel, type ModelBench } from "./model.ts";
import { benchPreprocess, preprocessTable } from "./preprocess.ts";
import { benchQuality } from "./quality.ts";
import { benchSpeculate } from "./speculate.ts";
import { benchStall, type StallOf } from "./stall.ts";
import { show, type Summary } from "./stats.ts";
import { benchStep, type StepBench } from "./step.ts";
import { table } from "./table.ts";
import { benchChat, benchTower, type Speed } from "./torch/bench.ts";
import type { Scratch } from "./scratch.ts";

/** What a section found. */
export interface Report {
  /** For the stored file. */
  readonly figures: Readonly<Record<string, unknown>>;
  /** For people. */
  readonly text: string;
}

/** A part of the benchmark. */
export interface Section {
  /** For `--only`. */
  readonly name: string;
  /** One line for `--help`. */
  readonly about: string;
  /** Heading of its table. */
  readonly title: string;
  /** Measures. */
  readonly measure: (place: Scratch, rounds: number) => Promise<Report>;
}

const percent = (share: number) => `${(share * 100).toFixed(2)} %`;

/** One table of two models side by side. */
async function both<A>(
  measure: (dir: string, nano: boolean) => Promise<A>,
  place: Scratch,
): Promise<{ readonly nano: A; readonly synthetic: A }> {
  return {
    nano: await measure(place.nano, true),
    synthetic: await measure(await place.synthetic(), false),
  };
}

const preprocess: Section = {
  name: "preprocess",
  about: "pictures per second, against Pillow and torch where Python has them",
  title: "Preprocessing: from pixels to normalised tiles",
  measure: async (_place, rounds) => {
    const figures = await benchPreprocess(rounds);
    return { figures: { ...figures }, text: preprocessTable(figures) };
  },
};

const graph: Section = {
  name: "graph",
  about: "microseconds per node that the graph itself costs",
  title: "Graph: overhead per node, in chains of 1,000 nodes that do nothing",
  measure: async (_place, rounds) => {
    const figures = await benchGraph(1000, Math.max(10, rounds * 4));
    const rows: [string, number][] = [
      ["chain", figures.chain],
      ["chain, without spans", figures.chainUntraced],
      ["chain, in a lane", figures.chainInLane],
      ["chain, with a listener", figures.chainWithEvents],
      ["chain, runs stored in memory", figures.chainWithStore],
      ["chain, memo that knows nothing", figures.chainMemoMiss],
      ["chain, memo that knows all", figures.chainMemoHit],
      ["one node to all others", figures.fanOut],
      ["one mapped node", figures.each],
      ["bare Effect.flatMap, for comparison", figures.bareEffects],
    ];
    return {
      figures: { ...figures },
      text: table([
        ["pipeline", "µs/node"],
        ...rows.map(([name, value]) => [name, show(value)]),
      ]),
    };
  },
};

const constrain: Section = {
  name: "constrain",
  about: "what a JSON schema costs a token, over 92,553 tokens",
  title: "Constrained output: masks over 92,553 made-up tokens",
  measure: async (_place, rounds) => {
    const figures = await benchConstrain(rounds);
    const { buildMs, buildCpuMs, buildStallMs, applyMs, constraints } = figures;
    return {
      figures: { ...figures },
      text: [
        table([
          ["ms", "wall", "computing"],
          [
            "the vocabulary's tree, once a model",
            show(buildMs),
            show(buildCpuMs),
          ],
          ["  longest stall of the event loop in it", show(buildStallMs), ""],
          ["a mask put on the logits, median", show(applyMs.median), ""],
          ...constraints.map(({ name, firstMs, firstCpuMs }) => [
            `${name}: to the first mask`,
            show(firstMs),
            show(firstCpuMs),
          ]),
        ]),
        table([
          [
            "ms of processor time a token: mask and step",
            "first answers",
            "99 %",
            "later",
          ],
          ...constraints.map(({ name, coldMs, cold99Ms, warmMs }) => [
            name,
            show(coldMs.median),
            show(cold99Ms),
            show(warmMs.median),
          ]),
        ]),
      ].join("\n\n"),
    };
  },
};

const model: Section = {
  name: "model",
  about: "speed of the towers, prompt and answer tokens, memory, cold start",
  title: "Model (float32 on the CPU)",
  measure: async (place, rounds) => {
    const picture = await place.picture();
    const figures = await both(
      (dir, nano) => benchModel(dir, picture, rounds, nano ? 100 : 32),
      place,
    );
    const row = (
      name: string,
      value: (bench: ModelBench) => Summary | number,
    ) => [
      name,
      ...[figures.nano, figures.synthetic].map((bench) => {
        const found = value(bench);
        return typeof found === "number" ? show(found) : show(found.median);
      }),
    ];
    return {
      figures,
      text: table([
        ["", "nano", "synthetic"],
        row("vision tower, M parameters", (b) => b.parametersM.vision),
        row("language model, M parameters", (b) => b.parametersM.language),
        row("tile, pixels", (b) => b.tile),
        row("vision-encode, ms per tile", (b) => b.encodeMs),
        row("project, ms per tile", (b) => b.projectMs),
        row("prefill of 512 tokens, tokens/s", (b) => b.prefill),
        row("decode at a context of 256, tokens/s", (b) => b.decode),
        row("graphs built in memory, ms", (b) => b.graphMs),
        row("sessions made, ms", (b) => b.loadMs),
        row("cold start to a one-token answer, ms", (b) => b.cold.totalMs),
        row("  of it importing the SDK", (b) => b.cold.importMs),
        row("  of it loading", (b) => b.cold.loadMs),
        row("  of it a 12-megapixel picture, one tile", (b) => b.cold.answerMs),
        row("peak memory of that process, MiB", (b) => b.cold.peakMiB),
      ]),
    };
  },
};

const step: Section = {
  name: "step",
  about: "what a generated token costs beyond ONNX Runtime's own Run",
  title: "Step: a generated token against the bare Run",
  measure: async (place, rounds) => {
    const two = await both(
      (dir, nano) => benchStep(dir, rounds * 2, nano ? 100 : 32),
      place,
    );
    const large = await place.mini2b({
      parts: ["language"],
      quantization: int4Weights,
    });
    const figures = { ...two, mini2b: await benchStep(large, rounds * 2, 32) };
    const row = (name: string, value: (bench: StepBench) => string) => [
      name,
      value(figures.nano),
      value(figures.synthetic),
      value(figures.mini2b),
    ];
    return {
      figures,
      text: table([
        ["", "nano", "synthetic", "Mini-2B, int4"],
        row("generation, ms per token", (b) => show(b.loopMs)),
        row("bare Run off the event loop, ms", (b) => show(b.bareMs)),
        row("bare Run on the main thread, ms", (b) => show(b.blockingMs)),
        row("overhead, step by step in turns", (b) => percent(b.overhead)),
        row("  of it between two runs", (b) => percent(b.betweenShare)),
        row("  of it the run itself", (b) => percent(b.nativeShare)),
        row("between two runs, µs, median", (b) => show(b.betweenUs)),
        row("between two runs, µs, 95 %", (b) => show(b.betweenUs95)),
        row("  of it choosing the token, µs", (b) => show(b.chooseUs)),
        row("overhead, whole answers in turns", (b) => percent(b.loops)),
        [
          "In turns: after each step of the loop comes a bare one at the same position. Whole answers are short here, and pay for the change from prompt to single tokens in their first step.",
        ],
      ]),
    };
  },
};

const stall: Section = {
  name: "stall",
  about: "longest time the event loop stands still, by stage of a chat",
  title:
    "Stall: longest gap of a 1 ms timer, chat about a 12-megapixel picture",
  measure: async (place) => {
    const figures = await benchStall(
      await place.synthetic(),
      await place.picture(),
    );
    const row = (name: string, { gap, busy, ms }: StallOf) => [
      name,
      show(ms),
      show(gap.ms),
      busy.busyMs === undefined ? "-" : show(busy.busyMs),
    ];
    return {
      figures: { ...figures },
      text: table([
        ["stage", "took, ms", "gap, ms", "busy, ms"],
        row("idle", figures.idle),
        ...Object.entries(figures.first).map(([name, of]) =>
          row(`first picture: ${name}`, of)
        ),
        ...Object.entries(figures.chat).map(([name, of]) => row(name, of)),
        ...Object.entries(figures.napi).map(([name, of]) =>
          row(`N-API on the main thread: ${name}`, of)
        ),
        [
          "busy is the longest time in one gap in which our thread computed; the rest of a gap it waited for a core, because the model uses all of them.",
        ],
      ]),
    };
  },
};

const bindings: Section = {
  name: "bindings",
  about: "the FFI binding against the N-API package in a worker",
  title: "Bindings: ONNX Runtime through FFI and through the N-API package",
  measure: async (place, rounds) => {
    const figures = await both(
      (dir, nano) => benchBindings(dir, rounds, nano ? 100 : 32),
      place,
    );
    return {
      figures,
      text: table([
        ["", "FFI", "N-API", "FFI is faster by"],
        ...Object.entries(figures).flatMap(([name, { ffi, napi, ratio }]) => [
          [
            `${name}: vision-encode, ms per tile`,
            show(ffi.encodeMs),
            show(napi.encodeMs),
            show(ratio.encodeMs),
          ],
          [
            `${name}: prefill, tokens/s`,
            show(ffi.prefill),
            show(napi.prefill),
            show(ratio.prefill),
          ],
          [
            `${name}: decode, tokens/s`,
            show(ffi.decode),
            show(napi.decode),
            show(ratio.decode),
          ],
        ]),
      ]),
    };
  },
};

const cell = (value: number | undefined) =>
  value === undefined ? "-" : show(value);
const times = (value: number | undefined) =>
  value === undefined ? "-" : `${value.toFixed(2)}x`;
const against = (
  name: string,
  pair: {
    readonly ours: number;
    readonly llama?: number;
    readonly ratio?: number;
  },
) => [name, show(pair.ours), cell(pair.llama), times(pair.ratio)];

const llama: Section = {
  name: "llama",
  about:
    "tokens of 2 B parameters in 4 bits against llama.cpp and the memory's speed",
  title:
    "Language model of Mini-InternVL-Chat-2B-V1-5, 4 bits, against llama.cpp",
  measure: async (place, rounds) => {
    const figures = await benchLlama(place, rounds);
    const { decode, bandwidth, threads } = figures;
    return {
      figures: { ...figures },
      text: table([
        ["tokens/s", "Tessera", "llama.cpp", "ratio", "of bandwidth"],
        ...decode.map((at) => [
          ...against(
            `decode at a context of ${at.context.toLocaleString("en-US")}`,
            at,
          ),
          percent(at.bandwidthShare),
        ]),
        [
          `${threads} threads read ${
            show(bandwidth)
          } GB/s here; a token reads every weight and its cache once: ${
            decode.map(({ gigabytes }) => show(gigabytes)).join(", ")
          } GB`,
        ],
        [figures.problem ?? `llama.cpp: ${figures.system}`],
      ]),
    };
  },
};

const prefill: Section = {
  name: "prefill",
  about:
    "prompts of the same model against llama.cpp, with and without a second set of weights",
  title: "Prompts of Mini-InternVL-Chat-2B-V1-5, 4 bits, against llama.cpp",
  measure: async (place, rounds) => {
    const figures = await benchPrefill(place, rounds);
    const { length, int4, bytes } = figures;
    return {
      figures: { ...figures },
      text: table([
        [`tokens/s, prompt of ${length}`, "Tessera", "llama.cpp", "ratio"],
        against("4 bits", int4),
        against("4 bits, prompts by a second set in w8a8", bytes),
        [
          `${figures.threads} threads each; ${
            figures.problem ?? `llama.cpp: ${figures.system}`
          }`,
        ],
      ]),
    };
  },
};

const quality: Section = {
  name: "quality",
  about: "what quantization costs in accuracy, on nano and on random weights",
  title: "Quality: quantized models led along the original's answers",
  measure: async (place) => {
    const figures = await benchQuality(place);
    const rows = (found: typeof figures.nano) =>
      found.map((row) => [
        row.name,
        percent(row.size),
        row.lossAdded.toFixed(4),
        row.divergence.toFixed(5),
        percent(row.logitsError),
        percent(row.topAgreement),
        row.sameAnswers === undefined ? "-" : percent(row.sameAnswers),
      ]);
    const head = [
      "size",
      "loss +",
      "KL",
      "logits off",
      "same token",
      "same answer",
    ];
    return {
      figures: { ...figures },
      text: table([
        [`nano, ${figures.tokens.nano} tokens`, ...head],
        ...rows(figures.nano),
      ]) + "\n\n" + table([
        [`random weights, ${figures.tokens.synthetic} tokens`, ...head],
        ...rows(figures.synthetic),
        [
          "loss + and KL are nats a token more than the original's. same token: the most likely one at each step; same answer: the whole greedy answer.",
        ],
      ]),
    };
  },
};

const againstTorch = (name: string, speed: Speed | undefined) => [
  name,
  speed === undefined ? "-" : show(speed.ms),
  speed?.ratio === undefined ? "-" : `${speed.ratio.toFixed(2)}x`,
];
const noTorch =
  "no Python with torch and safetensors to compare with (TESSERA_PYTHON names one)";

const tower: Section = {
  name: "tower",
  about: "a tile in the vision tower of 300 M parameters, against PyTorch",
  title: "Vision tower of 300 M parameters: a tile of 448 pixels",
  measure: async (place, rounds) => {
    const figures = await benchTower(place, rounds);
    return {
      figures: { ...figures },
      text: table([
        ["", "ms", "as fast as PyTorch float32"],
        againstTorch("float32", figures.float32),
        againstTorch("w8a8", figures.w8a8),
        againstTorch("PyTorch float32", figures.torchFloat32),
        againstTorch("PyTorch bfloat16", figures.torchBfloat16),
        [
          `24 layers, 1,024 wide, 1,025 tokens; ${figures.threads} threads each; ${
            figures.torch ?? noTorch
          }`,
        ],
      ]),
    };
  },
};

const chat: Section = {
  name: "chat",
  about: "a whole answer about a picture, against the reference in PyTorch",
  title: "Chat: a picture of 12 megapixels, end to end, synthetic model",
  measure: async (place, rounds) => {
    const figures = await benchChat(place, Math.max(1, rounds >> 1));
    const { tiles, promptTokens, tokens, threads } = figures;
    return {
      figures: { ...figures },
      text: table([
        ["", "ms", "as fast as PyTorch"],
        againstTorch("float32", figures.float32),
        againstTorch("int4, tower w8a8", figures.quantized),
        againstTorch("int4, prompt and tower w8a8", figures.twoSets),
        againstTorch("the reference, eager, float32", figures.torchFloat32),
        [
          `${tiles} tiles, a prompt of ${
            promptTokens.toLocaleString("en-US")
          } tokens, ${tokens} tokens of an answer; ours with reading the picture, PyTorch's without; ${threads} threads each; ${
            figures.torch ?? noTorch
          }`,
        ],
      ]),
    };
  },
};

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

const http: Section = {
  name: "http",
  about:
    "tokens per second and latencies of clients of the server, against the engine alone",
  title:
    "Server: tokens/s of streams over HTTP, of runs in one process, of the engine alone; processor ms of a request",
  measure: async (place, rounds) => {
    const concurrency = [1, 4, 16, 64];
    const found = await both((dir, nano) =>
      benchHttp(dir, rounds, {
        concurrency,
        ...(nano ? { tokens: 32, requests: 16 } : { tokens: 16, requests: 4 }),
      }), place);
    const text = (["nano", "synthetic"] as const)
      .flatMap((name) => httpTables(name, found[name])).join("\n\n");
    return { figures: found, text };
  },
};

const served: Section = {
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

const engine: Section = {
  name: "engine",
  about:
    "eight requests at once, the second round of a chat, pauses under load",
  title: "Engine on the CPU, float32 unless a row says otherwise",
  measure: async (place, rounds) => {
    const figures = await both(
      (dir, nano) => benchEngine(dir, rounds, nano ? 64 : 24),
      place,
    );
    const wide = await benchWide(await place.twoSets(), rounds, 24);
    const chat = await benchRounds(
      await place.synthetic(),
      await place.picture(),
      rounds,
    );
    const row = (name: string, value: (bench: EngineBench) => string) => [
      name,
      value(figures.nano),
      value(figures.synthetic),
    ];
    return {
      figures: { ...figures, wide, chat },
      text: table([
        ["", "nano", "synthetic"],
        row("one request, tokens/s", (b) => show(b.one)),
        row("eight at once, tokens/s together", (b) => show(b.eight)),
        row("times as many", (b) => show(b.gain)),
        row("longest gap of a 1 ms timer meanwhile, ms", (b) => show(b.gap.ms)),
        row(
          "longest time in one gap in which we computed, ms",
          (b) => b.busy.busyMs === undefined ? "-" : show(b.busy.busyMs),
        ),
      ]) + "\n\n" + table([
        ["synthetic in 4 bits, tokens/s together", "", "times as many"],
        ["one request", show(wide.one), ""],
        ["eight at once", show(wide.eight), show(wide.gain)],
        [
          "by the second set of weights (w8a8)",
          show(wide.wide),
          show(wide.wideGain),
        ],
      ]) + "\n\n" + table([
        ["a picture of 7 tiles, synthetic", "first round", "second"],
        ["to the first token, ms", show(chat.first), show(chat.second)],
        ["of the first", "", percent(chat.ratio)],
        ["prompt tokens, those found", "", chat.tokens.join(", ")],
      ]),
    };
  },
};

const dashboard: Section = {
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

const speculate: Section = {
  name: "speculate",
  about: "prompt lookup: answers that repeat their prompt, and that do not",
  title: "Speculation by prompt lookup (float32 on the CPU, up to 6 tokens)",
  measure: async (place, rounds) => {
    const found = await both(
      (dir, nano) => benchSpeculate(dir, rounds, nano ? 192 : 64),
      place,
    );
    return {
      figures: found,
      text: table([
        ["", "tokens/s", "with", "times", "accepted", "tokens a step"],
        ...(["nano", "synthetic"] as const).flatMap((model) =>
          found[model].map((one) => [
            `${model}, ${one.text}`,
            show(one.plain),
            show(one.guessed),
            show(one.gain),
            one.drafted === 0 ? "-" : percent(one.accepted / one.drafted),
            show(one.perStep),
          ])
        ),
      ]),
    };
  },
};

/** All sections, in the order in which they run. */
export const sections: readonly Section[] = [
  preprocess,
  graph,
  model,
  step,
  stall,
  bindings,
  dashboard,
  engine,
  speculate,
  constrain,
  http,
  served,
  llama,
  prefill,
  tower,
  chat,
  quality,
];

/** The goals, with what the sections before have found; for people. */
export function goalsTable(figures: Figures): string {
  const found = goals(figures);
  const missing = found.filter(({ measured }) => measured === undefined).length;
  return table([
    ["", "goal", "measured", "reached"],
    ...found.map(({ measure, goal, measured, reached }) => [
      measure,
      goal,
      measured === undefined
        ? "-"
        : goal.endsWith("%")
        ? percent(measured)
        : show(measured),
      reached === undefined ? "-" : reached ? "yes" : "no",
    ]),
    ...(missing === 0 ? [] : [[
      `${missing} not measured in this run: a section left out, or nothing to compare with`,
    ]]),
  ]);
}
