import assert from "node:assert/strict";
import { Effect, Exit, Fiber } from "effect";
import type { MediaError } from "../../nodes/errors.ts";
import { ImageProcessor } from "../../nodes/services.ts";
import type { Image, ImageSource } from "../../nodes/values.ts";
import {
  type ImageProcessorOptions,
  imageProcessorWith,
} from "./image_processor.ts";
import { IMAGENET_MEAN, IMAGENET_STD, normaliseByte } from "./normalise.ts";
import { type PassOrder, resizeBicubic } from "./resample.ts";
import { random } from "./test_kit.ts";

const folder = new URL("../../tests/golden/media/pictures/", import.meta.url);
const picture = (name: string) => Deno.readFile(new URL(name, folder));

const run = <A, E>(
  effect: Effect.Effect<A, E, ImageProcessor>,
  options: ImageProcessorOptions = { workers: 1 },
): Promise<A> =>
  Effect.runPromise(Effect.provide(effect, imageProcessorWith(options)));

const decode = (source: ImageSource) =>
  Effect.flatMap(ImageProcessor, (processor) => processor.decode(source));

const failure = (
  source: ImageSource,
  options?: ImageProcessorOptions,
): Promise<MediaError> => run(Effect.flip(decode(source)), options);

function noise(width: number, height: number): Image {
  const next = random(width * height);
  const data = new Uint8Array(width * height * 3);
  for (let i = 0; i < data.length; i++) data[i] = 256 * next();
  return { width, height, data };
}

/** Tiles the slow way: resize, cut, normalise. */
function tilesOf(
  image: Image,
  columns: number,
  rows: number,
  size: number,
  order?: PassOrder,
): Float32Array {
  const whole = resizeBicubic(image, columns * size, rows * size, order);
  const out = new Float32Array(columns * rows * 3 * size * size);
  let at = 0;
  for (let tile = 0; tile < columns * rows; tile++) {
    for (let channel = 0; channel < 3; channel++) {
      for (let y = 0; y < size; y++) {
        for (let x = 0; x < size; x++) {
          const column = (tile % columns) * size + x;
          const row = Math.floor(tile / columns) * size + y;
          const byte = whole.data[(row * whole.width + column) * 3 + channel];
          out[at++] = normaliseByte(
            byte,
            IMAGENET_MEAN[channel],
            IMAGENET_STD[channel],
          );
        }
      }
    }
  }
  return out;
}

Deno.test("files that are no pictures give one line that names them", async () => {
  const missing = new URL("no-such-picture.png", folder).pathname;
  const cases: [ImageSource, RegExp][] = [
    [missing, /no-such-picture\.png does not exist$/],
    [new URL(".", folder), /pictures\/ is a folder; a file is needed$/],
    [new URL("expected.json", folder), /is text, not a picture; JPEG, PNG/],
    [new Uint8Array(0), /^picture from bytes is empty$/],
    [new Uint8Array([0, 1, 2, 3]), /is not a picture of a kind/],
    [{ name: "a.png", bytes: new Uint8Array(0) }, /^a\.png is empty$/],
    ["", /^picture or video: the path is empty$/],
    ["a\0b", /the path holds a NUL/],
    ["https://example.com/a.png", /only local files are read/],
    [new URL("http://example.com/a.png"), /only local files are read/],
    ["data:image/png;base64,AAAA", /only local files are read/],
    [5 as unknown as string, /a number is no source/],
    [null as unknown as string, /is no source/],
  ];
  for (const [source, message] of cases) {
    const error = await failure(source);
    assert.equal(error._tag, "MediaError");
    assert.match(error.message, message);
    assert.ok(!error.message.includes("\n"), error.message);
    assert.equal(typeof error.source, "string");
  }
});

Deno.test("files that are cut short or damaged are refused", async () => {
  for (
    const name of [
      "420.jpg",
      "progressive.jpg",
      "rgb.png",
      "lossy.webp",
      "static.gif",
      "lzw.tif",
      "444.avif",
    ]
  ) {
    const bytes = await picture(name);
    for (const share of [0.05, 0.5, 0.9]) {
      const cut = bytes.slice(
        0,
        Math.max(16, Math.floor(bytes.length * share)),
      );
      const error = await failure(cut);
      assert.match(
        error.message,
        /^picture from bytes (is a (\w+ file that is cut short|damaged or unusual \w+ file)|is a GIF without|is an AVIF picture of a kind)/,
        `${name} cut to ${share}`,
      );
      assert.ok(!error.message.includes("\n") && error.message.length < 300);
    }
  }
});

Deno.test("limits on pixels and bytes are kept, with both numbers", async () => {
  const few = await failure(new URL("420.jpg", folder), { maxPixels: 2000 });
  assert.match(few.message, /420\.jpg has more pixels than the limit of 2000$/);
  const small = await failure(new URL("420.jpg", folder), { maxBytes: 100 });
  assert.match(
    small.message,
    /is a file of \d+ bytes; a picture file may have at most 100$/,
  );
  const given = await failure(await picture("420.jpg"), { maxBytes: 100 });
  assert.match(given.message, /\d+ bytes are given; .* at most 100$/);
});

Deno.test("pixels that were decoded already are checked and returned, with an icon", async () => {
  const image = noise(5, 4);
  const { icon, ...same } = await run(decode(image));
  assert.deepEqual(same, image);
  assert.equal(same.data, image.data);
  assert.match(icon ?? "", /^data:image\/webp;base64,/);
  const large = await run(decode(noise(1500, 20)));
  assert.equal(large.data.length, 1500 * 20 * 3);
  assert.match(large.icon ?? "", /^data:image\/webp;base64,/);
  const own = { ...image, icon: "data:image/png;base64,AA==" };
  assert.equal(await run(decode(own)), own);
  for (
    const wrong of [
      { ...image, width: 6 },
      { ...image, width: 0, data: new Uint8Array(0) },
      { ...image, height: 4.5 },
      { ...image, data: [...image.data] as unknown as Uint8Array<ArrayBuffer> },
    ]
  ) {
    const error = await failure(wrong);
    assert.match(error.message, /^decoded picture: a picture of/);
    const tile = Effect.flatMap(
      ImageProcessor,
      (p) => p.tile(wrong, { tileSize: 28, minTiles: 1, maxTiles: 4 }),
    );
    assert.equal((await run(Effect.flip(tile)))._tag, "MediaError");
  }
});

Deno.test("tiling options that make no sense are refused", async () => {
  const image = noise(5, 4);
  for (
    const options of [
      { tileSize: 0, minTiles: 1, maxTiles: 4 },
      { tileSize: 28, minTiles: 5, maxTiles: 4 },
      { tileSize: 28, minTiles: 1, maxTiles: 41 },
      { tileSize: 28, minTiles: 1, maxTiles: NaN },
    ]
  ) {
    const tile = Effect.flatMap(ImageProcessor, (p) => p.tile(image, options));
    assert.equal((await run(Effect.flip(tile)))._tag, "MediaError");
  }
  const thumbnail = Effect.flatMap(
    ImageProcessor,
    (p) => p.thumbnail(image, 0),
  );
  assert.match(
    (await run(Effect.flip(thumbnail))).message,
    /a tile of 0 pixels/,
  );
});

Deno.test("tiles equal the slow way, whatever the sizes", async () => {
  await run(Effect.gen(function* () {
    const processor = yield* ImageProcessor;
    for (
      const [width, height, tileSize, maxTiles] of [
        [61, 47, 28, 12],
        [47, 61, 30, 6],
        [700, 3, 14, 40],
        [2, 900, 29, 40],
        [1, 1, 448, 1],
        // Wide enough that a slot holds eight rows.
        [50_000, 30, 16, 40],
      ]
    ) {
      const image = noise(width, height);
      const options = { tileSize, minTiles: 1, maxTiles };
      const tiles = yield* processor.tile(image, options);
      const expected = tilesOf(image, ...tiles.grid, tileSize);
      assert.deepEqual(tiles.pixels.data, expected, `${width}x${height}`);
    }
  }));
});

Deno.test("the order of the passes can follow a newer Pillow", async () => {
  const image = noise(90, 301);
  for (const passOrder of ["classic", "13"] as const) {
    const tiles = await run(
      Effect.flatMap(ImageProcessor, (p) => p.thumbnail(image, 56)),
      { passOrder },
    );
    const expected = tilesOf(image, 1, 1, 56, passOrder);
    assert.deepEqual(tiles.pixels.data, expected);
  }
  assert.notDeepEqual(
    tilesOf(image, 1, 1, 56, "classic"),
    tilesOf(image, 1, 1, 56, "13"),
  );
});

Deno.test("an interrupted picture leaves the worker to the next one", async () => {
  await run(Effect.gen(function* () {
    const processor = yield* ImageProcessor;
    const big = noise(2000, 1500), small = noise(50, 40);
    const options = { tileSize: 28, minTiles: 1, maxTiles: 6 };
    const jpeg = yield* Effect.promise(() => picture("odd-q50.jpg"));
    for (const wait of [0, 1, 5]) {
      for (
        const long of [
          Effect.asVoid(processor.tile(big, options)),
          Effect.asVoid(processor.decode(jpeg)),
        ]
      ) {
        const fiber = yield* Effect.forkChild(long);
        yield* Effect.sleep(wait);
        yield* Fiber.interrupt(fiber);
        assert.ok(Exit.isFailure(yield* Fiber.await(fiber)) || wait > 0);
        const tiles = yield* processor.tile(small, options);
        const expected = tilesOf(small, ...tiles.grid, 28);
        assert.deepEqual(tiles.pixels.data, expected);
      }
    }
  }));
});

Deno.test("interruption while all workers are taken gives up the place", async () => {
  await run(Effect.gen(function* () {
    const processor = yield* ImageProcessor;
    const big = noise(2000, 1500);
    const options = { tileSize: 448, minTiles: 1, maxTiles: 12 };
    const first = yield* Effect.forkChild(processor.tile(big, options));
    yield* Effect.sleep(0);
    const waiting = yield* Effect.forkChild(processor.tile(big, options));
    yield* Effect.sleep(0);
    yield* Fiber.interrupt(waiting);
    const tiles = yield* Fiber.join(first);
    assert.equal(tiles.pixels.shape[0], 12);
    const again = yield* processor.thumbnail(noise(9, 9), 14);
    assert.equal(again.pixels.shape[0], 1);
  }));
});

Deno.test("tiles and thumbnail asked for together are the same as one by one", async () => {
  await run(
    Effect.gen(function* () {
      const processor = yield* ImageProcessor;
      const image = noise(300, 200);
      const options = { tileSize: 28, minTiles: 1, maxTiles: 12 };
      const both = Effect.all(
        [processor.tile(image, options), processor.thumbnail(image, 30)],
        { concurrency: "unbounded" },
      );
      const [tiles, thumbnail] = yield* both;
      assert.deepEqual(tiles.grid, [3, 2]);
      assert.deepEqual(tiles.pixels.data, tilesOf(image, 3, 2, 28));
      assert.deepEqual(thumbnail.pixels.data, tilesOf(image, 1, 1, 30));
      // Other pixels are another picture, however close in time.
      const other = noise(200, 300);
      const [a, b] = yield* Effect.all(
        [processor.thumbnail(image, 14), processor.thumbnail(other, 14)],
        { concurrency: "unbounded" },
      );
      assert.deepEqual(a.pixels.data, tilesOf(image, 1, 1, 14));
      assert.deepEqual(b.pixels.data, tilesOf(other, 1, 1, 14));
      // One of two gives up; the other one gets its tiles.
      const kept = yield* Effect.forkChild(processor.tile(image, options));
      const given = yield* Effect.forkChild(processor.thumbnail(image, 30));
      yield* Effect.yieldNow;
      yield* Fiber.interrupt(given);
      assert.deepEqual(
        (yield* Fiber.join(kept)).pixels.data,
        tilesOf(image, 3, 2, 28),
      );
    }),
    { workers: 2 },
  );
});

Deno.test("many pictures at once are each right", async () => {
  await run(
    Effect.gen(function* () {
      const processor = yield* ImageProcessor;
      const images = Array.from(
        { length: 12 },
        (_, i) => noise(40 + i, 90 - i),
      );
      const all = yield* Effect.forEach(
        images,
        (image) => processor.thumbnail(image, 28),
        { concurrency: "unbounded" },
      );
      for (const [i, { pixels }] of all.entries()) {
        assert.deepEqual(pixels.data, tilesOf(images[i], 1, 1, 28));
      }
    }),
    { workers: 3 },
  );
});

Deno.test("a layer that was never used starts no worker, and closes", async () => {
  const size = await run(
    Effect.map(
      ImageProcessor,
      (p) =>
        p.grid({ width: 90, height: 30 }, {
          tileSize: 28,
          minTiles: 1,
          maxTiles: 6,
        }),
    ),
  );
  assert.deepEqual(size, [3, 1]);
});
