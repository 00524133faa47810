/**
 * What a model is, and its vision side as services.
 * @module
 */
import { Context, type Effect } from "effect";
import type { BackendError } from "../errors.ts";
import type { HostTensor } from "../tensor.ts";
import type { PatchFeatures, VisualTokens } from "../values.ts";

/** Facts about the loaded model that nodes need. */
export interface ModelInfo {
  /** Identity of the checkpoint's content, part of every memoization key. */
  readonly digest: string;
  /** Name for people, such as the folder's. */
  readonly name: string;
  /** Edge of a tile in pixels. */
  readonly tileSize: number;
  /** Visual tokens per tile after pixel shuffle. */
  readonly tokensPerTile: number;
  /** Fewest tiles a picture is cut into by default. */
  readonly minTiles: number;
  /** Most tiles a picture is cut into by default. */
  readonly maxTiles: number;
  /** Whether a thumbnail follows the tiles. */
  readonly useThumbnail: boolean;
  /** Longest sequence, prompt and answer together. */
  readonly contextLength: number;
}

/**
 * The loaded model's facts as a service.
 *
 * ```ts
 * import { InternVL, ModelInfo } from "@tessera/sdk";
 * import assert from "node:assert/strict";
 *
 * await using model = await InternVL.load("models/nano");
 * const info = await model.effect(ModelInfo);
 * assert.equal(info.name, "nano");
 * assert.equal(info.contextLength, model.info.contextLength);
 * ```
 */
export const ModelInfo: Context.Service<ModelInfo, ModelInfo> = Context.Service<
  ModelInfo
>(
  "tessera/ModelInfo",
);

/** The vision tower. */
export interface VisionEncoder {
  /** float32 [n, 3, S, S] → [n, 1 + g², Dv]; `onTile` is called with the number of tiles done. */
  readonly encode: (
    pixels: HostTensor<"float32">,
    onTile?: (done: number) => void,
  ) => Effect.Effect<PatchFeatures, BackendError>;
}

/**
 * The vision tower as a service.
 *
 * ```ts
 * import { elementCount, hostTensor, InternVL, VisionEncoder } from "@tessera/sdk";
 * import { Effect } from "effect";
 * import assert from "node:assert/strict";
 *
 * await using model = await InternVL.load("models/nano");
 * const shape = [1, 3, model.info.tileSize, model.info.tileSize];
 * const pixels = hostTensor("float32", shape, new Float32Array(elementCount(shape)));
 * const features = await model.effect(Effect.gen(function* () {
 *   const encoder = yield* VisionEncoder;
 *   return yield* encoder.encode(pixels, (done) => assert.equal(done, 1));
 * }));
 * assert.equal(features.shape.length, 3);
 * ```
 */
export const VisionEncoder: Context.Service<VisionEncoder, VisionEncoder> =
  Context.Service<
    VisionEncoder
  >("tessera/VisionEncoder");

/** Pixel shuffle and the MLP into the language model's space. */
export interface Projector {
  /** [n, 1 + g², Dv] → [n, tokens per tile, Dl]. */
  readonly project: (
    features: PatchFeatures,
  ) => Effect.Effect<VisualTokens, BackendError>;
}

/**
 * The projector as a service.
 *
 * ```ts
 * import { hostTensor, Projector } from "@tessera/sdk";
 * import { Effect, Layer } from "effect";
 * import assert from "node:assert/strict";
 *
 * // A projector of your own, in place of the checkpoint's: it passes the class token on.
 * const first = Layer.succeed(Projector, {
 *   project: (features) =>
 *     Effect.map(features.read, (data) => {
 *       const width = features.shape[2]!;
 *       const token = (data as Float32Array<ArrayBuffer>).slice(0, width);
 *       return hostTensor("float32", [1, 1, width], token);
 *     }),
 * });
 * const program = Effect.gen(function* () {
 *   const projector = yield* Projector;
 *   const features = hostTensor("float32", [1, 2, 2], Float32Array.of(1, 2, 3, 4));
 *   return yield* projector.project(features);
 * });
 * const tokens = await Effect.runPromise(Effect.provide(program, first));
 * assert.deepEqual(tokens.shape, [1, 1, 2]);
 * ```
 */
export const Projector: Context.Service<Projector, Projector> = Context.Service<
  Projector
>(
  "tessera/Projector",
);
