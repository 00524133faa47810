/**
 * Tiles of several requests through one session: each run takes tiles of whoever's turn it is, and fills
 * up with the next ones' as far as the budget of rows allows.
 * @module
 */
import { Effect, Exit, Scope } from "effect";
import { copyInTurns } from "../../../nodes/copy.ts";
import { BackendError } from "../../../nodes/errors.ts";
import {
  elementCount,
  type HostTensor,
  hostTensor,
} from "../../../nodes/tensor.ts";
import {
  type BackendTensor,
  type Running,
  type RunOptions,
  type Session,
  startRun,
  Stopped,
} from "../../onnx/mod.ts";

/** What a batcher computes. */
export interface BatcherParts {
  /** A session with one input and one output whose first axis are the tiles. */
  readonly session: Session;
  /** Its input, and the extents of one tile. */
  readonly input: readonly [name: string, extents: readonly number[]];
  /** Its output, and the extents of one tile. */
  readonly output: readonly [name: string, extents: readonly number[]];
  /** Most tiles in a run. */
  readonly batch: number;
  /** Milliseconds that a run with room left waits for more tiles. */
  readonly waitMs: number;
}

/** What has been computed. */
export interface BatcherStats {
  /** Runs. */
  readonly batches: number;
  /** Tiles in them. */
  readonly tiles: number;
}

/** One request's tiles. */
interface Work {
  readonly input: Float32Array<ArrayBuffer>;
  readonly count: number;
  readonly onDone: ((done: number) => void) | undefined;
  readonly resume: (
    result: Effect.Effect<Float32Array<ArrayBuffer>, BackendError>,
  ) => void;
  output: Float32Array<ArrayBuffer> | undefined;
  done: number;
  cancelled: boolean;
}

/** Tiles of one request in a run. */
interface Share {
  readonly work: Work;
  readonly count: number;
}

/** See the module. */
export class Batcher {
  readonly #parts: BatcherParts;
  readonly #from: number;
  readonly #to: number;
  readonly #works: Work[] = [];
  #shares: readonly Share[] = [];
  #running: Running | undefined;
  #looping = false;
  /** What runs write into, while there are any. */
  #room: BackendTensor<"float32"> | undefined;
  #batches = 0;
  #tiles = 0;

  /** A batcher with nothing to do. */
  constructor(parts: BatcherParts) {
    this.#parts = parts;
    this.#from = elementCount(parts.input[1]);
    this.#to = elementCount(parts.output[1]);
  }

  /** What it has done. */
  get stats(): BatcherStats {
    return { batches: this.#batches, tiles: this.#tiles };
  }

  /**
   * Computes tiles; `onDone` is called with the number done so far. Interruption takes them out, and ends
   * the run where no other's tiles are in it.
   */
  compute(
    tensor: HostTensor<"float32">,
    onDone?: (done: number) => void,
  ): Effect.Effect<HostTensor<"float32">, BackendError> {
    const count = tensor.shape[0];
    const shape = [count, ...this.#parts.output[1]];
    if (count === 0) {
      return Effect.succeed(hostTensor("float32", shape, new Float32Array(0)));
    }
    const computed = Effect.callback<Float32Array<ArrayBuffer>, BackendError>(
      (resume) => {
        const work: Work = {
          input: tensor.data,
          count,
          onDone,
          resume,
          output: undefined,
          done: 0,
          cancelled: false,
        };
        this.#works.push(work);
        if (!this.#looping) {
          this.#looping = true;
          this.#loop();
        }
        return Effect.suspend(() => this.#cancel(work));
      },
    );
    return Effect.map(computed, (data) => hostTensor("float32", shape, data));
  }

  #cancel(work: Work): Effect.Effect<void> {
    work.cancelled = true;
    const at = this.#works.indexOf(work);
    if (at >= 0) this.#works.splice(at, 1);
    const running = this.#running;
    const nobody = this.#shares.every(({ work }) => work.cancelled);
    if (running === undefined || !nobody) return Effect.void;
    return Effect.promise(() => {
      running.stop();
      return running.ended.then(() => {}, () => {});
    });
  }

  async #loop(): Promise<void> {
    const { waitMs, batch } = this.#parts;
    // Those that come in the same turn of the event loop share a run.
    await Promise.resolve();
    const scope = Scope.makeUnsafe();
    while (this.#works.length > 0) {
      const waiting = this.#works.reduce((n, w) => n + w.count - w.done, 0);
      if (waitMs > 0 && waiting < batch) {
        await new Promise<void>((resolve) => setTimeout(resolve, waitMs));
      }
      const shares = this.#nextShares();
      if (shares.length === 0) continue;
      this.#shares = shares;
      await this.#guard(shares, scope);
      this.#shares = [];
    }
    this.#looping = false;
    this.#room = undefined;
    await Effect.runPromise(Scope.close(scope, Exit.void));
  }

  /** Runs tiles; a failure fails the request whose fault it is, and no other. */
  async #guard(
    shares: readonly Share[],
    scope: Scope.Scope,
  ): Promise<void> {
    try {
      await this.#run(shares, scope);
    } catch (cause) {
      if (shares.length === 1) this.#end(shares[0].work, fail(cause));
      else for (const share of shares) await this.#guard([share], scope);
    }
  }

  /** Where a run of `total` tiles writes, where this process can address that: no fresh memory for a run. */
  async #options(
    total: number,
    scope: Scope.Scope,
  ): Promise<RunOptions | undefined> {
    const { session, batch, output: [name, extents] } = this.#parts;
    if (session.device !== "cpu") return undefined;
    this.#room ??= await Effect.runPromise(
      Effect.provideService(
        session.allocate("float32", [batch, ...extents]),
        Scope.Scope,
        scope,
      ),
    );
    if (this.#room.host === undefined) return undefined;
    const view = await Effect.runPromise(this.#room.view([total, ...extents]));
    return { into: { [name]: view }, outputs: [] };
  }

  /** Tiles of the first request, then of the next ones; the first then goes to the end of the line. */
  #nextShares(): readonly Share[] {
    const { batch } = this.#parts;
    const shares: Share[] = [];
    let room = batch;
    for (const work of this.#works) {
      if (room === 0) break;
      const count = Math.min(room, work.count - work.done);
      shares.push({ work, count });
      room -= count;
    }
    const first = this.#works.shift();
    if (first !== undefined) this.#works.push(first);
    return shares;
  }

  async #run(shares: readonly Share[], scope: Scope.Scope): Promise<void> {
    const { session, input: [input, from], output: [output] } = this.#parts;
    const total = shares.reduce((sum, { count }) => sum + count, 0);
    const tiles = hostTensor(
      "float32",
      [total, ...from],
      this.#gather(shares, total),
    );
    const options = await this.#options(total, scope);
    const host = this.#room?.host;
    const running = startRun(session, { [input]: tiles }, options);
    this.#running = running;
    let results: Float32Array<ArrayBuffer>;
    try {
      const made = (await running.ended)[output];
      results = made === undefined
        ? host as Float32Array<ArrayBuffer>
        : await Effect.runPromise(made.read) as Float32Array<ArrayBuffer>;
    } catch (cause) {
      if (cause instanceof Stopped) return;
      throw cause;
    } finally {
      this.#running = undefined;
    }
    this.#batches++;
    this.#tiles += total;
    let at = 0;
    for (const { work, count } of shares) {
      const part = results.subarray(at * this.#to, (at + count) * this.#to);
      at += count;
      if (work.cancelled) continue;
      // All of one request, and nothing else: the result is its own already.
      if (
        count === work.count && count === total && results !== host
      ) work.output = results;
      else {
        work.output ??= new Float32Array(work.count * this.#to);
        await copyInTurns(part, work.output, work.done * this.#to);
        if (work.cancelled) continue;
      }
      work.done += count;
      work.onDone?.(work.done);
      if (work.done === work.count) {
        this.#end(work, Effect.succeed(work.output));
      }
    }
  }

  /** The tiles of a run: where they lie, if they are one request's. */
  #gather(
    shares: readonly Share[],
    total: number,
  ): Float32Array<ArrayBuffer> {
    const size = this.#from;
    const slice = ({ work, count }: Share) =>
      work.input.subarray(work.done * size, (work.done + count) * size);
    if (shares.length === 1) return slice(shares[0]);
    const joined = new Float32Array(total * size);
    let at = 0;
    for (const share of shares) {
      joined.set(slice(share), at * size);
      at += share.count;
    }
    return joined;
  }

  #end(
    work: Work,
    result: Effect.Effect<Float32Array<ArrayBuffer>, BackendError>,
  ): void {
    const at = this.#works.indexOf(work);
    if (at < 0) return;
    this.#works.splice(at, 1);
    work.resume(result);
  }
}

function fail(cause: unknown): Effect.Effect<never, BackendError> {
  return cause instanceof BackendError ? Effect.fail(cause) : Effect.die(cause);
}
