/**
 * How lists of runs are ordered and paged, for every store alike.
 * @module
 */
import { Effect } from "effect";
import { StoreError } from "./errors.ts";
import type { RunQuery, RunSort, RunSummary } from "./store.ts";

/**
 * The page size of a query; fails for a number out of range.
 *
 * ```ts
 * import { pageSize } from "@tessera/sdk";
 * import { Effect } from "effect";
 * import assert from "node:assert/strict";
 *
 * assert.equal(await Effect.runPromise(pageSize({})), 50);
 * const error = await Effect.runPromise(Effect.flip(pageSize({ limit: 2000 })));
 * assert.equal(error._tag, "StoreError");
 * ```
 */
export function pageSize(
  query: RunQuery,
): Effect.Effect<number, StoreError> {
  const { limit = 50 } = query;
  return Number.isInteger(limit) && limit >= 1 && limit <= 1000
    ? Effect.succeed(limit)
    : Effect.fail(
      new StoreError({
        message:
          `run store: limit ${limit} is not a whole number from 1 to 1000`,
      }),
    );
}

/**
 * The last run of a page as a cursor.
 *
 * ```ts
 * import { cursorOf } from "@tessera/sdk";
 * import assert from "node:assert/strict";
 *
 * const cursor = cursorOf({
 *   runId: "r",
 *   pipeline: "shout",
 *   status: "running",
 *   startedAt: 12,
 *   updatedAt: 12,
 *   inputs: {},
 *   attributes: {},
 *   timings: {},
 *   cached: 0,
 *   usage: {},
 * });
 * assert.equal(cursor, "12:r");
 * ```
 */
export function cursorOf(last: RunSummary, sort?: RunSort): string {
  return `${sortKey(last, sort)}:${last.runId}`;
}

/**
 * The number by which a run is ordered.
 *
 * ```ts
 * import { sortKey, summaryOf } from "@tessera/sdk";
 * import assert from "node:assert/strict";
 *
 * const run = summaryOf({
 *   _tag: "RunStarted",
 *   runId: "r",
 *   seq: 0,
 *   at: 7,
 *   pipeline: "shout",
 *   inputs: {},
 *   attributes: {},
 * });
 * assert.equal(sortKey(run), 7);
 * assert.equal(sortKey(run, "ms"), -1);
 * ```
 */
export function sortKey(
  run: RunSummary,
  sort: RunSort = "startedAt",
): number {
  return sort === "startedAt"
    ? run.startedAt
    : sort === "ms"
    ? run.ms ?? -1
    : run.usage.completionTokens ?? -1;
}

/**
 * Reads a cursor; fails for text that {@link cursorOf} did not write.
 *
 * ```ts
 * import { readCursor } from "@tessera/sdk";
 * import { Effect } from "effect";
 * import assert from "node:assert/strict";
 *
 * assert.deepEqual(await Effect.runPromise(readCursor("12:r")), {
 *   key: 12,
 *   runId: "r",
 * });
 * ```
 */
export function readCursor(
  cursor: string,
): Effect.Effect<
  { readonly key: number; readonly runId: string },
  StoreError
> {
  const match = /^(-?\d+(?:\.\d+)?):(.+)$/s.exec(cursor);
  return match === null
    ? Effect.fail(
      new StoreError({
        message: `run store: "${
          cursor.slice(0, 40)
        }" is no cursor; pass on the one of the page before`,
      }),
    )
    : Effect.succeed({ key: Number(match[1]), runId: match[2]! });
}
