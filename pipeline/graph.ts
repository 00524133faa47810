/**
 * `pipeline`: from a function over typed handles to a graph.
 * @module
 */
import { buildPipeline } from "./build.ts";
import type {
  ErrorOf,
  GraphBuilder,
  Handles,
  InputsOf,
  Pipeline,
  PipelineInputs,
  PipelineOptions,
  PipelineOutputs,
  ServicesOf,
} from "./handles.ts";

/**
 * Builds a pipeline. Throws a `GraphError` that names node and port for what types cannot see: a
 * parameter out of range, a handle of another graph, a node that leads to no output, a name used twice.
 *
 * ```ts
 * import { defineNode, pipeline, run, Text } from "@tessera/sdk";
 * import { Effect } from "effect";
 * import assert from "node:assert/strict";
 *
 * const upper = defineNode({
 *   kind: "upper",
 *   inputs: { text: Text },
 *   outputs: { text: Text },
 *   run: ({ text }) => Effect.succeed({ text: text.toUpperCase() }),
 * });
 * const shout = pipeline("shout", (g) => {
 *   const text = g.input("text", Text);
 *   const { text: loud } = g.add(upper, { text });
 *   return { loud };
 * });
 * const { outputs } = await Effect.runPromise(run(shout, { text: "hello" }));
 * assert.equal(outputs.loud, "HELLO");
 * ```
 */
export function pipeline<const H extends Handles>(
  name: string,
  build: (g: GraphBuilder) => H,
  options: PipelineOptions = {},
): Pipeline<
  PipelineInputs<InputsOf<H[keyof H]>>,
  PipelineOutputs<H>,
  ErrorOf<H[keyof H]>,
  ServicesOf<H[keyof H]>
> {
  return buildPipeline(name, build as (g: GraphBuilder) => Handles, options) as // deno-lint-ignore no-explicit-any
  Pipeline<any, any, any, any>;
}
