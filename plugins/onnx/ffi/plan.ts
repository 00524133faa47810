/**
 * What the runs of one session share. A language model runs once per token with a hundred tensors, so
 * whatever depends only on the names is made once (a {@link Plan}), and whatever one run needs for
 * itself is pooled (a {@link Frame}).
 * @module
 */
import type { Tensor } from "../../../nodes/tensor.ts";
import type { RunOptions, ValueInfo } from "../backend.ts";
import { checkNames } from "../check.ts";
import { Frame, type RunNames, type RunTarget } from "./frame.ts";

const noNames: readonly string[] = [];

/** What runs with the same names share. */
export class Plan implements RunNames {
  readonly feedNames: readonly string[];
  readonly intoNames: readonly string[];
  readonly freeNames: readonly string[];
  /** The caller's choice, as it was given. */
  readonly chosen: readonly string[] | undefined;
  readonly #feedInfos: readonly ValueInfo[];
  readonly #intoInfos: readonly ValueInfo[];
  readonly #target: RunTarget;
  readonly inputNames: BigUint64Array<ArrayBuffer>;
  readonly outputNames: BigUint64Array<ArrayBuffer>;
  readonly #idle: Frame[] = [];
  #closed = false;

  /** Checks the names. Throws a `BackendError`. */
  constructor(
    target: RunTarget,
    feedNames: readonly string[],
    intoNames: readonly string[],
    chosen: readonly string[] | undefined,
  ) {
    this.#target = target;
    this.feedNames = feedNames;
    this.intoNames = intoNames;
    this.chosen = chosen === undefined ? undefined : [...chosen];
    const names = checkNames(target.signature, feedNames, intoNames, chosen);
    this.freeNames = names.free;
    this.#feedInfos = names.feeds;
    this.#intoInfos = names.into;
    const addresses = (names: readonly string[]) =>
      BigUint64Array.from(
        names.length === 0 ? [""] : names,
        (name) => target.nameAddresses.get(name) ?? 0n,
      );
    this.inputNames = addresses(feedNames);
    this.outputNames = addresses([...intoNames, ...this.freeNames]);
  }

  /** Whether a call with these names may use the plan. */
  fits(
    feeds: readonly string[],
    into: readonly string[],
    chosen: readonly string[] | undefined,
  ): boolean {
    return same(this.feedNames, feeds) && same(this.intoNames, into) &&
      (this.chosen === chosen ||
        (this.chosen !== undefined && chosen !== undefined &&
          same(this.chosen, chosen)));
  }

  /** A frame apart from the others, loaded with the tensors of a run. Throws a `BackendError`. */
  frameApart(
    feeds: Readonly<Record<string, Tensor>>,
    into: Readonly<Record<string, Tensor>>,
    giveBack: (frame: Frame) => void,
  ): Frame {
    const frame = new Frame(this.#target, this, giveBack);
    try {
      frame.load(feeds, into, this.#feedInfos, this.#intoInfos);
      return frame;
    } catch (cause) {
      frame.close();
      throw cause;
    }
  }

  /** A frame loaded with the tensors of one run. Throws a `BackendError`. */
  frame(
    feeds: Readonly<Record<string, Tensor>>,
    into: Readonly<Record<string, Tensor>>,
  ): Frame {
    const frame = this.#idle.pop() ??
      new Frame(this.#target, this, (used) => this.#giveBack(used));
    try {
      frame.load(feeds, into, this.#feedInfos, this.#intoInfos);
      return frame;
    } catch (cause) {
      this.#idle.push(frame);
      throw cause;
    }
  }

  /** Takes a frame back after its run. */
  #giveBack(frame: Frame): void {
    if (this.#closed) frame.close();
    else this.#idle.push(frame);
  }

  /** Frees the idle frames, and those in use when their runs end. */
  close(): void {
    this.#closed = true;
    for (const frame of this.#idle.splice(0)) frame.close();
  }
}

function same(a: readonly string[], b: readonly string[]): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

/** The plan for a call's names, the most recently used ones first. */
export class Plans {
  readonly #plans: Plan[] = [];

  constructor(private readonly target: RunTarget) {}

  /** Finds or makes a plan. Throws a `BackendError`. */
  of(feeds: Readonly<Record<string, Tensor>>, options: RunOptions): Plan {
    const plans = this.#plans;
    const feedNames = Object.keys(feeds);
    const intoNames = options.into === undefined
      ? noNames
      : Object.keys(options.into);
    for (let i = 0; i < plans.length; i++) {
      const plan = plans[i];
      if (plan.fits(feedNames, intoNames, options.outputs)) {
        if (i > 0) {
          plans.splice(i, 1);
          plans.unshift(plan);
        }
        return plan;
      }
    }
    const plan = new Plan(this.target, feedNames, intoNames, options.outputs);
    plans.unshift(plan);
    // A caller that never repeats its names must not grow the list without end.
    if (plans.length > 16) plans.pop()!.close();
    return plan;
  }

  /** Frees all idle frames. */
  close(): void {
    for (const plan of this.#plans.splice(0)) plan.close();
  }
}
