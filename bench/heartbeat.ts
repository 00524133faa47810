/**
 * Watches the event loop: a timer of one millisecond, and how far its ticks lie apart.
 * @module
 */
import { threadClock } from "./machine.ts";

/** The longest gap between two ticks. */
export interface Stall {
  /** Milliseconds from one tick to the next. */
  readonly ms: number;
  /**
   * Milliseconds of it in which this thread computed; the rest it waited for a free core, or slept.
   * `undefined` where the operating system does not say.
   */
  readonly busyMs: number | undefined;
}

/** Ticks, newest last. */
export class Heartbeat implements Disposable {
  readonly #clock = threadClock();
  readonly #at: number[] = [];
  readonly #cpu: number[] = [];
  readonly #timer: ReturnType<typeof setInterval>;

  /** Starts. */
  constructor() {
    const tick = () => {
      this.#at.push(performance.now());
      this.#cpu.push(this.#clock?.() ?? NaN);
    };
    tick();
    this.#timer = setInterval(tick, 1);
  }

  /**
   * The longest gap that lies for the most part between two times of `performance.now()`, and the one in
   * which this thread computed longest.
   */
  longest(from: number, to: number): { gap: Stall; busy: Stall } {
    let gap: Stall = { ms: 0, busyMs: undefined };
    let busy: Stall = { ms: 0, busyMs: undefined };
    for (let i = 1; i < this.#at.length; i++) {
      const begin = this.#at[i - 1];
      const end = this.#at[i];
      const inside = Math.min(end, to) - Math.max(begin, from);
      if (inside <= 0 || inside < (end - begin) / 2) continue;
      const computed = this.#cpu[i] - this.#cpu[i - 1];
      const stall: Stall = {
        ms: end - begin,
        busyMs: Number.isNaN(computed) ? undefined : computed,
      };
      if (stall.ms > gap.ms) gap = stall;
      if ((stall.busyMs ?? 0) > (busy.busyMs ?? 0)) busy = stall;
    }
    return { gap, busy };
  }

  /** Stops. */
  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }
}
