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
