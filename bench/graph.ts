/**
 * What the graph itself costs: microseconds per node of pipelines whose nodes do nothing.
 *
 * ```sh
 * deno run bench/graph.ts
 * ```
 * @module
 */
import { Effect } from "effect";
import {
  type AnyPipeline,
  defineNode,
  layerMemoCache,
  layerMemory,
  list,
  Num,
  observe,
  pipeline,
  run,
} from "../pipeline/mod.ts";

/** Microseconds per node, the best of the rounds: whatever else runs on the machine only ever adds. */
export interface GraphBench {
  /** Nodes in each pipeline. */
  readonly nodes: number;
  /** Rounds measured. */
  readonly rounds: number;
  /** Every node after the one before it. */
  readonly chain: number;
  /** The same, with spans left out. */
  readonly chainUntraced: number;
  /** The same, each node in the `cpu` lane. */
  readonly chainInLane: number;
  /** The same, with a listener that sees every event. */
  readonly chainWithEvents: number;
  /** The same, with events kept by the store in memory. */
  readonly chainWithStore: number;
  /** The same with a memo, nothing in it yet. */
  readonly chainMemoMiss: number;
  /** The same with a memo, everything in it already. */
  readonly chainMemoHit: number;
  /** One node, all others after it, their results gathered. */
  readonly fanOut: number;
  /** One mapped node with as many elements. */
  readonly each: number;
  /** For comparison: as many `Effect.flatMap` in a row, and nothing else. */
  readonly bareEffects: number;
}

const add = defineNode({
  kind: "add",
  inputs: { a: Num },
  outputs: { sum: Num },
  run: ({ a }) => Effect.succeed({ sum: a + 1 }),
});

const total = defineNode({
  kind: "total",
  inputs: { numbers: list(Num) },
  outputs: { sum: Num },
  run: ({ numbers }) =>
    Effect.succeed({ sum: numbers.reduce((a, b) => a + b, 0) }),
});

function chain(
  length: number,
  options: { readonly memoize?: boolean; readonly lane?: string } = {},
) {
  return pipeline("chain", (g) => {
    let handle = g.add(add, { a: g.input("a", Num) }, {}, options);
    for (let i = 1; i < length; i++) {
      handle = g.add(add, { a: handle.sum }, {}, options);
    }
    return { sum: handle.sum };
  });
}

function fanOut(width: number) {
  return pipeline("fan-out", (g) => {
    const { sum } = g.add(add, { a: g.input("a", Num) });
    const sums = Array.from(
      { length: width - 2 },
      () => g.add(add, { a: sum }).sum,
    );
    return g.add(total, { numbers: g.list(sum, ...sums) });
  });
}

const mapped = pipeline("mapped", (g) => {
  return g.each(add, { a: g.input("numbers", list(Num)) });
});

/** Measures; about two seconds. */
export async function benchGraph(
  nodes = 1000,
  rounds = 30,
): Promise<GraphBench> {
  const best = async (effect: Effect.Effect<unknown>): Promise<number> => {
    let least = Infinity;
    for (let i = -20; i < rounds; i++) {
      const start = performance.now();
      await Effect.runPromise(effect);
      if (i >= 0) least = Math.min(least, performance.now() - start);
    }
    return Math.round(least * 1e5 / nodes) / 100;
  };
  const start = (
    p: AnyPipeline,
    inputs: { readonly [name: string]: unknown } = { a: 1 },
  ): Effect.Effect<unknown> =>
    Effect.orDie(run(p, inputs)) as Effect.Effect<unknown>;
  const plain = chain(nodes);
  const memoized = chain(nodes, { memoize: true });
  const bare = Effect.suspend(() => {
    let effect: Effect.Effect<number> = Effect.succeed(1);
    for (let i = 0; i < nodes; i++) {
      effect = Effect.flatMap(effect, (a) => Effect.succeed(a + 1));
    }
    return effect;
  });
  let seen = 0;
  return {
    nodes,
    rounds,
    chain: await best(start(plain)),
    chainUntraced: await best(Effect.withTracerEnabled(start(plain), false)),
    chainInLane: await best(start(chain(nodes, { lane: "cpu" }))),
    chainWithEvents: await best(observe(start(plain), () => seen++)),
    chainWithStore: await best(
      Effect.provide(start(plain), layerMemory({ maxRuns: 2 })),
    ),
    chainMemoMiss: await best(
      Effect.provide(start(memoized), layerMemoCache({ maxEntries: nodes }), {
        local: true,
      }),
    ),
    chainMemoHit: await Effect.runPromise(
      Effect.gen(function* () {
        const context = yield* Effect.context<never>();
        return yield* Effect.promise(() =>
          best(Effect.provideContext(start(memoized), context))
        );
      }).pipe(Effect.provide(layerMemoCache({ maxEntries: nodes }))),
    ),
    fanOut: await best(start(fanOut(nodes))),
    each: await best(
      start(mapped, { numbers: Array.from({ length: nodes }, (_, i) => i) }),
    ),
    bareEffects: await best(bare),
  };
}

if (import.meta.main) {
  console.log(JSON.stringify(await benchGraph(), null, 2));
}
