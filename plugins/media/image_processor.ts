/**
 * Picture processing in a pool of workers: the event loop is blocked for no longer than it takes to
 * copy a megabyte of pixels, or to allocate a picture's tiles.
 * @module
 */
import { Effect, Layer } from "effect";
import { MediaError } from "../../nodes/errors.ts";
import { ImageProcessor, type TileOptions } from "../../nodes/services.ts";
import { hostTensor } from "../../nodes/tensor.ts";
import {
  type Image,
  type ImageSource,
  isNamed,
  type Tiles,
} from "../../nodes/values.ts";
import { findTileGrid } from "./grid.ts";
import type { DecodedPixels, RawPixels } from "./pixels.ts";
import type { ImageMessage } from "./image_worker.ts";
import { checkImage, isVerticalFirst, type PassOrder } from "./resample.ts";
import { thin } from "./icon.ts";
import { localPath } from "./source.ts";
import { Pool, type Thread, ThreadError } from "./thread.ts";
import { TileBatches, tilesOn } from "./tile_batches.ts";
import type { TileGrid } from "./tiler.ts";

/** Limits and behaviour of picture processing. */
export interface ImageProcessorOptions {
  /** Most workers, each of which processes one picture at a time; default: the machine's cores. */
  readonly workers?: number;
  /** Most pixels of a picture; default 178,956,970, above which Pillow refuses too. */
  readonly maxPixels?: number;
  /** Most bytes of a picture file; default 256 MiB. */
  readonly maxBytes?: number;
  /** Which Pillow to follow in the order of the passes; default `"classic"`. */
  readonly passOrder?: PassOrder;
}

type ImageThread = Thread<ImageMessage>;

/**
 * Picture processing with the default options.
 *
 * ```ts
 * import { ImageProcessor, imageProcessor } from "@tessera/sdk";
 * import { Effect } from "effect";
 * import assert from "node:assert/strict";
 *
 * const decoding = Effect.flatMap(
 *   ImageProcessor,
 *   (processor) => processor.decode("examples/images/shapes.png"),
 * );
 * const image = await Effect.runPromise(Effect.provide(decoding, imageProcessor));
 * assert.equal(image.data.length, image.width * image.height * 3);
 * ```
 */
export const imageProcessor: Layer.Layer<ImageProcessor> = imageProcessorWith();

/**
 * Picture processing in workers that start when they are first needed and end with the layer's scope.
 * Needs `--allow-read --allow-env --allow-ffi` (sharp is a native library); the `Image` and `Tiles`
 * that come out are byte for byte those of Pillow and torchvision, but for AVIF (see docs).
 *
 * ```ts
 * import { ImageProcessor, imageProcessorWith } from "@tessera/sdk";
 * import { Effect } from "effect";
 * import assert from "node:assert/strict";
 *
 * const small = imageProcessorWith({ workers: 1, maxPixels: 1000 });
 * const decoding = Effect.flatMap(
 *   ImageProcessor,
 *   (processor) => processor.decode("examples/images/shapes.png"),
 * );
 * const error = await Effect.runPromise(
 *   decoding.pipe(Effect.flip, Effect.provide(small)),
 * );
 * assert.match(error.message, /limit of 1000/);
 * ```
 */
export function imageProcessorWith(
  options: ImageProcessorOptions = {},
): Layer.Layer<ImageProcessor> {
  const maxPixels = options.maxPixels ?? 178_956_970;
  const maxBytes = options.maxBytes ?? 256 * 2 ** 20;
  return Layer.effect(
    ImageProcessor,
    Effect.gen(function* () {
      const pool = yield* Effect.acquireRelease(
        Effect.sync(() =>
          new Pool<ImageMessage>(
            new URL("./image_worker.ts", import.meta.url),
            Math.max(1, options.workers ?? navigator.hardwareConcurrency),
          )
        ),
        (pool) => Effect.promise(() => pool.close()),
      );
      const batches = new TileBatches(pool);
      /** Runs `work` on a worker; its failures become errors that name the source. */
      const onWorker = <A>(
        name: string,
        work: (thread: ImageThread, signal: AbortSignal) => Promise<A>,
      ): Effect.Effect<A, MediaError> =>
        pool.use((thread) =>
          Effect.tryPromise({
            try: (signal) => work(thread, signal),
            catch: (error) => error,
          })
        ).pipe(Effect.mapError((error) => mediaError(name, error)));

      /** Pixels that come without an icon get one, unless it cannot be made. */
      const iconed = Effect.fnUntraced(function* (image: Image) {
        if (image.icon !== undefined) return image;
        const { width, height, data } = thin(image);
        // A copy: the caller keeps the pixels.
        const buffer = data === image.data ? data.slice().buffer : data.buffer;
        const pixels = { width, height, buffer };
        const icon = yield* Effect.orElseSucceed(
          onWorker(
            sourceName(image),
            (thread) =>
              thread.call<string | undefined>({ kind: "icon", pixels }, [
                buffer,
              ]),
          ),
          () => undefined,
        );
        return icon === undefined ? image : { ...image, icon };
      });

      const decode = Effect.fn("ImageProcessor.decode")(
        function* (source: ImageSource) {
          if (isImage(source)) return yield* iconed(yield* checked(source));
          const { name, content } = named(source);
          const bytes = content instanceof Uint8Array;
          if (bytes && content.length > maxBytes) {
            return yield* new MediaError({
              source: name,
              message:
                `${name}: ${content.length} bytes are given; a picture file may have at most ${maxBytes}`,
            });
          }
          // A copy: the caller keeps the bytes, and a view would drag its whole buffer along.
          const file = bytes
            ? content.slice().buffer
            : yield* localPath(content);
          const { width, height, buffer, icon } = yield* onWorker(
            name,
            (thread) =>
              thread.call<DecodedPixels>(
                { kind: "decode", file, maxBytes, maxPixels },
                typeof file === "string" ? [] : [file],
              ),
          );
          const data = new Uint8Array(buffer);
          const image: Image = {
            width,
            height,
            data,
            source: name,
            ...(icon === undefined ? {} : { icon }),
          };
          return image;
        },
      );

      const render = Effect.fnUntraced(
        function* (image: Image, grid: TileGrid) {
          const { width, height } = yield* checked(image);
          const { columns, rows, tileSize } = grid;
          const outHeight = rows * tileSize;
          const verticalFirst = isVerticalFirst(
            options.passOrder ?? "classic",
            width,
            height,
            columns * tileSize,
            outHeight,
          );
          const name = sourceName(image);
          const pixels = verticalFirst
            ? yield* onWorker(name, async (thread, signal) => {
              const { buffer } = image.data.slice();
              const shrunk = await thread.call<RawPixels>({
                kind: "shrink",
                pixels: { width, height, buffer },
                height: outHeight,
              }, [buffer]);
              const data = new Uint8Array(shrunk.buffer);
              const between = { width, height: outHeight, data };
              return (await tilesOn(thread, between, [grid], signal))[0];
            })
            : yield* Effect.mapError(
              batches.render(image, grid),
              (error) => mediaError(name, error),
            );
          return hostTensor(
            "float32",
            [columns * rows, 3, tileSize, tileSize],
            pixels,
          );
        },
      );

      const tile = Effect.fn("ImageProcessor.tile")(
        function* (image: Image, options: TileOptions) {
          const [columns, rows] = yield* Effect.try({
            try: () => findTileGrid(image.width, image.height, options),
            catch: (error) => mediaError(sourceName(image), error),
          });
          const { tileSize } = options;
          const tiles: Tiles = {
            pixels: yield* render(image, { columns, rows, tileSize }),
            grid: [columns, rows],
            thumbnail: false,
          };
          return tiles;
        },
      );

      const thumbnail = Effect.fn("ImageProcessor.thumbnail")(
        function* (image: Image, tileSize: number) {
          if (!Number.isInteger(tileSize) || tileSize < 1) {
            return yield* mediaError(
              sourceName(image),
              new RangeError(
                `a tile of ${tileSize} pixels; whole numbers from 1`,
              ),
            );
          }
          const tiles: Tiles = {
            pixels: yield* render(image, { columns: 1, rows: 1, tileSize }),
            grid: [0, 0],
            thumbnail: true,
          };
          return tiles;
        },
      );

      const grid: ImageProcessor["grid"] = ({ width, height }, options) =>
        findTileGrid(width, height, options);

      return ImageProcessor.of({ decode, grid, tile, thumbnail });
    }),
  );
}

const sourceName = (image: Image) => image.source ?? "decoded picture";

/** What is to be decoded, and what messages call it. */
function named(source: Exclude<ImageSource, Image>): {
  readonly name: string;
  readonly content: string | URL | Uint8Array<ArrayBuffer>;
} {
  if (source instanceof Uint8Array) {
    return { name: "picture from bytes", content: source };
  }
  return isNamed(source)
    ? { name: source.name, content: source.bytes }
    : { name: String(source), content: source };
}

function isImage(source: ImageSource): source is Image {
  return typeof source === "object" && source !== null && "data" in source &&
    "width" in source && "height" in source;
}

function checked(image: Image): Effect.Effect<Image, MediaError> {
  return Effect.try({
    try: () => {
      checkImage(image);
      return image;
    },
    catch: (error) => mediaError(sourceName(image), error),
  });
}

/** Puts the source's name in front of what was wrong with it. */
function mediaError(source: string, error: unknown): MediaError {
  const said = error instanceof Error ? error.message : String(error);
  return new MediaError({
    source,
    // A worker's answer is the rest of a sentence that begins with the source's name.
    message: error instanceof ThreadError
      ? `${source} ${said}`
      : `${source}: ${said.split("\n")[0]}`,
    cause: error,
  });
}
