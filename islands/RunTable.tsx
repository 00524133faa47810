import type { JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { Away } from "../components/Away.tsx";
import { clock, count, day, duration } from "../components/format.ts";
import { StageBar, StageLegend } from "../components/StageBar.tsx";
import { StateBadge } from "../components/StateBadge.tsx";
import { useClock } from "../dashboard/client/clock.ts";
import { follow } from "../dashboard/client/live.ts";
import {
  fitsFilter,
  type RunFilter,
  type RunRow,
  shownState,
} from "../dashboard/view.ts";

/** A column that runs can be ordered by. */
export interface SortLink {
  /** Where a click leads. */
  readonly href: string;
  /** How it is ordered now, if by this. */
  readonly order?: "asc" | "desc";
}

/** What the table shows. */
export interface RunTableProps {
  /** The runs of this page. */
  readonly rows: readonly RunRow[];
  /** What they are narrowed to. */
  readonly filter: RunFilter;
  /** Whether the store had any run, whatever the table is narrowed to. */
  readonly any: boolean;
  /** Whether new runs belong on top. */
  readonly growing: boolean;
  /** Runs on a page. */
  readonly length: number;
  /** The store's mark when the page was made. */
  readonly mark: number;
  /** When the page was made. */
  readonly now: number;
  /** For changes. */
  readonly csrf: string;
  /** Columns that order. */
  readonly sorts: Readonly<Record<"startedAt" | "ms" | "tokens", SortLink>>;
}

interface Changes {
  readonly runs: readonly RunRow[];
  readonly removed: readonly string[];
}

/** The table of runs, with what can be done to several. */
export function RunTable(props: RunTableProps): JSX.Element {
  const { filter, growing, length, sorts } = props;
  const [rows, setRows] = useState(props.rows);
  const [fresh, setFresh] = useState<readonly RunRow[]>([]);
  const [chosen, setChosen] = useState<ReadonlySet<string>>(new Set());
  const { now, tick } = useClock(props.now);
  const [away, setAway] = useState(false);
  const [live, setLive] = useState(false);
  const form = useRef<HTMLFormElement>(null);
  const running = rows.some((row) => row.state === "running");

  useEffect(() => {
    setLive(true);
    return follow("/live", props.mark, (data) => {
      const { runs, removed } = data as Changes;
      const gone = new Set(removed);
      const by = new Map(runs.map((row) => [row.id, row]));
      setRows((rows) =>
        rows.filter(({ id }) => !gone.has(id)).map((row) =>
          by.get(row.id) ?? row
        )
      );
      setFresh((fresh) => [
        ...runs.filter((row) => growing && fitsFilter(row, filter)),
        ...fresh.filter(({ id }) => !gone.has(id) && !by.has(id)),
      ]);
      tick();
    }, { onAway: setAway });
  }, []);

  // New runs come in on top, unless somebody is reading further down or has chosen some.
  const hidden = fresh.filter(({ id }) => !rows.some((row) => row.id === id));
  const take = (): void => {
    // More may have come since this was drawn: that stays for the next time.
    const taken = new Map(fresh.map((row) => [row.id, row]));
    setRows((rows) => {
      const known = new Set(rows.map(({ id }) => id));
      return [
        ...fresh.filter(({ id }) => !known.has(id))
          .sort((a, b) => b.startedAt - a.startedAt),
        ...rows.map((row) => taken.get(row.id) ?? row),
      ].slice(0, length);
    });
    setFresh((fresh) => fresh.filter((row) => taken.get(row.id) !== row));
  };
  useEffect(() => {
    if (
      hidden.length > 0 ? chosen.size === 0 && scrollY < 120 : fresh.length > 0
    ) take();
  }, [fresh, chosen]);
  useEffect(() => {
    // Who hears nothing knows of none whether it is lost.
    if (!running || away) return;
    const timer = setInterval(tick, 500);
    return () => clearInterval(timer);
  }, [running, away]);

  const choose = (id: string, on: boolean): void => {
    const next = new Set(chosen);
    if (on) next.add(id);
    else next.delete(id);
    setChosen(next);
  };
  const idle = live && chosen.size === 0;
  const stages = [
    ...new Set(rows.flatMap((row) => row.stages.map(([n]) => n))),
  ];
  const th = (
    name: keyof RunTableProps["sorts"],
    text: string,
    num = false,
  ) => {
    const { href, order } = sorts[name];
    return (
      <th
        class={num ? "num" : undefined}
        scope="col"
        aria-sort={order === undefined
          ? undefined
          : order === "asc"
          ? "ascending"
          : "descending"}
      >
        <a href={href}>
          {text}
          {order === undefined ? "" : order === "asc" ? " ↑" : " ↓"}
        </a>
      </th>
    );
  };
  // Here and not beside the table, so that it goes when the first run comes.
  if (rows.length === 0) {
    return (
      <div class="panel empty" data-hydrated={live}>
        <Away away={away} />
        {props.any ? <p>No run is like that.</p> : (
          <>
            <p>No run has been recorded yet.</p>
            <p>
              <code>tessera chat --image photo.jpg "What is this?"</code>{" "}
              records one, and it appears here while it runs.
            </p>
          </>
        )}
      </div>
    );
  }
  return (
    <form
      ref={form}
      method="post"
      action="/runs/actions"
      class="panel runs-panel"
      data-hydrated={live}
    >
      <input type="hidden" name="csrf" value={props.csrf} />
      <Away away={away} />
      <header>
        <span class="muted small" aria-live="polite">
          {chosen.size > 0 ? `${chosen.size} chosen` : "Choose runs to"}
        </span>
        <button
          type="submit"
          formMethod="get"
          formAction="/compare"
          disabled={live && (chosen.size < 2 || chosen.size > 6)}
        >
          Compare
        </button>
        <button
          type="submit"
          formMethod="get"
          formAction="/export"
          disabled={idle}
        >
          Export
        </button>
        <button type="submit" name="action" value="rerun" disabled={idle}>
          Run again
        </button>
        <button
          type="submit"
          name="action"
          value="delete"
          class="danger"
          disabled={idle}
          onClick={(event) => {
            if (!confirm(`Delete ${chosen.size} runs for good?`)) {
              event.preventDefault();
            }
          }}
        >
          Delete
        </button>
        {hidden.length > 0 && (
          <button type="button" class="primary" onClick={take}>
            {count(hidden.length)} new
          </button>
        )}
        <span class="end">
          <StageLegend names={stages} />
        </span>
      </header>
      <div class="scroll" tabIndex={0} role="region" aria-label="Runs">
        <table class="runs">
          <thead>
            <tr>
              <th scope="col">
                <span class="visually-hidden">Choose</span>
              </th>
              <th scope="col">State</th>
              <th scope="col">
                <span class="visually-hidden">Picture</span>
              </th>
              <th scope="col" class="wide">Question and answer</th>
              <th scope="col">Pipeline</th>
              <th scope="col">Model</th>
              {th("startedAt", "Began")}
              {th("tokens", "Tokens", true)}
              <th scope="col" class="num">First token</th>
              {th("ms", "Time", true)}
              <th scope="col">Stages</th>
            </tr>
          </thead>
          <tbody>
            {rows.map((row) => (
              <Row
                key={row.id}
                row={row}
                now={now}
                chosen={chosen.has(row.id)}
                choose={choose}
              />
            ))}
          </tbody>
        </table>
      </div>
    </form>
  );
}

function Row({ row, now, chosen, choose }: {
  readonly row: RunRow;
  readonly now: number;
  readonly chosen: boolean;
  readonly choose: (id: string, on: boolean) => void;
}): JSX.Element {
  const href = `/runs/${encodeURIComponent(row.id)}`;
  const title = row.question || row.pipeline;
  return (
    <tr data-run={row.id}>
      <td>
        <input
          type="checkbox"
          name="run"
          value={row.id}
          checked={chosen}
          aria-label={`Choose ${title}`}
          onChange={(event) => choose(row.id, event.currentTarget.checked)}
        />
      </td>
      <td>
        <StateBadge state={shownState(row, now)} />
      </td>
      <td class="run-thumb">
        {row.icon
          ? (
            <img
              src={`${href}/icon`}
              width="40"
              height="30"
              alt=""
              loading="lazy"
            />
          )
          : null}
      </td>
      <td class="wide">
        <div class="clip">
          <a href={href}>{title}</a>
        </div>
        <div class={row.error === undefined ? "clip muted" : "clip bad"}>
          {row.error ?? row.answer}
        </div>
      </td>
      <td class="nowrap">{row.pipeline}</td>
      <td class="nowrap">{row.model}</td>
      <td class="nowrap">
        <time dateTime={new Date(row.startedAt).toISOString()}>
          <span class="muted">{day(row.startedAt)}</span> {clock(row.startedAt)}
        </time>
      </td>
      <td class="num">{row.tokens === undefined ? "" : count(row.tokens)}</td>
      <td class="num">
        {row.firstMs === undefined ? "" : duration(row.firstMs)}
      </td>
      <td class="num">
        {row.ms !== undefined
          ? duration(row.ms)
          : shownState(row, now) === "running"
          ? duration(Math.max(0, now - row.startedAt))
          : ""}
      </td>
      <td>
        <StageBar stages={row.stages} />
      </td>
    </tr>
  );
}
