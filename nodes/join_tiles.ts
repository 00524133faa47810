/**
 * `join-tiles`: the grid's tiles and the thumbnail become one set, thumbnail last.
 * @module
 */
import { Effect } from "effect";
import { defineNode, type NodeKind, type NoParams } from "../pipeline/mod.ts";
import { OptionalTiles, Tiles } from "./ports.ts";
import { hostTensor } from "./tensor.ts";

/** Appends the thumbnail to the tiles, as the reference's preprocessing does. */
export const joinTiles: NodeKind<
  "join-tiles",
  { readonly tiles: typeof Tiles; readonly thumbnail: typeof OptionalTiles },
  { readonly tiles: typeof Tiles },
  NoParams,
  NoParams,
  never,
  never
> = defineNode({
  kind: "join-tiles",
  version: 1,
  description: "Appends the thumbnail to the tiles of a picture.",
  inputs: { tiles: Tiles, thumbnail: OptionalTiles },
  outputs: { tiles: Tiles },
  lane: "cpu",
  memoize: true,
  run: ({ tiles, thumbnail }) => {
    if (thumbnail === undefined) return Effect.succeed({ tiles });
    const { data, shape } = tiles.pixels;
    const [count = 0, ...tileShape] = shape;
    const joined = new Float32Array(data.length + thumbnail.pixels.data.length);
    joined.set(data);
    joined.set(thumbnail.pixels.data, data.length);
    return Effect.succeed({
      tiles: {
        pixels: hostTensor("float32", [count + 1, ...tileShape], joined),
        grid: tiles.grid,
        thumbnail: true,
      },
    });
  },
});
