import type { JSX } from "preact";
import { Away } from "../components/Away.tsx";
import { BatchProgress, batchState } from "../components/BatchProgress.tsx";
import { count, duration } from "../components/format.ts";
import { LongText } from "../components/LongText.tsx";
import { Picture } from "../components/Picture.tsx";
import { StateBadge } from "../components/StateBadge.tsx";
import type { ShownBatch } from "../dashboard/batches.ts";
import { useShown } from "../dashboard/client/shown.ts";
import type { BatchItem } from "../plugins/sqlite/mod.ts";

/** The questions of a batch as a grid, kept up to date. */
export function BatchGrid(
  { id, shown: first, query, now: firstNow }: {
    readonly id: string;
    readonly shown: ShownBatch;
    /** The part of the address that chose the questions. */
    readonly query: string;
    readonly now: number;
  },
): JSX.Element {
  const base = `/batches/${encodeURIComponent(id)}`;
  const { shown, now, live, away } = useShown(
    `${base}/live?${query}`,
    first,
    firstNow,
  );
  const { batch, after } = shown.head;
  if (batch === null) {
    return (
      <p class="panel empty" role="status" data-hydrated={live}>
        This batch has been deleted. <a href="/batches">All batches</a>
      </p>
    );
  }
  const more = new URLSearchParams(query);
  if (after !== undefined) more.set("after", String(after));
  return (
    <div data-hydrated={live}>
      <Away away={away} />
      <div class="row batch-line" aria-live="polite">
        <StateBadge state={batchState(batch, now)} />
        <BatchProgress batch={batch} />
        <span class="muted">
          {count(batch.counts.failed)} failed · {count(batch.tokens)} tokens ·
          {" "}
          {batch.meanMs === null ? "–" : duration(batch.meanMs)} a question
        </span>
      </div>
      {shown.parts.length === 0
        ? <p class="panel empty">No question is like that.</p>
        : (
          <ul class="cards">
            {shown.parts.map(([key, item]) => <Card key={key} item={item} />)}
          </ul>
        )}
      {after !== undefined && (
        <p class="row pager">
          <a class="button" href={`${base}?${more}`} rel="next">
            Next questions
          </a>
        </p>
      )}
    </div>
  );
}

function Card({ item }: { readonly item: BatchItem }): JSX.Element {
  const run = `/runs/${encodeURIComponent(item.runId)}${
    item.node === "" ? "" : `?node=${encodeURIComponent(item.node)}`
  }`;
  return (
    <li class="panel card">
      <Picture preview={item.picture} sources={item.sources} />
      <div class="says">
        <div class="row">
          <a href={run} class="name">{item.name}</a>
          {item.status !== "succeeded" && <StateBadge state={item.status} />}
          <span class="muted small end">
            {item.tokens === undefined ? "" : `${count(item.tokens)} tokens · `}
            {item.ms === undefined ? "" : duration(item.ms)}
          </span>
        </div>
        <LongText text={item.question} name="question" />
        {item.error !== undefined && <p class="error">{item.error}</p>}
        {item.answer !== undefined && (
          <LongText text={item.answer} name="answer" />
        )}
      </div>
    </li>
  );
}
