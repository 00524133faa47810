import type { JSX } from "preact";
import type { NodeView } from "../dashboard/run_view.ts";
import { duration } from "./format.ts";
import { stageClass } from "./stages.ts";

const width = 1000;

/** When each node ran, one row each: waiting, work, and the parts of the work; what is inside a pipeline is set in. */
export function Timeline(
  { nodes, total, selected, hrefOf, onSelect }: {
    readonly nodes: readonly NodeView[];
    /** Milliseconds of the whole run, so far. */
    readonly total: number;
    /** Path of the node that is looked at. */
    readonly selected: string | undefined;
    readonly hrefOf: (path: string) => string;
    readonly onSelect: (path: string, event: MouseEvent) => void;
  },
): JSX.Element {
  // Clocks are rounded: the last node may end after the run.
  const span = Math.max(
    total,
    1,
    ...nodes.map(({ startMs, ms = 0 }) => startMs + ms),
  );
  const ticks = [0, 0.25, 0.5, 0.75];
  return (
    <div class="timeline">
      <div class="ticks" aria-hidden="true">
        <span />
        <span class="axis">
          {ticks.map((share) => (
            <span key={share}>{duration(share * span)}</span>
          ))}
        </span>
        <span class="num">{duration(span)}</span>
      </div>
      <ul>
        {nodes.map((node) => (
          <li key={node.node}>
            <a
              href={hrefOf(node.node)}
              aria-current={node.node === selected ? "true" : undefined}
              onClick={(event) => onSelect(node.node, event)}
            >
              <span
                class={`clip name in-${Math.min(3, depthOf(node.node))}`}
                title={node.node}
              >
                {node.node.slice(node.node.lastIndexOf("/") + 1)}
              </span>
              <Bar node={node} span={span} total={total} />
              <span class={`num ${node.status}`}>{timeOf(node)}</span>
            </a>
          </li>
        ))}
      </ul>
    </div>
  );
}

const depthOf = (path: string): number => path.split("/").length - 1;

function timeOf(node: NodeView): string {
  if (node.status === "cached") return "cached";
  if (node.status === "failed") return "failed";
  if (node.status === "interrupted") return "stopped";
  return node.ms === undefined ? "running" : duration(node.ms);
}

function Bar({ node, span, total }: {
  readonly node: NodeView;
  readonly span: number;
  readonly total: number;
}): JSX.Element {
  const { startMs, queuedMs, spans, status, kind, composite } = node;
  const ms = node.ms ?? Math.max(0, total - startMs);
  const x = (at: number) => Number((at / span * width).toFixed(2));
  const w = (length: number) => Math.max(3, x(length));
  return (
    <svg
      class="bar"
      viewBox={`0 0 ${width} 16`}
      preserveAspectRatio="none"
      aria-hidden="true"
    >
      {queuedMs > 0.5 && (
        <rect
          class="queued"
          x={x(Math.max(0, startMs - queuedMs))}
          y="6"
          width={x(Math.min(queuedMs, startMs))}
          height="4"
        >
          <title>waited {duration(queuedMs)}</title>
        </rect>
      )}
      <rect
        class={composite
          ? "whole"
          : status === "cached"
          ? "memo"
          : status === "failed"
          ? "broken"
          : `stage ${stageClass(kind)}${spans.length > 0 ? " under" : ""}`}
        x={x(startMs)}
        y={composite ? 6 : 2}
        width={w(ms)}
        height={composite ? 4 : 12}
      >
        <title>{node.node}: {duration(ms)}</title>
      </rect>
      {spans.map((part, i) => (
        <rect
          key={i}
          class={`stage ${stageClass(part.name)}`}
          x={x(startMs + part.startMs)}
          y="2"
          width={w(part.ms)}
          height="12"
        >
          <title>{part.name}: {duration(part.ms)}</title>
        </rect>
      ))}
    </svg>
  );
}
