/**
 * The reference's checkpoints and numbers (`tests/golden/model`), and models opened from them.
 * @module
 */
import { Effect, type Scope } from "effect";
import type { BackendError, CheckpointError } from "../../../nodes/errors.ts";
import {
  type HostTensor,
  hostTensor,
  type Tensor,
} from "../../../nodes/tensor.ts";
import { Backend, type Session } from "../../onnx/mod.ts";
import {
  type Checkpoint,
  expectTensors,
  openCheckpoint,
} from "../checkpoint.ts";
import { languageGraph } from "./language.ts";
import { projectorGraph } from "./projector.ts";
import { allExpectedTensors } from "./tensors.ts";
import { visionGraph } from "./vision.ts";
import {
  type GraphSettings,
  type GraphSource,
  graphSource,
} from "./weights.ts";

const root = new URL("../../../tests/golden/model/", import.meta.url);

/** The checkpoints of the golden set. */
export const goldenNames = [
  "layer-norm-f32",
  "rms-norm-bf16",
  "v1-tied-f16",
  "interpolated-bf16",
  "long-f16",
  "qk-norm-f32",
] as const;

/** A question the reference has answered. */
export interface GoldenCase {
  readonly name: string;
  readonly pictureSet: string | null;
  readonly tilesPerImage: readonly number[];
  readonly inputIds: readonly number[];
  readonly greedyIds: readonly number[];
  readonly response: string;
}

/** What the reference made of one checkpoint. */
export interface Golden {
  readonly folder: string;
  readonly maxNewTokens: number;
  readonly cases: readonly GoldenCase[];
  /** `features/…`, `visual/…`, `first_logits/…` (float32), `tiles/…` (uint8 [n, S, S, 3]). */
  readonly tensors: ReadonlyMap<string, HostTensor<"float32" | "uint8">>;
}

/** Reads the golden files of one checkpoint. */
export async function readGolden(name: string): Promise<Golden> {
  const place = new URL(`${name}/`, root);
  const file = await Deno.open(new URL("expected.safetensors.gz", place));
  const bytes = await new Response(
    file.readable.pipeThrough(new DecompressionStream("gzip")),
  ).arrayBuffer();
  const length = Number(new DataView(bytes).getBigUint64(0, true));
  const header = JSON.parse(
    new TextDecoder().decode(new Uint8Array(bytes, 8, length)),
  );
  const tensors = new Map<string, HostTensor<"float32" | "uint8">>();
  for (const [key, entry] of Object.entries<Record<string, never>>(header)) {
    if (key === "__metadata__") continue;
    const { dtype, shape, data_offsets: [begin, end] } = entry as unknown as {
      dtype: string;
      shape: number[];
      data_offsets: [number, number];
    };
    const part = bytes.slice(8 + length + begin, 8 + length + end);
    tensors.set(
      key,
      dtype === "F32"
        ? hostTensor("float32", shape, new Float32Array(part))
        : hostTensor("uint8", shape, new Uint8Array(part)),
    );
  }
  const cases = JSON.parse(
    await Deno.readTextFile(new URL("cases.json", place)),
  );
  return {
    folder: decodeURIComponent(new URL("checkpoint", place).pathname),
    maxNewTokens: cases.maxNewTokens,
    cases: cases.cases,
    tensors,
  };
}

const mean = [0.485, 0.456, 0.406];
const deviation = [0.229, 0.224, 0.225];

/** uint8 [n, S, S, 3] → float32 [n, 3, S, S], each step rounded to float32. */
export function normalise(tiles: HostTensor): HostTensor<"float32"> {
  const [count, edge] = tiles.shape;
  const area = edge * edge;
  const pixels = new Float32Array(tiles.data.length);
  for (let i = 0; i < tiles.data.length; i++) {
    const channel = i % 3;
    const place = (i - channel) / 3;
    const tile = Math.floor(place / area);
    const scaled = Math.fround(Number(tiles.data[i]) / 255);
    pixels[(tile * 3 + channel) * area + place % area] =
      Math.fround(scaled - Math.fround(mean[channel])) /
      Math.fround(deviation[channel]);
  }
  return hostTensor("float32", [count, 3, edge, edge], pixels);
}

/** A checkpoint with its sessions. */
export interface OpenModel {
  readonly checkpoint: Checkpoint;
  readonly source: GraphSource;
  readonly vision: Session;
  readonly projector: Session;
  readonly language: Session;
  /** Of the second set of weights, if there is one. */
  readonly prefill: Session | undefined;
}

/** Opens a checkpoint folder and loads its graphs into the current scope. */
export const openModel: (
  folder: string,
  settings?: GraphSettings,
) => Effect.Effect<
  OpenModel,
  CheckpointError | BackendError,
  Backend | Scope.Scope
> = Effect.fnUntraced(function* (folder, settings) {
  const backend = yield* Backend;
  const checkpoint = yield* openCheckpoint(folder);
  yield* expectTensors(checkpoint, allExpectedTensors(checkpoint.config));
  const source = yield* graphSource(checkpoint);
  const load = (
    name: "vision" | "projector" | "language" | "prefill",
    graph: typeof visionGraph,
    more?: GraphSettings,
  ) =>
    backend.load(graph(source, { ...settings, ...more }), { name, threads: 1 });
  return {
    checkpoint,
    source,
    vision: yield* load("vision", visionGraph),
    projector: yield* load("projector", projectorGraph),
    language: yield* load("language", languageGraph),
    prefill: checkpoint.config.quantization?.prefill === undefined
      ? undefined
      : yield* load("prefill", languageGraph, { prefill: true }),
  };
});

/** The norm of the difference over the norm of what is expected. */
export function relativeError(
  actual: ArrayLike<number>,
  expected: ArrayLike<number>,
): number {
  if (actual.length !== expected.length) return Infinity;
  let difference = 0;
  let norm = 0;
  for (let i = 0; i < expected.length; i++) {
    difference += (actual[i] - expected[i]) ** 2;
    norm += expected[i] ** 2;
  }
  return Math.sqrt(difference / norm);
}

/** The numbers of a float32 tensor. */
export function floats(
  tensor: Tensor,
): Effect.Effect<Float32Array<ArrayBuffer>, BackendError> {
  return tensor.read as Effect.Effect<Float32Array<ArrayBuffer>, BackendError>;
}
