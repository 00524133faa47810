import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import { clock, day, duration } from "../components/format.ts";
import { StateBadge } from "../components/StateBadge.tsx";
import type { RunSummary } from "../pipeline/mod.ts";

/** The table of runs. */
export function RunTable(
  { runs }: { readonly runs: readonly RunSummary[] },
): JSX.Element {
  const [live, setLive] = useState(false);
  useEffect(() => setLive(true), []);
  return (
    <div class="panel scroll" data-hydrated={live}>
      <table>
        <thead>
          <tr>
            <th>State</th>
            <th>Began</th>
            <th>Pipeline</th>
            <th class="num">Time</th>
          </tr>
        </thead>
        <tbody>
          {runs.map((run) => (
            <tr key={run.runId}>
              <td>
                <StateBadge state={run.status} />
              </td>
              <td class="nowrap">
                {day(run.startedAt)} {clock(run.startedAt)}
              </td>
              <td>
                <a href={`/runs/${encodeURIComponent(run.runId)}`}>
                  {run.pipeline}
                </a>
              </td>
              <td class="num">
                {run.ms === undefined ? "" : duration(run.ms)}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
