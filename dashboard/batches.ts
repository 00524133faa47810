/**
 * What the addresses of batch pages ask for.
 * @module
 */
import type { ItemQuery, ItemStatus } from "../plugins/sqlite/mod.ts";

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
