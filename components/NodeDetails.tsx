import type { JSX } from "preact";
import type { NodeView } from "../dashboard/run_view.ts";
import type { Preview as Json } from "../pipeline/mod.ts";
import { Fault } from "./Fault.tsx";
import { count, duration } from "./format.ts";
import { Preview } from "./Preview.tsx";
import { StateBadge } from "./StateBadge.tsx";

/** A value at a port, and where it comes from. */
export interface PortValue {
  /** The port. */
  readonly port: string;
  /** The node and port that it comes from. */
  readonly from?: string;
  /** It in short; nothing where there is none yet. */
  readonly preview: Json | undefined;
}

/** What a run was given. */
export function RunInputs(
  { inputs }: { readonly inputs: { readonly [name: string]: Json } },
): JSX.Element {
  return (
    <section class="panel" aria-label="Inputs of the run">
      <header>
        <h2>Inputs of the run</h2>
        <span class="muted small end">Choose a node to see its values.</span>
      </header>
      <div class="body">
        <Values
          values={Object.entries(inputs).map(([port, preview]) => ({
            port,
            preview,
          }))}
        />
      </div>
    </section>
  );
}

/** What is shown of a node. */
export interface NodeDetailsProps {
  /** The node. */
  readonly node: NodeView;
  /** Of a mapped one all elements, itself among them. */
  readonly siblings: readonly NodeView[];
  /** Its parameters, where it has any. */
  readonly params: unknown;
  /** What it was given. */
  readonly given: readonly PortValue[];
  /** The picture that tiles are cut from. */
  readonly picture: string | undefined;
  /** Address of a node by its path. */
  readonly href: (path: string) => string;
  /** A node was clicked. */
  readonly select: (path: string, event: MouseEvent) => void;
}

/** A node of a run: its times, what it was given and what it gave. */
export function NodeDetails(
  { node, siblings, params, given, picture, href, select }: NodeDetailsProps,
): JSX.Element {
  return (
    <section
      class="panel"
      aria-label={`Node ${node.node}`}
      data-node={node.node}
    >
      <header>
        <h2>{node.node}</h2>
        <StateBadge state={node.status} />
        <span class="muted small end">{node.kind}</span>
      </header>
      <div class="body stack">
        {siblings.length > 1 && (
          <nav class="row small" aria-label="Elements">
            {siblings.slice(0, 40).map((one) => (
              <a
                key={one.node}
                href={href(one.node)}
                aria-current={one.node === node.node ? "true" : undefined}
                onClick={(event) => select(one.node, event)}
              >
                {/\[\d+\]$/.exec(one.node)?.[0] ?? one.node}
              </a>
            ))}
          </nav>
        )}
        {node.error !== undefined && <Fault error={node.error} />}
        <dl class="facts">
          <dt>Began after</dt>
          <dd>{duration(node.startMs)}</dd>
          <dt>Waited</dt>
          <dd>{duration(node.queuedMs)}</dd>
          {node.ms !== undefined && (
            <>
              <dt>Worked</dt>
              <dd>
                {node.status === "cached" ? "cached, " : ""}
                {duration(node.ms)}
              </dd>
            </>
          )}
          {node.spans.map((span) => (
            <>
              <dt>{span.name}</dt>
              <dd>{duration(span.ms)}</dd>
            </>
          ))}
          {node.attempt > 1 && (
            <>
              <dt>Attempt</dt>
              <dd>{node.attempt}</dd>
            </>
          )}
          {node.progress !== undefined && node.status === "running" && (
            <>
              <dt>{node.progress.message ?? "Progress"}</dt>
              <dd>
                {count(node.progress.done)}
                {node.progress.total === undefined
                  ? ""
                  : ` of ${count(node.progress.total)}`}
              </dd>
            </>
          )}
        </dl>
        {params !== undefined && (
          <div>
            <h3>Parameters</h3>
            <pre class="text">{JSON.stringify(params, null, 1)}</pre>
          </div>
        )}
        {given.length > 0 && (
          <div>
            <h3>Inputs</h3>
            <Values values={given} picture={picture} />
          </div>
        )}
        <div>
          <h3>Outputs</h3>
          {node.outputs === undefined
            ? <span class="muted">none yet</span>
            : (
              <Values
                values={Object.entries(node.outputs).map((
                  [port, preview],
                ) => ({ port, preview }))}
                picture={picture}
              />
            )}
        </div>
      </div>
    </section>
  );
}

function Values({ values, picture }: {
  readonly values: readonly PortValue[];
  readonly picture?: string;
}): JSX.Element {
  return (
    <dl class="values">
      {values.map(({ port, from, preview }) => (
        <div key={port}>
          <dt>
            <strong>{port}</strong>{" "}
            {from !== undefined && <span class="muted small">← {from}</span>}
          </dt>
          <dd>
            <Preview value={preview} picture={picture} />
          </dd>
        </div>
      ))}
    </dl>
  );
}
