/**
 * Nodes by content: the key of a computation, and its result from the memo.
 * @module
 */
import { Effect } from "effect";
import { sha256 } from "./json.ts";
import type { MemoCache } from "./memo.ts";
import {
  type Data,
  type Datum,
  datum,
  type PlanNode,
  type Work,
} from "./plan.ts";
import { listDigest } from "./port.ts";
import {
  milliseconds,
  previews,
  type Running,
  type RunState,
} from "./state.ts";

/** The digest of a value, computed at most once after somebody got it. */
export function digestOf(value: Datum): Effect.Effect<string> {
  if (value.digest !== undefined) return Effect.succeed(value.digest);
  const { port, items } = value;
  const computed = items === undefined
    ? port.digest(value.value)
    : Effect.flatMap(Effect.forEach(items, digestOf), listDigest);
  const kept = Effect.map(computed, (digest) => value.digest = digest);
  return items !== undefined || port.stamp === undefined
    ? kept
    : Effect.flatMap(port.stamp(value.value), (stamp) => {
      value.stamp = stamp;
      return kept;
    });
}

/** Whether a value is still what its digest was computed from. */
const unchanged = (value: Datum): Effect.Effect<boolean> =>
  value.items !== undefined
    ? Effect.map(
      Effect.forEach(value.items, unchanged),
      (all) => all.every((one) => one),
    )
    : value.stamp === undefined
    ? Effect.succeed(true)
    : Effect.map(
      value.port.stamp!(value.value),
      (stamp) => stamp === value.stamp,
    );

/** Forgets digests that may be of other content. */
function forget(value: Datum): void {
  value.items?.forEach(forget);
  if (value.items !== undefined || value.stamp !== undefined) {
    value.digest = value.stamp = undefined;
  }
}

/** Fails the computation of what has changed on the way. */
const changed = Symbol("changed");

/** How often a computation begins anew because its inputs have changed, before it is not kept. */
const MOST_CHANGES = 3;

/** The result from the memo, or computed; fails with `changed` when its inputs change meanwhile. */
const kept: (
  run: RunState,
  memo: MemoCache,
  node: PlanNode,
  work: Work & { readonly type: "node" },
  given: Data,
  path: string,
  compute: () => Running<Data>,
) => Running<Data> = Effect.fnUntraced(function* (
  run: RunState,
  memo: MemoCache,
  node: PlanNode,
  work: Work & { readonly type: "node" },
  given: Data,
  path: string,
  compute: () => Running<Data>,
): Generator<Running<unknown>, Data, never> {
  const from = run.now();
  const { kind } = work;
  const identity = kind.identity === undefined ? "" : yield* kind.identity;
  const digests: [string, string][] = [];
  for (const { name } of node.inputs) {
    digests.push([name, yield* digestOf(given[name]!)]);
  }
  const key: string = yield* sha256(
    JSON.stringify([work.key, identity, digests]),
  );
  const { outputs, cached } = yield* memo.get(
    key,
    Effect.flatMap(
      Effect.suspend(compute),
      (data) =>
        Effect.flatMap(
          Effect.forEach(Object.values(given), unchanged),
          (all) => {
            if (!all.every((one) => one)) return Effect.fail(changed);
            const made: Record<string, unknown> = {};
            for (const [name] of node.outputs) made[name] = data[name]!.value;
            return Effect.succeed(made);
          },
        ),
    ),
  );
  const data: Record<string, Datum> = {};
  for (const [name, port] of node.outputs) {
    // Named by what it was made from: large outputs need no hashing of their own.
    data[name] = datum(port, outputs[name], `${key}.${name}`);
  }
  if (cached) {
    const queuedMs = milliseconds(run.now() - from);
    const facts = {
      node: path,
      kind: kind.kind,
      composite: false,
      attempt: 1,
      queuedMs,
    };
    if (run.observed) {
      run.emit({ _tag: "NodeStarted", ...facts });
      run.emit({
        _tag: "NodeFinished",
        ...facts,
        ms: 0,
        cached,
        outputs: previews(data),
        spans: [],
      });
    }
    run.reports.push({ ...facts, ms: 0, cached, spans: [] });
    yield* Effect.annotateCurrentSpan("tessera.cached", true);
  }
  return data;
});

/** Finds the result by content, or computes it once for everybody who wants it now. */
export const memoized: typeof kept = Effect.fnUntraced(
  function* (
    ...args: Parameters<typeof kept>
  ): Generator<Running<unknown>, Data, never> {
    const [, , , , given, , compute] = args;
    for (let tries = 0; tries < MOST_CHANGES; tries++) {
      const data: Data | typeof changed = yield* Effect.catchIf(
        kept(...args),
        (error) => error === changed,
        () => Effect.succeed(changed),
      );
      if (data !== changed) return data;
      Object.values(given).forEach(forget);
    }
    return yield* compute();
  },
);
