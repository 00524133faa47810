/**
 * The inputs and outputs of a pipeline as JSON.
 * @module
 */
import { Effect, Result } from "effect";
import { own } from "./check.ts";
import type { GraphError } from "./errors.ts";
import type { Pipeline } from "./handles.ts";
import type { OutputValues, RunInputs } from "./node.ts";
import { decodeWith, encodeWith } from "./params.ts";
import type { AnyPort, Json, Ports } from "./port.ts";
import {
  graphError,
  type GraphProblem,
  oneLine,
  suggestion,
} from "./problem.ts";

/**
 * Decodes the inputs of a pipeline from JSON, each by its port's codec. Fails with one `GraphError` that
 * lists every input that is missing, unknown, refused by its codec, or has none.
 *
 * ```ts
 * import { decodeInputs, defineNode, pipeline, Text } from "@tessera/sdk";
 * import { Effect } from "effect";
 * import assert from "node:assert/strict";
 *
 * const upper = defineNode({
 *   kind: "upper",
 *   inputs: { text: Text },
 *   outputs: { text: Text },
 *   run: ({ text }) => Effect.succeed({ text: text.toUpperCase() }),
 * });
 * const shout = pipeline("shout", (g) => g.add(upper, { text: g.input("text", Text) }));
 * const inputs = await Effect.runPromise(decodeInputs(shout, { text: "hello" }));
 * assert.deepEqual(inputs, { text: "hello" });
 * const error = await Effect.runPromise(
 *   Effect.flip(decodeInputs(shout, { txt: "hello" })),
 * );
 * assert.equal(error.problems.length, 2);
 * ```
 */
export function decodeInputs<In extends Ports, Out extends Ports, E, R>(
  pipeline: Pipeline<In, Out, E, R>,
  json: { readonly [name: string]: unknown },
): Effect.Effect<RunInputs<In>, GraphError> {
  return Effect.suspend(() => {
    const problems: GraphProblem[] = [];
    const values: Record<string, unknown> = {};
    const ports: Ports = pipeline.inputs;
    for (const name of Object.keys(json)) {
      const port = own(ports, name);
      if (port === undefined) {
        problems.push({
          port: name,
          message: `there is no input "${oneLine(name)}"${
            suggestion(name, Object.keys(ports))
          }`,
        });
        continue;
      }
      const decoded = port.schema === undefined
        ? Result.fail(`${port.name} has no codec; such a value cannot be JSON`)
        : decodeWith(port.schema, json[name]);
      if (Result.isSuccess(decoded)) values[name] = decoded.success;
      else {
        problems.push({
          port: name,
          message: `input "${name}" (${port.name}): ${decoded.failure}`,
        });
      }
    }
    for (const [name, port] of Object.entries(ports)) {
      if (!Object.hasOwn(json, name) && port.omittable !== true) {
        problems.push({
          port: name,
          message: `input "${name}" is missing; it needs ${port.name}`,
        });
      }
    }
    return problems.length > 0
      ? Effect.fail(graphError(pipeline.name, problems))
      : Effect.succeed(values as RunInputs<In>);
  });
}

/**
 * Encodes the outputs of a run as JSON, each by its port's codec; a handle, which has none, is replaced
 * by its preview.
 *
 * ```ts
 * import { defineNode, encodeOutputs, pipeline, run, Text } from "@tessera/sdk";
 * import { Effect } from "effect";
 * import assert from "node:assert/strict";
 *
 * const upper = defineNode({
 *   kind: "upper",
 *   inputs: { text: Text },
 *   outputs: { text: Text },
 *   run: ({ text }) => Effect.succeed({ text: text.toUpperCase() }),
 * });
 * const shout = pipeline("shout", (g) => g.add(upper, { text: g.input("text", Text) }));
 * const json = await Effect.runPromise(
 *   run(shout, { text: "hello" }).pipe(
 *     Effect.flatMap(({ outputs }) => encodeOutputs(shout, outputs)),
 *   ),
 * );
 * assert.deepEqual(json, { text: "HELLO" });
 * ```
 */
export function encodeOutputs<In extends Ports, Out extends Ports, E, R>(
  pipeline: Pipeline<In, Out, E, R>,
  outputs: OutputValues<Out>,
): Effect.Effect<{ readonly [name: string]: Json }, GraphError> {
  return Effect.suspend(() => {
    const json: Record<string, Json> = {};
    for (const [name, port] of Object.entries<AnyPort>(pipeline.outputs)) {
      const value = (outputs as { readonly [name: string]: unknown })[name];
      if (port.schema === undefined) {
        json[name] = port.preview(value);
        continue;
      }
      const encoded = encodeWith(port.schema, value);
      if (Result.isFailure(encoded)) {
        return Effect.fail(
          graphError(pipeline.name, [{
            port: name,
            message: `output "${name}" (${port.name}): ${encoded.failure}`,
          }]),
        );
      }
      json[name] = encoded.success as Json;
    }
    return Effect.succeed(json);
  });
}
