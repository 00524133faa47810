/**
 * A graph prepared for running: names resolved to places, options to numbers. Made once for each graph.
 * @module
 */
import { isPipeline } from "./handles.ts";
import { canonicalJson } from "./json.ts";
import type { Graph, GraphNode, RetryOptions, Source } from "./model.ts";
import type { AnyNodeKind } from "./node.ts";
import { type AnyPort, list, type Ports } from "./port.ts";

/** A value on its way, with what is known of its digest. */
export interface Datum {
  /** Type of the value. */
  readonly port: AnyPort;
  /** The value. */
  readonly value: unknown;
  /** Its digest, once somebody has asked. */
  digest: string | undefined;
  /** What its port's `stamp` said before the digest was computed. */
  stamp: string | undefined;
  /** Of a list: its elements, once somebody has asked, so that their digests are kept. */
  items: readonly Datum[] | undefined;
}

/** Values by port name. */
export type Data = { readonly [name: string]: Datum };

/** Wraps a value. */
export function datum(port: AnyPort, value: unknown, digest?: string): Datum {
  return { port, value, digest, stamp: undefined, items: undefined };
}

/** Where a value comes from, by place. */
export type PlanSource =
  | { readonly type: "input"; readonly name: string }
  | { readonly type: "constant"; readonly datum: Datum }
  | { readonly type: "node"; readonly index: number; readonly port: string }
  | {
    readonly type: "list";
    readonly port: AnyPort;
    readonly items: readonly PlanSource[];
  };

/** An input of a node. */
export interface PlanInput {
  /** Its name. */
  readonly name: string;
  /** Its port. */
  readonly port: AnyPort;
  /** Whether it is a list, one element for each run. */
  readonly mapped: boolean;
  /** Where it comes from; `undefined` for one left out. */
  readonly source: PlanSource | undefined;
}

/** What a node runs. */
export type Work =
  | {
    readonly type: "node";
    readonly kind: AnyNodeKind;
    readonly lane: string | undefined;
    readonly memoize: boolean;
    /** The part of the memo's key that never changes. */
    readonly key: string;
  }
  | { readonly type: "pipeline"; readonly plan: Plan };

/** A node of a plan. */
export interface PlanNode {
  /** The node. */
  readonly node: GraphNode;
  /** What it runs. */
  readonly work: Work;
  /** Its inputs, those left out included. */
  readonly inputs: readonly PlanInput[];
  /** Its outputs: those of one run, also for a mapped node. */
  readonly outputs: readonly (readonly [name: string, port: AnyPort])[];
  /** How many nodes it waits for. */
  readonly waits: number;
  /** Which nodes wait for it. */
  readonly followers: readonly number[];
  /** When to try again. */
  readonly retry: RetryOptions | undefined;
  /** Limit on one attempt, in milliseconds. */
  readonly timeoutMs: number | undefined;
}

/** A graph prepared for running. */
export interface Plan {
  /** Name of the pipeline. */
  readonly name: string;
  /** The graph. */
  readonly graph: Graph;
  /** Nodes, every one after those it waits for. */
  readonly nodes: readonly PlanNode[];
  /** Outputs by name. */
  readonly outputs: readonly (readonly [name: string, source: PlanSource])[];
  /** Lanes that its nodes occupy, nested ones included; `undefined` stands for none. */
  readonly lanes: ReadonlySet<string | undefined>;
}

const plans = new WeakMap<Graph, Plan>();

/** Prepares a graph for running. */
export function planOf(name: string, graph: Graph): Plan {
  const known = plans.get(graph);
  if (known !== undefined) return known;
  const indices = new Map(graph.nodes.map(({ id }, index) => [id, index]));
  const ports = (index: number, port: string): AnyPort => {
    const { kind, each } = graph.nodes[index]!;
    const one = (kind.outputs as Ports)[port]!;
    return each ? list(one) : one;
  };
  const constants = new Map<Source, Datum>();
  const resolve = (source: Source): PlanSource => {
    switch (source.type) {
      case "input":
        return source;
      case "constant": {
        let known = constants.get(source);
        if (known === undefined) {
          constants.set(source, known = datum(source.port, source.value));
        }
        return { type: "constant", datum: known };
      }
      case "node":
        return {
          type: "node",
          index: indices.get(source.node)!,
          port: source.port,
        };
      case "list": {
        const items = source.items.map(resolve);
        return { type: "list", items, port: list(typeOf(items[0]!)) };
      }
    }
  };
  const typeOf = (source: PlanSource): AnyPort => {
    switch (source.type) {
      case "input":
        return graph.inputs[source.name]!.port;
      case "constant":
        return source.datum.port;
      case "node":
        return ports(source.index, source.port);
      case "list":
        return source.port;
    }
  };
  const followers: number[][] = graph.nodes.map(() => []);
  const lanes = new Set<string | undefined>();
  const nodes = graph.nodes.map((node, index): PlanNode => {
    // Sorted, because their order is part of the memo's key.
    const inputs = Object.entries(node.kind.inputs as Ports).sort((
      [a],
      [b],
    ) => a < b ? -1 : 1).map(
      ([name, port]): PlanInput => ({
        name,
        port,
        mapped: node.mapped.includes(name),
        source: Object.hasOwn(node.inputs, name)
          ? resolve(node.inputs[name]!)
          : undefined,
      }),
    );
    const before = new Set<number>();
    for (const { source } of inputs) {
      if (source !== undefined) collect(source, before);
    }
    for (const other of before) followers[other]!.push(index);
    const work = workOf(node);
    if (work.type === "node") lanes.add(work.lane);
    else for (const lane of work.plan.lanes) lanes.add(lane);
    return {
      node,
      work,
      inputs,
      outputs: Object.entries(node.kind.outputs as Ports),
      waits: before.size,
      followers: followers[index]!,
      retry: node.options.retry,
      timeoutMs: node.options.timeoutMs,
    };
  });
  const plan: Plan = {
    name,
    graph,
    nodes,
    outputs: Object.entries(graph.outputs).map((
      [output, source],
    ) => [output, resolve(source)]),
    lanes,
  };
  plans.set(graph, plan);
  return plan;
}

function collect(source: PlanSource, into: Set<number>): void {
  if (source.type === "node") into.add(source.index);
  else if (source.type === "list") {
    for (const item of source.items) collect(item, into);
  }
}

function workOf(node: GraphNode): Work {
  const { kind, options, encodedParams } = node;
  if (isPipeline(kind)) {
    return { type: "pipeline", plan: planOf(kind.name, kind.graph) };
  }
  const leaf = kind as AnyNodeKind;
  return {
    type: "node",
    kind: leaf,
    lane: options.lane ?? leaf.lane,
    memoize: options.memoize ?? leaf.memoize,
    key: canonicalJson([
      leaf.kind,
      leaf.version,
      encodedParams as Parameters<typeof canonicalJson>[0],
    ]),
  };
}
