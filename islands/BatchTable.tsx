import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import {
  BatchProgress,
  batchState,
  settingsLine,
} from "../components/BatchProgress.tsx";
import { clip, clock, count, day, duration } from "../components/format.ts";
import { StateBadge } from "../components/StateBadge.tsx";
import type { BatchSummary } from "../plugins/sqlite/mod.ts";

/** The table of batches, kept up to date. */
export function BatchTable(
  { batches: first, now: firstNow }: {
    readonly batches: readonly BatchSummary[];
    readonly now: number;
  },
): JSX.Element {
  const [{ batches, now }, setShown] = useState({
    batches: first,
    now: firstNow,
  });
  const [live, setLive] = useState(false);
  useEffect(() => {
    setLive(true);
    const stop = new AbortController();
    const timer = setInterval(async () => {
      if (document.hidden) return;
      try {
        const response = await fetch("/batches/data", { signal: stop.signal });
        if (response.ok) {
          setShown({ batches: await response.json(), now: Date.now() });
        }
      } catch {
        // The server is away; the next time may do.
      }
    }, 2000);
    return () => {
      stop.abort();
      clearInterval(timer);
    };
  }, []);
  if (batches.length === 0) {
    return (
      <div class="panel empty" data-hydrated={live}>
        <p>No batches yet.</p>
        <p class="small">
          <code>
            tessera batch --input questions.jsonl --output answers.jsonl
          </code>{" "}
          and <code>batchChat</code> make some.
        </p>
      </div>
    );
  }
  return (
    <div class="panel scroll" data-hydrated={live}>
      <table>
        <thead>
          <tr>
            <th>State</th>
            <th>Batch</th>
            <th>Model</th>
            <th>Progress</th>
            <th class="num">Failed</th>
            <th class="num">Tokens</th>
            <th class="num">A question</th>
            <th>Began</th>
          </tr>
        </thead>
        <tbody>
          {batches.map((batch) => (
            <tr key={batch.batchId}>
              <td>
                <StateBadge state={batchState(batch, now)} />
              </td>
              <td>
                <a href={`/batches/${encodeURIComponent(batch.batchId)}`}>
                  {batch.name}
                </a>
                <div class="muted small">
                  {clip(settingsLine(batch.settings), 80)}
                </div>
              </td>
              <td>{batch.model}</td>
              <td>
                <BatchProgress batch={batch} />
              </td>
              <td class="num">{count(batch.counts.failed)}</td>
              <td class="num">{count(batch.tokens)}</td>
              <td class="num">
                {batch.meanMs === null ? "–" : duration(batch.meanMs)}
              </td>
              <td class="nowrap">
                {day(batch.startedAt)} {clock(batch.startedAt)}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
