/**
 * Lanes bound what runs at once: a node occupies its lane while it runs. All runs of a process share them.
 * @module
 */
import { Context, Semaphore } from "effect";

/** Bounds what runs at once. */
export interface Lanes {
  /** How many nodes the lane admits; `undefined` for an unknown lane, which admits any number. */
  readonly limit: (lane: string) => number | undefined;
  /** The lane's permits; `undefined` for an unknown lane. */
  readonly semaphore: (lane: string) => Semaphore.Semaphore | undefined;
}

/**
 * Makes lanes that admit the given number of nodes at once. Throws `RangeError` unless every number is a
 * whole number of at least 1.
 *
 * ```ts
 * import { makeLanes } from "@tessera/sdk";
 * import assert from "node:assert/strict";
 *
 * const lanes = makeLanes({ cpu: 4, device: 1 });
 * assert.equal(lanes.limit("device"), 1);
 * assert.equal(lanes.limit("network"), undefined);
 * assert.throws(() => makeLanes({ cpu: 0 }), RangeError);
 * ```
 */
export function makeLanes(
  limits: { readonly [lane: string]: number },
): Lanes {
  const lanes = new Map<string, [number, Semaphore.Semaphore]>();
  for (const [lane, limit] of Object.entries(limits)) {
    if (!Number.isInteger(limit) || limit < 1) {
      throw new RangeError(
        `makeLanes: lane "${lane}" cannot admit ${limit} nodes; use a whole number of at least 1`,
      );
    }
    lanes.set(lane, [limit, Semaphore.makeUnsafe(limit)]);
  }
  return {
    limit: (lane) => lanes.get(lane)?.[0],
    semaphore: (lane) => lanes.get(lane)?.[1],
  };
}

let shared: Lanes | undefined;

/**
 * The lanes in force. Default, shared by the whole process: `cpu` admits as many nodes as there are
 * processors, `device` admits one, `batch` 16 (nodes whose service computes several at once and lets the
 * others wait).
 *
 * ```ts
 * import { defineNode, Lanes, makeLanes, pipeline, run, Text } from "@tessera/sdk";
 * import { Effect } from "effect";
 * import assert from "node:assert/strict";
 *
 * const upper = defineNode({
 *   kind: "upper",
 *   inputs: { text: Text },
 *   outputs: { text: Text },
 *   run: ({ text }) => Effect.succeed({ text: text.toUpperCase() }),
 * });
 * const shout = pipeline("shout", (g) => g.add(upper, { text: g.input("text", Text) }));
 * const program = run(shout, { text: "hello" }).pipe(
 *   Effect.provideService(Lanes, makeLanes({ cpu: 1, device: 1 })),
 * );
 * assert.equal((await Effect.runPromise(program)).outputs.text, "HELLO");
 * ```
 */
export const Lanes: Context.Reference<Lanes> = Context.Reference<Lanes>(
  "tessera/Lanes",
  {
    defaultValue: () =>
      shared ??= makeLanes({
        cpu: Math.max(1, navigator.hardwareConcurrency),
        device: 1,
        batch: 16,
      }),
  },
);
