/**
 * Writes many runs to a store in memory and prints how many bytes of heap were in use after the
 * first 500 and after 2,000 more; {@link file://../store_test.ts} starts it with `--expose-gc`.
 * @module
 */
import { Effect } from "effect";
import {
  defineNode,
  pipeline,
  run,
  RunStore,
  Text,
} from "../../../pipeline/mod.ts";
import { makeSqliteStore } from "../mod.ts";

const upper = defineNode({
  kind: "upper",
  inputs: { text: Text },
  outputs: { text: Text },
  run: ({ text }) => Effect.succeed({ text: text.toUpperCase() }),
});
const shout = pipeline(
  "shout",
  (g) => g.add(upper, { text: g.input("text", Text) }),
);

const program = Effect.scoped(Effect.gen(function* () {
  const store = yield* makeSqliteStore({ filename: ":memory:" });
  const runs = (count: number) =>
    Effect.promise(async () => {
      for (let i = 0; i < count; i++) {
        await Effect.runPromise(
          Effect.provideService(run(shout, { text: "hello" }), RunStore, store),
        );
      }
      (globalThis as unknown as { readonly gc: () => void }).gc();
      return Deno.memoryUsage().heapUsed;
    });
  return [yield* runs(500), yield* runs(2000)];
}));
console.log((await Effect.runPromise(program)).join(" "));
