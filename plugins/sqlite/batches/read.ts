/**
 * Batches and their questions, read.
 * @module
 */
import { Effect } from "effect";
import type { SqlClient } from "effect/sql";
import type { SqlError } from "effect/sql/SqlError";
import type { Json } from "../../../pipeline/mod.ts";

/** How a question of a batch stands. */
export type ItemStatus = "running" | "succeeded" | "failed" | "interrupted";

/** A batch without its questions. */
export interface BatchSummary {
  /** The batch. */
  readonly batchId: string;
  /** Its name: the file of the answers, or the pipeline. */
  readonly name: string;
  /** Pipeline of its first run. */
  readonly pipeline: string;
  /** Model of its first run; empty for none. */
  readonly model: string;
  /** What its questions have in common. */
  readonly settings: Json;
  /** Whether one run is all of it; then that run's id is the batch's. */
  readonly single: boolean;
  /**
   * `succeeded` when all have ended, even if some failed; see `counts`. `running` also stays when the
   * process died; see `updatedAt`.
   */
  readonly status: ItemStatus;
  /** When it began, in milliseconds since 1970. */
  readonly startedAt: number;
  /** When something happened last, or the process of a running question last said that it lives. */
  readonly updatedAt: number;
  /** Questions in all. */
  readonly total: number;
  /** Questions by how they stand; what is missing to `total` has not begun. */
  readonly counts: Readonly<Record<ItemStatus, number>>;
  /** Tokens generated. */
  readonly tokens: number;
  /** Milliseconds of a question, on average; `null` before the first is done. */
  readonly meanMs: number | null;
}

/** A question of a batch. */
export interface BatchItem {
  /** Its place, from 0. */
  readonly item: number;
  /** Its id in the file, or its place. */
  readonly name: string;
  /** The run. */
  readonly runId: string;
  /** Path of the node that answers it; empty where the run is all for it. */
  readonly node: string;
  /** How it stands. */
  readonly status: ItemStatus;
  /** When it began. */
  readonly startedAt: number;
  /** The question; its first 200 characters where the run did not keep its inputs, at most 20,000. */
  readonly question: string;
  /** Names of its pictures and its video. */
  readonly sources: readonly string[];
  /** Preview of its first picture. */
  readonly picture?: Json;
  /** The answer. */
  readonly answer?: string;
  /** What went wrong. */
  readonly error?: string;
  /** Generated tokens. */
  readonly tokens?: number;
  /** How long it took. */
  readonly ms?: number;
}

/** Which questions. */
export interface ItemQuery {
  /** At most this many, 1 to 1000; default 60. */
  readonly limit?: number;
  /** Only those after this place. */
  readonly after?: number;
  /** Only those that stand so. */
  readonly status?: ItemStatus;
  /** Only those whose name, question, answer or error has this text, whatever the case of ASCII letters. */
  readonly text?: string;
}

/** A page of questions, in their order. */
export interface ItemPage {
  /** The questions. */
  readonly items: readonly BatchItem[];
  /** Where to go on; absent on the last page. */
  readonly after?: number;
}

/** A question of two batches. */
export interface ItemPair {
  /** In the first. */
  readonly a: BatchItem;
  /** In the second. */
  readonly b: BatchItem;
}

/** Two batches of the same questions. */
export interface BatchComparison {
  /** Questions that both have, in the order of the first; a page of them. */
  readonly pairs: readonly ItemPair[];
  /** Where to go on; absent on the last page. */
  readonly after?: number;
  /** Questions that both have. */
  readonly shared: number;
  /** Those of them that both have answered, alike. */
  readonly same: number;
  /** Those of them that both have answered, differently. */
  readonly different: number;
}

/** What can be asked about batches. */
export interface Batches<E> {
  /** The latest batches. */
  readonly list: (limit?: number) => Effect.Effect<readonly BatchSummary[], E>;
  /** A batch; `undefined` if there is none. */
  readonly get: (
    batchId: string,
  ) => Effect.Effect<BatchSummary | undefined, E>;
  /** A page of its questions. */
  readonly items: (
    batchId: string,
    query?: ItemQuery,
  ) => Effect.Effect<ItemPage, E>;
  /** The latest other batches that share questions with it, with how many. */
  readonly alike: (
    batchId: string,
  ) => Effect.Effect<
    readonly { readonly batch: BatchSummary; readonly shared: number }[],
    E
  >;
  /** The questions that two batches share, a page of them. */
  readonly compare: (
    a: string,
    b: string,
    query?: {
      readonly limit?: number;
      readonly after?: number;
      readonly onlyDifferent?: boolean;
    },
  ) => Effect.Effect<BatchComparison, E>;
  /** Its runs; a batch goes when the last of them is removed. */
  readonly runIds: (batchId: string) => Effect.Effect<readonly string[], E>;
}

interface BatchRow {
  readonly batch_id: string;
  readonly name: string;
  readonly pipeline: string;
  readonly model: string;
  readonly settings: string;
  readonly total: number | null;
  readonly ended: ItemStatus | null;
  readonly started_at: number;
  readonly updated_at: number;
}

interface ItemRow {
  readonly item: number;
  readonly run_id: string;
  readonly node: string;
  readonly name: string;
  readonly status: ItemStatus;
  readonly started_at: number;
  readonly asked: string | null;
  readonly question: string | null;
  readonly sources: string | null;
  readonly picture: string | null;
  readonly answer: string | null;
  readonly error: string | null;
  readonly tokens: number | null;
  readonly ms: number | null;
}

const inRange = (limit: number): number =>
  Math.max(1, Math.min(1000, Math.trunc(limit) || 1));

/** Reads batches from a database. */
export function readBatches(sql: SqlClient.SqlClient): Batches<SqlError> {
  const summary = (row: BatchRow): Effect.Effect<BatchSummary, SqlError> =>
    Effect.gen(function* () {
      const groups = yield* sql<
        {
          readonly status: ItemStatus;
          readonly n: number;
          readonly tokens: number | null;
          readonly ms: number | null;
          readonly timed: number;
        }
      >`SELECT status, count(*) AS n, sum(tokens) AS tokens, sum(ms) AS ms, count(ms) AS timed
        FROM batch_items WHERE batch_id = ${row.batch_id} GROUP BY status`;
      // Who computes one answer for long says nothing of the batch, but his process says that it lives.
      const [alive] = yield* sql<{ readonly at: number | null }>`
        SELECT max(seen_at) AS at FROM runs WHERE status = 'running' AND run_id IN (
          SELECT run_id FROM batch_items WHERE batch_id = ${row.batch_id} AND status = 'running')`;
      const updated_at = Math.max(row.updated_at, alive?.at ?? 0);
      return summaryOf({ ...row, updated_at }, groups);
    });
  const list = (limit = 50) =>
    Effect.flatMap(
      sql<BatchRow>`SELECT * FROM batches
        ORDER BY started_at DESC, batch_id DESC LIMIT ${inRange(limit)}`,
      (rows) => Effect.forEach(rows, summary),
    );
  const get = (batchId: string) =>
    Effect.flatMap(
      sql<BatchRow>`SELECT * FROM batches WHERE batch_id = ${batchId}`,
      ([row]) => row === undefined ? Effect.undefined : summary(row),
    );
  return {
    list,
    get,
    items: (batchId, query = {}) =>
      Effect.map(
        sql<ItemRow>`SELECT * FROM batch_items WHERE ${
          sql.and([
            sql`batch_id = ${batchId}`,
            ...(query.after === undefined ? [] : [sql`item > ${query.after}`]),
            ...(query.status === undefined
              ? []
              : [sql`status = ${query.status}`]),
            ...(query.text === undefined ? [] : [
              sql`instr(lower(name || char(10) || coalesce(question, '') || char(10)
                || coalesce(answer, '') || char(10) || coalesce(error, '')), lower(${query.text})) > 0`,
            ]),
          ])
        } ORDER BY item LIMIT ${inRange(query.limit ?? 60) + 1}`,
        (rows) => {
          const limit = inRange(query.limit ?? 60);
          const items = rows.slice(0, limit).map(itemOf);
          return rows.length > limit
            ? { items, after: items.at(-1)!.item }
            : { items };
        },
      ),
    alike: (batchId) =>
      Effect.flatMap(
        sql<{ readonly batch_id: string; readonly shared: number }>`
          SELECT other.batch_id, count(DISTINCT other.asked) AS shared
          FROM batch_items AS own JOIN batch_items AS other ON other.asked = own.asked
          WHERE own.batch_id = ${batchId} AND other.batch_id <> ${batchId}
          GROUP BY other.batch_id ORDER BY shared DESC, max(other.started_at) DESC LIMIT 20`,
        (rows) =>
          Effect.forEach(rows, ({ batch_id, shared }) =>
            Effect.map(get(batch_id), (batch) =>
              batch === undefined ? [] : [{ batch, shared }])),
      ).pipe(Effect.map((found) =>
        found.flat()
      )),
    compare: (a, b, query = {}) =>
      Effect.gen(function* () {
        const [own, other] = yield* Effect.all([a, b].map((batchId) =>
          sql<
            Pick<ItemRow, "item" | "asked" | "name" | "answer" | "status">
          >`SELECT item, asked, name, answer, status FROM batch_items
            WHERE batch_id = ${batchId} AND asked IS NOT NULL ORDER BY item`
        ));
        const pairs = pair(own!, other!);
        const answered = pairs.filter(([a, b]) =>
          a.status === "succeeded" && b.status === "succeeded"
        );
        const same = answered.filter(([a, b]) => a.answer === b.answer).length;
        const limit = inRange(query.limit ?? 60);
        const shown = pairs.filter(([a, b]) =>
          a.item > (query.after ?? -1) &&
          (query.onlyDifferent !== true || a.answer !== b.answer ||
            a.status !== b.status)
        );
        const page = shown.slice(0, limit);
        const full = yield* Effect.forEach([a, b], (batchId, side) =>
          Effect.map(
            sql<ItemRow>`SELECT * FROM batch_items WHERE batch_id = ${batchId}
              AND item IN (SELECT value FROM json_each(${
              JSON.stringify(page.map((pair) => pair[side]!.item))
            }))`,
            (rows) => new Map(rows.map((row) => [row.item, itemOf(row)])),
          ));
        const found = page.flatMap(([a, b]) => {
          const [left, right] = [full[0]!.get(a.item), full[1]!.get(b.item)];
          return left === undefined || right === undefined
            ? []
            : [{ a: left, b: right }];
        });
        return {
          pairs: found,
          ...(shown.length > limit ? { after: page.at(-1)![0].item } : {}),
          shared: pairs.length,
          same,
          different: answered.length - same,
        };
      }),
    runIds: (batchId) =>
      Effect.map(
        sql<{ readonly run_id: string }>`SELECT DISTINCT run_id FROM batch_items
          WHERE batch_id = ${batchId}`,
        (rows) => rows.map((row) => row.run_id),
      ),
  };
}

type Asked = Pick<ItemRow, "item" | "asked" | "name" | "answer" | "status">;

/** Questions of two batches that are the same; those asked several times go by their names, then in order. */
function pair(
  own: readonly Asked[],
  other: readonly Asked[],
): (readonly [Asked, Asked])[] {
  const waiting = Map.groupBy(other, ({ asked }) => asked!);
  return own.flatMap((a) => {
    const found = waiting.get(a.asked!);
    if (found === undefined || found.length === 0) return [];
    const named = found.findIndex(({ name }) => name === a.name);
    return [[a, found.splice(Math.max(0, named), 1)[0]!] as const];
  });
}

function summaryOf(
  row: BatchRow,
  groups: readonly {
    readonly status: ItemStatus;
    readonly n: number;
    readonly tokens: number | null;
    readonly ms: number | null;
    readonly timed: number;
  }[],
): BatchSummary {
  const counts = { running: 0, succeeded: 0, failed: 0, interrupted: 0 };
  let begun = 0;
  let tokens = 0;
  let ms = 0;
  let timed = 0;
  for (const group of groups) {
    counts[group.status] = group.n;
    begun += group.n;
    tokens += group.tokens ?? 0;
    ms += group.ms ?? 0;
    timed += group.timed;
  }
  const total = row.total ?? begun;
  const status = row.ended ??
    (begun < total || counts.running > 0
      ? "running"
      : counts.interrupted > 0
      ? "interrupted"
      : counts.succeeded === 0 && counts.failed > 0
      ? "failed"
      : "succeeded");
  return {
    batchId: row.batch_id,
    name: row.name,
    pipeline: row.pipeline,
    model: row.model,
    settings: JSON.parse(row.settings),
    single: row.total === null,
    status,
    startedAt: row.started_at,
    updatedAt: row.updated_at,
    total,
    counts,
    tokens,
    meanMs: timed === 0 ? null : ms / timed,
  };
}

function itemOf(row: ItemRow): BatchItem {
  return {
    item: row.item,
    name: row.name,
    runId: row.run_id,
    node: row.node,
    status: row.status,
    startedAt: row.started_at,
    question: row.question ?? "",
    sources: row.sources === null ? [] : JSON.parse(row.sources),
    ...(row.picture === null ? {} : { picture: JSON.parse(row.picture) }),
    ...(row.answer === null ? {} : { answer: row.answer }),
    ...(row.error === null ? {} : { error: row.error }),
    ...(row.tokens === null ? {} : { tokens: row.tokens }),
    ...(row.ms === null ? {} : { ms: row.ms }),
  };
}
