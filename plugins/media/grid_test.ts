import assert from "node:assert/strict";
import { findTileGrid } from "./grid.ts";

const golden = await Deno.readFile(
  new URL("../../tests/golden/media/grids.bin", import.meta.url),
);

Deno.test("grids equal the reference on 2,000 sizes and five limits", () => {
  const view = new DataView(golden.buffer);
  const count = view.getUint32(0, true);
  assert.equal(count, 2000);
  let at = 4;
  for (let i = 0; i < count; i++) {
    const width = view.getUint32(at, true);
    const height = view.getUint32(at + 4, true);
    at += 8;
    for (const maxTiles of [1, 6, 12, 24, 40]) {
      const expected = [golden[at], golden[at + 1]];
      at += 2;
      assert.deepEqual(
        findTileGrid(width, height, { tileSize: 448, minTiles: 1, maxTiles }),
        expected,
        `${width}x${height}, at most ${maxTiles}`,
      );
    }
  }
  assert.equal(at, golden.length);
});

Deno.test("fewest tiles are kept", () => {
  for (const [width, height] of [[100, 100], [2000, 900], [30, 4000]]) {
    const [columns, rows] = findTileGrid(width, height, {
      tileSize: 448,
      minTiles: 4,
      maxTiles: 6,
    });
    assert.ok(columns * rows >= 4 && columns * rows <= 6);
  }
});

Deno.test("sizes and limits that make no sense are named", () => {
  const options = { tileSize: 448, minTiles: 1, maxTiles: 12 };
  assert.throws(() => findTileGrid(0, 5, options), /whole numbers/);
  assert.throws(() => findTileGrid(5, 5.5, options), /whole numbers/);
  assert.throws(
    () => findTileGrid(5, 5, { ...options, maxTiles: 41 }),
    /from 1 to 41 tiles/,
  );
  assert.throws(
    () => findTileGrid(5, 5, { ...options, minTiles: 13 }),
    /from 13 to 12 tiles/,
  );
});
