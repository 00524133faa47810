/**
 * What can be done with recorded runs.
 * @module
 */
import type { Json, RunEvent } from "../pipeline/mod.ts";
import type { Services } from "./services.ts";

/** Why something could not be done, for people. */
export class JobError extends Error {
  /** The discriminator. */
  readonly _tag = "JobError" as const;
}

/**
 * Runs a recorded run once more, with this dashboard's model: the same pipeline, the same inputs. Resolves
 * with the new run's id as soon as it has begun.
 */
export async function runAgain(
  services: Services,
  runId: string,
): Promise<string> {
  const { store, run } = services;
  const [first] = await run(store.eventsAfter(runId, -1));
  if (first?._tag !== "RunStarted") throw new JobError("there is no such run");
  const { document, values, attributes } = first;
  if (document === undefined || values === undefined) {
    throw new JobError(
      "the inputs of this run were not kept: they are larger than 1 MiB, or have no form in JSON",
    );
  }
  const { model: _, batch: __, ...kept } = attributes;
  return await startRun(services, {
    document,
    values,
    attributes: { ...kept, again: runId },
  });
}

/** What is to be run. */
export interface Job {
  /** The pipeline. */
  readonly document: unknown;
  /** Its inputs, by their ports' codecs. */
  readonly values: { readonly [name: string]: unknown };
  /** What is said about the run. */
  readonly attributes?: { readonly [name: string]: Json };
}

/**
 * Starts a run with this dashboard's model. Resolves with its id as soon as it has begun; rejects with a
 * `GraphError` for what does not fit, or with why there is no model.
 */
export async function startRun(
  services: Services,
  { document, values, attributes = {} }: Job,
): Promise<string> {
  const { run } = services;
  const { decodeInputs, fromDocument } = await import("../pipeline/mod.ts");
  const pipeline = await run(
    fromDocument(document, await services.registry()),
  );
  const inputs = await run(decodeInputs(pipeline, values));
  const model = await services.model();
  return await new Promise((resolve, reject) => {
    const onEvent = (event: RunEvent) => resolve(event.runId);
    // What happens to it is in the store, where everybody sees it.
    // deno-lint-ignore no-explicit-any
    model.run(pipeline as any, inputs, {
      onEvent,
      attributes,
    }).catch(reject);
  });
}
