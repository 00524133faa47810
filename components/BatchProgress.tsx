import type { JSX } from "preact";
import type { BatchSummary } from "../plugins/sqlite/mod.ts";
import { count } from "./format.ts";

/** How far a batch has come, as a bar. */
export function BatchProgress(
  { batch }: { readonly batch: BatchSummary },
): JSX.Element {
  const { counts, total } = batch;
  const ended = counts.succeeded + counts.failed + counts.interrupted;
  const share = (part: number) => total === 0 ? 0 : 100 * part / total;
  let x = 0;
  const bar = (part: number, name: string) => {
    const from = x;
    x += share(part);
    return part === 0 ? null : (
      <rect
        key={name}
        class={name}
        x={from}
        y="0"
        width={share(part)}
        height="8"
      />
    );
  };
  return (
    <span class="progress">
      <svg
        viewBox="0 0 100 8"
        preserveAspectRatio="none"
        role="img"
        aria-label={`${count(ended)} of ${count(total)} questions ended, ${
          count(counts.failed)
        } failed`}
      >
        {bar(counts.succeeded, "succeeded")}
        {bar(counts.failed, "failed")}
        {bar(counts.interrupted, "interrupted")}
        {bar(counts.running, "running")}
      </svg>
      <span class="nowrap">{count(ended)} / {count(total)}</span>
    </span>
  );
}

/** How a batch stands, in words for `StateBadge`; one that says nothing for long is lost. */
export function batchState(batch: BatchSummary, now: number): string {
  return batch.status === "running" && now - batch.updatedAt > 10 * 60_000
    ? "lost"
    : batch.status;
}

/** Settings in one line. */
export function settingsLine(settings: unknown): string {
  return typeof settings !== "object" || settings === null
    ? ""
    : Object.entries(settings).map(([name, value]) =>
      `${name} ${typeof value === "string" ? value : JSON.stringify(value)}`
    ).join(" · ");
}
