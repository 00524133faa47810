/**
 * The main thread's side of the worker.
 * @module
 */
import { Effect } from "effect";
import { BackendError } from "../../../nodes/errors.ts";
import { tidyMessage } from "../message.ts";
import { acquired, released } from "../handles.ts";
import type { Answers, Envelope, Reply, Request } from "./protocol.ts";

interface Pending {
  readonly resolve: (answer: Answers[keyof Answers]) => void;
  readonly reject: (error: BackendError) => void;
}

/** A worker and the requests it has not answered yet. */
export class WorkerClient {
  readonly #worker: Worker;
  readonly #pending = new Map<number, Pending>();
  readonly #name: string;
  #next = 0;
  #failure: BackendError | undefined;

  /** Starts a worker. */
  constructor(name: string) {
    this.#name = name;
    this.#worker = new Worker(new URL("./worker.ts", import.meta.url), {
      type: "module",
      name: `tessera onnx ${name}`,
    });
    acquired("worker");
    this.#worker.onmessage = (event: MessageEvent<Reply>) => {
      const reply = event.data;
      const pending = this.#pending.get(reply.id);
      this.#pending.delete(reply.id);
      if ("error" in reply) {
        pending?.reject(
          new BackendError({ message: `${name}: ${tidyMessage(reply.error)}` }),
        );
      } else pending?.resolve(reply.answer);
    };
    this.#worker.onerror = (event) => {
      event.preventDefault();
      this.#fail(event.message);
    };
    this.#worker.onmessageerror = () => this.#fail("a reply could not be read");
  }

  #fail(message: string): void {
    this.#failure = new BackendError({
      message: `${this.#name}: the ONNX Runtime worker failed: ${
        tidyMessage(message)
      }`,
    });
    for (const pending of this.#pending.values()) pending.reject(this.#failure);
    this.#pending.clear();
  }

  /** Sends a request; the reply settles the promise, with a {@link BackendError} where it failed. */
  call<Op extends Request["op"]>(
    request: Extract<Request, { op: Op }>,
    transfer: ArrayBuffer[] = [],
  ): Promise<Answers[Op]> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    return new Promise((resolve, reject) => {
      const id = this.#next++;
      this.#pending.set(id, {
        resolve: resolve as Pending["resolve"],
        reject,
      });
      const envelope: Envelope = { id, request };
      this.#worker.postMessage(envelope, transfer);
    });
  }

  /**
   * {@link call} as an effect. There is no way to stop native code behind the N-API: an interruption
   * waits for the reply, then takes effect.
   */
  request<Op extends Request["op"]>(
    request: () => {
      readonly request: Extract<Request, { op: Op }>;
      readonly transfer?: ArrayBuffer[];
    },
  ): Effect.Effect<Answers[Op], BackendError> {
    return Effect.callback<Answers[Op], BackendError>((resume) => {
      const { request: message, transfer } = request();
      const ended = this.call<Op>(message, transfer).then(
        (answer) => resume(Effect.succeed(answer)),
        (cause) =>
          resume(
            cause instanceof BackendError
              ? Effect.fail(cause)
              : Effect.die(cause),
          ),
      );
      return Effect.promise(() => ended);
    });
  }

  /** Releases the worker's session, then ends the worker. */
  readonly close: Effect.Effect<void> = Effect.suspend(() =>
    Effect.promise(() =>
      this.call<"close">({ op: "close" }).then(() => {}, () => {})
    )
  ).pipe(Effect.andThen(Effect.sync(() => {
    this.#worker.terminate();
    released("worker");
  })));
}
