import type { JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import type UPlot from "uplot";
import { largest, type Line, LineChart, lonely } from "./LineChart.tsx";
import { clock, day } from "./format.ts";
import { quantity, type Unit } from "./quantity.ts";

/** What a chart shows. */
export interface ChartSpec {
  /** Its title. */
  readonly title: string;
  /** What its values are numbers of. */
  readonly unit: Unit;
  /** Its lines; `overall` is said where no point is looked at, in place of the latest value. */
  readonly lines: readonly (Line & { readonly overall?: number | null })[];
}

/**
 * A chart over time: plain SVG as the server sends it; in the browser uPlot draws over it, with axes and
 * values under the pointer. Its place has the same size either way.
 */
export function Chart(
  { title, unit, lines, times, live, tall }: ChartSpec & {
    /** Milliseconds since 1970. */
    readonly times: readonly number[];
    /** Whether scripts run. */
    readonly live: boolean;
    /** Twice as tall. */
    readonly tall?: boolean;
  },
): JSX.Element {
  const place = useRef<HTMLDivElement>(null);
  const plot = useRef<UPlot>();
  const [at, setAt] = useState<number | null>(null);
  const [drawn, setDrawn] = useState(false);
  const names = lines.map(({ name }) => name).join("\n");
  const data = (): UPlot.AlignedData => [
    times.map((time) => time / 1000),
    ...lines.map(({ points }) => [...points]),
  ];
  useEffect(() => {
    if (!live || place.current === null || lines.length === 0) return;
    const element = place.current;
    let gone = false;
    let watch: ResizeObserver | undefined;
    const scheme = matchMedia("(prefers-color-scheme: dark)");
    const draw = async () => {
      // Without it, when the server has just gone away, what is drawn already stays.
      const loaded = await import("uplot").catch(() => undefined);
      if (gone || loaded === undefined) return;
      const { default: Plot } = loaded;
      plot.current?.destroy();
      plot.current = new Plot(
        optionsOf(element, unit, lines, setAt),
        data(),
        element,
      );
      setDrawn(true);
      watch ??= new ResizeObserver(() =>
        plot.current?.setSize({
          width: element.clientWidth,
          height: element.clientHeight,
        })
      );
      watch.observe(element);
    };
    draw();
    scheme.addEventListener("change", draw);
    return () => {
      gone = true;
      watch?.disconnect();
      scheme.removeEventListener("change", draw);
      plot.current?.destroy();
      plot.current = undefined;
    };
  }, [live, names, unit]);
  useEffect(() => plot.current?.setData(data()), [times, lines]);
  const label = `${title}: ${
    lines.length === 0
      ? "nothing yet"
      : lines.map((line) =>
        `${line.name} ${quantity(valueOf(line, null), unit)}`
      ).join(", ")
  }`;
  const most = largest(lines);
  return (
    <figure class={tall ? "panel chart tall" : "panel chart"}>
      <figcaption>
        <span class="title">{title}</span>
        <span class="legend">
          {lines.map((line) => (
            <span key={line.name} class={`stage-${line.color}`}>
              <span class="dot" />
              {line.name} <b>{quantity(valueOf(line, at), unit)}</b>
            </span>
          ))}
        </span>
      </figcaption>
      <div class="plot" ref={place} role="img" aria-label={label}>
        {!drawn && (lines.length === 0 ? <p class="muted">Nothing yet</p> : (
          <>
            <LineChart lines={lines} />
            <span class="most" aria-hidden="true">
              {quantity(most, unit)}
            </span>
          </>
        ))}
      </div>
    </figure>
  );
}

function valueOf(
  { points, overall }: ChartSpec["lines"][number],
  at: number | null,
): number | null {
  if (at !== null) return points[at] ?? null;
  return overall !== undefined
    ? overall
    : points.findLast((value) => value !== null) ?? null;
}

/** An axis that ends lower would show noise as if it were a load. */
const least: Readonly<Record<Unit, number>> = {
  ms: 1,
  count: 1,
  share: 0.01,
  bytes: 1024,
  rate: 0.1,
};

const powersOfTwo = Array.from({ length: 31 }, (_, i) => 2 ** (10 + i));

function optionsOf(
  element: HTMLElement,
  unit: Unit,
  lines: ChartSpec["lines"],
  setAt: (index: number | null) => void,
): UPlot.Options {
  const style = getComputedStyle(element);
  const of = (name: string) => style.getPropertyValue(name).trim();
  const axis = {
    stroke: of("--fg-muted"),
    font: `11px ${of("--font")}`,
    grid: { stroke: of("--border"), width: 1 },
    ticks: { show: false },
  };
  return {
    width: element.clientWidth,
    height: element.clientHeight,
    padding: [8, 8, 0, 0],
    legend: { show: false },
    cursor: {
      points: { size: 6 },
      drag: { x: false, y: false },
      sync: { key: "tessera" },
    },
    scales: {
      y: {
        range: (_, __, most) => [0, Math.max((most ?? 0) * 1.05, least[unit])],
      },
    },
    axes: [
      {
        ...axis,
        size: 26,
        space: 64,
        values: (_, ticks, __, ___, step) =>
          ticks.map((tick) =>
            step >= 24 * 3600 || clock(tick * 1000) === "00:00:00"
              ? day(tick * 1000).slice(5)
              : clock(tick * 1000).slice(0, 5)
          ),
      },
      {
        ...axis,
        size: 62,
        ...(unit === "bytes" ? { incrs: powersOfTwo } : {}),
        values: (_, ticks) => ticks.map((tick) => quantity(tick, unit)),
      },
    ],
    series: [
      {},
      ...lines.map(({ name, color }) => ({
        label: name,
        stroke: of(`--stage-${color}`),
        width: 1.5,
        spanGaps: false,
        points: {
          show: () => false,
          filter: (plot: UPlot, series: number) =>
            lonely(plot.data[series] as (number | null)[]),
          size: 5,
          fill: of(`--stage-${color}`),
        },
      })),
    ],
    hooks: {
      setCursor: [(u) => setAt(u.cursor.idx ?? null)],
    },
  };
}
