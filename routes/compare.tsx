import type { JSX } from "preact";
import { count, duration } from "../components/format.ts";
import { StageBar } from "../components/StageBar.tsx";
import { StateBadge } from "../components/StateBadge.tsx";
import { refusal } from "../dashboard/access.ts";
import type { Handlers, PageProps } from "../dashboard/state.ts";
import { answerOf, questionOf, shownState } from "../dashboard/view.ts";
import { difference } from "../dashboard/words.ts";
import type { RunSummary } from "../pipeline/mod.ts";

const most = 6;

export const handler: Handlers<readonly RunSummary[]> = {
  async GET(ctx) {
    ctx.state.title = "Compare · Tessera";
    const { store, run } = ctx.state.services;
    const ids = [...new Set(ctx.url.searchParams.getAll("run"))];
    if (ids.length > most) return refusal(400, `Compare at most ${most} runs.`);
    const found = await Promise.all(ids.map((id) => run(store.summary(id))));
    return { data: found.filter((one) => one !== undefined) };
  },
};

/** How a number stands to another, in words: `+12 %`, `× 3.4`. */
function changeOf(ratio: number): string {
  if (ratio >= 2) return ` × ${ratio < 10 ? ratio.toFixed(1) : count(ratio)}`;
  const percent = Math.round((ratio - 1) * 100);
  return percent === 0
    ? ""
    : ` ${percent > 0 ? "+" : "−"}${Math.abs(percent)} %`;
}

/** A value as text: a list as lines, nothing as a dash. */
function textOf(value: unknown): string {
  if (value === undefined || value === null) return "–";
  if (typeof value === "string") return value;
  if (typeof value !== "object") return String(value);
  if (Object.keys(value).length === 0) return "–";
  const one = (part: unknown) =>
    typeof part === "string" ? part : JSON.stringify(part);
  return Array.isArray(value) ? value.map(one).join("\n") : one(value);
}

interface Line {
  readonly name: string;
  readonly cells: readonly (string | JSX.Element)[];
  /** What decides whether they differ. */
  readonly values: readonly unknown[];
  readonly num?: boolean;
}

/** Runs side by side, with what differs marked. */
export default function Compare(
  { data: runs }: PageProps<readonly RunSummary[]>,
): JSX.Element {
  if (runs.length < 2) {
    return (
      <div class="empty">
        <h1>Compare runs</h1>
        <p>
          Choose two to {most} in <a href="/">the table of runs</a>.
        </p>
      </div>
    );
  }
  const now = Date.now();
  const [first] = runs as readonly [RunSummary];
  const plain = (
    name: string,
    of: (run: RunSummary) => string,
  ): Line => ({ name, cells: runs.map(of), values: runs.map(of) });
  const number = (
    name: string,
    of: (run: RunSummary) => number | undefined,
    show: (value: number) => string,
  ): Line => ({
    name,
    num: true,
    values: runs.map(of),
    cells: runs.map((run, i) => {
      const value = of(run);
      const base = of(first);
      if (value === undefined) return "–";
      const change = i === 0 || base === undefined || base === 0
        ? ""
        : changeOf(value / base);
      return (
        <>
          {show(value)}
          {change !== "" && <span class="muted small">{change}</span>}
        </>
      );
    }),
  });
  const base = answerOf(first.outputs);
  const names = (
    pick: (run: RunSummary) => { readonly [name: string]: unknown },
  ) => [...new Set(runs.flatMap((run) => Object.keys(pick(run))))];
  const lines: Line[] = [
    {
      name: "State",
      values: runs.map(({ status }) => status),
      cells: runs.map((run) => (
        <StateBadge
          state={shownState({
            state: run.status,
            updatedAt: run.updatedAt,
          }, now)}
        />
      )),
    },
    {
      name: "Answer",
      values: runs.map(({ outputs }) => answerOf(outputs)),
      cells: runs.map((run, i) => {
        const answer = answerOf(run.outputs);
        if (i === 0 || answer === base) return answer;
        return (
          <>
            {difference(base, answer).b.map((part, k) =>
              part.differs ? <ins key={k}>{part.text}</ins> : part.text
            )}
          </>
        );
      }),
    },
    plain("Pipeline", ({ pipeline }) => pipeline),
    ...names(({ inputs }) => inputs).map((name) =>
      plain(name, ({ inputs }) => textOf(inputs[name]))
    ),
    ...names(({ attributes }) => attributes).map((name) =>
      plain(name, ({ attributes }) => textOf(attributes[name]))
    ),
    {
      name: "Stages",
      values: runs.map(() => ""),
      cells: runs.map((run) =>
        (
          <StageBar stages={Object.entries(run.timings)} width={180} />
        ) as JSX.Element
      ),
    },
    number("Time", ({ ms }) => ms, duration),
    number("First token", ({ firstPartMs }) => firstPartMs, duration),
    ...names(({ timings }) => timings).map((name) =>
      number(name, ({ timings }) => timings[name], duration)
    ),
    ...names(({ usage }) => usage).map((name) =>
      number(
        name.replace(/([A-Z])/g, " $1").toLowerCase(),
        ({ usage }) => usage[name],
        count,
      )
    ),
    number("From the memo", ({ cached }) => cached, count),
  ];
  return (
    <>
      <div class="head">
        <h1>Compare {runs.length} runs</h1>
        <span class="muted">
          Texts that differ are marked; numbers are against the first.
        </span>
      </div>
      <div
        class="panel scroll"
        tabIndex={0}
        role="region"
        aria-label="Comparison"
      >
        <table class="compare">
          <thead>
            <tr>
              <td />
              {runs.map((run) => (
                <th key={run.runId} scope="col">
                  <a href={`/runs/${encodeURIComponent(run.runId)}`}>
                    {questionOf(run.inputs) || run.runId}
                  </a>
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {lines.map(({ name, cells, values, num }) => (
              <tr
                key={name}
                class={!num &&
                    new Set(values.map((v) => JSON.stringify(v))).size > 1
                  ? "differs"
                  : undefined}
              >
                <th scope="row">{name}</th>
                {cells.map((cell, i) => (
                  <td key={i} class={num ? "nowrap" : undefined}>{cell}</td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </>
  );
}
