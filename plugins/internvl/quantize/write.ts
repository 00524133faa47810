/**
 * Writes one shard: slabs of rows are read, quantized by the workers, and put where they belong, so
 * that memory does not grow with the model.
 * @module
 */
import { Effect, Semaphore } from "effect";
import { type BackendError, CheckpointError } from "../../../nodes/errors.ts";
import { bytesPerElement } from "../../../nodes/tensor.ts";
import { joinPath } from "../files.ts";
import { trying } from "./folder.ts";
import type { Output, Shard, Task } from "./plan.ts";
import type { Quantizer } from "./threads.ts";

/** What happens while a shard is written. */
export interface ShardObserver {
  /** So many bytes of the old checkpoint are done, of a task with these squared errors. */
  readonly onSlab: (
    task: Task,
    bytes: number,
    loss: { readonly lost: number; readonly all: number },
  ) => void;
}

/** Bytes of the old checkpoint that are worked on at once, each worker having its own. */
const SLAB_BYTES = 8 << 20;

/** Rows of a task that are worked on together. */
interface Piece {
  readonly task: Task;
  readonly from: number;
  readonly to: number;
  /** Numbers of the whole matrix, where the layout puts rows side by side. */
  readonly whole?: { bytes?: Int8Array<ArrayBuffer>; missing: number };
}

function pieces(task: Task): readonly Piece[] {
  const rowBytes = task.columns * bytesPerElement[task.source.dtype];
  const rows = Math.max(1, Math.floor(SLAB_BYTES / rowBytes));
  const whole = task.scheme.type === "w8a8"
    ? { missing: task.rows }
    : undefined;
  const result: Piece[] = [];
  for (let from = 0; from < task.rows; from += rows) {
    const to = Math.min(task.rows, from + rows);
    result.push({ task, from, to, ...(whole === undefined ? {} : { whole }) });
  }
  return result;
}

/** Fills an empty file. */
export const fillShard: (
  dir: string,
  shard: Shard,
  file: Deno.FsFile,
  target: string,
  quantize: Quantizer,
  concurrency: number,
  observer: ShardObserver,
) => Effect.Effect<void, CheckpointError | BackendError> = Effect.fnUntraced(
  function* (dir, shard, file, target, quantize, concurrency, observer) {
    // A file has one position: what seeks and then writes must not be parted.
    const writing = yield* Semaphore.make(1);
    const reading = yield* Semaphore.make(1);
    const put = (offset: number, bytes: Uint8Array<ArrayBuffer>) =>
      writing.withPermit(
        trying(target, "cannot be written", async () => {
          await file.seek(offset, Deno.SeekMode.Start);
          for (let at = 0; at < bytes.length;) {
            at += await file.write(bytes.subarray(at));
          }
        }),
      );
    yield* trying(
      target,
      "cannot be written",
      () => file.truncate(shard.size),
    );
    yield* put(0, shard.header);
    const one = Effect.fnUntraced(function* (piece: Piece) {
      const { task, from, to } = piece;
      const { source, scheme, columns, outputs } = task;
      const bytes = yield* reading.withPermit(readRows(dir, task, from, to));
      const { length } = bytes;
      if (scheme.type === "float") {
        const [output] = outputs;
        const width = columns * bytesPerElement[source.dtype];
        yield* put(output!.offset + from * width, bytes);
        observer.onSlab(task, length, { lost: 0, all: 0 });
        return;
      }
      const { dtype } = source;
      const packed = yield* quantize({
        bytes: bytes.buffer,
        dtype,
        columns,
        scheme,
      });
      if (!Number.isFinite(packed.lost + packed.all)) {
        return yield* new CheckpointError({
          path: joinPath(dir, source.file),
          tensor: source.name,
          message: `${
            joinPath(dir, source.file)
          }: tensor ${source.name} has numbers that are not finite or too large; it cannot be quantized`,
        });
      }
      for (const [i, part] of packed.parts.entries()) {
        const output = outputs[i]!;
        const part8 = new Uint8Array(part);
        if (i === 0 && piece.whole !== undefined) {
          yield* scatter(piece, output, new Int8Array(part), put);
        } else {
          yield* put(output.offset + from * (output.length / task.rows), part8);
        }
      }
      observer.onSlab(task, length, packed);
    });
    yield* Effect.forEach(shard.tasks.flatMap(pieces), one, {
      concurrency,
      discard: true,
    });
  },
);

/** Columns of some rows take their places in the whole matrix, which is written when it is complete. */
function scatter(
  { task, from, to, whole }: Piece,
  output: Output,
  part: Int8Array<ArrayBuffer>,
  put: (
    offset: number,
    bytes: Uint8Array<ArrayBuffer>,
  ) => Effect.Effect<void, CheckpointError>,
): Effect.Effect<void, CheckpointError> {
  const all = whole!.bytes ??= new Int8Array(task.rows * task.columns);
  const count = to - from;
  for (let column = 0; column < task.columns; column++) {
    all.set(
      part.subarray(column * count, (column + 1) * count),
      column * task.rows + from,
    );
  }
  whole!.missing -= count;
  if (whole!.missing > 0) return Effect.void;
  delete whole!.bytes;
  return put(output.offset, new Uint8Array(all.buffer));
}

/** The bytes of some rows, in the order of the task. */
function readRows(
  dir: string,
  { source, columns, order }: Task,
  from: number,
  to: number,
): Effect.Effect<Uint8Array<ArrayBuffer>, CheckpointError> {
  const width = columns * bytesPerElement[source.dtype];
  const path = joinPath(dir, source.file);
  return trying(path, "cannot be read", async () => {
    using file = await Deno.open(path, { read: true });
    const bytes = new Uint8Array((to - from) * width);
    for (let row = from; row < to;) {
      const first = order === undefined ? row : order[row]!;
      let count = 1;
      while (
        row + count < to &&
        (order === undefined || order[row + count] === first + count)
      ) count++;
      await file.seek(source.offset + first * width, Deno.SeekMode.Start);
      const part = bytes.subarray(
        (row - from) * width,
        (row - from + count) * width,
      );
      for (let at = 0; at < part.length;) {
        const got = await file.read(part.subarray(at));
        if (got === null) {
          throw new CheckpointError({
            path,
            tensor: source.name,
            message: `${path} is truncated: it ends within ${source.name}`,
          });
        }
        at += got;
      }
      row += count;
    }
    return bytes;
  });
}
