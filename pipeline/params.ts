/**
 * Parameters, options and constants: what a node of a graph holds besides its connections.
 * @module
 */
import { Exit, Result, Schema } from "effect";
import { isPipeline } from "./handles.ts";
import { type NodeOptions, NodeOptionsSchema } from "./model.ts";
import type { AnyKind, AnyNodeKind } from "./node.ts";
import { schemaLine } from "./problem.ts";

const isJson = Schema.is(Schema.Json);

/** Decodes parameters as JSON and fills in their defaults; on failure, one line. */
export function decodeParams(
  kind: AnyKind,
  given: unknown,
): Result.Result<
  { readonly params: unknown; readonly encodedParams: unknown },
  string
> {
  const codec = isPipeline(kind) ? undefined : (kind as AnyNodeKind).params;
  if (codec === undefined) {
    const empty = given === undefined ||
      (typeof given === "object" && given !== null &&
        Object.keys(given).length === 0);
    return empty
      ? Result.succeed({ params: {}, encodedParams: {} })
      : Result.fail(`${kind.kind} takes no parameters`);
  }
  const decoded = Schema.decodeUnknownExit(codec, {
    errors: "all",
    onExcessProperty: "error",
  })(given ?? {});
  if (Exit.isFailure(decoded)) return Result.fail(failureLine(decoded));
  const encoded = Schema.encodeUnknownExit(codec)(decoded.value);
  if (Exit.isFailure(encoded)) return Result.fail(failureLine(encoded));
  return isJson(encoded.value)
    ? Result.succeed({
      params: decoded.value,
      encodedParams: encoded.value,
    })
    : Result.fail(
      `the codec of ${kind.kind}'s parameters does not encode to JSON`,
    );
}

/** Decodes a value by a codec, whatever the codec may throw; on failure, one line. */
export function decodeWith<A>(
  codec: Schema.Codec<A, unknown>,
  json: unknown,
): Result.Result<A, string> {
  const exit = Schema.decodeUnknownExit(codec, {
    errors: "all",
    onExcessProperty: "error",
  })(json);
  return Exit.isSuccess(exit)
    ? Result.succeed(exit.value)
    : Result.fail(failureLine(exit));
}

/** Encodes a value by a codec, whatever the codec may throw; on failure, one line. */
export function encodeWith<A>(
  codec: Schema.Codec<A, unknown>,
  value: unknown,
): Result.Result<unknown, string> {
  const exit = Schema.encodeUnknownExit(codec)(value);
  return Exit.isSuccess(exit)
    ? Result.succeed(exit.value)
    : Result.fail(failureLine(exit));
}

function failureLine(exit: Exit.Failure<unknown, unknown>): string {
  for (const reason of exit.cause.reasons) {
    const error = reason._tag === "Fail"
      ? reason.error
      : reason._tag === "Die"
      ? reason.defect
      : undefined;
    if (Schema.isSchemaError(error)) return schemaLine(error);
    if (error instanceof Error) return error.message;
  }
  return "the codec failed";
}

/** Checks options; returns one line for each problem. */
export function optionProblems(
  kind: AnyKind,
  each: boolean,
  options: Omit<NodeOptions, "id">,
): string[] {
  const decoded = decodeWith(NodeOptionsSchema, options);
  const problems = Result.isFailure(decoded) ? [decoded.failure] : [];
  if (isPipeline(kind)) {
    for (const name of ["memoize", "lane"] as const) {
      if (options[name] !== undefined) {
        problems.push(
          `${name} is for node kinds; the nodes inside ${kind.kind} have their own`,
        );
      }
    }
  }
  if (options.concurrency !== undefined && !each) {
    problems.push("concurrency is for each; a node runs once");
  }
  return problems;
}
