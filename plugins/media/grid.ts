/**
 * Which grid of tiles a picture is cut into (`dynamic_preprocess` and `find_closest_aspect_ratio` of
 * the InternVL-Chat model card).
 * @module
 */
import { mostTiles } from "../../nodes/limits.ts";

/** Tiles across and down. */
export type Grid = readonly [columns: number, rows: number];

const candidates = new Map<string, readonly Grid[]>();

/**
 * All grids of `minTiles` to `maxTiles` tiles, fewest tiles first. The reference takes grids of equal
 * area in the order of a Python set; here they come with fewer columns first. For `minTiles` 1 and
 * `maxTiles` up to 40 the order within an area never decides.
 */
function gridsOf(minTiles: number, maxTiles: number): readonly Grid[] {
  const key = `${minTiles}-${maxTiles}`;
  let grids = candidates.get(key);
  if (grids === undefined) {
    const all: Grid[] = [];
    for (let columns = 1; columns <= maxTiles; columns++) {
      for (let rows = 1; rows * columns <= maxTiles; rows++) {
        if (rows * columns >= minTiles) all.push([columns, rows]);
      }
    }
    grids = all.sort((a, b) => a[0] * a[1] - b[0] * b[1]);
    candidates.set(key, grids);
  }
  return grids;
}

/**
 * The grid whose aspect ratio is nearest to the picture's. Of two that are equally near, the one with
 * more tiles wins when the picture has more than half of that grid's pixels.
 *
 * `width`, `height` and `tileSize` are in pixels; `minTiles <= maxTiles`, both whole numbers from 1
 * to 40, else a `RangeError` is thrown.
 *
 * ```ts
 * import { findTileGrid } from "@tessera/sdk";
 * import assert from "node:assert/strict";
 *
 * const options = { tileSize: 448, minTiles: 1, maxTiles: 12 };
 * assert.deepEqual(findTileGrid(1920, 1080, options), [4, 2]);
 * ```
 */
export function findTileGrid(
  width: number,
  height: number,
  options: {
    readonly tileSize: number;
    readonly minTiles: number;
    readonly maxTiles: number;
  },
): Grid {
  const { tileSize, minTiles, maxTiles } = options;
  const whole = [width, height, tileSize, minTiles, maxTiles];
  if (whole.some((n) => !Number.isSafeInteger(n) || n < 1)) {
    throw new RangeError(
      `findTileGrid: sizes and tile counts must be whole numbers from 1, not ${
        whole.join(", ")
      }`,
    );
  }
  if (minTiles > maxTiles || maxTiles > mostTiles) {
    throw new RangeError(
      `findTileGrid: from ${minTiles} to ${maxTiles} tiles; 1 <= fewest <= most <= ${mostTiles} is possible`,
    );
  }
  const aspect = width / height;
  const area = width * height;
  let best: Grid = [1, 1];
  let bestDistance = Infinity;
  for (const grid of gridsOf(minTiles, maxTiles)) {
    const distance = Math.abs(aspect - grid[0] / grid[1]);
    if (
      distance < bestDistance ||
      distance === bestDistance &&
        area > 0.5 * tileSize * tileSize * grid[0] * grid[1]
    ) {
      best = grid;
      bestDistance = distance;
    }
  }
  return best;
}
