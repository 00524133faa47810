/**
 * Lists of runs: filtered, ordered, page by page.
 * @module
 */
import { Effect } from "effect";
import type { SqlClient, Statement } from "effect/sql";
import type { SqlError } from "effect/sql/SqlError";
import {
  cursorOf,
  pageSize,
  readCursor,
  type RunPage,
  type RunQuery,
  type RunSort,
  type RunSummary,
  type StoreError,
} from "../../pipeline/mod.ts";
import { mostOutside, outside, outsideExceed, placesOf } from "./search.ts";
import { columns, type RunRow, summaryFrom } from "./rows.ts";

/** Rows that are looked through at once when no index helps: some milliseconds of the event loop. */
const windowSize = 2000;

/** Rows, by the indexes alone. */
const keys: Readonly<Record<RunSort, string>> = {
  startedAt: "started_at",
  ms: "ms_key",
  tokens: "tokens",
};

type Explain = <A, R>(
  effect: Effect.Effect<A, SqlError, R>,
) => Effect.Effect<A, StoreError, R>;

interface Position {
  readonly key: number;
  readonly runId: string;
}

/** A page of runs. */
export function listRuns(
  sql: SqlClient.SqlClient,
  query: RunQuery,
  explain: Explain,
): Effect.Effect<RunPage, StoreError> {
  return Effect.gen(function* () {
    const limit = yield* pageSize(query);
    const { sort = "startedAt", order = "desc" } = query;
    const key = sql.literal(keys[sort] ?? keys.startedAt);
    const way = sql.literal(order === "asc" ? "ASC" : "DESC");
    const beyond = sql.literal(order === "asc" ? ">" : "<");
    // Not the negation of what is beyond, of which no index knows.
    const within = sql.literal(order === "asc" ? "<=" : ">=");
    const places = query.text === undefined
      ? undefined
      : yield* explain(placesFor(sql, query.text));
    const filters = filtersOf(sql, query);
    // The join is crossed so that it begins with the few that may be it, whatever the planner thinks.
    const table = places === undefined ? sql`runs` : sql`(
        SELECT run_id FROM runs WHERE place IN (SELECT value FROM json_each(${
      JSON.stringify(places)
    }))
        UNION ALL SELECT run_id FROM ${outside(sql)}
      ) AS found CROSS JOIN runs USING (run_id)`;
    let after: Position | undefined = query.cursor === undefined
      ? undefined
      : yield* readCursor(query.cursor);
    // An index answers a filter and the order together for these; anything else is looked for.
    const searching = places === undefined && (query.text !== undefined ||
      (sort !== "startedAt" && filters.length > 0) || filters.length > 1);
    const rows: RunRow[] = [];
    for (;;) {
      const from = after === undefined
        ? []
        : [sql`(${key}, run_id) ${beyond} (${after.key}, ${after.runId})`];
      const end: readonly EndRow[] = searching
        ? yield* explain(sql<EndRow>`SELECT ${key} AS key, run_id FROM runs
            WHERE ${sql.and(from)} ORDER BY ${key} ${way}, run_id ${way}
            LIMIT 1 OFFSET ${windowSize - 1}`)
        : [];
      const until = end.map((row) =>
        sql`(${key}, run_id) ${within} (${row.key}, ${row.run_id})`
      );
      const found = yield* explain(sql<RunRow>`SELECT ${sql.literal(columns)}
        FROM ${table} WHERE ${sql.and([...from, ...until, ...filters])}
        ORDER BY ${key} ${way}, run_id ${way}
        LIMIT ${limit + 1 - rows.length}`);
      rows.push(...found);
      const [last] = end;
      if (last === undefined || rows.length > limit) break;
      after = { key: last.key, runId: last.run_id };
      // Others come to their turn between two windows.
      yield* Effect.sleep(0);
    }
    const runs = rows.slice(0, limit).map(summaryFrom);
    const last = runs.at(-1);
    return rows.length > limit && last !== undefined
      ? { runs, cursor: cursorOf(last, sort) }
      : { runs };
  });
}

/** Places of the runs that may have a text, where the index makes it a few. */
function placesFor(
  sql: SqlClient.SqlClient,
  text: string,
): Effect.Effect<readonly number[] | undefined, SqlError> {
  return Effect.flatMap(
    outsideExceed(sql, mostOutside),
    (exceed) => exceed ? Effect.undefined : placesOf(sql, text),
  );
}

interface EndRow {
  readonly key: number;
  readonly run_id: string;
}

function filtersOf(
  sql: SqlClient.SqlClient,
  { status, pipeline, model, since, until, text }: RunQuery,
): Statement.Fragment[] {
  return [
    ...(status === undefined ? [] : [sql`status = ${status}`]),
    ...(pipeline === undefined ? [] : [sql`pipeline = ${pipeline}`]),
    ...(model === undefined ? [] : [sql`model = ${model}`]),
    ...(since === undefined ? [] : [sql`started_at >= ${since}`]),
    ...(until === undefined ? [] : [sql`started_at < ${until}`]),
    ...(text === undefined
      ? []
      : [sql`instr(lower(search), lower(${text})) > 0`]),
  ];
}

/** What the runs of a store have in common, for filters. */
export interface Facets {
  /** How many runs stand how. */
  readonly statuses: { readonly [status: string]: number };
  /** Names of pipelines. */
  readonly pipelines: readonly string[];
  /** Names of models. */
  readonly models: readonly string[];
}

/** Reads {@link Facets} from the indexes alone. */
export function readFacets(
  sql: SqlClient.SqlClient,
): Effect.Effect<Facets, SqlError> {
  const distinct = (column: "pipeline" | "model") => {
    const name = sql.literal(column);
    // Jumps from one value to the next, where DISTINCT would read every row.
    return Effect.map(
      sql<{ readonly name: string }>`WITH RECURSIVE names(name) AS (
          SELECT min(${name}) FROM runs
          UNION ALL
          SELECT (SELECT min(${name}) FROM runs WHERE ${name} > names.name)
          FROM names WHERE names.name IS NOT NULL
        ) SELECT name FROM names WHERE name IS NOT NULL AND name <> '' LIMIT 200`,
      (rows) => rows.map((row) => row.name),
    );
  };
  return Effect.gen(function* () {
    const counts = yield* sql<
      { readonly status: string; readonly n: number }
    >`SELECT status, count(*) AS n FROM runs GROUP BY status`;
    return {
      statuses: Object.fromEntries(counts.map(({ status, n }) => [status, n])),
      pipelines: yield* distinct("pipeline"),
      models: yield* distinct("model"),
    };
  });
}

/** What has changed since a mark. */
export interface Changes {
  /** Where to go on. */
  readonly mark: number;
  /** Runs that are new or have changed, as they stand now. */
  readonly runs: readonly RunSummary[];
  /** Runs that are gone. */
  readonly removed: readonly string[];
}

/** Runs of one answer; more than one batch of the writer can change. */
const mostChanges = 300;

/** Reads {@link Changes}; without a mark, the mark of now. */
export function readChanges(
  sql: SqlClient.SqlClient,
  mark: number | undefined,
): Effect.Effect<Changes, SqlError> {
  return Effect.gen(function* () {
    const [now] = yield* sql<
      { readonly mark: number }
    >`SELECT mark FROM run_marks`;
    const latest = now?.mark ?? 0;
    if (mark === undefined || mark >= latest) {
      return { mark: latest, runs: [], removed: [] };
    }
    const rows = yield* sql<RunRow & { readonly mark: number }>`SELECT ${
      sql.literal(columns)
    }, mark FROM runs WHERE mark > ${mark} AND mark <= ${latest}
      ORDER BY mark LIMIT ${mostChanges}`;
    // The last mark may have more rows than came.
    const end = rows.length < mostChanges ? latest : rows.at(-1)!.mark - 1;
    const gone = yield* sql<
      { readonly run_id: string }
    >`SELECT run_id FROM run_removals WHERE mark > ${mark} AND mark <= ${end}`;
    return {
      mark: end,
      runs: rows.filter((row) => row.mark <= end).map(summaryFrom),
      removed: gone.map((row) => row.run_id),
    };
  });
}
