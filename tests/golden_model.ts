/**
 * Reads what `tools/reference` wrote for a checkpoint (`checkpoint/`, `cases.json` and
 * `expected.safetensors.gz`) and compares a loaded model with it.
 * @module
 */
import assert from "node:assert/strict";
import { pathToFileURL } from "node:url";
import { Effect } from "effect";
import {
  LanguageModel,
  Projector,
  PromptRenderer,
  VisionEncoder,
} from "../nodes/services.ts";
import type { HostTensor } from "../nodes/tensor.ts";
import type { Turn, VisualTokens } from "../nodes/values.ts";
import {
  normalise,
  readGolden,
  relativeError,
} from "../plugins/internvl/graphs/testing.ts";

export { relativeError };

/** What the reference answered to one question. */
export interface Answer {
  readonly question: string;
  readonly images: readonly string[];
  readonly pictureSet: string | null;
  readonly text: string;
  readonly inputIds: readonly number[];
  readonly greedyIds: readonly number[];
  readonly storedQuestion: string;
  readonly response: string;
}

/** One round of a conversation. */
export interface Case extends Answer {
  readonly name: string;
  readonly video: boolean;
  readonly tilesPerImage: readonly number[];
  readonly history: readonly Turn[] | null;
  readonly numPatchesList: readonly number[] | null;
  readonly historyAfter: readonly Turn[];
}

/** Everything expected of a checkpoint. */
export interface Expected {
  /** The checkpoint's folder. */
  readonly folder: string;
  readonly maxNewTokens: number;
  readonly cases: readonly Case[];
  readonly batch: {
    readonly numPatchesList: readonly number[];
    readonly samples: readonly Answer[];
  } | null;
  /** A tensor by its name. */
  readonly tensor: (name: string) => HostTensor<"float32">;
  /** Names of the sets of pictures that were encoded. */
  readonly pictureSets: readonly string[];
  /** float32 [n, 3, S, S] of a set of pictures. */
  readonly pixels: (set: string) => HostTensor<"float32">;
}

/** Reads a folder that holds `checkpoint`, `cases.json` and `expected.safetensors.gz`. */
export async function readExpected(folder: string): Promise<Expected> {
  const { tensors, folder: checkpoint } = await readGolden(
    pathToFileURL(folder).href,
  );
  const tensor = (name: string) => {
    const found = tensors.get(name);
    assert.ok(found !== undefined, `${folder}: no expected tensor ${name}`);
    return found;
  };
  return {
    ...JSON.parse(await Deno.readTextFile(`${folder}/cases.json`)),
    folder: checkpoint,
    tensor,
    pictureSets: [...tensors.keys()].filter((name) => name.startsWith("tiles/"))
      .map((name) => name.slice("tiles/".length)),
    pixels: (set) => normalise(tensor(`tiles/${set}`)),
  };
}

/** Patch features and visual tokens of a set of pictures, with their distance from the reference. */
export const encodeSet = Effect.fnUntraced(
  function* (expected: Expected, set: string) {
    const pixels = expected.pixels(set);
    const features = yield* (yield* VisionEncoder).encode(pixels);
    const visual = yield* (yield* Projector).project(features);
    const distance = function* (tensor: VisualTokens, name: string) {
      const wanted = expected.tensor(name);
      assert.deepEqual([...tensor.shape], [...wanted.shape], name);
      const read = yield* tensor.read;
      return relativeError(read as Float32Array, wanted.data);
    };
    return {
      visual,
      featuresError: yield* distance(features, `features/${set}`),
      visualError: yield* distance(visual, `visual/${set}`),
    };
  },
);

/** Asks a question as the reference was asked; the prompt's text and ids must be its own. */
export const ask = Effect.fnUntraced(function* (
  answer: Answer,
  options: {
    readonly history?: readonly Turn[] | null;
    readonly numPatchesList: readonly number[];
    readonly visual: readonly VisualTokens[];
    readonly maxNewTokens: number;
  },
) {
  const { history, numPatchesList, visual, maxNewTokens } = options;
  const prompt = yield* (yield* PromptRenderer).render({
    question: answer.question,
    numPatchesList,
    ...(history == null ? {} : { history }),
  });
  assert.equal(prompt.text, answer.text);
  assert.equal(prompt.question, answer.storedQuestion);
  assert.deepEqual([...prompt.ids], answer.inputIds);
  return yield* (yield* LanguageModel).generate({
    prompt,
    visual,
    settings: { maxNewTokens },
  });
});
