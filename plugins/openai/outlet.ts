/**
 * The body of a streamed response, written to from callbacks: no fiber and no stream operator per token.
 * @module
 */
import { Cause, Exit } from "effect";
import { setImmediate } from "node:timers";

const encoder = new TextEncoder();

/** Outlets with something to hand on. */
let dirty: Outlet[] = [];

/**
 * Once for all that was said in a turn of the event loop: what came together goes out together, and the
 * engine has begun its next step before.
 */
function flushAll(): void {
  const outlets = dirty;
  dirty = [];
  for (const outlet of outlets) outlet.flush();
}

/** Text that becomes the body of a response. What its reader does not take yet waits, and is joined. */
export class Outlet {
  /** The body. */
  readonly body: ReadableStream<Uint8Array<ArrayBuffer>>;
  #controller!: ReadableStreamDefaultController<Uint8Array<ArrayBuffer>>;
  #pending = "";
  #scheduled = false;
  #ended = false;
  #broken: { readonly cause: unknown } | undefined;
  #closed = false;
  #onClose: ((exit: Exit.Exit<void>) => void) | undefined;
  /** Whether anything was said since somebody set it. */
  spoken = false;

  /** An outlet that holds back until it is opened. */
  constructor() {
    this.body = new ReadableStream({
      start: (controller) => {
        this.#controller = controller;
      },
      pull: () => this.flush(),
      cancel: () => this.leave(),
    });
  }

  /** Begins to hand on; `onClose` is told when the reader has taken everything, or has left. */
  open(onClose: (exit: Exit.Exit<void>) => void): void {
    this.#onClose = onClose;
    this.flush();
  }

  /** Says something. */
  say(text: string): void {
    if (text === "" || this.#ended) return;
    this.#pending += text;
    this.spoken = true;
    this.#schedule();
  }

  /** Nothing more will be said. */
  end(): void {
    this.#ended = true;
    this.#schedule();
  }

  /** Nothing more can be said: the body breaks off. */
  fail(cause: unknown): void {
    this.#broken ??= { cause };
    this.end();
  }

  /** The reader is gone. */
  leave(): void {
    if (this.#closed) return;
    this.#pending = "";
    this.#ended = true;
    this.#close(Exit.failCause(Cause.interrupt()));
  }

  /** Hands on what the reader takes now. */
  flush(): void {
    this.#scheduled = false;
    if (this.#closed || this.#onClose === undefined) return;
    const controller = this.#controller;
    if (this.#pending !== "" && controller.desiredSize! > 0) {
      const bytes = encoder.encode(this.#pending);
      this.#pending = "";
      controller.enqueue(bytes);
    }
    if (this.#ended && this.#pending === "" && controller.desiredSize! > 0) {
      if (this.#broken === undefined) controller.close();
      else controller.error(this.#broken.cause);
      this.#close(Exit.void);
    }
  }

  #schedule(): void {
    if (this.#scheduled || this.#onClose === undefined) return;
    this.#scheduled = true;
    if (dirty.push(this) === 1) setImmediate(flushAll);
  }

  #close(exit: Exit.Exit<void>): void {
    this.#closed = true;
    this.#onClose?.(exit);
  }
}
