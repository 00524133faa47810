/**
 * Quantizes `models/nano` into a folder, slowly, and prints each file that is whole; a test kills it.
 * @module
 */
import { Effect } from "effect";
import { quantize } from "./mod.ts";

const [model, out, shardBytes] = Deno.args;
let told = 0;
await Effect.runPromise(
  quantize(model!, out!, {
    weights: "int4",
    shardBytes: Number(shardBytes),
    threads: 1,
    onProgress: ({ finished }) => {
      if (finished === told) return;
      told = finished;
      console.log(finished);
    },
  }),
);
