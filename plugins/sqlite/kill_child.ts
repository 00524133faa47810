/**
 * Runs pipelines without end and prints the id of each run that is stored; a test kills it.
 * @module
 */
import { Effect } from "effect";
import { defineNode, pipeline, run, Text } from "../../pipeline/mod.ts";
import { layerSqlite } from "./mod.ts";

const echo = defineNode({
  kind: "echo",
  inputs: { text: Text },
  outputs: { text: Text },
  streams: { text: Text },
  run: ({ text }, _, ctx) =>
    Effect.sync(() => {
      for (let i = 0; i < 300; i++) ctx.emit("text", text);
      return { text };
    }),
});
const talk = pipeline(
  "talk",
  (g) => g.add(echo, { text: g.input("text", Text) }),
);

const [filename = "", name = "child"] = Deno.args;
let index = 0;
await Effect.runPromise(
  Effect.forever(
    Effect.flatMap(
      Effect.suspend(() =>
        run(talk, { text: "hi" }, {
          attributes: {
            model: name,
            batch: { id: name, name, index, item: `q${index++}` },
          },
        })
      ),
      ({ runId, storeError }) =>
        storeError === undefined
          ? Effect.sync(() => console.log(runId))
          : Effect.die(storeError),
    ),
  ).pipe(Effect.provide(layerSqlite(filename))),
);
