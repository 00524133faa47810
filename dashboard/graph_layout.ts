/**
 * Where the nodes of a pipeline stand in a drawing. Made on the server, so that no browser loads dagre.
 * @module
 */
import dagre from "@dagrejs/dagre";
import type { DrawnEdge, DrawnGraph, DrawnNode } from "../components/Graph.tsx";
import type {
  GraphDocument,
  PipelineDocument,
  SourceDocument,
} from "../pipeline/mod.ts";

/** How a pipeline is drawn. */
export interface LayoutOptions {
  /** Which way data runs; default `right`. */
  readonly direction?: "right" | "down";
  /** Whether its inputs and outputs are drawn; default true. */
  readonly ends?: boolean;
}

/** Nodes of pipelines inside that are drawn; beyond them, a pipeline is one box. */
const mostInside = 300;

const height = 42;
const narrowest = 76;
const character = 7.2;

/** Names under which inputs and outputs stand, which no node can have. */
const inputId = (name: string): string => `→${name}`;
const outputId = (name: string): string => `${name}→`;

/** Around the drawing of a pipeline inside, and the room for its name. */
const border = 10;
const heading = 26;

type Text = Omit<DrawnNode, "x" | "y" | "width" | "height">;

/**
 * Lays out a pipeline; a pipeline inside is a frame around its own nodes, whose names begin with its own.
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
  document: GraphDocument & Pick<PipelineDocument, "pipelines">,
  options: LayoutOptions = {},
): DrawnGraph {
  const { pipelines = {} } = document;
  const laid = place(document, { pipelines, left: mostInside, ...options });
  return {
    ...laid,
    edges: laid.edges.map(({ points, ...edge }) => ({
      ...edge,
      path: curve(points),
    })),
  };
}

interface Inside extends LayoutOptions {
  readonly pipelines: NonNullable<PipelineDocument["pipelines"]>;
  /** Nodes that may still be drawn. */
  left: number;
}

/** A drawing whose edges are still points, so that it can be moved. */
interface Placed extends Omit<DrawnGraph, "edges"> {
  readonly edges: readonly (Omit<DrawnEdge, "path"> & {
    readonly points: readonly Point[];
  })[];
}

interface Point {
  readonly x: number;
  readonly y: number;
}

function place(document: GraphDocument, options: Inside): Placed {
  const { pipelines, direction = "right", ends = true } = options;
  const graph = new dagre.graphlib.Graph({ multigraph: true });
  graph.setGraph({
    rankdir: direction === "right" ? "LR" : "TB",
    nodesep: direction === "right" ? 14 : 22,
    ranksep: direction === "right" ? 34 : 26,
    marginx: 8,
    marginy: 8,
  });
  graph.setDefaultEdgeLabel(() => ({}));
  const texts = new Map<string, Text>();
  const inside = new Map<string, Placed>();
  const add = (node: Text): void => {
    texts.set(node.id, node);
    const inner = inside.get(node.id);
    if (inner !== undefined) {
      // The name, and how it stands beside it.
      const letters = node.title.length + 20;
      graph.setNode(node.id, {
        width: Math.max(letters * character, inner.width + 2 * border),
        height: inner.height + heading + border,
      });
      return;
    }
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
    const named = Object.hasOwn(pipelines, kind) ? pipelines[kind] : undefined;
    const inner = named !== undefined && named.nodes.length <= options.left
      ? named
      : undefined;
    if (inner !== undefined) {
      options.left -= inner.nodes.length;
      inside.set(id, place(inner, options));
    }
    add({
      id,
      role: inner === undefined ? "node" : "group",
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
  const nodes: DrawnNode[] = [];
  const drawn: Placed["edges"][number][] = [];
  for (const text of texts.values()) {
    const { x, y, width, height } = graph.node(text.id) as {
      x: number;
      y: number;
      width: number;
      height: number;
    };
    const node: DrawnNode = {
      ...text,
      x: round(x - width / 2),
      y: round(y - height / 2),
      width,
      height,
    };
    nodes.push(node);
    const inner = inside.get(node.id);
    if (inner === undefined) continue;
    const by = {
      x: round(node.x + (width - inner.width) / 2),
      y: node.y + heading,
    };
    nodes.push(...inner.nodes.map((one) => ({
      ...one,
      id: `${node.id}/${one.id}`,
      x: round(one.x + by.x),
      y: round(one.y + by.y),
    })));
    drawn.push(...inner.edges.map((edge) => ({
      ...edge,
      from: `${node.id}/${edge.from}`,
      to: `${node.id}/${edge.to}`,
      points: edge.points.map((point) => ({
        x: point.x + by.x,
        y: point.y + by.y,
      })),
    })));
  }
  for (const { from, to, ports } of edges.values()) {
    const { points } = graph.edge(from, to) as { points: Point[] };
    drawn.push({ from, to, ports, points });
  }
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

const round = (value: number): number => Math.round(value * 10) / 10;

/** A smooth path through the points of an edge. */
function curve(points: readonly Point[]): string {
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
