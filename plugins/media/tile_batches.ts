/**
 * Tiles and thumbnail of one picture in one pass: requests for the same picture that come at about the
 * same time, as those of the nodes `tile` and `thumbnail` do, share the copying and transposing of its
 * rows.
 * @module
 */
import { Cause, Effect, Exit } from "effect";
import type { Image } from "../../nodes/values.ts";
import type { ImageMessage, Ready } from "./image_worker.ts";
import type { Pool, Thread } from "./thread.ts";
import { floatsOf, type TileGrid } from "./tiler.ts";

type Tensor = Float32Array<ArrayBuffer>;
type ImageThread = Thread<ImageMessage>;

interface Request {
  readonly grid: TileGrid;
  readonly resume: (answer: Effect.Effect<Tensor, Error>) => void;
}

interface Batch {
  readonly image: Image;
  readonly requests: Set<Request>;
  readonly abort: AbortController;
}

/** Collects requests and runs them on a pool's workers. */
export class TileBatches {
  readonly #pool: Pool<ImageMessage>;
  /** Batches that have not begun, by the pixels. */
  readonly #open = new Map<Image["data"], Batch>();

  /** Batches for the workers of a pool. */
  constructor(pool: Pool<ImageMessage>) {
    this.#pool = pool;
  }

  /** The tiles of one grid, float32 [columns · rows, 3, S, S]. */
  render(image: Image, grid: TileGrid): Effect.Effect<Tensor, Error> {
    return Effect.callback((resume) => {
      const batch = this.#batchOf(image);
      const request: Request = { grid, resume };
      batch.requests.add(request);
      return Effect.sync(() => {
        batch.requests.delete(request);
        if (batch.requests.size === 0) batch.abort.abort();
      });
    });
  }

  #batchOf(image: Image): Batch {
    const open = this.#open.get(image.data);
    if (
      open !== undefined && !open.abort.signal.aborted &&
      open.image.width === image.width && open.image.height === image.height
    ) return open;
    const abort = new AbortController();
    const batch: Batch = { image, requests: new Set(), abort };
    this.#open.set(image.data, batch);
    // The other node's request is a few turns of the event loop away at most.
    const timer = setTimeout(() => void this.#run(batch), 0);
    abort.signal.addEventListener("abort", () => {
      clearTimeout(timer);
      this.#close(batch);
    });
    return batch;
  }

  #close(batch: Batch): void {
    const { data } = batch.image;
    if (this.#open.get(data) === batch) this.#open.delete(data);
  }

  async #run(batch: Batch): Promise<void> {
    const work = this.#pool.use((thread) =>
      Effect.tryPromise({
        try: async (signal) => {
          // Until a worker was free, more requests could join.
          this.#close(batch);
          const requests = [...batch.requests];
          const grids = requests.map(({ grid }) => grid);
          const tensors = await tilesOn(thread, batch.image, grids, signal);
          return requests.map((request, i) => [request, tensors[i]] as const);
        },
        catch: (error) =>
          error instanceof Error ? error : new Error(String(error)),
      })
    );
    const exit = await Effect.runPromiseExit(work, {
      signal: batch.abort.signal,
    });
    this.#close(batch);
    if (Exit.isSuccess(exit)) {
      for (const [{ resume }, tensor] of exit.value) {
        resume(Effect.succeed(tensor));
      }
      return;
    }
    const error = Cause.squash(exit.cause);
    for (const { resume } of batch.requests) {
      resume(
        Effect.fail(error instanceof Error ? error : new Error(String(error))),
      );
    }
  }
}

/** Streams a picture's rows through a worker, writing one slot while it reads the other. */
export async function tilesOn(
  thread: ImageThread,
  { width, height, data }: Image,
  grids: readonly TileGrid[],
  signal: AbortSignal,
): Promise<Tensor[]> {
  // Allocated by the thread whose garbage collector will free them, so that the allocator can give
  // the same memory again; otherwise every picture pays for thousands of page faults.
  const buffers = grids.map((grid) => new ArrayBuffer(4 * floatsOf(grid)));
  const { memory, plan } = await thread.call<Ready>(
    { kind: "begin", width, height, grids, buffers },
    buffers,
  );
  const bytes = new Uint8Array(memory);
  const answers: Promise<ArrayBuffer[] | undefined>[] = [];
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
  return tiles.map((buffer) => new Float32Array(buffer));
}
