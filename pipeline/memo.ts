/**
 * The memo: results of nodes by content. Equal computations at the same time are done once, and what a
 * result holds (device memory, say) lives until the memo has dropped it and no run uses it any more.
 * @module
 */
import { Context, Deferred, Effect, Exit, Layer, Scope } from "effect";

/** Outputs of a node by port name. */
export type MemoOutputs = { readonly [port: string]: unknown };

/** A result of {@link MemoCache.get}. */
export interface MemoResult {
  /** The outputs. */
  readonly outputs: MemoOutputs;
  /** Whether they were there, or were being computed, already. */
  readonly cached: boolean;
}

/** What a memo holds and has done. */
export interface MemoStats {
  /** Results held. */
  readonly entries: number;
  /** Their size in bytes, as `sizeOf` sees it. */
  readonly bytes: number;
  /** Results found. */
  readonly hits: number;
  /** Results computed. */
  readonly misses: number;
  /** Results dropped to make room. */
  readonly evictions: number;
}

/** Results of nodes by content. */
export interface MemoCache {
  /**
   * Finds or computes a result and holds on to it until the surrounding scope closes. `compute` may
   * acquire scoped resources: they stay until the result is dropped and nobody holds on to it. A failed
   * or interrupted computation is not kept; whoever waited for it computes for itself.
   */
  readonly get: <E, R>(
    key: string,
    compute: Effect.Effect<MemoOutputs, E, R>,
  ) => Effect.Effect<MemoResult, E, Exclude<R, Scope.Scope> | Scope.Scope>;
  /** Drops every result; those in use are closed by their last user. */
  readonly clear: Effect.Effect<void>;
  /** What it holds and has done. */
  readonly stats: Effect.Effect<MemoStats>;
}

/**
 * The memo in force; none by default.
 *
 * ```ts
 * import { makeMemoCache } from "@tessera/sdk";
 * import { Effect } from "effect";
 * import assert from "node:assert/strict";
 *
 * const cached = Effect.gen(function* () {
 *   const memo = yield* makeMemoCache({ maxEntries: 10 });
 *   const compute = Effect.succeed({ text: "HELLO" });
 *   const first = yield* memo.get("key", compute);
 *   const second = yield* memo.get("key", compute);
 *   return [first.cached, second.cached];
 * });
 * assert.deepEqual(await Effect.runPromise(Effect.scoped(cached)), [false, true]);
 * ```
 */
export const MemoCache: Context.Reference<MemoCache | undefined> = Context
  .Reference<MemoCache | undefined>("tessera/MemoCache", {
    defaultValue: () => undefined,
  });

/** Bounds of a memo. */
export interface MemoOptions {
  /** At most this many results; the least recently used goes first. */
  readonly maxEntries: number;
  /** At most this many bytes. Default: no limit. */
  readonly maxBytes?: number;
  /** Size of a result in bytes; default {@link approximateBytes}. */
  readonly sizeOf?: (outputs: MemoOutputs) => number;
}

interface Entry {
  readonly key: string;
  readonly scope: Scope.Closeable;
  /** Opens when the computation has ended, one way or the other. */
  readonly settled: Deferred.Deferred<void>;
  outputs: MemoOutputs | undefined;
  bytes: number;
  users: number;
  held: boolean;
}

/**
 * Makes a memo; closing the surrounding scope drops everything in it.
 *
 * ```ts
 * import { makeMemoCache } from "@tessera/sdk";
 * import { Effect } from "effect";
 * import assert from "node:assert/strict";
 *
 * const program = Effect.gen(function* () {
 *   const memo = yield* makeMemoCache({ maxEntries: 2, maxBytes: 2 ** 20 });
 *   for (const key of ["a", "b", "c"]) {
 *     yield* memo.get(key, Effect.succeed({ text: key }));
 *   }
 *   return yield* memo.stats;
 * });
 * const { entries, evictions } = await Effect.runPromise(Effect.scoped(program));
 * assert.deepEqual([entries, evictions], [2, 1]);
 * ```
 */
export function makeMemoCache(
  options: MemoOptions,
): Effect.Effect<MemoCache, never, Scope.Scope> {
  const { maxEntries, maxBytes = Infinity, sizeOf = approximateBytes } =
    options;
  return Effect.acquireRelease(
    Effect.sync(() => new Memo(maxEntries, maxBytes, sizeOf)),
    (memo) => {
      memo.closed = true;
      return memo.clear;
    },
  );
}

/**
 * Provides a memo to everything the layer is provided to.
 *
 * ```ts
 * import { defineNode, layerMemoCache, pipeline, run, Text } from "@tessera/sdk";
 * import { Effect } from "effect";
 * import assert from "node:assert/strict";
 *
 * let computed = 0;
 * const count = defineNode({
 *   kind: "count",
 *   inputs: { text: Text },
 *   outputs: { text: Text },
 *   memoize: true,
 *   run: ({ text }) => Effect.sync(() => (computed++, { text })),
 * });
 * const once = pipeline("once", (g) => g.add(count, { text: g.input("text", Text) }));
 * await Effect.runPromise(
 *   Effect.all([run(once, { text: "a" }), run(once, { text: "a" })]).pipe(
 *     Effect.provide(layerMemoCache({ maxEntries: 100 })),
 *   ),
 * );
 * assert.equal(computed, 1);
 * ```
 */
export function layerMemoCache(options: MemoOptions): Layer.Layer<never> {
  return Layer.effect(MemoCache, makeMemoCache(options));
}

class Memo implements MemoCache {
  /** In order of use, the least recently used first. */
  readonly entries = new Map<string, Entry>();
  /** A computation that outlives the memo is not kept. */
  closed = false;
  bytes = 0;
  hits = 0;
  misses = 0;
  evictions = 0;

  constructor(
    readonly maxEntries: number,
    readonly maxBytes: number,
    readonly sizeOf: (outputs: MemoOutputs) => number,
  ) {}

  get<E, R>(
    key: string,
    compute: Effect.Effect<MemoOutputs, E, R>,
  ): Effect.Effect<MemoResult, E, Exclude<R, Scope.Scope> | Scope.Scope> {
    // deno-lint-ignore no-this-alias
    const memo = this;
    return Effect.uninterruptibleMask((restore) =>
      Effect.gen(function* () {
        for (;;) {
          const known = memo.entries.get(key);
          if (known === undefined) break;
          if (known.outputs === undefined) {
            yield* restore(Deferred.await(known.settled));
            continue;
          }
          memo.hits++;
          memo.entries.delete(key);
          memo.entries.set(key, known);
          yield* memo.use(known);
          return { outputs: known.outputs, cached: true };
        }
        memo.misses++;
        const entry: Entry = {
          key,
          scope: Scope.makeUnsafe(),
          settled: Deferred.makeUnsafe(),
          outputs: undefined,
          bytes: 0,
          users: 0,
          held: true,
        };
        memo.entries.set(key, entry);
        const exit = yield* Effect.exit(
          restore(Effect.provideService(compute, Scope.Scope, entry.scope))
            .pipe(
              // A size that cannot be told is a failure of the computation, of which nobody may be left waiting.
              Effect.map((outputs) => ({
                outputs,
                bytes: memo.sizeOf(outputs),
              })),
            ),
        );
        if (Exit.isFailure(exit)) {
          memo.entries.delete(key);
          yield* Scope.close(entry.scope, exit);
          Deferred.doneUnsafe(entry.settled, Effect.void);
          return yield* Effect.failCause(exit.cause);
        }
        const { outputs } = exit.value;
        entry.outputs = outputs;
        entry.bytes = exit.value.bytes;
        memo.bytes += entry.bytes;
        yield* memo.use(entry);
        yield* memo.shrink(entry);
        Deferred.doneUnsafe(entry.settled, Effect.void);
        return { outputs, cached: false };
      })
    );
  }

  /** Holds on to an entry until the surrounding scope closes. */
  use(entry: Entry): Effect.Effect<void, never, Scope.Scope> {
    entry.users++;
    return Effect.addFinalizer((exit) => {
      entry.users--;
      return entry.held || entry.users > 0
        ? Effect.void
        : Scope.close(entry.scope, exit);
    });
  }

  /** Takes an entry out; closes it unless somebody uses it. */
  drop(entry: Entry): Effect.Effect<void> {
    this.entries.delete(entry.key);
    this.bytes -= entry.bytes;
    entry.held = false;
    return entry.users > 0
      ? Effect.void
      : Scope.close(entry.scope, Exit.succeed(undefined));
  }

  /** Makes room, but never lets one result that is too large for the memo drive out all others. */
  shrink(latest: Entry): Effect.Effect<void> {
    if (this.closed || latest.bytes > this.maxBytes) {
      this.evictions++;
      return this.drop(latest);
    }
    const over = (): boolean =>
      this.entries.size > this.maxEntries || this.bytes > this.maxBytes;
    if (!over()) return Effect.void;
    const drops: Effect.Effect<void>[] = [];
    for (const entry of this.entries.values()) {
      if (!over()) break;
      if (entry.outputs === undefined) continue;
      this.evictions++;
      drops.push(this.drop(entry));
    }
    return Effect.all(drops, { discard: true });
  }

  readonly clear: Effect.Effect<void> = Effect.suspend(() =>
    Effect.all(
      [...this.entries.values()].filter(({ outputs }) => outputs !== undefined)
        .map((entry) => this.drop(entry)),
      { discard: true },
    )
  );

  readonly stats: Effect.Effect<MemoStats> = Effect.sync(() => ({
    entries: this.entries.size,
    bytes: this.bytes,
    hits: this.hits,
    misses: this.misses,
    evictions: this.evictions,
  }));
}

/**
 * Bytes of a value's arrays and texts, looked for five levels deep; everything else counts 8.
 *
 * ```ts
 * import { approximateBytes } from "@tessera/sdk";
 * import assert from "node:assert/strict";
 *
 * const features = new Float32Array(1000);
 * assert.equal(approximateBytes({ features }), 8 + 4000);
 * ```
 */
export function approximateBytes(value: unknown): number {
  return measure(value, 5, new Set());
}

function measure(value: unknown, depth: number, seen: Set<object>): number {
  if (typeof value === "string") return 2 * value.length;
  if (typeof value !== "object" || value === null) return 8;
  if (seen.has(value)) return 0;
  seen.add(value);
  if (ArrayBuffer.isView(value)) return value.byteLength;
  if (value instanceof ArrayBuffer) return value.byteLength;
  if (depth === 0) return 8;
  let bytes = 8;
  for (const field of Object.values(value)) {
    bytes += measure(field, depth - 1, seen);
  }
  return bytes;
}
