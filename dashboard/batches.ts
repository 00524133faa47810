/**
 * What the addresses of batch pages ask for.
 * @module
 */
import type {
  BatchItem,
  BatchSummary,
  ItemQuery,
  ItemStatus,
} from "../plugins/sqlite/mod.ts";
import type { Shown } from "./shown.ts";
import type { StoreAccess } from "./store_access.ts";

/** How questions can stand, in words. */
export const itemStates: readonly (readonly [ItemStatus, string])[] = [
  ["succeeded", "done"],
  ["failed", "failed"],
  ["running", "running"],
  ["interrupted", "stopped"],
];

/** Questions on a page. */
export const pageSize = 60;

/** The questions that an address asks for. */
export function itemQuery(params: URLSearchParams): ItemQuery {
  const status = itemStates.find(([state]) => state === params.get("state"));
  const text = (params.get("text") ?? "").trim().slice(0, 200);
  return {
    limit: pageSize,
    ...(status === undefined ? {} : { status: status[0] }),
    ...(text === "" ? {} : { text }),
    ...placeOf(params),
  };
}

/** The place after which an address goes on. */
export function placeOf(params: URLSearchParams): { readonly after?: number } {
  const after = Number(params.get("after") ?? "");
  return params.has("after") && Number.isSafeInteger(after) ? { after } : {};
}

/** The same as an address says it, for another page. */
export function itemAddress(query: ItemQuery, after?: number): string {
  return new URLSearchParams({
    ...(query.status === undefined ? {} : { state: query.status }),
    ...(query.text === undefined ? {} : { text: query.text }),
    ...(after === undefined ? {} : { after: String(after) }),
  }).toString();
}

/** The table of batches: a part for each. */
export type ShownBatches = Shown<null, BatchSummary>;

/** Reads the latest batches. */
export async function readBatches(
  { store, run }: StoreAccess,
): Promise<ShownBatches> {
  const batches = await run(store.batches.list());
  return { head: null, parts: batches.map((one) => [one.batchId, one]) };
}

/** A page of a batch: a part for each question. */
export type ShownBatch = Shown<
  {
    /** The batch; `null` when it is gone. */
    readonly batch: BatchSummary | null;
    /** Where the next page begins, if there is one. */
    readonly after?: number;
  },
  BatchItem
>;

/** Reads a page of a batch. */
export async function readBatch(
  { store, run }: StoreAccess,
  batchId: string,
  query: ItemQuery,
): Promise<ShownBatch> {
  const batch = await run(store.batches.get(batchId));
  if (batch === undefined) return { head: { batch: null }, parts: [] };
  const { items, after } = await run(store.batches.items(batchId, query));
  return {
    head: { batch, ...(after === undefined ? {} : { after }) },
    parts: items.map((item) => [String(item.item), item]),
  };
}

/** Least milliseconds between two readings for those who watch. */
export const batchPace = 250;
