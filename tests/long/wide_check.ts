/**
 * One layer at the full width of InternVL-Chat-V1-5 against the reference. Not part of the ordinary tests:
 * it takes a checkpoint of 1.3 GB, made by `python3 tools/reference/wide.py FOLDER`.
 *
 * ```sh
 * deno task test:wide FOLDER
 * ```
 */
import { Effect, Layer } from "effect";
import { internvl } from "../../plugins/internvl/mod.ts";
import { ffiBackend } from "../../plugins/onnx/mod.ts";
import {
  ask,
  encodeSet,
  readExpected,
  relativeError,
} from "../golden_model.ts";

const tolerance = 1e-5;

if (import.meta.main) {
  const folder = Deno.args[0];
  if (folder === undefined) {
    console.error(
      "usage: wide_check.ts FOLDER (made by tools/reference/wide.py)",
    );
    Deno.exit(2);
  }
  Deno.exit(await check(folder) ? 0 : 1);
}

/** Prints every distance; whether all are within the tolerance and all ids are equal. */
async function check(folder: string): Promise<boolean> {
  const expected = await readExpected(folder);
  let good = true;
  const report = (name: string, error: number) => {
    good &&= error <= tolerance;
    console.log(`${name.padEnd(32)} ${error.toExponential(2)}`);
  };
  await Effect.gen(function* () {
    for (const item of expected.cases) {
      const visual = [];
      if (item.pictureSet !== null) {
        const seen = yield* encodeSet(expected, item.pictureSet);
        report(`patch features, ${item.pictureSet}`, seen.featuresError);
        report(`visual tokens, ${item.pictureSet}`, seen.visualError);
        visual.push(seen.visual);
      }
      const completion = yield* ask(item, {
        history: item.history,
        numPatchesList: item.numPatchesList ?? item.tilesPerImage,
        visual,
        maxNewTokens: expected.maxNewTokens,
      });
      const { data } = expected.tensor(`first_logits/${item.name}`);
      report(
        `first logits, ${item.name}`,
        relativeError(completion.firstLogits.data, data),
      );
      const equal = completion.ids.join() === item.greedyIds.join();
      good &&= equal;
      console.log(
        `${`greedy ids, ${item.name}`.padEnd(32)} ${
          equal ? "equal" : "DIFFERENT"
        }`,
      );
    }
  }).pipe(
    Effect.provide(internvl(expected.folder).pipe(Layer.provide(ffiBackend))),
    Effect.runPromise,
  );
  console.log(good ? "within 1e-5" : "NOT within 1e-5");
  return good;
}
