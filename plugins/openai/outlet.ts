/**
 * The body of a streamed response, written to from callbacks: no fiber and no stream operator per token.
 * @module
 */
import { Cause, Exit } from "effect";
import { setImmediate } from "node:timers";

const encoder = new TextEncoder();

/**
 * Milliseconds between two writes of all streams together: what is said sooner is written with what is said
 * first when they are over, or after half as many again. Nobody sees sooner, and a small model makes a token
 * in one millisecond: a write and a read for each would take the cores from it.
 */
export const PACE_MS = 16;

/** Outlets with something to hand on. */
let dirty: Outlet[] = [];
let flushedAt = -Infinity;
/** Whether everything is handed on when this turn of the event loop is over. */
let turning = false;
let late: ReturnType<typeof setTimeout> | undefined;

function flushAll(): void {
  const outlets = dirty;
  dirty = [];
  turning = false;
  clearTimeout(late);
  late = undefined;
  flushedAt = performance.now();
  for (const outlet of outlets) outlet.flush();
}

/** Has everything handed on: once for all that was said in a turn, behind the engine's next step. */
function schedule(now: boolean): void {
  if (turning) return;
  const pause = flushedAt + PACE_MS - performance.now();
  if (now || pause <= 0) {
    turning = true;
    setImmediate(flushAll);
  } else late ??= setTimeout(flushAll, pause + PACE_MS / 2);
}

/** Text that becomes the body of a response. What its reader does not take yet waits, and is joined. */
export class Outlet {
  /** The body. */
  readonly body: ReadableStream<Uint8Array<ArrayBuffer>>;
  #controller!: ReadableStreamDefaultController<Uint8Array<ArrayBuffer>>;
  #pending = "";
  #scheduled = false;
  #begun = false;
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
    // Somebody waits for the beginning.
    this.#schedule(!this.#begun);
  }

  /** Nothing more will be said. */
  end(): void {
    this.#ended = true;
    this.#schedule(true);
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
      this.#begun = true;
      controller.enqueue(bytes);
    }
    if (this.#ended && this.#pending === "" && controller.desiredSize! > 0) {
      if (this.#broken === undefined) controller.close();
      else controller.error(this.#broken.cause);
      this.#close(Exit.void);
    }
  }

  #schedule(now: boolean): void {
    if (this.#onClose === undefined) return;
    if (!this.#scheduled) {
      this.#scheduled = true;
      dirty.push(this);
    }
    schedule(now);
  }

  #close(exit: Exit.Exit<void>): void {
    this.#closed = true;
    this.#onClose?.(exit);
  }
}
