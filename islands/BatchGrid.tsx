import type { JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { BatchProgress, batchState } from "../components/BatchProgress.tsx";
import { count, duration } from "../components/format.ts";
import { Picture } from "../components/Picture.tsx";
import { StateBadge } from "../components/StateBadge.tsx";
import type {
  BatchItem,
  BatchSummary,
  ItemPage,
} from "../plugins/sqlite/mod.ts";

/** A batch and a page of its questions. */
export interface BatchView {
  /** The batch. */
  readonly batch: BatchSummary;
  /** The questions. */
  readonly page: ItemPage;
}

/** The questions of a batch as a grid, kept up to date while it runs. */
export function BatchGrid(
  { view: first, query, now: firstNow }: {
    readonly view: BatchView;
    /** The part of the address that chose the questions. */
    readonly query: string;
    readonly now: number;
  },
): JSX.Element {
  const [view, setView] = useState(first);
  const [now, setNow] = useState(firstNow);
  const [live, setLive] = useState(false);
  const running = useRef(true);
  const { batch, page } = view;
  running.current = batch.status === "running";
  const base = `/batches/${encodeURIComponent(batch.batchId)}`;
  useEffect(() => {
    setLive(true);
    const stop = new AbortController();
    const timer = setInterval(async () => {
      if (document.hidden || !running.current) return;
      try {
        const response = await fetch(`${base}/data?${query}`, {
          signal: stop.signal,
        });
        if (!response.ok) return;
        setView(await response.json());
        setNow(Date.now());
      } catch {
        // The server is away; the next time may do.
      }
    }, 1000);
    return () => {
      stop.abort();
      clearInterval(timer);
    };
  }, [base, query]);
  const more = new URLSearchParams(query);
  if (page.after !== undefined) more.set("after", String(page.after));
  return (
    <div data-hydrated={live}>
      <div class="row batch-line" aria-live="polite">
        <StateBadge state={batchState(batch, now)} />
        <BatchProgress batch={batch} />
        <span class="muted">
          {count(batch.counts.failed)} failed · {count(batch.tokens)} tokens ·
          {" "}
          {batch.meanMs === null ? "–" : duration(batch.meanMs)} a question
        </span>
      </div>
      {page.items.length === 0
        ? <p class="panel empty">No question is like that.</p>
        : (
          <ul class="cards">
            {page.items.map((item) => <Card key={item.item} item={item} />)}
          </ul>
        )}
      {page.after !== undefined && (
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
        <p class="question">{item.question}</p>
        {item.error !== undefined && <p class="error">{item.error}</p>}
        {item.answer !== undefined && <Answer text={item.answer} />}
      </div>
    </li>
  );
}

const shown = 420;

/** An answer; the rest of a long one behind a click. */
function Answer({ text }: { readonly text: string }): JSX.Element {
  if (text.length <= shown) return <p class="answer">{text}</p>;
  const cut = text.lastIndexOf(" ", shown - 20);
  const at = cut > shown / 2 ? cut : shown - 20;
  return (
    <>
      <p class="answer">{text.slice(0, at)}</p>
      <details class="answer">
        <summary class="small">… the rest</summary>
        {text.slice(at)}
      </details>
    </>
  );
}
