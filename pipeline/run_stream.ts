/**
 * Runs a pipeline over a stream of inputs, or as a stream of its events.
 * @module
 */
import { Effect, Queue, type Scope, Stream } from "effect";
import type { GraphError } from "./errors.ts";
import { observe, type RunEvent } from "./events.ts";
import type { Pipeline } from "./handles.ts";
import type { RunInputs } from "./node.ts";
import type { Ports } from "./port.ts";
import { run, type RunOptions, type RunResult, runScoped } from "./run.ts";

/** How to run a pipeline over a stream of inputs. */
export interface RunStreamOptions extends Omit<RunOptions, "runId"> {
  /**
   * Runs in flight, at most; the source waits while there are as many. Default: the number of nodes,
   * from 2 to 16, which lets every stage work on another input.
   */
  readonly concurrency?: number;
}

/**
 * Runs a pipeline for every element of a stream; results keep the order. Stages of successive inputs
 * overlap as far as their lanes admit, so that throughput nears the slowest stage. The first failure ends
 * the stream.
 *
 * ```ts
 * import { defineNode, pipeline, runStream, Text } from "@tessera/sdk";
 * import { Effect, Stream } from "effect";
 * import assert from "node:assert/strict";
 *
 * const upper = defineNode({
 *   kind: "upper",
 *   inputs: { text: Text },
 *   outputs: { text: Text },
 *   run: ({ text }) => Effect.succeed({ text: text.toUpperCase() }),
 * });
 * const shout = pipeline("shout", (g) => g.add(upper, { text: g.input("text", Text) }));
 * const results = runStream(shout, Stream.make({ text: "a" }, { text: "b" }));
 * const texts = await Effect.runPromise(
 *   Stream.runCollect(Stream.map(results, ({ outputs }) => outputs.text)),
 * );
 * assert.deepEqual([...texts], ["A", "B"]);
 * ```
 */
export function runStream<In extends Ports, Out extends Ports, E, R, E2, R2>(
  pipeline: Pipeline<In, Out, E, R>,
  inputs: Stream.Stream<RunInputs<NoInfer<In>>, E2, R2>,
  options: RunStreamOptions = {},
): Stream.Stream<
  RunResult<Out>,
  E | E2 | GraphError,
  Exclude<R, Scope.Scope> | R2
> {
  const { concurrency, ...rest } = options;
  return Stream.mapEffect(inputs, (input) => run(pipeline, input, rest), {
    concurrency: concurrency ??
      Math.max(2, Math.min(16, pipeline.graph.size)),
  });
}

/** The last element of {@link runEvents}: the result, which is no event because its values are no JSON. */
export interface RunOutcome<Out extends Ports = Ports> {
  /** The discriminator. */
  readonly _tag: "RunOutcome";
  /** The result. */
  readonly result: RunResult<Out>;
}

/**
 * Runs a pipeline as a stream of its events, with the result as the last element. Ending the stream
 * early interrupts the run; what the nodes acquired is released when the stream ends.
 *
 * ```ts
 * import { defineNode, pipeline, runEvents, Text } from "@tessera/sdk";
 * import { Effect, Stream } from "effect";
 * import assert from "node:assert/strict";
 *
 * const upper = defineNode({
 *   kind: "upper",
 *   inputs: { text: Text },
 *   outputs: { text: Text },
 *   run: ({ text }) => Effect.succeed({ text: text.toUpperCase() }),
 * });
 * const shout = pipeline("shout", (g) => g.add(upper, { text: g.input("text", Text) }));
 * const events = await Effect.runPromise(
 *   Stream.runCollect(runEvents(shout, { text: "hello" })),
 * );
 * const last = [...events].at(-1);
 * assert.ok(last?._tag === "RunOutcome");
 * assert.equal(last.result.outputs.text, "HELLO");
 * ```
 */
export function runEvents<In extends Ports, Out extends Ports, E, R>(
  pipeline: Pipeline<In, Out, E, R>,
  inputs: RunInputs<NoInfer<In>>,
  options: RunOptions = {},
): Stream.Stream<
  RunEvent | RunOutcome<Out>,
  E | GraphError,
  Exclude<R, Scope.Scope>
> {
  // The buffer has no bound because a run never waits for those who watch it.
  return Stream.callback<
    RunEvent | RunOutcome<Out>,
    E | GraphError,
    R | Scope.Scope
  >((queue) =>
    Effect.gen(function* () {
      const result = yield* observe(
        runScoped(pipeline, inputs, options),
        (event) => Queue.offerUnsafe(queue, event),
      );
      Queue.offerUnsafe(queue, { _tag: "RunOutcome", result });
      yield* Queue.end(queue);
    })
  );
}
