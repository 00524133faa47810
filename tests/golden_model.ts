/**
 * Reads what `tools/reference` wrote for a checkpoint (`checkpoint/`, `cases.json` and
 * `expected.safetensors.gz`) and compares a loaded model with it.
 * @module
 */
import assert from "node:assert/strict";
import { Effect } from "effect";
import {
  LanguageModel,
  Projector,
  PromptRenderer,
  VisionEncoder,
} from "../nodes/services.ts";
import { type HostTensor, hostTensor } from "../nodes/tensor.ts";
import type { Turn, VisualTokens } from "../nodes/values.ts";

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

/** A tensor of `expected.safetensors.gz`. */
export interface ExpectedTensor {
  readonly shape: readonly number[];
  readonly data: Float32Array<ArrayBuffer> | Uint8Array<ArrayBuffer>;
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
  readonly tensor: (name: string) => ExpectedTensor;
  /** Names of the sets of pictures that were encoded. */
  readonly pictureSets: readonly string[];
  /** float32 [n, 3, S, S] of a set of pictures. */
  readonly pixels: (set: string) => HostTensor<"float32">;
}

/** Reads a folder that holds `checkpoint`, `cases.json` and `expected.safetensors.gz`. */
export async function readExpected(folder: string): Promise<Expected> {
  const file = await Deno.open(`${folder}/expected.safetensors.gz`);
  const stream = file.readable.pipeThrough(new DecompressionStream("gzip"));
  const tensors = parse(await new Response(stream).arrayBuffer());
  const tensor = (name: string): ExpectedTensor => {
    const found = tensors.get(name);
    assert.ok(found !== undefined, `${folder}: no expected tensor ${name}`);
    return found;
  };
  return {
    folder: `${folder}/checkpoint`,
    ...JSON.parse(await Deno.readTextFile(`${folder}/cases.json`)),
    tensor,
    pictureSets: [...tensors.keys()].filter((name) => name.startsWith("tiles/"))
      .map((name) => name.slice("tiles/".length)),
    pixels: (set) => normalise(tensor(`tiles/${set}`)),
  };
}

/** ‖a − b‖ / ‖b‖. */
export function relativeError(
  a: Float32Array,
  b: Float32Array | Uint8Array,
): number {
  assert.equal(a.length, b.length);
  let difference = 0;
  let norm = 0;
  for (const [i, wanted] of b.entries()) {
    difference += (a[i]! - wanted) ** 2;
    norm += wanted ** 2;
  }
  return Math.sqrt(difference / norm);
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

/** ImageNet's mean and deviation; each step rounded to float32, as PyTorch does. */
function normalise(tiles: ExpectedTensor): HostTensor<"float32"> {
  const mean = Float32Array.of(0.485, 0.456, 0.406);
  const deviation = Float32Array.of(0.229, 0.224, 0.225);
  const [count, edge] = tiles.shape as [number, number];
  const area = edge * edge;
  const out = new Float32Array(count * 3 * area);
  for (const [i, byte] of tiles.data.entries()) {
    const channel = i % 3;
    const pixel = (i - channel) / 3;
    const tile = Math.floor(pixel / area);
    const centred = Math.fround(Math.fround(byte / 255) - mean[channel]!);
    out[(tile * 3 + channel) * area + pixel % area] = centred /
      deviation[channel]!;
  }
  return hostTensor("float32", [count, 3, edge, edge], out);
}

function parse(buffer: ArrayBuffer): Map<string, ExpectedTensor> {
  const length = Number(new DataView(buffer).getBigUint64(0, true));
  const header: Record<
    string,
    { dtype: string; shape: number[]; data_offsets: [number, number] }
  > = JSON.parse(
    new TextDecoder().decode(new Uint8Array(buffer, 8, length)),
  );
  const tensors = new Map<string, ExpectedTensor>();
  for (const [name, entry] of Object.entries(header)) {
    if (name === "__metadata__") continue;
    const [start, end] = entry.data_offsets;
    const bytes = buffer.slice(8 + length + start, 8 + length + end);
    const data = entry.dtype === "F32"
      ? new Float32Array(bytes)
      : new Uint8Array(bytes);
    tensors.set(name, { shape: entry.shape, data });
  }
  return tensors;
}
