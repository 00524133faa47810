/**
 * A run that is repeated with the same tensors: names, types and handles are looked at once, so that a
 * token costs little but its run.
 * @module
 */
import { BackendError } from "../../../nodes/errors.ts";
import type { HostTensor, Tensor } from "../../../nodes/tensor.ts";
import type { PreparedRun, Running, RunOptions } from "../backend.ts";
import { Stopped } from "../running.ts";
import type { Frame } from "./frame.ts";
import type { Plans } from "./plan.ts";

/** What a prepared run asks of its session. */
export interface RunCounter {
  /** A run begins. Throws {@link BackendError} where the session is closed. */
  readonly enter: () => void;
  /** It has ended. */
  readonly leave: () => void;
}

/** See the module. */
export class FramedRun implements PreparedRun {
  readonly #counter: RunCounter;
  readonly #frame: Frame;
  readonly #hosts: readonly (readonly [input: number, tensor: HostTensor])[];
  #busy = false;
  #closed = false;

  /** Binds the tensors. Throws {@link BackendError}, and `ForeignTensor` for one that has to be read first. */
  constructor(
    plans: Plans,
    counter: RunCounter,
    feeds: Readonly<Record<string, Tensor>>,
    options: RunOptions,
  ) {
    this.#counter = counter;
    this.#frame = plans.of(feeds, options).frameApart(
      feeds,
      options.into ?? {},
      () => this.#ended(),
    );
    this.#frame.rest();
    this.#hosts = Object.values(feeds).flatMap((tensor, i) =>
      "data" in tensor ? [[i, tensor as HostTensor] as const] : []
    );
  }

  /** See {@link PreparedRun.start}. */
  start(): Running {
    if (this.#busy || this.#closed) {
      throw new BackendError({
        message: this.#closed
          ? "a prepared run was started after it had been closed"
          : "a prepared run was started before its last one had ended",
      });
    }
    const frame = this.#frame;
    this.#counter.enter();
    try {
      frame.reload(this.#hosts);
    } catch (cause) {
      this.#counter.leave();
      throw cause;
    }
    this.#busy = true;
    let stopped = false;
    const ended = frame.start().then((status) => {
      try {
        const outputs = frame.finish(status);
        if (stopped) throw new Stopped();
        return outputs;
      } catch (cause) {
        throw stopped ? new Stopped() : cause;
      } finally {
        this.#counter.leave();
      }
    });
    return {
      ended,
      stop: () => {
        if (!this.#busy || stopped) return;
        stopped = true;
        frame.terminate();
      },
    };
  }

  /** See {@link PreparedRun.close}. */
  close(): void {
    this.#closed = true;
    if (!this.#busy) this.#frame.close();
  }

  #ended(): void {
    this.#busy = false;
    if (this.#closed) this.#frame.close();
  }
}
