import type { JSX } from "preact";
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { Away } from "../components/Away.tsx";
import { Fault } from "../components/Fault.tsx";
import { count, duration } from "../components/format.ts";
import { type DrawnGraph, Graph } from "../components/Graph.tsx";
import { nodeOf } from "../components/graph_state.ts";
import {
  NodeDetails,
  type PortValue,
  RunInputs,
} from "../components/NodeDetails.tsx";
import { iconOf } from "../components/Picture.tsx";
import { StageLegend } from "../components/StageBar.tsx";
import { StateBadge } from "../components/StateBadge.tsx";
import { Timeline } from "../components/Timeline.tsx";
import { useClock } from "../dashboard/client/clock.ts";
import { follow } from "../dashboard/client/live.ts";
import {
  afterEvents,
  afterSeen,
  asTree,
  documentOf,
  inputsOf,
  mappedOf,
  mostNodes,
  type NodeView,
  type RunDocument,
  type RunView,
  type Seen,
} from "../dashboard/run_view.ts";
import { promptTokensOf, tokensOf } from "../dashboard/run_tokens.ts";
import { stageTimes } from "../dashboard/run_times.ts";
import { answerOf, shownState } from "../dashboard/view.ts";
import type { Preview as Json, RunEvent } from "../pipeline/mod.ts";

/** What the page of a run knows. */
export interface RunBoardProps {
  /** The run. */
  readonly id: string;
  /** Name of its pipeline. */
  readonly pipeline: string;
  /** It as far as it went when the page was made. */
  readonly view: RunView;
  /** Its graph; nothing where it has no document. */
  readonly graph?: DrawnGraph;
  /** The same as its document says it. */
  readonly document: RunDocument;
  /** Previews of its inputs. */
  readonly inputs: { readonly [name: string]: Json };
  /** Path of the node that is looked at. */
  readonly selected?: string;
  /** When the page was made. */
  readonly now: number;
  /** For changes. */
  readonly csrf: string;
}

/** A run: its answer, its graph, its times and its values, while it goes on and after. */
export function RunBoard(props: RunBoardProps): JSX.Element {
  const { id, pipeline, graph, document: drawn, inputs } = props;
  const [view, setView] = useState(props.view);
  const [selected, setSelected] = useState(props.selected);
  const { now, tick } = useClock(props.now);
  const [away, setAway] = useState(false);
  const [live, setLive] = useState(false);
  const running = view.status === "running";
  const waiting = useRef<RunEvent[]>([]);

  useEffect(() => {
    setLive(true);
    if (!running) return;
    // Events of one moment are shown together: a browser paints no more often.
    let due = false;
    const show = (): void => {
      due = false;
      const events = waiting.current.splice(0);
      tick();
      setView((view) => afterEvents(view, events));
    };
    return follow(
      `/runs/${encodeURIComponent(id)}/live`,
      props.view.seq,
      (data) => {
        const event = data as RunEvent;
        waiting.current.push(event);
        if (!due) {
          due = true;
          requestAnimationFrame(show);
        }
        return event._tag === "RunFinished";
      },
      {
        onAway: setAway,
        onSeen: (data) => {
          const seen = data as Seen;
          setView((view) => afterSeen(view, seen));
          return seen.status !== "running";
        },
      },
    );
  }, []);
  useEffect(() => {
    // Who hears nothing does not know whether it is lost.
    if (!running || away) return;
    const timer = setInterval(tick, 250);
    return () => clearInterval(timer);
  }, [running, away]);

  const state = shownState(
    { state: view.status, updatedAt: view.updatedAt },
    now,
  );
  const total = view.ms ??
    // Of one that nobody has heard of since, more is not known.
    Math.max(
      0,
      (state === "running" ? now : view.updatedAt) - view.startedAt,
    );
  const nodes = useMemo(() => asTree(view.nodes), [view.nodes]);
  // In the order of the nodes; those beyond the ones that are kept come last.
  const places = new Map(nodes.map(({ node }, place) => [node, place]));
  const placeOf = (node: string) => places.get(node) ?? nodes.length;
  const streamed = Object.entries(view.streams)
    .sort(([a], [b]) => placeOf(a) - placeOf(b)).map(([, text]) => text);
  const answer = answerOf(view.outputs) || streamed.join("\n\n");
  const href = (path: string) => `?node=${encodeURIComponent(path)}`;
  const select = (path: string, event: MouseEvent): void => {
    if (event.metaKey || event.ctrlKey || event.shiftKey) return;
    event.preventDefault();
    setSelected(path);
    history.replaceState(null, "", href(path));
  };
  const stages = useMemo(
    () => [
      ...new Set(
        view.nodes.filter(({ composite }) => !composite).flatMap((
          { kind, spans },
        ) => spans.length === 0 ? [kind] : spans.map(({ name }) => name)),
      ),
    ],
    [view.nodes],
  );
  const chosen = pick(nodes, selected);
  const given = chosen === undefined
    ? []
    : inputsOf(chosen.node, drawn, view, inputs);
  const tokens = tokensOf(view.nodes);
  const prompt = promptTokensOf(view.nodes);
  const [longest] = useMemo(() => stageTimes(view.nodes), [view.nodes]);
  return (
    <div class="stack" data-hydrated={live} data-status={view.status}>
      <Away away={away} />
      {view.status === "deleted" && (
        <p class="notice bad" role="alert">
          This run has been deleted. <a href="/">All runs</a>
        </p>
      )}
      <div class="row run-facts">
        <StateBadge state={state} />
        <Fact name="time" value={duration(total)} />
        {longest !== undefined && total > 0 && (
          <Fact
            name="longest stage"
            value={`${longest.stage} ${duration(longest.ms)} (${
              Math.min(100, Math.round(100 * longest.ms / total))
            } %)`}
          />
        )}
        {prompt !== undefined && (
          <Fact name="prompt tokens" value={count(prompt)} />
        )}
        {tokens !== undefined && <Fact name="tokens" value={count(tokens)} />}
        {running && (
          <form method="post" action="/runs/actions">
            <input type="hidden" name="csrf" value={props.csrf} />
            <input type="hidden" name="run" value={id} />
            <button type="submit" name="action" value="cancel" class="danger">
              {state === "lost" ? "Mark as stopped" : "Cancel"}
            </button>
          </form>
        )}
      </div>
      {view.error !== undefined && <Fault error={view.error} />}
      {(answer !== "" || running) && (
        <section class="panel" aria-label="Answer">
          <header>
            <h2>Answer</h2>
          </header>
          <div class="body answer" aria-live="polite">
            {answer === "" ? <span class="muted">Nothing yet.</span> : answer}
            {running && answer !== "" && (
              <span class="caret" aria-hidden="true" />
            )}
          </div>
        </section>
      )}
      {graph !== undefined && (
        <section class="panel" aria-label="Graph">
          <header>
            <h2>Graph</h2>
          </header>
          <div class="scroll" tabIndex={0} role="region" aria-label="Drawing">
            <Graph
              graph={graph}
              name={pipeline}
              states={view.states}
              selected={selected === undefined ? undefined : nodeOf(selected)}
              hrefOf={(node) => href(node.id)}
              onSelect={(node, event) => select(node.id, event)}
            />
          </div>
        </section>
      )}
      <div class="split">
        <section class="panel" aria-label="Timeline">
          <header>
            <h2>Timeline</h2>
            <span class="end">
              <StageLegend names={stages} />
            </span>
          </header>
          <div class="body">
            <Timeline
              nodes={nodes}
              total={total}
              selected={chosen?.node}
              hrefOf={href}
              onSelect={select}
            />
            {view.nodes.length >= mostNodes && (
              <p class="muted small">
                The first {count(mostNodes)} nodes; the export has all.
              </p>
            )}
          </div>
        </section>
        {chosen === undefined ? <RunInputs inputs={inputs} /> : (
          <NodeDetails
            node={chosen}
            siblings={view.nodes.filter(({ node }) =>
              mappedOf(node) === mappedOf(chosen.node)
            )}
            params={documentOf(chosen.node, drawn)?.params}
            given={given}
            picture={pictureOf(given, view.nodes)}
            href={href}
            select={select}
          />
        )}
      </div>
    </div>
  );
}

/** The node of a path, or the first element of a mapped one: `answer[0]/load[0]` for `answer/load`. */
function pick(
  nodes: readonly NodeView[],
  path: string | undefined,
): NodeView | undefined {
  if (path === undefined) return undefined;
  return nodes.find(({ node }) => node === path) ??
    nodes.find(({ node }) => nodeOf(node) === path);
}

function Fact(
  { name, value }: { readonly name: string; readonly value: string },
): JSX.Element {
  return (
    <span>
      <span class="muted">{name}</span> <strong class="num">{value}</strong>
    </span>
  );
}

/** The first picture among what a node was given, or else in the run. */
function pictureOf(
  given: readonly PortValue[],
  nodes: readonly NodeView[],
): string | undefined {
  const previews = [
    ...given.map(({ preview }) => preview),
    ...nodes.map(({ outputs }) => outputs?.image),
  ];
  return previews.map((preview) =>
    iconOf(Array.isArray(preview) ? preview[0] : preview)
  ).find((icon) => icon !== undefined);
}
