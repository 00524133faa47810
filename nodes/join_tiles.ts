/**
 * `join-tiles`: the grid's tiles and the thumbnail become one set, thumbnail last.
 * @module
 */
import { Effect } from "effect";
import { defineNode, type NodeKind, type NoParams } from "../pipeline/mod.ts";
import { copyInTurns } from "./copy.ts";
import { OptionalTiles, Tiles } from "./ports.ts";
import { elementCount, hostTensor } from "./tensor.ts";

/**
 * Appends the thumbnail to the tiles, as the reference's preprocessing does.
 *
 * ```ts
 * import { hostTensor, joinTiles, pipeline, run, Tiles } from "@tessera/sdk";
 * import { Effect } from "effect";
 * import assert from "node:assert/strict";
 *
 * const tiles = (count: number, thumbnail: boolean) => ({
 *   pixels: hostTensor("float32", [count, 3, 1, 1], new Float32Array(3 * count)),
 *   grid: [count, 1] as const,
 *   thumbnail,
 * });
 * const join = pipeline("join", (g) =>
 *   g.add(joinTiles, {
 *     tiles: g.input("tiles", Tiles),
 *     thumbnail: g.input("thumbnail", Tiles),
 *   }));
 * const { outputs } = await Effect.runPromise(
 *   run(join, { tiles: tiles(6, false), thumbnail: tiles(1, true) }),
 * );
 * assert.deepEqual(outputs.tiles.pixels.shape, [7, 3, 1, 1]);
 * ```
 */
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
  run: Effect.fnUntraced(function* ({ tiles, thumbnail }) {
    if (thumbnail === undefined) return { tiles };
    const { data, shape } = tiles.pixels;
    const [count = 0, ...tileShape] = shape;
    const size = elementCount(tileShape);
    const joined = new Float32Array(data.length + size);
    yield* Effect.promise(async () => {
      await copyInTurns(data, joined, 0);
      await copyInTurns(thumbnail.pixels.data, joined, data.length);
    });
    return {
      tiles: {
        pixels: hostTensor("float32", [count + 1, ...tileShape], joined),
        grid: tiles.grid,
        thumbnail: true,
      },
    };
  }),
});
