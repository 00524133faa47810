/**
 * `thumbnail`: the whole picture as one more tile, when it was cut at all.
 * @module
 */
import { Effect } from "effect";
import { defineNode, type NodeKind } from "../pipeline/mod.ts";
import type { MediaError } from "./errors.ts";
import { Image, OptionalTiles } from "./ports.ts";
import { ImageProcessor, ModelInfo } from "./services.ts";
import { tilingOptions, TilingParams } from "./tile.ts";

/**
 * The picture at the size of one tile: [1, 3, S, S], or nothing where the grid is a single tile or
 * the checkpoint uses no thumbnail. Give it the parameters of the `tile` node beside it.
 *
 * ```ts
 * import { Image, InternVL, pipeline, thumbnail } from "@tessera/sdk";
 * import assert from "node:assert/strict";
 *
 * await using model = await InternVL.load("models/nano");
 * const whole = pipeline("whole", (g) =>
 *   g.add(thumbnail, { image: g.input("image", Image) }, { maxTiles: 6 }));
 * const image = (width: number) => ({
 *   width,
 *   height: 64,
 *   data: new Uint8Array(width * 64 * 3),
 * });
 * const wide = await model.run(whole, { image: image(128) });
 * assert.equal(wide.outputs.thumbnail?.pixels.shape[0], 1);
 * const square = await model.run(whole, { image: image(64) });
 * assert.equal(square.outputs.thumbnail, undefined);
 * ```
 */
export const thumbnail: NodeKind<
  "thumbnail",
  { readonly image: typeof Image },
  { readonly thumbnail: typeof OptionalTiles },
  TilingParams,
  TilingParams,
  MediaError,
  ImageProcessor | ModelInfo
> = defineNode({
  kind: "thumbnail",
  version: 1,
  description:
    "The whole picture as one tile, for pictures that are cut into several.",
  inputs: { image: Image },
  outputs: { thumbnail: OptionalTiles },
  params: TilingParams,
  lane: "cpu",
  memoize: true,
  identity: Effect.map(ModelInfo, (info) => info.digest),
  run: ({ image }, params) =>
    Effect.gen(function* () {
      const info = yield* ModelInfo;
      const processor = yield* ImageProcessor;
      const [columns, rows] = processor.grid(
        image,
        tilingOptions(info, params),
      );
      if (!info.useThumbnail || columns * rows < 2) {
        return { thumbnail: undefined };
      }
      return { thumbnail: yield* processor.thumbnail(image, info.tileSize) };
    }),
});
