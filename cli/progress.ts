/**
 * Progress as one repainted line on stderr, read from a run's events. Pipes never see it.
 * @module
 */
import { displayWidth } from "effect/cli/CliOutput";
import type { RunEvent } from "../pipeline/mod.ts";
import type { Shell } from "./shell.ts";
import { clock, count, fit, oneLine, padStart, plural } from "./text.ts";

/** One line at the bottom of the terminal that can be painted over and wiped. */
export interface Painter {
  /** Shows this line, soon: no more than about 15 times a second. */
  readonly paint: (line: (columns: number) => string) => void;
  /** Wipes the line, at once. */
  readonly clear: () => void;
}

const interval = 66;

/** A painter on the shell's stderr; does nothing where no line can be repainted. */
export function makePainter(
  shell: Shell,
  now: () => number = () => performance.now(),
): Painter {
  if (!shell.canRepaint) return { paint: () => {}, clear: () => {} };
  let latest: ((columns: number) => string) | undefined;
  let shown = false;
  let last = -Infinity;
  let timer: ReturnType<typeof setTimeout> | undefined;
  const draw = () => {
    timer = undefined;
    if (latest === undefined) return;
    last = now();
    // The last column stays free: a terminal would wrap the line, and it could not be painted over.
    const columns = Math.max(1, shell.columns() - 1);
    shell.warn(`\r\x1b[K${fit(oneLine(latest(columns)), columns)}`);
    shown = true;
  };
  return {
    paint: (line) => {
      latest = line;
      const wait = last + interval - now();
      if (wait <= 0) draw();
      else timer ??= setTimeout(draw, wait);
    },
    clear: () => {
      clearTimeout(timer);
      timer = undefined;
      latest = undefined;
      if (shown) shell.warn("\r\x1b[K");
      shown = false;
      last = -Infinity;
    },
  };
}

/** A bar of so many cells, a share of it filled. */
export function bar(share: number, cells: number): string {
  const eighths = Math.round(Math.min(1, Math.max(0, share)) * cells * 8);
  const full = Math.floor(eighths / 8);
  const part = eighths % 8;
  return "█".repeat(full) +
    (part === 0 ? "" : " ▏▎▍▌▋▊▉"[part]) +
    "·".repeat(cells - full - (part === 0 ? 0 : 1));
}

/** A label, a bar where there is room for one, and figures after it. */
export function barLine(
  label: string,
  share: number,
  figures: string,
  columns: number,
): string {
  const room = columns - displayWidth(label) - displayWidth(figures) - 2;
  return room >= 8
    ? `${label} ${bar(share, Math.min(30, room))} ${figures}`
    : `${label} ${figures}`;
}

interface Work {
  readonly kind: string;
  done: number;
  total: number;
  phase: string;
  finished: boolean;
}

/** What a run is doing, gathered from its events. */
export interface RunProgress {
  /** Takes an event in. */
  readonly observe: (event: RunEvent) => void;
  /** The line to show, for a terminal of so many columns; empty when there is nothing to say. */
  readonly line: (columns: number) => string;
  /** Tokens generated so far. */
  readonly tokens: () => number;
}

/** Watches one run. */
export function runProgress(
  now: () => number = () => performance.now(),
): RunProgress {
  const nodes = new Map<string, Work>();
  let decodeSince: number | undefined;
  const observe = (event: RunEvent): void => {
    switch (event._tag) {
      case "RunStarted":
        nodes.clear();
        decodeSince = undefined;
        break;
      case "NodeStarted":
        if (!event.composite) {
          nodes.set(event.node, {
            kind: event.kind,
            done: 0,
            total: 0,
            phase: "",
            finished: false,
          });
        }
        break;
      case "NodeProgress": {
        const work = nodes.get(event.node);
        if (work === undefined || event.done === undefined) break;
        work.done = event.done;
        work.total = event.total ?? 0;
        work.phase = event.message ?? "";
        if (work.phase === "decode") decodeSince ??= now();
        break;
      }
      case "NodeFinished": {
        const work = nodes.get(event.node);
        if (work !== undefined) work.finished = true;
        break;
      }
    }
  };
  const of = (kind: string) =>
    [...nodes.values()].filter((work) => work.kind === kind);
  const tokens = () =>
    of("decode").reduce(
      (sum, work) => sum + (work.phase === "decode" ? work.done : 0),
      0,
    );
  const line = (columns: number): string => {
    const answering = of("decode").find((work) => !work.finished);
    if (answering !== undefined) {
      if (answering.phase === "decode") {
        const seconds = (now() - (decodeSince ?? now())) / 1000;
        const rate = answering.done > 1 && seconds > 0.5
          ? `, ${((answering.done - 1) / seconds).toFixed(1)} a second`
          : "";
        return `answering: ${plural(answering.done, "token")}${rate}`;
      }
      const share = answering.total > 0 ? answering.done / answering.total : 0;
      return barLine(
        "prefill",
        share,
        `${String(Math.round(share * 100)).padStart(3)} %`,
        columns,
      );
    }
    const encoding = of("vision-encode");
    if (encoding.some((work) => !work.finished)) {
      const known = encoding.filter((work) => work.total > 0);
      const done = known.reduce((sum, work) => sum + work.done, 0);
      const total = known.reduce((sum, work) => sum + work.total, 0);
      return total === 0 ? "encoding" : barLine(
        "encode",
        done / total,
        `${padStart(count(done), count(total).length)}/${
          plural(total, "tile")
        }`,
        columns,
      );
    }
    const running = [...nodes.values()].find((work) => !work.finished);
    return running === undefined
      ? ""
      : labels[running.kind] ?? `running ${running.kind}`;
  };
  return { observe, line, tokens };
}

const labels: Record<string, string> = {
  "load": "reading pictures",
  "tile": "cutting tiles",
  "thumbnail": "cutting tiles",
  "join-tiles": "cutting tiles",
  "video-sample": "reading the video",
  "prompt-template": "writing the prompt",
  "project": "encoding",
};

/** The line of a long list of jobs: a bar, a rate, the time left. */
export function jobsLine(
  jobs: {
    readonly done: number;
    readonly total: number;
    readonly failed: number;
    readonly elapsedMs: number;
  },
  columns: number,
): string {
  const { done, total, failed, elapsedMs } = jobs;
  const perMs = done / Math.max(1, elapsedMs);
  const figures = [
    `${count(done)}/${count(total)}`,
    ...(failed > 0 ? [`${count(failed)} failed`] : []),
    ...(done > 0 ? [rate(perMs * 1000)] : []),
    ...(done > 0 && done < total
      ? [`${clock((total - done) / perMs)} left`]
      : []),
  ];
  // On a narrow terminal the last figures go first.
  while (
    figures.length > 1 && displayWidth(`batch ${figures.join("  ")}`) > columns
  ) figures.pop();
  return barLine(
    "batch",
    total === 0 ? 1 : done / total,
    figures.join("  "),
    columns,
  );
}

/** A rate for people: `3.2/s`, or `14/min` when it is slow. */
export function rate(perSecond: number): string {
  return perSecond >= 1
    ? `${perSecond.toFixed(1)}/s`
    : `${(perSecond * 60).toFixed(perSecond * 60 < 10 ? 1 : 0)}/min`;
}
