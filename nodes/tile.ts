/**
 * `tile`: dynamic high resolution. A picture becomes 1 to 40 tiles of the model's input size.
 * @module
 */
import { Effect, Schema } from "effect";
import { defineNode, type NodeKind } from "../pipeline/mod.ts";
import type { MediaError } from "./errors.ts";
import { mostTiles } from "./limits.ts";
import { Image, Tiles } from "./ports.ts";
import { ImageProcessor, ModelInfo, type TileOptions } from "./services.ts";

/** Parameters of `tile` and `thumbnail`. Both default to what the checkpoint's config says. */
export interface TilingParams {
  /** Fewest tiles, at least 1. */
  readonly minTiles?: number;
  /** Most tiles, 1 to 40. */
  readonly maxTiles?: number;
}

const tileCount = Schema.Int.check(
  Schema.isBetween({ minimum: 1, maximum: mostTiles }),
);

/**
 * Schema of {@link TilingParams}.
 *
 * ```ts
 * import { TilingParams } from "@tessera/sdk";
 * import { Schema } from "effect";
 * import assert from "node:assert/strict";
 *
 * const decode = Schema.decodeUnknownSync(TilingParams);
 * assert.deepEqual(decode({ maxTiles: 12 }), { maxTiles: 12 });
 * assert.throws(() => decode({ maxTiles: 41 }));
 * ```
 */
export const TilingParams: Schema.Codec<TilingParams> = Schema.Struct({
  minTiles: Schema.optionalKey(tileCount),
  maxTiles: Schema.optionalKey(tileCount),
});

/** The checkpoint's tiling options with a node's parameters over them. */
export function tilingOptions(
  info: ModelInfo,
  params: TilingParams,
): TileOptions {
  const maxTiles = params.maxTiles ?? info.maxTiles;
  return {
    tileSize: info.tileSize,
    minTiles: Math.min(params.minTiles ?? info.minTiles, maxTiles),
    maxTiles,
  };
}

/**
 * Cuts a picture into the grid nearest its aspect ratio and normalises the tiles: float32 [n, 3, S, S],
 * S the tile size in pixels. Source: `dynamic_preprocess` of the InternVL-Chat model card.
 *
 * ```ts
 * import { Image, InternVL, pipeline, tile } from "@tessera/sdk";
 * import assert from "node:assert/strict";
 *
 * await using model = await InternVL.load("models/nano");
 * const cut = pipeline("cut", (g) =>
 *   g.add(tile, { image: g.input("image", Image) }, { maxTiles: 2 }));
 * const image = { width: 128, height: 64, data: new Uint8Array(128 * 64 * 3) };
 * const { outputs } = await model.run(cut, { image });
 * assert.deepEqual(outputs.tiles.grid, [2, 1]);
 * const { tileSize } = model.info;
 * assert.deepEqual(outputs.tiles.pixels.shape, [2, 3, tileSize, tileSize]);
 * ```
 */
export const tile: NodeKind<
  "tile",
  { readonly image: typeof Image },
  { readonly tiles: typeof Tiles },
  TilingParams,
  TilingParams,
  MediaError,
  ImageProcessor | ModelInfo
> = defineNode({
  kind: "tile",
  version: 1,
  description:
    "Cuts a picture into 1 to 40 tiles by its aspect ratio and normalises them.",
  inputs: { image: Image },
  outputs: { tiles: Tiles },
  params: TilingParams,
  lane: "cpu",
  memoize: true,
  identity: Effect.map(ModelInfo, (info) => info.digest),
  run: ({ image }, params) =>
    Effect.gen(function* () {
      const processor = yield* ImageProcessor;
      const tiles = yield* processor.tile(
        image,
        tilingOptions(yield* ModelInfo, params),
      );
      return { tiles };
    }),
});
