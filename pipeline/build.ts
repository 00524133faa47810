/**
 * The builder behind `pipeline`. What it refuses at once, it refuses where the author's line is on the stack.
 * @module
 */
import { Result } from "effect";
import { checkGraph, checkNode, type DraftNode, portOf } from "./check.ts";
import { decodeParams, optionProblems } from "./params.ts";
import type { GraphError } from "./errors.ts";
import type {
  AnyHandle,
  AnyPipeline,
  GraphBuilder,
  Handles,
  PipelineOptions,
} from "./handles.ts";
import type { Graph, GraphInput, NodeOptions, Source } from "./model.ts";
import { type AnyKind, isName } from "./node.ts";
import {
  type AnyPort,
  list,
  omittable,
  type Ports,
  withoutDefault,
} from "./port.ts";
import { graphError } from "./problem.ts";

/** A handle at run time; its types are only the compiler's. */
class HandleImpl {
  constructor(
    readonly owner: Builder,
    readonly source: Source,
    readonly portType: AnyPort,
  ) {}
  get port(): string {
    return this.portType.name;
  }
}

class Builder {
  readonly inputs: Record<string, GraphInput> = {};
  readonly nodes = new Map<string, DraftNode>();
  /** The next number to try for a kind's id. */
  readonly numbers = new Map<string, number>();
  constructor(readonly name: string) {}

  error(message: string, node?: string, port?: string): GraphError {
    return graphError(this.name, [{
      ...(node === undefined ? {} : { node }),
      ...(port === undefined ? {} : { port }),
      message,
    }]);
  }

  handle(source: Source, port: AnyPort): AnyHandle {
    return new HandleImpl(this, source, port) as unknown as AnyHandle;
  }

  /** The source of a handle, which must be one of this graph. */
  sourceOf(
    handle: unknown,
    place: string,
    node?: string,
    port?: string,
  ): HandleImpl {
    if (!(handle instanceof HandleImpl)) {
      throw this.error(
        `${place}: expected a handle from this graph, got ${
          handle === null ? "null" : typeof handle
        }`,
        node,
        port,
      );
    }
    if (handle.owner !== this) {
      throw this.error(
        `${place}: the handle belongs to another graph, "${handle.owner.name}"; pass it in as an input`,
        node,
        port,
      );
    }
    return handle;
  }

  input(
    name: string,
    given: AnyPort,
    options?: { readonly default: unknown },
  ): AnyHandle {
    // The port may be taken from another pipeline, where it has a default; here it has not.
    const port = withoutDefault(given);
    if (!isName(name)) {
      throw this.error(`"${name}" is no name for an input`, undefined, name);
    }
    if (Object.hasOwn(this.inputs, name)) {
      throw this.error(
        `input "${name}" is declared twice; use the first handle again`,
        undefined,
        name,
      );
    }
    if (options !== undefined) {
      this.checkValue(
        port,
        options.default,
        `default of input "${name}"`,
        name,
      );
    }
    this.inputs[name] = {
      port,
      ...(options === undefined ? {} : { default: { value: options.default } }),
    };
    return this.handle({ type: "input", name }, port);
  }

  constant(port: AnyPort, value: unknown): AnyHandle {
    this.checkValue(port, value, `constant of type ${port.name}`);
    return this.handle({ type: "constant", port, value }, port);
  }

  checkValue(
    port: AnyPort,
    value: unknown,
    place: string,
    name?: string,
  ): void {
    if (port.is !== undefined && !port.is(value)) {
      throw this.error(
        `${place}: the value is no ${port.name}`,
        undefined,
        name,
      );
    }
  }

  list(handles: readonly unknown[]): AnyHandle {
    const items = handles.map((handle, i) =>
      this.sourceOf(handle, `element ${i} of a list`)
    );
    const first = items[0];
    if (first === undefined) {
      throw this.error("a list without elements has no type; use a constant");
    }
    const other = items.find(({ port }) => port !== first.port);
    if (other !== undefined) {
      throw this.error(
        `a list holds values of one type; this one has ${first.port} and ${other.port}`,
      );
    }
    return this.handle(
      { type: "list", items: items.map(({ source }) => source) },
      list(first.portType),
    );
  }

  add(
    kind: AnyKind,
    each: boolean,
    handles: { readonly [port: string]: unknown },
    params: unknown,
    options: NodeOptions = {},
  ): Record<string, AnyHandle> {
    const { id: wantedId, ...others } = options;
    const rest = Object.fromEntries(
      Object.entries(others).filter(([, value]) => value !== undefined),
    );
    const id = wantedId ?? this.freeId(kind.kind);
    if (!isName(id)) throw this.error(`"${id}" is no id for a node`, id);
    if (this.nodes.has(id)) {
      throw this.error(`two nodes have the id "${id}"; give one another`, id);
    }
    const inputs: Record<string, Source> = {};
    for (const [port, handle] of Object.entries(handles)) {
      if (handle === undefined) continue;
      inputs[port] =
        this.sourceOf(handle, `node "${id}", input "${port}"`, id, port).source;
    }
    const decoded = decodeParams(kind, params);
    if (Result.isFailure(decoded)) {
      throw this.error(`node "${id}", parameters: ${decoded.failure}`, id);
    }
    const [problem] = optionProblems(kind, each, rest);
    if (problem !== undefined) {
      throw this.error(`node "${id}", options: ${problem}`, id);
    }
    const node: DraftNode = {
      id,
      kind,
      each,
      inputs,
      ...decoded.success,
      options: rest,
    };
    const { problems } = checkNode(node, this.inputs, this.nodes);
    if (problems.length > 0) throw graphError(this.name, problems);
    this.nodes.set(id, node);
    const outputs: Record<string, AnyHandle> = {};
    for (const [name, port] of Object.entries(kind.outputs as Ports)) {
      outputs[name] = this.handle(
        { type: "node", node: id, port: name },
        each ? list(port) : port,
      );
    }
    return outputs;
  }

  freeId(kind: string): string {
    let n = this.numbers.get(kind) ?? 1;
    const id = (): string => n === 1 ? kind : `${kind}-${n}`;
    while (this.nodes.has(id())) n++;
    this.numbers.set(kind, n);
    return id();
  }
}

/** Builds and checks a pipeline; throws `GraphError`. */
export function buildPipeline(
  name: string,
  build: (g: GraphBuilder) => Handles,
  options: PipelineOptions,
): AnyPipeline {
  const builder = new Builder(name);
  if (!isName(name)) throw builder.error(`"${name}" is no name for a pipeline`);
  const face = {
    input: (
      name: string,
      port: AnyPort,
      options?: { readonly default: unknown },
    ) => builder.input(name, port, options),
    constant: (port: AnyPort, value: unknown) => builder.constant(port, value),
    list: (...handles: unknown[]) => builder.list(handles),
    add: (
      kind: AnyKind,
      handles: { readonly [port: string]: unknown },
      params?: unknown,
      options?: NodeOptions,
    ) => builder.add(kind, false, handles, params, options),
    each: (
      kind: AnyKind,
      handles: { readonly [port: string]: unknown },
      params?: unknown,
      options?: NodeOptions,
    ) => builder.add(kind, true, handles, params, options),
  };
  const returned = build(face as unknown as GraphBuilder);
  const outputs: Record<string, Source> = {};
  for (const [output, handle] of Object.entries(returned)) {
    if (!isName(output)) {
      throw builder.error(
        `"${output}" is no name for an output`,
        undefined,
        output,
      );
    }
    outputs[output] =
      builder.sourceOf(handle, `output "${output}"`, undefined, output).source;
  }
  const { graph, problems } = checkGraph({
    inputs: builder.inputs,
    nodes: [...builder.nodes.values()],
    outputs,
    origin: "code",
  });
  if (problems.length > 0) throw graphError(name, problems);
  return makePipeline(name, graph, options);
}

/** Wraps a checked graph as a pipeline. */
export function makePipeline(
  name: string,
  graph: Graph,
  options: PipelineOptions,
): AnyPipeline {
  const nodes = new Map(graph.nodes.map((node) => [node.id, node]));
  const inputs: Record<string, AnyPort> = {};
  for (
    const [input, { port, default: fallback }] of Object.entries(graph.inputs)
  ) {
    inputs[input] = fallback === undefined ? port : omittable(port);
  }
  const outputs: Record<string, AnyPort> = {};
  for (const [output, source] of Object.entries(graph.outputs)) {
    const port = portOf(source, graph.inputs, nodes);
    if (port === undefined) continue;
    outputs[output] = port;
  }
  return {
    _tag: "Pipeline",
    name,
    kind: name,
    version: options.version ?? 1,
    description: options.description ?? "",
    inputs,
    outputs,
    graph,
  };
}
