import type { JSX } from "preact";
import { Away } from "../components/Away.tsx";
import {
  BatchProgress,
  batchState,
  settingsLine,
} from "../components/BatchProgress.tsx";
import { clip, clock, count, day, duration } from "../components/format.ts";
import { StateBadge } from "../components/StateBadge.tsx";
import type { ShownBatches } from "../dashboard/batches.ts";
import { useShown } from "../dashboard/client/shown.ts";

/** The table of batches, kept up to date. */
export function BatchTable(
  { shown: first, now: firstNow }: {
    readonly shown: ShownBatches;
    readonly now: number;
  },
): JSX.Element {
  const { shown, now, live, away } = useShown("/batches/live", first, firstNow);
  const batches = shown.parts.map(([, batch]) => batch);
  if (batches.length === 0) {
    return (
      <div class="panel empty" data-hydrated={live}>
        <Away away={away} />
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
      <Away away={away} />
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
