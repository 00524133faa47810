import type { JSX } from "preact";
import { duration } from "./format.ts";
import type { NodeState, NodeStates } from "./graph_state.ts";

/** A node with its place, in pixels. */
export interface DrawnNode {
  /** Unique in the drawing; a node's name in the graph, `answer/load` inside a pipeline. */
  readonly id: string;
  /** Whether it is a node, a pipeline around nodes of its own, or an input or an output. */
  readonly role: "node" | "group" | "input" | "output";
  /** Its kind; empty for inputs and outputs. */
  readonly kind: string;
  /** First line. */
  readonly title: string;
  /** Second line. */
  readonly detail: string;
  /** Left edge. */
  readonly x: number;
  /** Upper edge. */
  readonly y: number;
  /** Width. */
  readonly width: number;
  /** Height. */
  readonly height: number;
}

/** An edge with its path. */
export interface DrawnEdge {
  /** Where it begins. */
  readonly from: string;
  /** Where it ends. */
  readonly to: string;
  /** Which ports it connects. */
  readonly ports: readonly string[];
  /** Its path, as SVG writes it. */
  readonly path: string;
}

/** A pipeline as a drawing. */
export interface DrawnGraph {
  /** Width in pixels. */
  readonly width: number;
  /** Height in pixels. */
  readonly height: number;
  /** Nodes. */
  readonly nodes: readonly DrawnNode[];
  /** Edges. */
  readonly edges: readonly DrawnEdge[];
}

const isNode = ({ role }: DrawnNode): boolean =>
  role === "node" || role === "group";

const words = {
  running: "running",
  succeeded: "done",
  failed: "failed",
  interrupted: "stopped",
  cached: "cached",
};

/** A pipeline as SVG: what it is made of and, with `states`, how each node stands. */
export function Graph(
  { graph, name, states, selected, hrefOf, onSelect }: {
    /** The drawing. */
    readonly graph: DrawnGraph;
    /** Name of the pipeline, for those who do not see it. */
    readonly name: string;
    /** How its nodes stand. */
    readonly states?: NodeStates;
    /** The node that is looked at. */
    readonly selected?: string;
    /** Where a click on a node leads; nodes are no links without it. */
    readonly hrefOf?: (node: DrawnNode) => string;
    /** Takes a click in place of the address. */
    readonly onSelect?: (node: DrawnNode, event: MouseEvent) => void;
  },
): JSX.Element {
  const draw = (node: DrawnNode): JSX.Element => {
    const chosen = node.id === selected;
    const box = <Box node={node} state={states?.[node.id]} selected={chosen} />;
    if (hrefOf === undefined || !isNode(node)) {
      return <g key={node.id}>{box}</g>;
    }
    return (
      <a
        key={node.id}
        href={hrefOf(node)}
        aria-current={chosen ? "true" : undefined}
        onClick={onSelect === undefined
          ? undefined
          : (event: MouseEvent) => onSelect(node, event)}
      >
        {box}
      </a>
    );
  };
  return (
    <svg
      class="graph"
      width={graph.width}
      height={graph.height}
      viewBox={`0 0 ${graph.width} ${graph.height}`}
      role={hrefOf === undefined ? "img" : "group"}
      aria-label={`Graph of ${name}: ${
        graph.nodes.filter(isNode).map((node) => {
          const state = states?.[node.id];
          return state === undefined
            ? node.title
            : `${node.title} ${words[state.status]}`;
        }).join(", ")
      }`}
    >
      <defs>
        <marker
          id="tip"
          viewBox="0 0 8 8"
          refX="7"
          refY="4"
          markerWidth="7"
          markerHeight="7"
          orient="auto-start-reverse"
        >
          <path d="M0 0.5L8 4L0 7.5z" class="tip" />
        </marker>
      </defs>
      {graph.nodes.filter(({ role }) => role === "group").map(draw)}
      {graph.edges.map(({ from, to, ports, path }) => (
        <path
          key={`${from} ${to}`}
          class={`edge${states?.[to]?.status === "running" ? " active" : ""}`}
          d={path}
          marker-end="url(#tip)"
        >
          <title>{ports.join(", ")}</title>
        </path>
      ))}
      {graph.nodes.filter(({ role }) => role !== "group").map(draw)}
    </svg>
  );
}

function Box(
  { node, state, selected }: {
    readonly node: DrawnNode;
    readonly state: NodeState | undefined;
    readonly selected: boolean;
  },
): JSX.Element {
  const { role, title, x, y, width, height } = node;
  const detail = state === undefined ? node.detail : detailOf(state);
  const middle = x + width / 2;
  const classes = [
    "box",
    role,
    ...(state === undefined ? [] : [state.status]),
    ...(selected ? ["selected"] : []),
  ];
  const { done = 0, total = 0 } = state?.progress ?? {};
  if (role === "group") {
    return (
      <g class={classes.join(" ")}>
        <rect x={x} y={y} width={width} height={height} rx="8" />
        <text x={x + 10} y={y + 17}>
          {title} <tspan class="detail" dx="6">{detail}</tspan>
        </text>
      </g>
    );
  }
  return (
    <g class={classes.join(" ")}>
      <rect
        x={x}
        y={y}
        width={width}
        height={height}
        rx={role === "node" ? 6 : height / 2}
      />
      {state?.status === "running" && total > 0 && (
        <rect
          class="bar"
          x={x + 6}
          y={y + height - 5}
          width={(width - 12) * Math.min(1, done / total)}
          height="2"
        />
      )}
      <text
        x={middle}
        y={detail === "" ? y + height / 2 + 4 : y + height / 2 - 3}
      >
        {title}
      </text>{" "}
      {detail !== "" && (
        <text class="detail" x={middle} y={y + height / 2 + 12}>{detail}</text>
      )}
    </g>
  );
}

function detailOf({ status, ms, running, ended, cached }: NodeState): string {
  if (status === "cached") return ended > 1 ? `cached × ${ended}` : "cached";
  const several = running + ended > 1 ? ` × ${running + ended}` : "";
  if (status === "running") {
    return ended > 0 ? `${ended} of ${running + ended}` : `running${several}`;
  }
  if (status === "failed") return "failed";
  if (status === "interrupted") return "stopped";
  const part = cached > 0 ? `, ${cached} cached` : "";
  return `${duration(ms)}${several}${part}`;
}
