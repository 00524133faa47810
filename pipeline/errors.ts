/**
 * Typed errors. Each is named by what the person can do about it; each message says in one line what
 * was wrong, where, and what would be right.
 * @module
 */
import type { Cause } from "effect";
import { Data } from "effect";

/** Where in a graph an error arose. */
export interface GraphPlace {
  /** Name of the pipeline. */
  readonly pipeline?: string;
  /** Id of the node inside the pipeline, such as `tile` or `load[2]`. */
  readonly node?: string;
  /** Name of the port on that node. */
  readonly port?: string;
}

/** One thing wrong with a graph. */
export interface GraphProblem {
  /** Id of the node. */
  readonly node?: string;
  /** Name of the port on that node, or of the pipeline's input or output. */
  readonly port?: string;
  /** One line: what was wrong, where, what would be right. */
  readonly message: string;
}

/** Fields every Tessera error takes. */
export interface ErrorFields {
  /** One line: what was wrong, where, what would be right. */
  readonly message: string;
  /** What caused it, when something lower down did. */
  readonly cause?: unknown;
}

// Named with its type because JSR's type extraction reads no superclass expressions.
const YieldableError: new (fields: ErrorFields) => Cause.YieldableError =
  Data.Error;

/**
 * The base of all Tessera errors: a real `Error` with a `_tag` for `Effect.catchTag`,
 * which can be yielded inside `Effect.gen`.
 *
 * ```ts
 * import { TesseraError } from "@tessera/sdk";
 * import { Effect } from "effect";
 * import assert from "node:assert/strict";
 *
 * class QuotaError extends TesseraError {
 *   readonly _tag = "QuotaError";
 * }
 * const program = Effect.gen(function* () {
 *   return yield* new QuotaError({ message: "3 questions a day, this is the 4th" });
 * });
 * const handled = program.pipe(
 *   Effect.catchTag("QuotaError", (error) => Effect.succeed(error.message)),
 * );
 * assert.match(await Effect.runPromise(handled), /the 4th/);
 * ```
 */
export abstract class TesseraError extends YieldableError {
  /** The discriminator. */
  abstract readonly _tag: string;
  /** Makes an error from its one-line message. */
  constructor(fields: ErrorFields) {
    super(
      fields.cause === undefined
        ? { message: fields.message }
        : { message: fields.message, cause: fields.cause },
    );
  }
}

// Effect shows its values as JSON, an error without its stack; consoles show any other error as one.
Object.defineProperty(
  TesseraError.prototype,
  Symbol.for("nodejs.util.inspect.custom"),
  { value: undefined },
);

/**
 * The graph itself is wrong: an unknown kind, a missing or mistyped input, bad parameters, a cycle.
 *
 * ```ts
 * import { GraphError, pipeline, Text } from "@tessera/sdk";
 * import assert from "node:assert/strict";
 *
 * assert.throws(
 *   () =>
 *     pipeline("twice", (g) => {
 *       const first = g.input("text", Text);
 *       return { first, second: g.input("text", Text) };
 *     }),
 *   (error) => error instanceof GraphError && error.problems[0]?.port === "text",
 * );
 * ```
 */
export class GraphError extends TesseraError {
  /** The discriminator. */
  readonly _tag = "GraphError" as const;
  /** Where in the graph. */
  readonly place: GraphPlace;
  /** Everything that is wrong; the message is the first of them. */
  readonly problems: readonly GraphProblem[];
  /** Makes the error; `place` names node and port; `problems` defaults to the message at that place. */
  constructor(
    fields: ErrorFields & {
      readonly place?: GraphPlace;
      readonly problems?: readonly GraphProblem[];
    },
  ) {
    super(fields);
    this.name = this._tag;
    this.place = fields.place ?? {};
    const { node, port } = this.place;
    this.problems = fields.problems ?? [{
      ...(node === undefined ? {} : { node }),
      ...(port === undefined ? {} : { port }),
      message: fields.message,
    }];
  }
}

/**
 * What there is no room for: `"length"`, more tokens than the context holds; `"queue"`, another waiting
 * request; `"deadline"`, more time; `"memory"`, a cache of that size.
 */
export type CapacityKind = "length" | "queue" | "deadline" | "memory";

/**
 * There is no room: a full queue, a deadline that passed, a prompt longer than the context.
 *
 * ```ts
 * import { CapacityError, defineNode, pipeline, run, Text } from "@tessera/sdk";
 * import { Effect } from "effect";
 * import assert from "node:assert/strict";
 *
 * const forever = defineNode({
 *   kind: "forever",
 *   inputs: { text: Text },
 *   outputs: { text: Text },
 *   run: () => Effect.never,
 * });
 * const limited = pipeline("limited", (g) =>
 *   g.add(forever, { text: g.input("text", Text) }, undefined, { timeoutMs: 5 }));
 * const error = await Effect.runPromise(
 *   Effect.flip(run(limited, { text: "hello" })),
 * );
 * assert.ok(error instanceof CapacityError);
 * ```
 */
export class CapacityError extends TesseraError {
  /** The discriminator. */
  readonly _tag = "CapacityError" as const;
  /** What there is no room for, where that is one of the known kinds. */
  readonly kind: CapacityKind | undefined;
  /** Makes the error. */
  constructor(fields: ErrorFields & { readonly kind?: CapacityKind }) {
    super(fields);
    this.name = this._tag;
    this.kind = fields.kind;
  }
}

/**
 * The run store could not be read or written (a full disk, a damaged file).
 *
 * ```ts
 * import { makeMemoryStore, StoreError } from "@tessera/sdk";
 * import { Effect } from "effect";
 * import assert from "node:assert/strict";
 *
 * const error = await Effect.runPromise(
 *   Effect.flip(makeMemoryStore().list({ limit: 0 })),
 * );
 * assert.ok(error instanceof StoreError);
 * ```
 */
export class StoreError extends TesseraError {
  /** The discriminator. */
  readonly _tag = "StoreError" as const;
  /** Makes the error. */
  constructor(fields: ErrorFields) {
    super(fields);
    this.name = this._tag;
  }
}
