/**
 * A graph as data: what the builder makes, the document stores, the checker reads and the runner runs.
 * @module
 */
import { Schema } from "effect";
import type { AnyKind } from "./node.ts";
import type { AnyPort } from "./port.ts";

/** When and how often a failed node is tried again. */
export interface RetryOptions {
  /** Further attempts after the first, 1 to 100. */
  readonly times: number;
  /** Milliseconds before the second attempt; default 0. */
  readonly delayMs?: number;
  /** Each further delay is this many times longer; default 1. */
  readonly factor?: number;
}

/** How one node of a graph runs; plain data, kept in the document. */
export interface NodeOptions {
  /** Id in the graph; default: the kind, then `kind-2`, … */
  readonly id?: string;
  /** Tries a failed run again. */
  readonly retry?: RetryOptions;
  /** Limit on one attempt's running time (waiting for a lane does not count), in milliseconds. */
  readonly timeoutMs?: number;
  /** Overrides the kind's `memoize`. Not for a pipeline used as a node: its nodes have their own. */
  readonly memoize?: boolean;
  /** Overrides the kind's lane. Not for a pipeline used as a node: its nodes have their own. */
  readonly lane?: string;
  /** In `each`: at most this many elements at once. Default: as many as the lanes admit. */
  readonly concurrency?: number;
}

const Milliseconds = Schema.Finite.check(
  Schema.isBetween({ minimum: 0, maximum: 2 ** 31 - 1 }),
);

/** Codec of a node's options, as documents hold them; the id stands beside them. */
export const NodeOptionsSchema: Schema.Codec<Omit<NodeOptions, "id">> = Schema
  .Struct({
    retry: Schema.optionalKey(Schema.Struct({
      times: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 100 })),
      delayMs: Schema.optionalKey(Milliseconds),
      factor: Schema.optionalKey(
        Schema.Finite.check(Schema.isBetween({ minimum: 1, maximum: 100 })),
      ),
    })),
    timeoutMs: Schema.optionalKey(
      Milliseconds.check(Schema.isGreaterThan(0)),
    ),
    memoize: Schema.optionalKey(Schema.Boolean),
    lane: Schema.optionalKey(Schema.NonEmptyString),
    concurrency: Schema.optionalKey(
      Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 10_000 })),
    ),
  });

/** Where a value comes from. */
export type Source =
  | { readonly type: "input"; readonly name: string }
  | {
    readonly type: "constant";
    readonly port: AnyPort;
    readonly value: unknown;
  }
  | { readonly type: "node"; readonly node: string; readonly port: string }
  | { readonly type: "list"; readonly items: readonly Source[] };

/** An input of a pipeline. */
export interface GraphInput {
  /** Its port. */
  readonly port: AnyPort;
  /** The value when it is left out, wrapped so that `undefined` can be one. */
  readonly default?: { readonly value: unknown };
}

/** A node of a graph. */
export interface GraphNode {
  /** Unique in the graph. */
  readonly id: string;
  /** What it runs: a node kind or a pipeline. */
  readonly kind: AnyKind;
  /** Whether it runs once for every element. */
  readonly each: boolean;
  /** Names of the inputs that are lists, one element for each run. */
  readonly mapped: readonly string[];
  /** Where its inputs come from; optional ones may be missing. */
  readonly inputs: { readonly [port: string]: Source };
  /** Decoded parameters. */
  readonly params: unknown;
  /** Parameters as JSON, defaults filled in. */
  readonly encodedParams: unknown;
  /** How it runs, without the id. */
  readonly options: Omit<NodeOptions, "id">;
}

/** A checked graph. */
export interface Graph {
  /** Inputs by name. */
  readonly inputs: { readonly [name: string]: GraphInput };
  /** Nodes, every one after those it depends on. */
  readonly nodes: readonly GraphNode[];
  /** Where the outputs come from. */
  readonly outputs: { readonly [name: string]: Source };
  /** Nodes in all, those of nested pipelines included. */
  readonly size: number;
  /** Whether its connections were checked by the compiler, or only when a document was read. */
  readonly origin: "code" | "document";
}
