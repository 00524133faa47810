/**
 * `vision-encode`: tiles through the vision tower.
 * @module
 */
import { Effect } from "effect";
import { defineNode, type NodeKind, type NoParams } from "../pipeline/mod.ts";
import type { BackendError } from "./errors.ts";
import { PatchFeatures, Tiles } from "./ports.ts";
import { ModelInfo, VisionEncoder } from "./services.ts";

/**
 * [n, 3, S, S] → the encoder's last hidden state, class token included: [n, 1 + g², Dv],
 * g the patches along an edge of a tile. Fails with `BackendError`.
 *
 * ```ts
 * import { elementCount, hostTensor, InternVL, pipeline, Tiles, visionEncode } from "@tessera/sdk";
 * import assert from "node:assert/strict";
 *
 * await using model = await InternVL.load("models/nano");
 * const { tileSize } = model.info;
 * const encode = pipeline("encode", (g) =>
 *   g.add(visionEncode, { tiles: g.input("tiles", Tiles) }));
 * const shape = [2, 3, tileSize, tileSize];
 * const { outputs } = await model.run(encode, {
 *   tiles: {
 *     pixels: hostTensor("float32", shape, new Float32Array(elementCount(shape))),
 *     grid: [2, 1],
 *     thumbnail: false,
 *   },
 * });
 * assert.equal(outputs.features.shape[0], 2);
 * ```
 */
export const visionEncode: NodeKind<
  "vision-encode",
  { readonly tiles: typeof Tiles },
  { readonly features: typeof PatchFeatures },
  NoParams,
  NoParams,
  BackendError,
  VisionEncoder | ModelInfo
> = defineNode({
  kind: "vision-encode",
  version: 1,
  description: "Runs the vision tower over the tiles of a picture.",
  inputs: { tiles: Tiles },
  outputs: { features: PatchFeatures },
  // The service puts the tiles of several requests together.
  lane: "batch",
  memoize: true,
  identity: Effect.map(ModelInfo, (info) => info.digest),
  run: ({ tiles }, _params, context) =>
    Effect.gen(function* () {
      const encoder = yield* VisionEncoder;
      const total = tiles.pixels.shape[0];
      const features = yield* encoder.encode(
        tiles.pixels,
        (done) => context.progress({ done, total }),
      );
      return { features };
    }),
});
