import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { Away } from "../components/Away.tsx";
import { LineChart } from "../components/LineChart.tsx";
import { count, duration } from "../components/format.ts";
import { quantity } from "../components/quantity.ts";
import { useShown } from "../dashboard/client/shown.ts";
import { Chart, type ChartSpec } from "../components/Chart.tsx";
import type {
  Distribution,
  LatencyReport,
  StageReport,
} from "../plugins/sqlite/mod.ts";

/** What the page shows, kept up to date. */
export function LatencyBoard(
  { report: first, query, stage: firstStage, now }: {
    readonly report: LatencyReport;
    /** The part of the address that chose the report. */
    readonly query: string;
    /** The stage that was chosen; empty for whole runs. */
    readonly stage: string;
    /** When the report was asked for. */
    readonly now: number;
  },
): JSX.Element {
  const { shown, live, away } = useShown(
    `/latency/live?${query}`,
    { head: first, parts: [] },
    now,
  );
  const report = shown.head;
  const [stage, setStage] = useState(firstStage);
  const chosen = report.stages.find((one) => one.stage === stage);
  const select = (event: MouseEvent, name: string) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    setStage(name);
    history.replaceState(null, "", addressOf(query, name));
  };
  return (
    <div class="stack" data-hydrated={live}>
      <Away away={away} />
      <Figures report={report} />
      <div class="charts wide">
        <Chart
          {...quantiles(
            chosen === undefined ? "Whole runs" : `Stage ${chosen.stage}`,
            chosen?.ms ?? report.runs,
          )}
          times={report.times}
          live={live}
          tall
        />
        <StageTable
          report={report}
          stage={chosen?.stage ?? ""}
          query={query}
          select={select}
        />
      </div>
      <div class="charts">
        {chartsOf(report).map((spec) => (
          <Chart key={spec.title} {...spec} times={report.times} live={live} />
        ))}
      </div>
    </div>
  );
}

const addressOf = (query: string, stage: string): string => {
  const params = new URLSearchParams(query);
  if (stage === "") params.delete("stage");
  else params.set("stage", stage);
  return `/latency?${params}`;
};

function quantiles(title: string, of: Distribution): ChartSpec {
  return {
    title,
    unit: "ms",
    lines: [
      { name: "p50", color: 8, points: of.points.p50, overall: of.p50 },
      { name: "p95", color: 2, points: of.points.p95, overall: of.p95 },
      { name: "p99", color: 4, points: of.points.p99, overall: of.p99 },
    ],
  };
}

function chartsOf(report: LatencyReport): ChartSpec[] {
  const waiting = report.stages.filter(({ queue }) => queue !== undefined);
  const cached = report.stages.filter((stage) => stage.cached > 0);
  return [
    quantiles("Time to first token", report.firstToken),
    {
      title: "Runs a minute",
      unit: "rate",
      lines: [{ name: "runs", color: 8, points: report.runsPerMinute }],
    },
    {
      title: "Tokens a second, all answers",
      unit: "rate",
      lines: [{ name: "tokens/s", color: 1, points: report.tokensPerSecond }],
    },
    {
      title: "Tokens a second, one answer",
      unit: "rate",
      lines: [
        {
          name: "median",
          color: 1,
          points: report.rate.points.p50,
          overall: report.rate.p50,
        },
      ],
    },
    {
      title: "Time in the queue, p95",
      unit: "ms",
      lines: waiting.slice(0, 5).map((stage, index) => ({
        name: stage.stage,
        color: (8 + index) % 10,
        points: stage.queue!.points.p95,
        overall: stage.queue!.p95,
      })),
    },
    {
      title: "Waiting in the queue, on average",
      unit: "count",
      lines: waiting.slice(0, 5).map((stage, index) => ({
        name: stage.stage,
        color: (8 + index) % 10,
        points: stage.queueLength,
      })),
    },
    {
      title: "Results from the memo",
      unit: "share",
      lines: cached.slice(0, 5).map((stage, index) => ({
        name: stage.stage,
        color: (3 + index) % 10,
        points: stage.hitRates,
        overall: stage.hitRate,
      })),
    },
    {
      title: "Memory of the process",
      unit: "bytes",
      lines: [{ name: "most", color: 5, points: report.memory }],
    },
  ];
}

function Figures({ report }: { readonly report: LatencyReport }): JSX.Element {
  const { runs, firstToken, rate } = report;
  const ended = runs.n + report.failed + report.interrupted;
  const memory = report.memory.findLast((value) => value !== null);
  const figures: [name: string, value: string, more: string][] = [
    [
      "Runs",
      count(ended),
      report.failed + report.interrupted === 0
        ? "none failed"
        : `${count(report.failed)} failed, ${
          count(report.interrupted)
        } stopped`,
    ],
    [
      "Time of a run",
      quantity(runs.p50, "ms"),
      `p95 ${quantity(runs.p95, "ms")}`,
    ],
    [
      "First token",
      quantity(firstToken.p50, "ms"),
      `p95 ${quantity(firstToken.p95, "ms")}`,
    ],
    [
      "Tokens a second",
      quantity(rate.p50, "rate"),
      `${count(report.tokens)} in all`,
    ],
    [
      "Prompt reused",
      quantity(report.prefixHitRate, "share"),
      "keys and values there already",
    ],
    ["Memory", quantity(memory, "bytes"), "of the process, last seen"],
  ];
  return (
    <dl class="figures panel">
      {figures.map(([name, value, more]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd class="figure">{value}</dd>
          <dd class="muted small">{more}</dd>
        </div>
      ))}
    </dl>
  );
}

function StageTable(
  { report, stage: chosen, query, select }: {
    readonly report: LatencyReport;
    readonly stage: string;
    readonly query: string;
    readonly select: (event: MouseEvent, stage: string) => void;
  },
): JSX.Element {
  return (
    <section class="panel" aria-labelledby="stages">
      <header>
        <h2 id="stages">Stages</h2>
        <span class="muted small">the one that took most time first</span>
      </header>
      <div class="scroll">
        <table class="stages">
          <thead>
            <tr>
              <th>Stage</th>
              <th class="num">Times</th>
              <th class="num">p50</th>
              <th class="num">p95</th>
              <th class="num">p99</th>
              <th class="num">Most</th>
              <th class="num">From memo</th>
              <th class="num">Waited p95</th>
              <th>p50 over time</th>
            </tr>
          </thead>
          <tbody>
            <StageRow
              name="Whole runs"
              stage=""
              ms={report.runs}
              {...{ chosen, query, select }}
            />
            {report.stages.map((one) => (
              <StageRow
                key={one.stage}
                name={one.stage}
                stage={one.stage}
                ms={one.ms}
                more={one}
                {...{ chosen, query, select }}
              />
            ))}
          </tbody>
        </table>
      </div>
    </section>
  );
}

function StageRow(
  { name, stage, ms, more, chosen, query, select }: {
    readonly name: string;
    readonly stage: string;
    readonly ms: Distribution;
    readonly more?: StageReport;
    readonly chosen: string;
    readonly query: string;
    readonly select: (event: MouseEvent, stage: string) => void;
  },
): JSX.Element {
  const cell = (value: number | null) => (
    <td class="num">{value === null ? "–" : duration(value)}</td>
  );
  return (
    <tr class={stage === chosen ? "chosen" : undefined}>
      <td>
        <a
          href={addressOf(query, stage)}
          aria-current={stage === chosen ? "true" : undefined}
          onClick={(event) => select(event, stage)}
        >
          {name}
        </a>
      </td>
      <td class="num">{count(ms.n)}</td>
      {cell(ms.p50)}
      {cell(ms.p95)}
      {cell(ms.p99)}
      {cell(ms.max)}
      <td class="num">
        {more === undefined || more.cached === 0
          ? ""
          : quantity(more.hitRate, "share")}
      </td>
      <td class="num">
        {more?.queue === undefined ? "" : quantity(more.queue.p95, "ms")}
      </td>
      <td class="spark">
        <LineChart
          lines={[{ name: "p50", color: 8, points: ms.points.p50 }]}
        />
      </td>
    </tr>
  );
}
