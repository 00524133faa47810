/**
 * `deno task demo`: the main job on the embedded model, from nothing. One question, a second round, two
 * pictures together and apart, a batch, a video; then what every stage cost and where it is all kept.
 * @module
 */
import process from "node:process";
import { displayWidth } from "effect/cli/CliOutput";
import type { AskOptions, ChatResult, InternVL } from "../mod.ts";
import type { RunEvent } from "../pipeline/mod.ts";
import { stages as stageOrder } from "../sdk/stages.ts";
import { faultText, InputError } from "./faults.ts";
import { defaultStore, embeddedModel, packagePath } from "./models.ts";
import { makePainter, runProgress } from "./progress.ts";
import { environment, processShell, type Shell, writeAll } from "./shell.ts";
import {
  count,
  duration,
  padEnd,
  padStart,
  plural,
  printable,
  wrap,
} from "./text.ts";

/** What a scene of the demo cost. */
export interface Cost {
  /** A few letters for the head of its column. */
  readonly title: string;
  /** Milliseconds by stage. */
  readonly timings: Readonly<Record<string, number>>;
  /** Stages whose results were all remembered. */
  readonly cached: ReadonlySet<string>;
  /** Milliseconds from question to answer. */
  readonly total: number;
}

/** Stages down, scenes across; as many columns side by side as the width has room for. */
export function costTable(costs: readonly Cost[], columns: number): string {
  const stages = stageOrder.filter((stage) =>
    costs.some(({ timings }) => stage in timings)
  );
  const cell = (cost: Cost, stage: string): string => {
    const ms = cost.timings[stage];
    return ms === undefined
      ? "-"
      : cost.cached.has(stage)
      ? "cached"
      : figure(ms);
  };
  const left = Math.max(...stageOrder.map((stage) => stage.length));
  const width = 2 + Math.max(
    ...costs.flatMap((cost) => [
      displayWidth(cost.title),
      ...stages.map((stage) => cell(cost, stage).length),
      figure(cost.total).length,
    ]),
  );
  const fits = Math.max(1, Math.floor((columns - left) / width));
  const blocks: string[] = [];
  for (let at = 0; at < costs.length; at += fits) {
    const part = costs.slice(at, at + fits);
    const row = (name: string, cells: readonly string[]) =>
      padEnd(name, left) +
      cells.map((text) => padStart(text, width)).join("");
    blocks.push(
      [
        row("ms", part.map((cost) => cost.title)),
        ...stages.map((stage) =>
          row(stage, part.map((cost) => cell(cost, stage)))
        ),
        row("in all", part.map((cost) => figure(cost.total))),
      ].map((line) => `${line.trimEnd()}\n`).join(""),
    );
  }
  return blocks.join("\n");
}

function figure(ms: number): string {
  return ms < 9.95 ? ms.toFixed(1) : count(Math.round(ms));
}

/** Watches runs: shows progress, and remembers which stages came from the memo and how tiles fell. */
function watcher(shell: Shell) {
  const progress = runProgress();
  const painter = makePainter(shell);
  const seen = new Map<string, boolean>();
  const tiles = new Map<string, number>();
  return {
    onEvent: (event: RunEvent) => {
      progress.observe(event);
      painter.paint(progress.line);
      if (event._tag !== "NodeFinished") return;
      seen.set(event.kind, (seen.get(event.kind) ?? true) && event.cached);
      const preview = event.outputs.tiles as { shape?: number[] } | undefined;
      if (event.kind === "join-tiles" && preview?.shape?.[0] !== undefined) {
        tiles.set(event.node, preview.shape[0]);
      }
    },
    /** What was seen since the last call. */
    take: () => {
      painter.clear();
      const cached = new Set(
        [...seen].filter(([, cached]) => cached).map(([kind]) => kind),
      );
      const counts = [...tiles].sort(([a], [b]) => a < b ? -1 : 1)
        .map(([, tiles]) => tiles);
      seen.clear();
      tiles.clear();
      return { cached, counts };
    },
  };
}

/** How this was started, so that what is said next can be typed: the person may have Deno by npx only. */
export function launcher(
  env: (name: string) => string | undefined,
): string {
  return env("npm_lifecycle_event") === "npx"
    ? `npx -y deno@${Deno.version.deno} task`
    : "deno task";
}

/** Plays the demo. Paths are looked up beside this package, so that it runs from any folder. */
export async function demo(
  shell: Shell,
  print: (text: string) => void,
  store: string,
  signal: AbortSignal,
): Promise<void> {
  const columns = Math.max(40, Math.min(100, shell.columns()));
  const model = embeddedModel();
  const examples = packagePath("examples");
  if (model === undefined || examples === undefined) {
    throw new InputError("the demo comes with a checkout of Tessera");
  }
  const picture = (name: string) => `${examples}/images/${name}`;
  const clip = `${examples}/videos/moving.mp4`;
  const costs: Cost[] = [];
  const watch = watcher(shell);
  const ask: AskOptions = {
    generation: { maxNewTokens: 64 },
    onEvent: watch.onEvent,
    signal,
  };
  const heading = (text: string) => {
    const lines = wrap(text, columns - 1).join("\n");
    const bold = shell.colors && shell.stdoutIsTerminal;
    print(bold ? `\n\x1b[1m${lines}\x1b[0m\n` : `\n${lines}\n`);
  };
  const paragraph = (mark: string, text: string) => {
    const lines = wrap(printable(text), columns - 4);
    print(
      lines.map((line, i) => `${i === 0 ? mark : " "}   ${line}\n`).join(""),
    );
  };
  const scene = async (
    title: string,
    body: () => Promise<readonly [string, ChatResult][]>,
  ): Promise<{ results: ChatResult[]; counts: number[] }> => {
    const began = performance.now();
    const pairs = await body();
    const total = performance.now() - began;
    const { cached, counts } = watch.take();
    for (const [question, { response }] of pairs) {
      paragraph("Q", question);
      paragraph("A", response);
    }
    const timings: Record<string, number> = {};
    for (const [, result] of pairs) {
      for (const [stage, ms] of Object.entries(result.timings)) {
        timings[stage] = (timings[stage] ?? 0) + ms;
      }
    }
    costs.push({
      title: `${costs.length + 1} ${title}`,
      timings,
      cached,
      total,
    });
    return { results: pairs.map(([, result]) => result), counts };
  };

  const began = performance.now();
  const painter = makePainter(shell);
  painter.paint(() => "loading models/nano");
  const { InternVL } = await import("../mod.ts");
  const nano: InternVL = await InternVL.load(model, { store, signal })
    .finally(painter.clear);
  await using _ = nano;
  const loaded = `Tessera: ${nano.info.name}, loaded in ${
    duration(performance.now() - began)
  }; ${nano.info.tileSize}-pixel tiles, ${
    plural(nano.info.tokensPerTile, "token")
  } each.`;
  print(`${wrap(loaded, columns - 1).join("\n")}\n`);

  heading("1  One picture: shapes.png");
  const first = await scene("one", async () => {
    const question = "How many shapes are there?";
    const images = [picture("shapes.png")];
    return [[question, await nano.chat({ ...ask, question, images })]];
  });

  heading("2  A second round, with the history");
  await scene("again", async () => {
    const question = "What are they?";
    const images = [picture("shapes.png")];
    const { history } = first.results[0]!;
    return [[question, await nano.chat({ ...ask, question, images, history })]];
  });

  const pair = [picture("pair-1.png"), picture("pair-2.png")];
  heading(
    "3  Two pictures together, behind one <image>: pair-1.png, pair-2.png",
  );
  const together = await scene("pair", async () => {
    const question = "<image>\nWhat is in the two pictures?";
    return [[question, await nano.chat({ ...ask, question, images: pair })]];
  });

  const numPatchesList = together.counts;
  heading(
    `4  The same apart, with a patch list: [${numPatchesList.join(", ")}]`,
  );
  await scene("apart", async () => {
    const question =
      "Image-1: <image>\nImage-2: <image>\nWhat is in the two pictures?";
    return [[
      question,
      await nano.chat({ ...ask, question, images: pair, numPatchesList }),
    ]];
  });

  heading("5  batchChat of four: page.png, one.jpg, three.png, chart.png");
  await scene("batch", async () => {
    const samples = [
      { question: "What is in the picture?", images: [picture("page.png")] },
      { question: "What colour is it?", images: [picture("one.jpg")] },
      {
        question: "How many shapes are there?",
        images: [picture("three.png")],
      },
      { question: "Which bar is the highest?", images: [picture("chart.png")] },
    ];
    const results = await nano.batchChat({ ...ask, samples });
    return results.map((result, i) => [samples[i]!.question, result]);
  });

  heading("6  Eight frames of a video: moving.mp4");
  await scene("video", async () => {
    const question = "What happens in the video?";
    const video = { source: clip, segments: 8 };
    return [[question, await nano.chat({ ...ask, question, video })]];
  });

  heading("What it cost");
  print(costTable(costs, columns));
  print(
    wrap(
      "\nStages of a batch, and of several pictures, run side by side, so they add up to more than " +
        '"in all". "cached" was remembered from an earlier question.',
      columns,
    ).join("\n") + "\n",
  );
  heading("Where it is kept");
  const tessera = `${launcher(environment)} tessera`;
  // A command stands alone on its line, whole, so that it can be copied.
  const command = (text: string, does: string) =>
    print(
      `${wrap(does, columns).join("\n")}\n  ${tessera} ${text}\n`,
    );
  print(
    `${
      wrap(`${store} has these runs with all their events.`, columns).join("\n")
    }\n`,
  );
  command("runs", "All of them:");
  command("runs ID", "One of them, node by node:");
  heading("Now ask yourself");
  command(
    "chat --image examples/images/page.png",
    "A chat about a picture:",
  );
}

if (import.meta.main) {
  const shell = processShell();
  const controller = new AbortController();
  const stop = () => controller.abort();
  process.once("SIGINT", stop);
  process.once("SIGTERM", stop);
  let code = 0;
  try {
    Deno.mkdirSync(".tessera", { recursive: true });
    await demo(
      shell,
      (text) => {
        try {
          writeAll(Deno.stdout, new TextEncoder().encode(text));
        } catch (error) {
          // `deno task demo | head` is nobody's mistake.
          if (error instanceof Deno.errors.BrokenPipe) Deno.exit(141);
          throw error;
        }
      },
      defaultStore,
      controller.signal,
    );
  } catch (error) {
    code = controller.signal.aborted ? 130 : 1;
    if (shell.canRepaint) shell.warn("\r\x1b[K");
    if (code === 1) shell.warn(faultText(error, shell.debug));
  }
  Deno.exit(code);
}
