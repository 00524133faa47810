/**
 * A pipeline as a JSON document.
 * @module
 */
import { Result, Schema } from "effect";
import { type AnyPipeline, isPipeline, type Pipeline } from "./handles.ts";
import {
  type Graph,
  type GraphNode,
  type NodeOptions,
  NodeOptionsSchema,
  type Source,
} from "./model.ts";
import { encodeWith } from "./params.ts";
import type { AnyPort, Json, Ports } from "./port.ts";
import { graphError } from "./problem.ts";

/** What every document says it is. */
export const documentFormat = "tessera/pipeline";

/** Version of the format. */
export const documentVersion = 1;

/** Where a value comes from. */
export type SourceDocument =
  | { readonly input: string }
  | { readonly node: string; readonly port: string }
  | { readonly constant: Json; readonly port?: string }
  | { readonly list: readonly SourceDocument[] };

/** An input of a pipeline. */
export interface InputDocument {
  /** Name of its port type. */
  readonly port: string;
  /** What it is when left out, by the port's codec. */
  readonly default?: Json;
}

/** A node. */
export interface NodeDocument {
  /** Unique in the graph. */
  readonly id: string;
  /** A node kind, or a pipeline, by name. */
  readonly kind: string;
  /** Version of the kind that the document was written for; leave it out to take any. */
  readonly version?: number;
  /** Whether it runs once for every element. */
  readonly each?: boolean;
  /** Where its inputs come from. */
  readonly inputs: { readonly [port: string]: SourceDocument };
  /** Its parameters, as the kind's codec encodes them. */
  readonly params?: Json;
  /** How it runs. */
  readonly options?: Omit<NodeOptions, "id">;
}

/** The inside of a pipeline. */
export interface GraphDocument {
  /** Version of the pipeline; default 1. */
  readonly pipelineVersion?: number;
  /** One or two sentences. */
  readonly description?: string;
  /** Inputs by name. */
  readonly inputs: { readonly [name: string]: InputDocument };
  /** Nodes in any order. */
  readonly nodes: readonly NodeDocument[];
  /** Where the outputs come from. */
  readonly outputs: { readonly [name: string]: SourceDocument };
}

/** A pipeline as JSON. */
export interface PipelineDocument extends GraphDocument {
  /** Always `tessera/pipeline`. */
  readonly format: typeof documentFormat;
  /** Version of the format, always 1. */
  readonly version: typeof documentVersion;
  /** Name of the pipeline. */
  readonly name: string;
  /** Pipelines that its nodes name as kinds; they hide those of the registry. */
  readonly pipelines?: { readonly [name: string]: GraphDocument };
}

const SourceSchema: Schema.Codec<SourceDocument> = Schema.Union([
  Schema.Struct({ input: Schema.String }),
  Schema.Struct({ node: Schema.String, port: Schema.String }),
  Schema.Struct({
    constant: Schema.Json,
    port: Schema.optionalKey(Schema.String),
  }),
  Schema.Struct({
    list: Schema.Array(
      Schema.suspend((): Schema.Codec<SourceDocument> => SourceSchema),
    ),
  }),
]);

const graphFields = {
  pipelineVersion: Schema.optionalKey(
    Schema.Int.check(Schema.isGreaterThanOrEqualTo(1)),
  ),
  description: Schema.optionalKey(Schema.String),
  inputs: Schema.Record(
    Schema.String,
    Schema.Struct({
      port: Schema.String,
      default: Schema.optionalKey(Schema.Json),
    }),
  ),
  nodes: Schema.Array(Schema.Struct({
    id: Schema.String,
    kind: Schema.String,
    version: Schema.optionalKey(Schema.Int),
    each: Schema.optionalKey(Schema.Boolean),
    inputs: Schema.Record(Schema.String, SourceSchema),
    params: Schema.optionalKey(Schema.Json),
    options: Schema.optionalKey(NodeOptionsSchema),
  })),
  outputs: Schema.Record(Schema.String, SourceSchema),
};

/**
 * Codec of documents: their shape, before any name in them is looked up.
 *
 * ```ts
 * import { PipelineDocumentSchema } from "@tessera/sdk";
 * import { Schema } from "effect";
 * import assert from "node:assert/strict";
 *
 * const decode = Schema.decodeUnknownExit(PipelineDocumentSchema);
 * assert.equal(decode({ format: "something else" })._tag, "Failure");
 * ```
 */
export const PipelineDocumentSchema: Schema.Codec<PipelineDocument> = Schema
  .Struct({
    format: Schema.Literal(documentFormat),
    version: Schema.Literal(documentVersion),
    name: Schema.String,
    ...graphFields,
    pipelines: Schema.optionalKey(
      Schema.Record(Schema.String, Schema.Struct(graphFields)),
    ),
  });

/**
 * A pipeline as a JSON document, pipelines inside it included. Throws a `GraphError` when a constant has
 * no codec, or when two pipelines inside share a name.
 *
 * ```ts
 * import { defineNode, documentFormat, pipeline, Text, toDocument } from "@tessera/sdk";
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
 * const document = toDocument(shout);
 * assert.equal(document.format, documentFormat);
 * assert.deepEqual(document.nodes[0]?.inputs, { text: { input: "text" } });
 * ```
 */
export function toDocument<In extends Ports, Out extends Ports, E, R>(
  pipeline: Pipeline<In, Out, E, R>,
): PipelineDocument {
  const inside = new Map<string, AnyPipeline>();
  const visit = (graph: Graph): void => {
    for (const { id, kind } of graph.nodes) {
      if (!isPipeline(kind)) continue;
      const known = inside.get(kind.name);
      if (known === kind) continue;
      if (known !== undefined) {
        throw graphError(pipeline.name, [{
          node: id,
          message:
            `node "${id}": two different pipelines inside are named "${kind.name}"; rename one`,
        }]);
      }
      inside.set(kind.name, kind);
      visit(kind.graph);
    }
  };
  visit(pipeline.graph);
  return {
    format: documentFormat,
    version: documentVersion,
    name: pipeline.name,
    ...graphDocument(pipeline),
    ...(inside.size === 0 ? {} : {
      pipelines: Object.fromEntries(
        Array.from(inside, ([name, kind]) => [name, graphDocument(kind)]),
      ),
    }),
  };
}

function graphDocument(pipeline: AnyPipeline): GraphDocument {
  const { graph, version, description, name } = pipeline;
  const inputs: Record<string, InputDocument> = {};
  for (
    const [input, { port, default: fallback }] of Object.entries(graph.inputs)
  ) {
    inputs[input] = {
      port: port.name,
      ...(fallback === undefined ? {} : {
        default: encode(
          name,
          port,
          fallback.value,
          `default of input "${input}"`,
          { port: input },
        ),
      }),
    };
  }
  const outputs: Record<string, SourceDocument> = {};
  for (const [output, source] of Object.entries(graph.outputs)) {
    outputs[output] = sourceDocument(name, source, `output "${output}"`, {
      port: output,
    });
  }
  return {
    ...(version === 1 ? {} : { pipelineVersion: version }),
    ...(description === "" ? {} : { description }),
    inputs,
    nodes: graph.nodes.map((node) => nodeDocument(name, node)),
    outputs,
  };
}

function nodeDocument(pipeline: string, node: GraphNode): NodeDocument {
  const inputs: Record<string, SourceDocument> = {};
  for (const [port, source] of Object.entries(node.inputs)) {
    inputs[port] = sourceDocument(
      pipeline,
      source,
      `node "${node.id}", input "${port}"`,
      { node: node.id, port },
    );
  }
  const params = node.encodedParams as { readonly [name: string]: Json };
  return {
    id: node.id,
    kind: node.kind.kind,
    version: node.kind.version,
    ...(node.each ? { each: true } : {}),
    inputs,
    ...(Object.keys(params).length === 0 ? {} : { params }),
    ...(Object.keys(node.options).length === 0
      ? {}
      : { options: node.options }),
  };
}

function sourceDocument(
  pipeline: string,
  source: Source,
  place: string,
  at: { readonly node?: string; readonly port?: string },
): SourceDocument {
  switch (source.type) {
    case "input":
      return { input: source.name };
    case "node":
      return { node: source.node, port: source.port };
    case "constant":
      return {
        constant: encode(pipeline, source.port, source.value, place, at),
        port: source.port.name,
      };
    case "list":
      return {
        list: source.items.map((item) =>
          sourceDocument(pipeline, item, place, at)
        ),
      };
  }
}

function encode(
  pipeline: string,
  port: AnyPort,
  value: unknown,
  place: string,
  at: { readonly node?: string; readonly port?: string },
): Json {
  const encoded = port.schema === undefined
    ? Result.fail(
      "the port has no codec; it is a handle that stays in its process",
    )
    : encodeWith(port.schema, value);
  if (Result.isSuccess(encoded)) return encoded.success as Json;
  throw graphError(pipeline, [{
    ...at,
    message:
      `${place}: a value of type ${port.name} cannot stand in a document: ${encoded.failure}`,
  }]);
}
