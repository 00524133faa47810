/**
 * A SQL client of effect/sql on `node:sqlite`.
 * @module
 */
import {
  DatabaseSync,
  type SQLInputValue,
  type StatementSync,
} from "node:sqlite";
import { Effect, type Scope, Semaphore, Stream } from "effect";
import * as Reactivity from "effect/reactivity/Reactivity";
import { SqlClient, Statement } from "effect/sql";
import type { Connection } from "effect/sql/SqlConnection";
import type { Retention } from "./retention.ts";
import { classifySqliteError, SqlError } from "effect/sql/SqlError";

/** How to open a database. */
export interface SqliteOptions {
  /** File, or `:memory:`. */
  readonly filename: string;
  /** Statements run once after opening, such as `PRAGMA max_page_count = 100`. */
  readonly setup?: string;
  /** What is kept when runs become many or old; default: the newest 2 GiB. */
  readonly keep?: Retention;
}

/** Prepared statements kept; those of this store are fewer. */
const mostStatements = 64;

/**
 * Opens a database in WAL mode, unless `check` throws for what is in it; closing the surrounding scope
 * closes it. Nothing ever waits for a lock inside SQLite, because that would hold up the event loop, and
 * with it the one who has the lock, when he is of this process: a locked database fails at once, with a
 * retryable `SqlError`.
 */
export function openSqlite(
  options: SqliteOptions,
  check: (db: DatabaseSync) => void = () => {},
): Effect.Effect<SqlClient.SqlClient, SqlError, Scope.Scope> {
  return Effect.gen(function* () {
    const db = yield* Effect.acquireRelease(
      attempt(() => new DatabaseSync(options.filename, { timeout: 0 })),
      (db) =>
        Effect.sync(() => {
          if (db.isOpen) db.close();
        }),
    );
    yield* Effect.tapError(
      attempt(() => {
        check(db);
        db.exec(
          `PRAGMA auto_vacuum = INCREMENTAL; PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA recursive_triggers = ON; ${
            options.setup ?? ""
          }`,
        );
      }),
      // At once, because the caller may try again and again.
      () => Effect.sync(() => db.close()),
    );
    const opened = fileId(options.filename);
    // SQLite goes on with a file that has no name any more, where nobody will ever find what it writes.
    const checkPresent = (): void => {
      if (opened === undefined || fileId(options.filename) === opened) return;
      throw new Error(
        "the file was deleted or replaced since it was opened; start again to go on with a new one",
      );
    };
    const statements = new Map<string, StatementSync>();
    const prepare = (text: string): StatementSync => {
      let statement = statements.get(text);
      if (statement === undefined) {
        statement = db.prepare(text);
        if (statements.size >= mostStatements) {
          statements.delete(statements.keys().next().value!);
        }
        statements.set(text, statement);
      }
      return statement;
    };
    const all = (text: string, params: ReadonlyArray<unknown>) =>
      attempt(() => {
        if (!db.isTransaction) checkPresent();
        const statement = prepare(text);
        const values = params as SQLInputValue[];
        if (statement.columns().length > 0) return statement.all(...values);
        statement.run(...values);
        return [];
      });
    const rows: Connection["execute"] = (text, params, transform) =>
      Effect.map(
        all(text, params),
        (found) => transform === undefined ? found : transform(found),
      );
    const values: Connection["executeValues"] = (text, params) =>
      Effect.map(
        all(text, params),
        (found) => found.map((row) => Object.values(row)),
      );
    const connection: Connection = {
      execute: rows,
      executeUnprepared: rows,
      executeRaw: all,
      executeValues: values,
      executeValuesUnprepared: values,
      executeStream: (text, params, transform) =>
        Stream.fromIterableEffect(rows(text, params, transform)),
    };
    const acquirers = SqlClient.makeSqliteAcquirers({
      connection: Effect.succeed(connection),
      semaphore: yield* Semaphore.make(1),
      isTransaction: () => db.isTransaction,
    });
    return yield* Effect.provide(
      SqlClient.make({
        ...acquirers,
        compiler: Statement.makeCompilerSqlite(),
        // A transaction that begins by reading cannot wait its turn to write.
        beginTransaction: "BEGIN IMMEDIATE",
        driver: "node-sqlite",
        spanAttributes: [["db.system.name", "sqlite"]],
      }),
      Reactivity.layer,
    );
  });
}

/** What tells a file from another of its name; `undefined` where nothing does. */
function fileId(filename: string): string | undefined {
  if (filename === ":memory:" || filename === "") return undefined;
  try {
    const { dev, ino } = Deno.statSync(filename);
    return ino === null ? undefined : `${dev} ${ino}`;
  } catch {
    return undefined;
  }
}

function attempt<A>(body: () => A): Effect.Effect<A, SqlError> {
  return Effect.try({
    try: body,
    catch: (cause) => new SqlError({ reason: classifySqliteError(cause) }),
  });
}
