/**
 * A pipeline as a JSON document, and back. Documents come from anywhere, so reading one finds every
 * problem and names node and port; what it returns is a pipeline like any other.
 * @module
 */
import { Effect, Exit, Result, Schema } from "effect";
import { makePipeline } from "./build.ts";
import {
  checkGraph,
  decodeParams,
  decodeWith,
  type DraftNode,
  encodeWith,
  isPipeline,
  optionProblems,
  own,
} from "./check.ts";
import type { CapacityError, GraphError } from "./errors.ts";
import type { AnyPipeline, Pipeline } from "./graph.ts";
import {
  type Graph,
  type GraphInput,
  type GraphNode,
  type NodeOptions,
  NodeOptionsSchema,
  type Source,
} from "./model.ts";
import {
  type AnyKind,
  isName,
  type OutputValues,
  type RunInputs,
} from "./node.ts";
import type { AnyRegistry, Registry } from "./plugin.ts";
import type { AnyPort, Json, Ports } from "./port.ts";
import {
  graphError,
  type GraphProblem,
  oneLine,
  schemaProblems,
  suggestion,
} from "./problem.ts";

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

/** Codec of documents: their shape, before any name in them is looked up. */
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

/** A pipeline that was read from a document: its ports are known only at run time. */
export type DocumentPipeline<E, R> = Pipeline<
  Ports,
  Ports,
  E | CapacityError,
  R
>;

/** Deeper documents are refused before anything recursive sees them. */
const deepestDocument = 200;

/**
 * Reads a document, given as JSON text or as a parsed value. Fails with one `GraphError` that lists
 * every problem: unknown kinds (with the nearest known ones), missing, unknown and mistyped inputs, bad
 * parameters, cycles, ids used twice, constants that their port's codec refuses.
 */
export function fromDocument<E, R>(
  document: unknown,
  registry: Registry<E, R>,
): Effect.Effect<DocumentPipeline<E, R>, GraphError> {
  return Effect.suspend(() => {
    let json = document;
    if (typeof document === "string") {
      try {
        json = JSON.parse(document);
      } catch (error) {
        return refuse(`the document is no JSON: ${(error as Error).message}`);
      }
    }
    if (depthOver(json, deepestDocument)) {
      return refuse(
        `the document is nested more than ${deepestDocument} levels deep`,
      );
    }
    const decoded = Schema.decodeUnknownExit(PipelineDocumentSchema, {
      errors: "all",
      onExcessProperty: "error",
    })(json);
    if (Exit.isFailure(decoded)) {
      const problems = decoded.cause.reasons.flatMap((reason) =>
        reason._tag === "Fail" && Schema.isSchemaError(reason.error)
          ? schemaProblems(reason.error).map((problem) =>
            locate(json, problem.path, problem.message)
          )
          : []
      );
      return Effect.fail(graphError(nameOf(json), problems));
    }
    const reader = new Reader(decoded.value, registry);
    const pipeline = reader.read();
    return pipeline === undefined
      ? Effect.fail(graphError(decoded.value.name, reader.problems))
      : Effect.succeed(pipeline as DocumentPipeline<E, R>);
  });
}

function refuse(message: string): Effect.Effect<never, GraphError> {
  return Effect.fail(graphError(undefined, [{ message: oneLine(message) }]));
}

function nameOf(json: unknown): string | undefined {
  const name = (json as { readonly name?: unknown } | null)?.name;
  return typeof name === "string" && isName(name) ? name : undefined;
}

/** Whether a value is nested deeper than `limit`, found without recursion. */
function depthOver(value: unknown, limit: number): boolean {
  let level: unknown[] = [value];
  for (let depth = 0; level.length > 0; depth++) {
    if (depth > limit) return true;
    const next: unknown[] = [];
    for (const item of level) {
      if (typeof item !== "object" || item === null) continue;
      for (const inner of Object.values(item)) {
        if (typeof inner === "object" && inner !== null) next.push(inner);
      }
    }
    level = next;
  }
  return false;
}

/** Names the node and port of a place in a document, as far as they can be made out. */
function locate(
  json: unknown,
  path: readonly PropertyKey[],
  message: string,
): GraphProblem {
  const at = path.indexOf("nodes");
  if (at < 0) return { message };
  let place = json as Record<PropertyKey, unknown>;
  for (const key of path.slice(0, at + 2)) {
    place = place?.[key] as Record<PropertyKey, unknown>;
  }
  const id = place?.id;
  const port = path[at + 2] === "inputs" ? path[at + 3] : undefined;
  return {
    ...(typeof id === "string" ? { node: id } : {}),
    ...(typeof port === "string" ? { port } : {}),
    message: typeof id === "string"
      ? `node "${oneLine(id)}": ${message}`
      : message,
  };
}

/** A record without a prototype, so that `__proto__` in a document is a name like any other. */
function record<A>(): Record<string, A> {
  return Object.create(null);
}

/** Looks up the names in a document. */
class Reader {
  readonly problems: GraphProblem[] = [];
  private readonly made = new Map<string, AnyPipeline | undefined>();
  private readonly open: string[] = [];

  constructor(
    readonly document: PipelineDocument,
    readonly registry: AnyRegistry,
  ) {}

  read(): AnyPipeline | undefined {
    const pipeline = this.graph(this.document.name, this.document, "");
    const sound = this.problems.length === 0;
    for (const name of Object.keys(this.document.pipelines ?? {})) {
      if (this.made.has(name)) continue;
      // A wrong kind elsewhere may have been meant for it, but its own problems are worth saying.
      this.kind(name, (message) => this.problems.push({ message }));
      if (sound) {
        this.problems.push({
          message:
            `pipeline "${name}" inside is not used by any node; take it away`,
        });
      }
    }
    return this.problems.length === 0 ? pipeline : undefined;
  }

  /** A kind by name: a pipeline of the document first. */
  kind(name: string, say: (message: string) => void): AnyKind | undefined {
    const inside = own(this.document.pipelines ?? {}, name);
    if (inside === undefined) {
      const kind = this.registry.kind(name);
      if (kind === undefined) {
        say(
          `there is no kind "${oneLine(name)}"${
            suggestion(name, [
              ...this.registry.nodes.keys(),
              ...this.registry.pipelines.keys(),
              ...Object.keys(this.document.pipelines ?? {}),
            ])
          }`,
        );
      }
      return kind;
    }
    if (this.open.includes(name)) {
      say(
        `pipeline "${name}" contains itself: ${
          [...this.open, name].map((n) => `"${n}"`).join(" -> ")
        }`,
      );
      return undefined;
    }
    if (!this.made.has(name)) {
      // Set before it is made, so that a broken one is not read again for each use.
      this.made.set(name, undefined);
      this.open.push(name);
      this.made.set(
        name,
        this.graph(name, inside, `pipeline "${name}" inside: `),
      );
      this.open.pop();
    }
    return this.made.get(name);
  }

  /** Reads one graph; `undefined` when something is wrong with it. */
  graph(
    name: string,
    document: GraphDocument,
    place: string,
  ): AnyPipeline | undefined {
    const before = this.problems.length;
    const say = (message: string, node?: string, port?: string): void => {
      this.problems.push({
        ...(node === undefined ? {} : { node }),
        ...(port === undefined ? {} : { port }),
        message: oneLine(place + message),
      });
    };
    if (!isName(name)) say(`"${name}" is no name for a pipeline`);
    const inputs = this.inputs(document, say);
    const nodes: DraftNode[] = [];
    const ids = new Set<string>();
    for (const node of document.nodes) {
      const draft = this.node(node, ids, say);
      if (draft !== undefined) nodes.push(draft);
    }
    for (const output of Object.keys(document.outputs)) {
      if (!isName(output)) {
        say(`"${output}" is no name for an output`, undefined, output);
      }
    }
    const outputs = record<Source>();
    for (const [output, source] of Object.entries(document.outputs)) {
      const read = this.source(
        source,
        undefined,
        (message) => say(`output "${output}": ${message}`, undefined, output),
      );
      if (read !== undefined) outputs[output] = read;
    }
    const { graph, problems } = checkGraph({
      inputs,
      nodes,
      outputs,
      origin: "document",
      unreadable: {
        nodes: ids.difference(new Set(nodes.map(({ id }) => id))),
        inputs: new Set(Object.keys(document.inputs)).difference(
          new Set(Object.keys(inputs)),
        ),
        some: this.problems.length > before,
      },
    });
    for (const { message, node, port } of problems) say(message, node, port);
    if (this.problems.length > before) return undefined;
    return makePipeline(name, graph, {
      description: document.description ?? "",
      version: document.pipelineVersion ?? 1,
    });
  }

  inputs(
    document: GraphDocument,
    say: (message: string, node?: string, port?: string) => void,
  ): Record<string, GraphInput> {
    const inputs = record<GraphInput>();
    for (
      const [input, { port: portName, ...rest }] of Object.entries(
        document.inputs,
      )
    ) {
      if (!isName(input)) {
        say(`"${input}" is no name for an input`, undefined, input);
      }
      const port = this.port(
        portName,
        (message) => say(`input "${input}": ${message}`, undefined, input),
      );
      if (port === undefined) continue;
      if (!Object.hasOwn(rest, "default")) {
        inputs[input] = { port };
        continue;
      }
      const value = this.value(
        port,
        rest.default,
        (message) =>
          say(`default of input "${input}": ${message}`, undefined, input),
      );
      inputs[input] = value === undefined ? { port } : { port, default: value };
    }
    return inputs;
  }

  node(
    node: NodeDocument,
    ids: Set<string>,
    say: (message: string, node?: string, port?: string) => void,
  ): DraftNode | undefined {
    const { id, each = false, options = {} } = node;
    if (!isName(id)) {
      say(`"${id}" is no id for a node`, id);
      return undefined;
    }
    if (ids.has(id)) {
      say(`two nodes have the id "${id}"; give one another`, id);
      return undefined;
    }
    ids.add(id);
    const kind = this.kind(
      node.kind,
      (message) => say(`node "${id}": ${message}`, id),
    );
    if (kind === undefined) return undefined;
    if (node.version !== undefined && node.version !== kind.version) {
      say(
        `node "${id}": ${kind.kind} is version ${kind.version} here, the document was written for ${node.version}; take the version out to accept it`,
        id,
      );
    }
    const decoded = decodeParams(kind, node.params);
    if (Result.isFailure(decoded)) {
      say(`node "${id}", parameters: ${decoded.failure}`, id);
    }
    for (const problem of optionProblems(kind, each, options)) {
      say(`node "${id}", options: ${problem}`, id);
    }
    const inputs = record<Source>();
    const broken = new Set<string>();
    for (const [port, source] of Object.entries(node.inputs)) {
      const read = this.source(
        source,
        own(kind.inputs as Ports, port),
        (message) => say(`node "${id}", input "${port}": ${message}`, id, port),
      );
      if (read === undefined) broken.add(port);
      else inputs[port] = read;
    }
    return {
      id,
      kind,
      each,
      inputs,
      broken,
      options,
      ...(Result.isSuccess(decoded)
        ? decoded.success
        : { params: {}, encodedParams: {} }),
    };
  }

  /** Reads a reference; constants without a port take the one of the input they go to. */
  source(
    source: SourceDocument,
    wanted: AnyPort | undefined,
    say: (message: string) => void,
  ): Source | undefined {
    if ("input" in source) return { type: "input", name: source.input };
    if ("node" in source) {
      return { type: "node", node: source.node, port: source.port };
    }
    if ("list" in source) {
      const items: Source[] = [];
      for (const item of source.list) {
        const read = this.source(item, wanted?.element, say);
        if (read === undefined) return undefined;
        items.push(read);
      }
      return { type: "list", items };
    }
    if (source.port === undefined && wanted === undefined) {
      say("a constant here needs a port");
      return undefined;
    }
    const port = source.port === undefined
      ? wanted
      : this.port(source.port, say);
    if (port === undefined) return undefined;
    const value = this.value(port, source.constant, say);
    return value && { type: "constant", port, value: value.value };
  }

  port(name: string, say: (message: string) => void): AnyPort | undefined {
    const port = this.registry.port(name);
    if (port === undefined) {
      say(
        `there is no port type "${oneLine(name)}"${
          suggestion(name, this.registry.ports.keys())
        }`,
      );
    }
    return port;
  }

  /** Decodes a constant, wrapped so that `undefined` can be one. */
  value(
    port: AnyPort,
    json: unknown,
    say: (message: string) => void,
  ): { readonly value: unknown } | undefined {
    const decoded = port.schema === undefined
      ? Result.fail("it has no codec; such a value stays in its process")
      : decodeWith(port.schema, json);
    if (Result.isSuccess(decoded)) return { value: decoded.success };
    say(`this value is no ${port.name}: ${decoded.failure}`);
    return undefined;
  }
}

/**
 * Decodes the inputs of a pipeline from JSON, each by its port's codec. Fails with one `GraphError` that
 * lists every input that is missing, unknown, refused by its codec, or has none.
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
