/**
 * The table's address: filters, order and place in the query string.
 * @module
 */
import type { RunQuery, RunSort, StoredStatus } from "../pipeline/mod.ts";
import type { RunFilter } from "./view.ts";

/** What the table of runs shows. */
export interface TableView extends RunFilter {
  /** What it is ordered by. */
  readonly sort: RunSort;
  /** Which way. */
  readonly order: "asc" | "desc";
  /** Where the page before ended. */
  readonly cursor?: string;
}

/** Runs on a page. */
export const pageLength = 50;

const states: readonly string[] = [
  "running",
  "succeeded",
  "failed",
  "interrupted",
];

/** A local time as a form gives it, in milliseconds; nothing for what is none. */
function timeOf(text: string): number | undefined {
  const at = /^\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d)?)?$/.test(text)
    ? new Date(text.includes("T") ? text : `${text}T00:00`).getTime()
    : NaN;
  return Number.isFinite(at) ? at : undefined;
}

/** Reads the table's address; what makes no sense is left out. */
export function readView(params: URLSearchParams): TableView {
  const text = (name: string) => params.get(name)?.trim().slice(0, 500) ?? "";
  const state = text("state");
  const pipeline = text("pipeline");
  const model = text("model");
  const query = text("q");
  const since = timeOf(text("from"));
  const until = timeOf(text("to"));
  const sort = text("sort");
  const cursor = text("after");
  return {
    ...(states.includes(state) ? { state } : {}),
    ...(pipeline === "" ? {} : { pipeline }),
    ...(model === "" ? {} : { model }),
    ...(query === "" ? {} : { text: query }),
    ...(since === undefined ? {} : { since }),
    // A day that is named as the end belongs to it.
    ...(until === undefined
      ? {}
      : { until: text("to").includes("T") ? until : until + 86_400_000 }),
    sort: sort === "ms" || sort === "tokens" ? sort : "startedAt",
    order: text("order") === "asc" ? "asc" : "desc",
    ...(/^-?\d+(\.\d+)?:.+$/s.test(cursor) ? { cursor } : {}),
  };
}

/** The query to the store. */
export function queryOf({ state, cursor, ...view }: TableView): RunQuery {
  return {
    ...view,
    limit: pageLength,
    ...(state === undefined ? {} : { status: state as StoredStatus }),
    ...(cursor === undefined ? {} : { cursor }),
  };
}

/** The same address with some of it changed; the place is kept only where it is given. */
export function addressOf(
  params: URLSearchParams,
  changes: { readonly [name: string]: string | undefined },
): string {
  const next = new URLSearchParams(params);
  next.delete("after");
  for (const [name, value] of Object.entries(changes)) {
    if (value === undefined || value === "") next.delete(name);
    else next.set(name, value);
  }
  for (const [name, value] of [...next]) if (value === "") next.delete(name);
  const text = next.toString();
  return text === "" ? "/" : `/?${text}`;
}
