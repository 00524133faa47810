/**
 * Reads documents. They come from anywhere, so every problem is found, and each names node and port.
 * @module
 */
import { Effect, Exit, Result, Schema } from "effect";
import { makePipeline } from "./build.ts";
import { checkGraph, type DraftNode, own } from "./check.ts";
import {
  type GraphDocument,
  type NodeDocument,
  type PipelineDocument,
  PipelineDocumentSchema,
  type SourceDocument,
} from "./document.ts";
import type { CapacityError, GraphError } from "./errors.ts";
import type { AnyPipeline, Pipeline } from "./handles.ts";
import type { GraphInput, Source } from "./model.ts";
import { type AnyKind, isName } from "./node.ts";
import { decodeParams, decodeWith, optionProblems } from "./params.ts";
import type { AnyRegistry, Registry } from "./plugin.ts";
import type { AnyPort, Ports } from "./port.ts";
import {
  graphError,
  type GraphProblem,
  oneLine,
  schemaProblems,
  suggestion,
} from "./problem.ts";

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
 *
 * ```ts
 * import {
 *   defineNode,
 *   definePlugin,
 *   fromDocument,
 *   makeRegistry,
 *   pipeline,
 *   run,
 *   Text,
 *   toDocument,
 * } from "@tessera/sdk";
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
 * const registry = makeRegistry([definePlugin({ name: "text", nodes: [upper] })]);
 * const text = JSON.stringify(toDocument(shout));
 * const read = await Effect.runPromise(fromDocument(text, registry));
 * const { outputs } = await Effect.runPromise(run(read, { text: "hello" }));
 * assert.equal(outputs.text, "HELLO");
 * const error = await Effect.runPromise(
 *   Effect.flip(fromDocument(text.replace('"upper"', '"uper"'), registry)),
 * );
 * assert.equal(error._tag, "GraphError");
 * ```
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
