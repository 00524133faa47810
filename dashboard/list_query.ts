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

/**
 * When a day or a time of a time zone, as a form gives it, begins and is over, in milliseconds; nothing for
 * what is none. Where no zone is named, or none that there is, it is the server's.
 */
function spanOf(
  text: string,
  zone: string,
): readonly [begin: number, end: number] | undefined {
  if (!/^\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d)?)?$/.test(text)) return undefined;
  const begin = zoned(text, zone) ?? zoned(text, Temporal.Now.timeZoneId());
  if (begin === undefined) return undefined;
  // A day is not always 24 hours long.
  const end = text.includes("T") ? begin : begin.add({ days: 1 });
  return [begin.epochMilliseconds, end.epochMilliseconds];
}

function zoned(text: string, zone: string): Temporal.ZonedDateTime | undefined {
  try {
    return Temporal.PlainDateTime.from(text).toZonedDateTime(zone);
  } catch {
    return undefined;
  }
}

/** Reads the table's address; what makes no sense is left out. */
export function readView(params: URLSearchParams): TableView {
  const text = (name: string) => params.get(name)?.trim().slice(0, 500) ?? "";
  const state = text("state");
  const pipeline = text("pipeline");
  const model = text("model");
  const query = text("q");
  const since = spanOf(text("from"), text("zone"))?.[0];
  // A day that is named as the end belongs to it.
  const until = spanOf(text("to"), text("zone"))?.[1];
  const sort = text("sort");
  const cursor = text("after");
  return {
    ...(states.includes(state) ? { state } : {}),
    ...(pipeline === "" ? {} : { pipeline }),
    ...(model === "" ? {} : { model }),
    ...(query === "" ? {} : { text: query }),
    ...(since === undefined ? {} : { since }),
    ...(until === undefined ? {} : { until }),
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
