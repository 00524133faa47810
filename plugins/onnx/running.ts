/**
 * Runs as promises, for loops that are no fibers: one that lived as long as an engine would keep something
 * of every run.
 * @module
 */
import { Cause, Effect, Exit, Fiber } from "effect";
import type { Tensor } from "../../nodes/tensor.ts";
import type { PreparedRun, Running, RunOptions, Session } from "./backend.ts";

/** The run was ended by {@link Running.stop}. */
export class Stopped extends Error {}

/** Starts a run in a fiber of its own. */
export function startRun(
  session: Session,
  feeds: Readonly<Record<string, Tensor>>,
  options?: RunOptions,
): Running {
  const fiber = Effect.runFork(session.run(feeds, options));
  const ended = new Promise<Readonly<Record<string, Tensor>>>(
    (resolve, reject) => {
      fiber.addObserver((exit) => {
        if (Exit.isSuccess(exit)) resolve(exit.value);
        else if (Cause.hasInterruptsOnly(exit.cause)) reject(new Stopped());
        else reject(Cause.squash(exit.cause));
      });
    },
  );
  return { ended, stop: () => void Effect.runFork(Fiber.interrupt(fiber)) };
}

/**
 * A run that is to be repeated with the same tensors, as cheaply as the binding can. Throws `BackendError`
 * for tensors that do not fit, or fails with it when the run starts.
 */
export function prepareRun(
  session: Session,
  feeds: Readonly<Record<string, Tensor>>,
  options?: RunOptions,
): PreparedRun {
  return session.prepare?.(feeds, options) ?? {
    start: () => startRun(session, feeds, options),
    close: () => {},
  };
}
