/**
 * Where the nodes of a pipeline stand in a drawing. Made on the server, so that no browser loads dagre.
 * @module
 */
import dagre from "@dagrejs/dagre";
import type { DrawnEdge, DrawnGraph, DrawnNode } from "../components/Graph.tsx";
import type { GraphDocument, SourceDocument } from "../pipeline/mod.ts";

/** How a pipeline is drawn. */
export interface LayoutOptions {
  /** Which way data runs; default `right`. */
  readonly direction?: "right" | "down";
  /** Whether its inputs and outputs are drawn; default true. */
  readonly ends?: boolean;
}

const height = 42;
const narrowest = 76;
const character = 7.2;

/** Names under which inputs and outputs stand, which no node can have. */
const inputId = (name: string): string => `→${name}`;
const outputId = (name: string): string => `${name}→`;

/**
 * Lays out a pipeline.
 *
 * ```ts
 * import { layOut } from "./graph_layout.ts";
 * import { chatPipeline, toDocument } from "../mod.ts";
 * import assert from "node:assert/strict";
 *
 * const drawn = layOut(toDocument(chatPipeline()));
 * assert.ok(drawn.nodes.some(({ id, kind }) => id === "load" && kind === "load"));
 * assert.ok(drawn.edges.some(({ from, to }) => from === "load" && to === "tile"));
 * ```
 */
export function layOut(
  document: GraphDocument,
  { direction = "right", ends = true }: LayoutOptions = {},
): DrawnGraph {
  const graph = new dagre.graphlib.Graph({ multigraph: true });
  graph.setGraph({
    rankdir: direction === "right" ? "LR" : "TB",
    nodesep: direction === "right" ? 14 : 22,
    ranksep: direction === "right" ? 34 : 26,
    marginx: 8,
    marginy: 8,
  });
  graph.setDefaultEdgeLabel(() => ({}));
  const texts = new Map<
    string,
    Omit<DrawnNode, "x" | "y" | "width" | "height">
  >();
  const add = (node: Omit<DrawnNode, "x" | "y" | "width" | "height">): void => {
    texts.set(node.id, node);
    const letters = Math.max(node.title.length, node.detail.length * 0.9);
    graph.setNode(node.id, {
      width: Math.max(narrowest, Math.round(letters * character) + 22),
      height: node.role === "node" ? height : height - 8,
    });
  };
  for (
    const [name, { port }] of ends ? Object.entries(document.inputs) : []
  ) {
    add({
      id: inputId(name),
      role: "input",
      kind: "",
      title: name,
      detail: port,
    });
  }
  for (const { id, kind, each } of document.nodes) {
    add({
      id,
      role: "node",
      kind,
      title: id,
      detail: `${kind === id ? "" : kind}${each ? " × n" : ""}`.trim(),
    });
  }
  const edges = new Map<
    string,
    { from: string; to: string; ports: string[] }
  >();
  const connect = (source: SourceDocument, to: string, port: string): void => {
    if ("list" in source) {
      for (const item of source.list) connect(item, to, port);
      return;
    }
    if ("constant" in source) return;
    const from = "input" in source ? inputId(source.input) : source.node;
    if (!texts.has(from)) return;
    const label = "input" in source || source.port === port
      ? port
      : `${source.port} → ${port}`;
    const key = JSON.stringify([from, to]);
    const known = edges.get(key);
    if (known === undefined) edges.set(key, { from, to, ports: [label] });
    else known.ports.push(label);
  };
  for (
    const [name, source] of ends ? Object.entries(document.outputs) : []
  ) {
    add({
      id: outputId(name),
      role: "output",
      kind: "",
      title: name,
      detail: "",
    });
    connect(source, outputId(name), name);
  }
  for (const { id, inputs } of document.nodes) {
    for (const [port, source] of Object.entries(inputs)) {
      connect(source, id, port);
    }
  }
  for (const { from, to } of edges.values()) graph.setEdge(from, to);
  dagre.layout(graph);
  const round = (value: number) => Math.round(value * 10) / 10;
  const nodes = Array.from(texts.values(), (node): DrawnNode => {
    const { x, y, width, height } = graph.node(node.id) as {
      x: number;
      y: number;
      width: number;
      height: number;
    };
    return {
      ...node,
      x: round(x - width / 2),
      y: round(y - height / 2),
      width,
      height,
    };
  });
  const drawn = Array.from(edges.values(), ({ from, to, ports }): DrawnEdge => {
    const { points } = graph.edge(from, to) as {
      points: { x: number; y: number }[];
    };
    return { from, to, ports, path: curve(points, round) };
  });
  const { width = 0, height: tall = 0 } = graph.graph() as {
    width?: number;
    height?: number;
  };
  return {
    width: Math.ceil(width),
    height: Math.ceil(tall),
    nodes,
    edges: drawn,
  };
}

/** A smooth path through the points of an edge. */
function curve(
  points: readonly { readonly x: number; readonly y: number }[],
  round: (value: number) => number,
): string {
  const [first, ...rest] = points;
  if (first === undefined) return "";
  let path = `M${round(first.x)} ${round(first.y)}`;
  rest.forEach((point, index) => {
    const next = rest[index + 1];
    if (next === undefined) path += `L${round(point.x)} ${round(point.y)}`;
    else {
      const x = (point.x + next.x) / 2;
      const y = (point.y + next.y) / 2;
      path += `Q${round(point.x)} ${round(point.y)} ${round(x)} ${round(y)}`;
    }
  });
  return path;
}
