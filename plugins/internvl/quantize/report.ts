/**
 * What a quantization has done so far, for its progress and its result.
 * @module
 */
import type { Shard, Task } from "./plan.ts";
import { type ByRole, byRole, type Quantization, type Role } from "./scheme.ts";

/** How far a quantization has come. */
export interface QuantizeProgress {
  /** Bytes of the old checkpoint that are done. */
  readonly done: number;
  /** Bytes of the old checkpoint that are to be read. */
  readonly total: number;
  /** Of `done`, those that an earlier start had finished. */
  readonly resumed: number;
  /** Weight files that are whole. */
  readonly finished: number;
  /** Weight files in all. */
  readonly files: number;
}

/** What became of one group of matrices. */
export interface QuantizedRole {
  /** Numbers of the model. */
  readonly parameters: number;
  /** Bytes before. */
  readonly bytesBefore: number;
  /** Bytes after, scales with them. */
  readonly bytes: number;
  /**
   * Norm of what was lost over the norm of the weights. Absent where nothing was quantized, or an earlier
   * start has done a part.
   */
  readonly relativeError?: number;
}

/** Bytes of the old checkpoint that go into a shard. */
export function sourceBytes({ tasks }: Shard): number {
  return tasks.reduce((sum, { source }) => sum + source.length, 0);
}

/** Counts what is done. */
export class Tally {
  readonly #shards: readonly Shard[];
  readonly #onProgress: (progress: QuantizeProgress) => void;
  readonly #total: number;
  readonly #quantization: Quantization;
  readonly #losses: Map<Role, { lost: number; all: number; bytes: number }> =
    new Map<Role, { lost: number; all: number; bytes: number }>();
  #done = 0;
  #resumed = 0;
  #finished = 0;

  /** Nothing is done yet. */
  constructor(
    shards: readonly Shard[],
    quantization: Quantization,
    onProgress: (progress: QuantizeProgress) => void = () => {},
  ) {
    this.#shards = shards;
    this.#quantization = quantization;
    this.#onProgress = onProgress;
    this.#total = shards.reduce((sum, shard) => sum + sourceBytes(shard), 0);
  }

  /** Bytes of the old checkpoint's tensors; one that is read twice counts once. */
  get bytesBefore(): number {
    const sources = new Set(
      this.#shards.flatMap(({ tasks }) => tasks.map(({ source }) => source)),
    );
    return [...sources].reduce((sum, { length }) => sum + length, 0);
  }

  /** A shard was there already. */
  resumed(shard: Shard): void {
    this.#resumed += sourceBytes(shard);
    this.#done += sourceBytes(shard);
    this.finished();
  }

  /** A shard is whole. */
  finished(): void {
    this.#finished++;
    this.#tell();
  }

  /** A slab is done. */
  readonly onSlab = (
    { role }: Task,
    bytes: number,
    { lost, all }: { readonly lost: number; readonly all: number },
  ): void => {
    this.#done += bytes;
    if (role !== undefined) {
      const sum = this.#losses.get(role) ?? { lost: 0, all: 0, bytes: 0 };
      sum.lost += lost;
      sum.all += all;
      sum.bytes += bytes;
      this.#losses.set(role, sum);
    }
    this.#tell();
  };

  /** What became of each group. */
  report(): ByRole<QuantizedRole> {
    const tasks = this.#shards.flatMap((shard) => shard.tasks);
    const of = (role: Role): QuantizedRole => {
      let parameters = 0;
      let bytesBefore = 0;
      let bytes = 0;
      for (const task of tasks) {
        if (task.role !== role) continue;
        parameters += task.rows * task.columns;
        bytesBefore += task.source.length;
        for (const output of task.outputs) bytes += output.length;
      }
      const loss = this.#losses.get(role);
      return {
        parameters,
        bytesBefore,
        bytes,
        ...(loss === undefined || loss.all === 0 || loss.bytes < bytesBefore
          ? {}
          : { relativeError: Math.sqrt(loss.lost / loss.all) }),
      };
    };
    return byRole(this.#quantization, of);
  }

  #tell(): void {
    this.#onProgress({
      done: this.#done,
      total: this.#total,
      resumed: this.#resumed,
      finished: this.#finished,
      files: this.#shards.length,
    });
  }
}
