/**
 * The checks that a graph must pass before it runs, shared by the builder and the document reader.
 * Every problem is found, not only the first, and each names its node and port.
 * @module
 */
import { isPipeline } from "./handles.ts";
import type { Graph, GraphInput, GraphNode, Source } from "./model.ts";
import { type AnyPort, list, type Ports } from "./port.ts";
import { type GraphProblem, suggestion } from "./problem.ts";

/** A node before it is checked. */
export interface DraftNode extends Omit<GraphNode, "mapped"> {
  /** Inputs that somebody complained about already. */
  readonly broken?: ReadonlySet<string>;
}

/** A graph before it is checked. */
export interface Draft {
  /** Inputs by name. */
  readonly inputs: { readonly [name: string]: GraphInput };
  /** Nodes in any order, ids unique. */
  readonly nodes: readonly DraftNode[];
  /** Where the outputs come from. */
  readonly outputs: { readonly [name: string]: Source };
  /** Who checked the connections' types. */
  readonly origin: Graph["origin"];
  /**
   * What somebody complained about already. It makes others look wrong as well, but only its own
   * problem is worth saying.
   */
  readonly unreadable?: Unreadable;
}

/** Parts of a document that could not be read. */
export interface Unreadable {
  /** Ids of nodes. */
  readonly nodes: ReadonlySet<string>;
  /** Names of inputs. */
  readonly inputs: ReadonlySet<string>;
  /** Whether anything could not be read. */
  readonly some: boolean;
}

const allReadable: Unreadable = {
  nodes: new Set(),
  inputs: new Set(),
  some: false,
};

/** Whether a source leads to something that could not be read. */
function isUnreadable(source: Source, { nodes, inputs }: Unreadable): boolean {
  switch (source.type) {
    case "input":
      return inputs.has(source.name);
    case "constant":
      return false;
    case "node":
      return nodes.has(source.node);
    case "list":
      return source.items.some((item) =>
        isUnreadable(item, { nodes, inputs, some: true })
      );
  }
}

/** More nodes than this, nested pipelines included, are refused: documents can nest exponentially. */
export const largestGraph = 100_000;

/** A property of the object itself, never of its prototype. */
export function own<A>(
  record: { readonly [name: string]: A },
  name: string,
): A | undefined {
  return Object.hasOwn(record, name) ? record[name] : undefined;
}

/** Whether an input of type `wanted` takes values of type `given`. */
export function accepts(wanted: AnyPort, given: AnyPort): boolean {
  return wanted.name === given.name ||
    (wanted.derived === "optional" && wanted.element?.name === given.name);
}

/** How an input takes a value: as it is, element by element, or not at all. */
export function connection(
  wanted: AnyPort,
  given: AnyPort,
  each: boolean,
): "whole" | "mapped" | undefined {
  if (accepts(wanted, given)) return "whole";
  return each && given.derived === "list" && given.element !== undefined &&
      accepts(wanted, given.element)
    ? "mapped"
    : undefined;
}

/** Finds the port of a source; `undefined` when the source leads nowhere. */
export function portOf(
  source: Source,
  inputs: Draft["inputs"],
  nodes: ReadonlyMap<string, Pick<GraphNode, "kind" | "each">>,
): AnyPort | undefined {
  switch (source.type) {
    case "input":
      return own(inputs, source.name)?.port;
    case "constant":
      return source.port;
    case "node": {
      const node = nodes.get(source.node);
      const port = node === undefined
        ? undefined
        : own(node.kind.outputs as Ports, source.port);
      return port !== undefined && node?.each === true ? list(port) : port;
    }
    case "list": {
      const first = source.items[0];
      const port = first === undefined
        ? undefined
        : portOf(first, inputs, nodes);
      return port === undefined ? undefined : list(port);
    }
  }
}

/** What is wrong with a reference, if anything. */
function sourceProblem(
  source: Source,
  inputs: Draft["inputs"],
  nodes: ReadonlyMap<string, DraftNode>,
): string | undefined {
  switch (source.type) {
    case "input":
      return Object.hasOwn(inputs, source.name)
        ? undefined
        : `there is no input "${source.name}"${
          suggestion(source.name, Object.keys(inputs))
        }`;
    case "constant":
      return undefined;
    case "node": {
      const node = nodes.get(source.node);
      if (node === undefined) {
        return `there is no node "${source.node}"${
          suggestion(source.node, nodes.keys())
        }`;
      }
      return Object.hasOwn(node.kind.outputs, source.port)
        ? undefined
        : `node "${source.node}" (${node.kind.kind}) has no output "${source.port}"${
          suggestion(source.port, Object.keys(node.kind.outputs))
        }`;
    }
    case "list": {
      let name: string | undefined;
      for (const item of source.items) {
        const problem = sourceProblem(item, inputs, nodes);
        if (problem !== undefined) return problem;
        const port = portOf(item, inputs, nodes);
        name ??= port?.name;
        if (port?.name !== name) {
          return `a list holds values of one type; this one has ${name} and ${port?.name}`;
        }
      }
      return source.items.length > 0
        ? undefined
        : "a list without elements has no type; use a constant";
    }
  }
}

/** Nodes that a source comes from. */
export function* nodesOf(source: Source): Generator<string> {
  if (source.type === "node") yield source.node;
  else if (source.type === "list") {
    for (const item of source.items) yield* nodesOf(item);
  }
}

function* inputsOf(source: Source): Generator<string> {
  if (source.type === "input") yield source.name;
  else if (source.type === "list") {
    for (const item of source.items) yield* inputsOf(item);
  }
}

/** Checks one node's connections; returns which inputs are mapped. */
export function checkNode(
  node: DraftNode,
  inputs: Draft["inputs"],
  nodes: ReadonlyMap<string, DraftNode>,
  unreadable: Unreadable = allReadable,
): { readonly mapped: string[]; readonly problems: GraphProblem[] } {
  const problems: GraphProblem[] = [];
  const mapped: string[] = [];
  let complete = (node.broken?.size ?? 0) === 0;
  const { kind } = node;
  const say = (port: string, message: string): void => {
    problems.push({
      node: node.id,
      port,
      message: `node "${node.id}", input "${port}": ${message}`,
    });
  };
  for (const port of Object.keys(node.inputs)) {
    const source = node.inputs[port]!;
    const wanted = own(kind.inputs as Ports, port);
    if (wanted === undefined) {
      say(
        port,
        `${kind.kind} has no such input${
          suggestion(port, Object.keys(kind.inputs))
        }`,
      );
      continue;
    }
    if (isUnreadable(source, unreadable)) {
      complete = false;
      continue;
    }
    const problem = sourceProblem(source, inputs, nodes);
    const given = portOf(source, inputs, nodes);
    if (problem !== undefined || given === undefined) {
      say(port, problem ?? "the value has no type");
      continue;
    }
    const how = connection(wanted, given, node.each);
    if (how === "mapped") mapped.push(port);
    if (how === undefined) {
      say(
        port,
        `expected ${wanted.name}${
          node.each ? ` or List<${wanted.name}>` : ""
        }, got ${given.name}`,
      );
    }
  }
  for (const port of Object.keys(kind.inputs)) {
    if (
      !Object.hasOwn(node.inputs, port) && !node.broken?.has(port) &&
      (kind.inputs as Ports)[port]?.omittable !== true
    ) {
      say(
        port,
        `nothing is connected; it needs ${(kind.inputs as Ports)[port]?.name}`,
      );
    }
  }
  if (
    node.each && mapped.length === 0 && problems.length === 0 && complete
  ) {
    problems.push({
      node: node.id,
      message:
        `node "${node.id}": each needs at least one input that is a list`,
    });
  }
  return { mapped, problems };
}

/** Checks a whole graph and orders its nodes. */
export function checkGraph(
  draft: Draft,
): { readonly graph: Graph; readonly problems: readonly GraphProblem[] } {
  const { unreadable = allReadable } = draft;
  const problems: GraphProblem[] = [];
  const byId = new Map(draft.nodes.map((node) => [node.id, node]));
  const checked = new Map<string, GraphNode>();
  for (const node of draft.nodes) {
    const { mapped, problems: found } = checkNode(
      node,
      draft.inputs,
      byId,
      unreadable,
    );
    problems.push(...found);
    const { broken: _, ...rest } = node;
    checked.set(node.id, { ...rest, mapped });
  }
  for (const [name, source] of Object.entries(draft.outputs)) {
    if (isUnreadable(source, unreadable)) continue;
    const problem = sourceProblem(source, draft.inputs, byId);
    if (problem !== undefined) {
      problems.push({
        ...(source.type === "node" ? { node: source.node } : {}),
        port: name,
        message: `output "${name}": ${problem}`,
      });
    }
  }
  if (Object.keys(draft.outputs).length === 0 && !unreadable.some) {
    problems.push({ message: "there are no outputs; name at least one" });
  }
  const { order, cycle } = sort(draft.nodes);
  if (cycle.length > 0) {
    problems.push({
      node: cycle[0]!,
      message: `nodes wait for each other in a circle: ${
        [...cycle, cycle[0]].map((id) => `"${id}"`).join(" -> ")
      }`,
    });
  }
  // A wrong name leaves loose ends that are right once the name is.
  const dangling = [
    ...draft.nodes.flatMap(({ inputs }) => Object.values(inputs)),
    ...Object.values(draft.outputs),
  ].some((source) => sourceProblem(source, draft.inputs, byId) !== undefined);
  if (!dangling && !unreadable.some) {
    problems.push(...unconnected(draft, byId));
  }
  let size = 0;
  for (const { kind } of draft.nodes) {
    size += 1 + (isPipeline(kind) ? kind.graph.size : 0);
  }
  if (size > largestGraph) {
    problems.push({
      message:
        `${size} nodes, nested pipelines included; at most ${largestGraph} are allowed`,
    });
  }
  return {
    graph: {
      inputs: draft.inputs,
      nodes: order.map((id) => checked.get(id)!),
      outputs: draft.outputs,
      size,
      origin: draft.origin,
    },
    problems,
  };
}

/** Nodes after those they depend on (Kahn's algorithm), and one cycle if there is any. */
function sort(
  nodes: readonly DraftNode[],
): { readonly order: readonly string[]; readonly cycle: readonly string[] } {
  const ids = new Set(nodes.map(({ id }) => id));
  const waitsFor = new Map<string, Set<string>>();
  const followers = new Map<string, string[]>();
  for (const { id, inputs } of nodes) {
    const before = new Set<string>();
    for (const source of Object.values(inputs)) {
      for (const other of nodesOf(source)) {
        if (ids.has(other)) before.add(other);
      }
    }
    waitsFor.set(id, before);
    for (const other of before) {
      const list = followers.get(other);
      if (list === undefined) followers.set(other, [id]);
      else list.push(id);
    }
  }
  const open = new Map(
    Array.from(waitsFor, ([id, before]) => [id, before.size]),
  );
  const order = nodes.filter(({ id }) => open.get(id) === 0).map(({ id }) =>
    id
  );
  for (let i = 0; i < order.length; i++) {
    for (const follower of followers.get(order[i]!) ?? []) {
      const left = open.get(follower)! - 1;
      open.set(follower, left);
      if (left === 0) order.push(follower);
    }
  }
  if (order.length === nodes.length) return { order, cycle: [] };
  // Whatever is left depends on a cycle: walking backwards must come round.
  const done = new Set(order);
  const path: string[] = [];
  const seen = new Map<string, number>();
  let id = nodes.find((node) => !done.has(node.id))!.id;
  while (!seen.has(id)) {
    seen.set(id, path.length);
    path.push(id);
    for (const before of waitsFor.get(id)!) {
      if (!done.has(before)) {
        id = before;
        break;
      }
    }
  }
  const cycle = path.slice(seen.get(id)!).reverse();
  const first = nodes.find((node) => cycle.includes(node.id))!.id;
  const start = cycle.indexOf(first);
  return { order, cycle: [...cycle.slice(start), ...cycle.slice(0, start)] };
}

/** Nodes and inputs that lead to no output. */
function unconnected(
  draft: Draft,
  byId: ReadonlyMap<string, DraftNode>,
): GraphProblem[] {
  const usedNodes = new Set<string>();
  const usedInputs = new Set<string>();
  const open: Source[] = Object.values(draft.outputs);
  for (let source = open.pop(); source !== undefined; source = open.pop()) {
    for (const name of inputsOf(source)) usedInputs.add(name);
    for (const id of nodesOf(source)) {
      if (usedNodes.has(id)) continue;
      usedNodes.add(id);
      open.push(...Object.values(byId.get(id)?.inputs ?? {}));
    }
  }
  const problems: GraphProblem[] = [];
  for (const { id } of draft.nodes) {
    if (!usedNodes.has(id)) {
      problems.push({
        node: id,
        message: `node "${id}" leads to no output; connect it or take it away`,
      });
    }
  }
  for (const name of Object.keys(draft.inputs)) {
    if (!usedInputs.has(name)) {
      problems.push({
        port: name,
        message:
          `input "${name}" leads to no output; connect it or take it away`,
      });
    }
  }
  return problems;
}
