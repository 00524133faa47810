/**
 * Picture processing in a pool of workers: decoding, resizing and normalising never block the event
 * loop for longer than it takes to copy a megabyte.
 * @module
 */
import { Effect, Layer } from "effect";
import { MediaError } from "../../nodes/errors.ts";
import { ImageProcessor, type TileOptions } from "../../nodes/services.ts";
import { hostTensor } from "../../nodes/tensor.ts";
import type { Image, ImageSource, Tiles } from "../../nodes/values.ts";
import { findTileGrid } from "./grid.ts";
import type { ImageMessage, RawPixels, Ready } from "./image_worker.ts";
import { checkImage, isVerticalFirst, type PassOrder } from "./resample.ts";
import { localPath } from "./source.ts";
import { Pool, type Thread, ThreadError } from "./thread.ts";
import type { TileJob } from "./tiler.ts";

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

      const decode = Effect.fn("ImageProcessor.decode")(
        function* (source: ImageSource) {
          if (isImage(source)) return yield* checked(source);
          const bytes = source instanceof Uint8Array;
          const name = bytes ? "picture from bytes" : String(source);
          if (bytes && source.length > maxBytes) {
            return yield* new MediaError({
              source: name,
              message:
                `${name}: ${source.length} bytes are given; a picture file may have at most ${maxBytes}`,
            });
          }
          // A copy: the caller keeps the bytes, and a view would drag its whole buffer along.
          const file = bytes ? source.slice().buffer : yield* localPath(source);
          const { width, height, buffer } = yield* onWorker(
            name,
            (thread) =>
              thread.call<RawPixels>(
                { kind: "decode", file, maxBytes, maxPixels },
                typeof file === "string" ? [] : [file],
              ),
          );
          const data = new Uint8Array(buffer);
          const image: Image = { width, height, data, source: name };
          return image;
        },
      );

      const render = Effect.fnUntraced(
        function* (image: Image, job: Omit<TileJob, "width" | "height">) {
          const { width, height } = yield* checked(image);
          const outHeight = job.rows * job.tileSize;
          const pixels = yield* onWorker(
            sourceName(image),
            async (thread, signal) => {
              if (
                !isVerticalFirst(
                  options.passOrder ?? "classic",
                  width,
                  height,
                  job.columns * job.tileSize,
                  outHeight,
                )
              ) {
                return await tileOn(thread, image, job, signal);
              }
              const { buffer } = image.data.slice();
              const shrunk = await thread.call<RawPixels>({
                kind: "shrink",
                pixels: { width, height, buffer },
                height: outHeight,
              }, [buffer]);
              const data = new Uint8Array(shrunk.buffer);
              return await tileOn(thread, { ...shrunk, data }, job, signal);
            },
          );
          const { columns, rows, tileSize } = job;
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

/** Streams a picture's rows through a worker, writing one slot while it reads the other. */
async function tileOn(
  thread: ImageThread,
  image: Image,
  job: Omit<TileJob, "width" | "height">,
  signal: AbortSignal,
): Promise<Float32Array<ArrayBuffer>> {
  const { width, height, data } = image;
  // Allocated by the thread whose garbage collector will free it, so that the allocator can give the
  // same memory again; otherwise every picture pays for thousands of page faults.
  const pixels = new ArrayBuffer(
    job.columns * job.rows * 3 * job.tileSize ** 2 * 4,
  );
  const { memory, plan } = await thread.call<Ready>({
    kind: "begin",
    job: { ...job, width, height },
    pixels,
  }, [pixels]);
  const bytes = new Uint8Array(memory);
  const answers: Promise<ArrayBuffer | undefined>[] = [];
  const rowBytes = width * 3;
  for (let row = 0, i = 0; row < height; row += plan.slotRows, i++) {
    if (answers.length === plan.slots.length) await answers.shift();
    signal.throwIfAborted();
    const rows = Math.min(plan.slotRows, height - row);
    const address = plan.slots[i % plan.slots.length];
    bytes.set(data.subarray(row * rowBytes, (row + rows) * rowBytes), address);
    answers.push(thread.call({ kind: "rows", address, rows }));
  }
  const [tiles] = (await Promise.all(answers)).slice(-1);
  if (tiles === undefined) throw new Error("the worker made no tiles");
  return new Float32Array(tiles);
}

const sourceName = (image: Image) => image.source ?? "decoded picture";

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
