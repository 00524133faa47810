/**
 * A worker that answers messages in order, and a pool of such workers.
 *
 * `node:worker_threads` is used because its workers can be told not to keep the process alive while
 * they have nothing to do.
 * @module
 */
import { Worker } from "node:worker_threads";
import { Effect } from "effect";

/** What travels back for every message: a result, or why there is none. */
export type Reply<R> =
  | { readonly ok: true; readonly value: R }
  | { readonly ok: false; readonly message: string };

/** The worker answered that it could not do it; the message is one line. */
export class ThreadError extends Error {
  /** The class's name. */
  override readonly name = "ThreadError";
}

interface Waiter {
  readonly resolve: (value: never) => void;
  readonly reject: (error: Error) => void;
}

/** One worker. Messages are answered in the order in which they were sent. */
export class Thread<M> {
  readonly #worker: Worker;
  readonly #waiters: Waiter[] = [];
  #ended: Error | undefined;
  /** Called whenever the last outstanding answer has come, or the worker has died. */
  onIdle: () => void = () => {};

  /** Starts a module as a worker. It must answer each message with one {@link Reply}. */
  constructor(module: URL) {
    this.#worker = new Worker(entry(module));
    this.#worker.unref();
    this.#worker.on("message", (reply: Reply<never>) => {
      const waiter = this.#waiters.shift();
      if (this.#waiters.length === 0) this.#worker.unref();
      if (reply.ok) waiter?.resolve(reply.value);
      else waiter?.reject(new ThreadError(reply.message));
      if (this.#waiters.length === 0) this.onIdle();
    });
    this.#worker.on("error", (error: Error) => this.#end(error));
    this.#worker.on(
      "exit",
      () => this.#end(new Error("the worker ended unexpectedly")),
    );
  }

  /** Whether answers are outstanding. */
  get busy(): boolean {
    return this.#waiters.length > 0;
  }

  /** Whether the worker is gone. */
  get ended(): boolean {
    return this.#ended !== undefined;
  }

  /** Sends a message; the transferred buffers are gone here. */
  call<R>(message: M, transfer: ArrayBuffer[] = []): Promise<R> {
    if (this.#ended !== undefined) return Promise.reject(this.#ended);
    if (this.#waiters.length === 0) this.#worker.ref();
    const { promise, resolve, reject } = Promise.withResolvers<R>();
    // A caller that gave up does not wait any more; its rejection is nobody's.
    promise.catch(() => {});
    this.#waiters.push({ resolve: resolve as (value: never) => void, reject });
    this.#worker.postMessage(message, transfer);
    return promise;
  }

  /** Ends the worker. Native code must not be running in it: ask {@link busy} first. */
  async terminate(): Promise<void> {
    this.#ended ??= new Error("the worker was closed");
    await this.#worker.terminate();
  }

  #end(error: Error): void {
    this.#ended ??= error;
    for (const waiter of this.#waiters.splice(0)) waiter.reject(this.#ended);
    this.onIdle();
  }
}

/** Remote modules start through a data URL, since a worker's own URL has to be local. */
function entry(module: URL): URL {
  return module.protocol === "file:" ? module : new URL(
    `data:text/javascript,${
      encodeURIComponent(`import ${JSON.stringify(module.href)};`)
    }`,
  );
}

type Waiting<M> = (thread: Effect.Effect<Thread<M>, Error>) => void;

function cannotStart(error: unknown): Error {
  const said = error instanceof Error ? error.message : String(error);
  return new Error(`a worker cannot be started: ${said.split("\n")[0]}`);
}

/**
 * Up to `size` workers, started when they are first needed, each lent to one user at a time. A worker
 * whose user was interrupted comes back once its native call has ended: a worker must never be torn
 * down inside one (sharp then brings the whole process down).
 */
export class Pool<M> {
  readonly #module: URL;
  readonly #size: number;
  readonly #idle: Thread<M>[] = [];
  readonly #all = new Set<Thread<M>>();
  readonly #waiting: Waiting<M>[] = [];
  #closed = false;
  #onEmpty: (() => void) | undefined;

  /** A pool of workers running `module`. */
  constructor(module: URL, size: number) {
    this.#module = module;
    this.#size = size;
  }

  /** Workers that are there, whether lent or not. */
  get size(): number {
    return this.#all.size;
  }

  /** Lends a worker to `use`; interruption gives it back as soon as it is free. */
  use<A, E>(
    use: (thread: Thread<M>) => Effect.Effect<A, E>,
  ): Effect.Effect<A, E | Error> {
    return Effect.scoped(
      Effect.flatMap(
        Effect.acquireRelease(
          this.#acquire,
          (thread) => Effect.sync(() => this.#release(thread)),
          { interruptible: true },
        ),
        use,
      ),
    );
  }

  readonly #acquire: Effect.Effect<Thread<M>, Error> = Effect.callback(
    (resume) => {
      try {
        const thread = this.#take();
        if (thread !== undefined) return resume(Effect.succeed(thread));
      } catch (error) {
        return resume(Effect.fail(cannotStart(error)));
      }
      const waiter: Waiting<M> = (thread) => resume(thread);
      this.#waiting.push(waiter);
      return Effect.sync(() => {
        const at = this.#waiting.indexOf(waiter);
        if (at >= 0) this.#waiting.splice(at, 1);
      });
    },
  );

  /** An idle worker, or a new one while there is room. */
  #take(): Thread<M> | undefined {
    if (this.#closed) throw new Error("it was closed");
    for (;;) {
      const thread = this.#idle.pop();
      if (thread === undefined) break;
      if (!thread.ended) return thread;
      this.#all.delete(thread);
    }
    return this.#all.size < this.#size ? this.#start() : undefined;
  }

  #start(): Thread<M> {
    const thread = new Thread<M>(this.#module);
    this.#all.add(thread);
    return thread;
  }

  #release(thread: Thread<M>): void {
    if (thread.busy) {
      thread.onIdle = () => {
        thread.onIdle = () => {};
        this.#release(thread);
      };
      return;
    }
    if (this.#closed || thread.ended) {
      this.#all.delete(thread);
      if (!thread.ended) void thread.terminate();
      if (this.#all.size === 0) this.#onEmpty?.();
    }
    const waiter = this.#waiting.shift();
    if (waiter === undefined) {
      if (!thread.ended) this.#idle.push(thread);
    } else if (!thread.ended) {
      waiter(Effect.succeed(thread));
    } else {
      waiter(Effect.try({ try: () => this.#start(), catch: cannotStart }));
    }
  }

  /** Ends the workers, after their native calls in progress. */
  async close(): Promise<void> {
    this.#closed = true;
    const idle = this.#idle.splice(0);
    for (const thread of idle) this.#all.delete(thread);
    await Promise.all(idle.map((thread) => thread.terminate()));
    if (this.#all.size > 0) {
      await new Promise<void>((resolve) => this.#onEmpty = resolve);
    }
  }
}
