import type { JSX } from "preact";
import { settingsLine } from "../../../components/BatchProgress.tsx";
import { count } from "../../../components/format.ts";
import {
  itemAddress,
  itemQuery,
  itemStates,
  readBatch,
  type ShownBatch,
} from "../../../dashboard/batches.ts";
import type { Handlers, PageProps } from "../../../dashboard/state.ts";
import { BatchGrid } from "../../../islands/BatchGrid.tsx";
import { DeleteButton } from "../../../islands/DeleteButton.tsx";
import { Moment } from "../../../islands/Moment.tsx";
import type { BatchSummary, ItemQuery } from "../../../plugins/sqlite/mod.ts";

interface Data {
  readonly shown: ShownBatch;
  readonly alike: readonly {
    readonly batch: BatchSummary;
    readonly shared: number;
  }[];
  readonly query: ItemQuery;
  readonly now: number;
}

export const handler: Handlers<Data> = {
  async GET(ctx) {
    const { store, run } = ctx.state.services;
    const { id } = ctx.params;
    const query = itemQuery(ctx.url.searchParams);
    const now = Date.now();
    const shown = await readBatch(ctx.state.services, id!, query);
    const { batch } = shown.head;
    if (batch === null) {
      ctx.state.title = "No such batch · Tessera";
      return { data: { shown, alike: [], query, now }, status: 404 };
    }
    ctx.state.title = `${batch.name} · Tessera`;
    const alike = await run(store.batches.alike(id!));
    return { data: { shown, alike, query, now } };
  },
};

/** A batch: pictures, questions, answers. */
export default function Batch(
  { data, state, url }: PageProps<Data>,
): JSX.Element {
  const { shown, alike, query, now } = data;
  const { batch } = shown.head;
  if (batch === null) {
    return (
      <div class="empty">
        <h1>There is no such batch</h1>
        <p>
          <a href="/batches">All batches</a>
        </p>
      </div>
    );
  }
  const base = `/batches/${encodeURIComponent(batch.batchId)}`;
  const address = itemAddress(query);
  return (
    <>
      <div class="head">
        <h1>{batch.name}</h1>
        <span class="muted">
          {batch.model} · <Moment at={batch.startedAt} />
        </span>
        <span class="muted small">{settingsLine(batch.settings)}</span>
        <div class="row end">
          {batch.single && (
            <a
              class="button"
              href={`/runs/${encodeURIComponent(batch.batchId)}`}
            >
              Run
            </a>
          )}
          <a
            class="button"
            href={`${base}/export?format=csv&${address}`}
            download
          >
            CSV
          </a>
          <a
            class="button"
            href={`${base}/export?format=jsonl&${address}`}
            download
          >
            JSONL
          </a>
          <form method="post" action={`${base}/delete`}>
            <input type="hidden" name="csrf" value={state.csrf} />
            <DeleteButton ask="Delete this batch and its answers for good?" />
          </form>
        </div>
      </div>
      <div class="toolbar">
        <form method="get" action={base} class="row grow">
          <label class="grow">
            <span>Text in question, answer or error</span>
            <input type="search" name="text" value={query.text ?? ""} />
          </label>
          <label>
            <span>State</span>
            <select name="state">
              <option value="">all</option>
              {itemStates.map(([value, word]) => (
                <option
                  key={value}
                  value={value}
                  selected={query.status === value}
                >
                  {word}
                </option>
              ))}
            </select>
          </label>
          <button type="submit">Show</button>
        </form>
        {alike.length > 0 && (
          <form method="get" action="/batches/compare" class="row end">
            <input type="hidden" name="a" value={batch.batchId} />
            <label>
              <span>Compare with</span>
              <select name="b">
                {alike.map(({ batch, shared }) => (
                  <option key={batch.batchId} value={batch.batchId}>
                    {batch.name}, {batch.model} ({count(shared)} shared)
                  </option>
                ))}
              </select>
            </label>
            <button type="submit">Compare</button>
          </form>
        )}
      </div>
      <BatchGrid
        key={url.search}
        id={batch.batchId}
        shown={shown}
        now={now}
        query={itemAddress(query, query.after)}
      />
    </>
  );
}
