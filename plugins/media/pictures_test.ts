/** Every kind of picture against what Pillow and torchvision make of it. */
import assert from "node:assert/strict";
import { Effect } from "effect";
import { ImageProcessor } from "../../nodes/services.ts";
import { imageProcessor } from "./image_processor.ts";
import { sha256 } from "./test_kit.ts";

interface Expected {
  readonly size: readonly [width: number, height: number];
  readonly rgb: string;
  readonly tiles?: readonly [
    maxTiles: number,
    tileSize: number,
    grid: readonly [number, number],
    digest: string,
  ][];
  readonly thumbnail?: string;
}

const folder = new URL("../../tests/golden/media/pictures/", import.meta.url);
const golden: {
  readonly pictures: Readonly<Record<string, Expected>>;
  readonly refused: Readonly<Record<string, string>>;
} = JSON.parse(await Deno.readTextFile(new URL("expected.json", folder)));

const run = <A, E>(effect: Effect.Effect<A, E, ImageProcessor>): Promise<A> =>
  Effect.runPromise(Effect.provide(effect, imageProcessor));

/** AVIF is decoded by libheif, which spreads the colours of 4:2:0 over four pixels each. */
const AVIF_LIMITS: Readonly<
  Record<string, readonly [max: number, mean: number]>
> = { "444.avif": [1, 0.5], "420.avif": [24, 1.5] };

Deno.test("pixels of every kind of picture equal the reference's", async () => {
  const names = Object.keys(golden.pictures);
  assert.ok(names.length >= 70);
  await run(Effect.gen(function* () {
    const processor = yield* ImageProcessor;
    for (const name of names) {
      const expected = golden.pictures[name];
      const image = yield* processor.decode(new URL(name, folder));
      assert.deepEqual([image.width, image.height], expected.size, name);
      if (name in AVIF_LIMITS) {
        const reference = yield* processor.decode(
          new URL(`${name}.png`, folder),
        );
        const [max, mean] = difference(image.data, reference.data);
        assert.ok(
          max <= AVIF_LIMITS[name][0] && mean <= AVIF_LIMITS[name][1],
          `${name}: differs by ${max} at most, ${mean} on average`,
        );
        continue;
      }
      const digest = yield* Effect.promise(() => sha256(image.data));
      assert.equal(digest, expected.rgb, `${name}: decoded pixels`);
      for (const [maxTiles, tileSize, grid, tensor] of expected.tiles!) {
        const options = { tileSize, minTiles: 1, maxTiles };
        const tiles = yield* processor.tile(image, options);
        const label = `${name}: ${maxTiles} tiles of ${tileSize}`;
        assert.deepEqual(tiles.grid, grid, label);
        assert.deepEqual(processor.grid(image, options), grid, label);
        const count = grid[0] * grid[1];
        assert.deepEqual(tiles.pixels.shape, [count, 3, tileSize, tileSize]);
        assert.equal(tiles.thumbnail, false);
        const got = yield* Effect.promise(() => sha256(tiles.pixels.data));
        assert.equal(got, tensor, label);
      }
      const thumbnail = yield* processor.thumbnail(image, 448);
      assert.deepEqual(thumbnail.pixels.shape, [1, 3, 448, 448]);
      assert.deepEqual([thumbnail.thumbnail, thumbnail.grid], [true, [0, 0]]);
      const got = yield* Effect.promise(() => sha256(thumbnail.pixels.data));
      assert.equal(got, expected.thumbnail, `${name}: thumbnail`);
    }
  }));
});

Deno.test("bytes give the same pixels as the file, and are left alone", async () => {
  const bytes = await Deno.readFile(new URL("photo.jpg", folder));
  // A view in the middle of a larger buffer.
  const buffer = new Uint8Array(bytes.length + 100);
  buffer.set(bytes, 37);
  const view = buffer.subarray(37, 37 + bytes.length);
  const image = await run(
    Effect.flatMap(ImageProcessor, (p) => p.decode(view)),
  );
  assert.equal(await sha256(image.data), golden.pictures["photo.jpg"].rgb);
  assert.deepEqual(view, bytes);
});

Deno.test("kinds that would not be exact are refused by name", async () => {
  await run(Effect.gen(function* () {
    const processor = yield* ImageProcessor;
    for (const [name, word] of Object.entries(golden.refused)) {
      const error = yield* Effect.flip(
        processor.decode(new URL(name, folder).pathname),
      );
      assert.equal(error._tag, "MediaError");
      assert.ok(error.message.includes(word), `${name}: ${error.message}`);
      assert.ok(error.message.includes(name), error.message);
      assert.ok(!error.message.includes("\n"));
    }
  }));
});

function difference(a: Uint8Array, b: Uint8Array): [max: number, mean: number] {
  assert.equal(a.length, b.length);
  let max = 0, sum = 0;
  for (let i = 0; i < a.length; i++) {
    const distance = Math.abs(a[i] - b[i]);
    max = Math.max(max, distance);
    sum += distance;
  }
  return [max, sum / a.length];
}
