/**
 * A run as its page shows it, from its events; the same on the server and in the browser.
 * @module
 */
import {
  isStop,
  type NodeState,
  type NodeStates,
  withEnd,
  withEvent,
} from "../components/graph_state.ts";
import type { Preview, RunEvent, SpanReport } from "../pipeline/mod.ts";

/** A node, or one element of a mapped node. */
export interface NodeView {
  /** Its path. */
  readonly node: string;
  /** Its kind. */
  readonly kind: string;
  /** Whether it is a pipeline whose nodes are there as well. */
  readonly composite: boolean;
  /** How it stands. */
  readonly status: NodeState["status"];
  /** The attempt, from 1. */
  readonly attempt: number;
  /** Milliseconds from the run's start to its own. */
  readonly startMs: number;
  /** Milliseconds it waited for its lane before that. */
  readonly queuedMs: number;
  /** Milliseconds of work, once it has ended. */
  readonly ms?: number;
  /** Parts of its work. */
  readonly spans: readonly SpanReport[];
  /** Previews of its outputs. */
  readonly outputs?: { readonly [port: string]: Preview };
  /** What went wrong. */
  readonly error?: { readonly tag: string; readonly message: string };
  /** How far it has come. */
  readonly progress?: {
    readonly done: number;
    readonly total?: number;
    readonly message?: string;
  };
}

/** A run. */
export interface RunView {
  /** How it stands. */
  readonly status: string;
  /** When it began. */
  readonly startedAt: number;
  /** When it was last heard of: its last event, or a word of its process that it lives. */
  readonly updatedAt: number;
  /** How long it took. */
  readonly ms?: number;
  /** What went wrong. */
  readonly error?: { readonly tag: string; readonly message: string };
  /** Number of its last event. */
  readonly seq: number;
  /** Nodes in order of their starts. */
  readonly nodes: readonly NodeView[];
  /** How the nodes of the graph stand. */
  readonly states: NodeStates;
  /** What has streamed, by the node that streams it. */
  readonly streams: { readonly [node: string]: string };
  /** Previews of its outputs. */
  readonly outputs?: { readonly [name: string]: Preview };
}

/** A run of which nothing is known but its start. */
export function emptyView(startedAt: number): RunView {
  return {
    status: "running",
    startedAt,
    updatedAt: startedAt,
    seq: -1,
    nodes: [],
    states: {},
    streams: {},
  };
}

/** Characters of a stream that are kept. */
const longestStream = 200_000;

/** Nodes at most; of a batch of thousands the first are shown. */
export const mostNodes = 400;

/** The view after some more events, in their order. */
export function afterEvents(
  view: RunView,
  events: readonly RunEvent[],
): RunView {
  const nodes = [...view.nodes];
  const places = new Map(nodes.map(({ node }, place) => [node, place]));
  const streams: Record<string, string> = { ...view.streams };
  let { states } = view;
  let next: RunView = view;
  const change = (path: string, fields: Partial<NodeView>): void => {
    const place = places.get(path);
    if (place !== undefined) nodes[place] = { ...nodes[place]!, ...fields };
  };
  for (const event of events) {
    if (event.seq <= next.seq) continue;
    next = { ...next, seq: event.seq, updatedAt: event.at };
    states = withEvent(states, event);
    switch (event._tag) {
      case "RunStarted":
        next = { ...next, startedAt: event.at };
        break;
      case "NodeStarted": {
        const { node, kind, composite, attempt, queuedMs } = event;
        const begun: NodeView = {
          node,
          kind,
          composite,
          attempt,
          queuedMs,
          status: "running",
          startMs: Math.max(0, event.at - next.startedAt),
          spans: [],
        };
        const place = places.get(node);
        if (place !== undefined) nodes[place] = begun;
        else if (nodes.length < mostNodes) {
          places.set(node, nodes.length);
          nodes.push(begun);
        }
        delete streams[node];
        break;
      }
      case "NodeProgress": {
        const { node, port, delta, done, total, message } = event;
        if (port !== undefined) {
          const before = streams[node] ?? "";
          if (typeof delta === "string" && before.length < longestStream) {
            streams[node] = before + delta;
          }
        } else if (done !== undefined) {
          change(node, {
            progress: {
              done,
              ...(total === undefined ? {} : { total }),
              ...(message === undefined ? {} : { message }),
            },
          });
        }
        break;
      }
      case "NodeFinished": {
        const { node, ms, cached, outputs, spans, queuedMs } = event;
        change(node, {
          status: cached ? "cached" : "succeeded",
          ms,
          outputs,
          spans,
          queuedMs,
        });
        break;
      }
      case "NodeFailed":
        change(event.node, {
          status: event.willRetry
            ? "running"
            : isStop(event.error)
            ? "interrupted"
            : "failed",
          ms: event.ms,
          error: event.error,
        });
        break;
      case "RunFinished":
        nodes.forEach((node, place) => nodes[place] = stopped(node));
        next = {
          ...next,
          status: event.status,
          ms: event.ms,
          ...(event.error === undefined ? {} : { error: event.error }),
          ...(event.outputs === undefined ? {} : { outputs: event.outputs }),
        };
        break;
    }
  }
  return { ...next, nodes, states, streams };
}

/** What the store says of a run, beside its events: its process says that it lives, others end it. */
export interface Seen {
  /** How it stands; `deleted` where it is gone. */
  readonly status: string;
  /** When it was last heard of. */
  readonly updatedAt: number;
  /** What went wrong. */
  readonly error?: { readonly tag: string; readonly message: string };
}

/** What the store says of a run; `undefined` is one that is gone. */
export const seenOf = (run: Seen | undefined): Seen =>
  run === undefined ? { status: "deleted", updatedAt: 0 } : {
    status: run.status,
    updatedAt: run.updatedAt,
    ...(run.error === undefined ? {} : { error: run.error }),
  };

/** The view after what the store says of the run. */
export function afterSeen(view: RunView, seen: Seen): RunView {
  const updatedAt = Math.max(view.updatedAt, seen.updatedAt);
  // Its own last event says more, and comes.
  if (view.status !== "running") return view;
  if (seen.status === "running") return { ...view, updatedAt };
  return {
    ...view,
    ...seen,
    updatedAt,
    nodes: view.nodes.map(stopped),
    states: withEnd(view.states),
  };
}

/** A node once its run is over: one that was still at work is no more. */
const stopped = (node: NodeView): NodeView =>
  node.status === "running" ? { ...node, status: "interrupted" } : node;

/** Where an input of a node comes from, as a document says it. */
export type SourceView =
  | { readonly input: string }
  | { readonly node: string; readonly port: string }
  | { readonly constant: unknown }
  | { readonly list: readonly SourceView[] };

/** A node as a document describes it. */
export interface NodeDocument {
  /** Its name. */
  readonly id: string;
  /** Its kind. */
  readonly kind: string;
  /** Whether it is mapped over lists. */
  readonly each?: boolean;
  /** Its parameters. */
  readonly params?: unknown;
  /** Its inputs by port. */
  readonly inputs?: { readonly [port: string]: SourceView };
}

/** The graph of a run, as its document describes it. */
export interface RunDocument {
  /** Its nodes. */
  readonly nodes: readonly NodeDocument[];
  /** Pipelines that nodes have as their kinds. */
  readonly pipelines?: {
    readonly [name: string]: { readonly nodes: readonly NodeDocument[] };
  };
}

/** A path without the index of its last element: `answer[1]/load` of `answer[1]/load[0]`. */
export const mappedOf = (path: string): string => path.replace(/\[\d+\]$/, "");

/** The pipeline's path and the node's own name: `answer[1]/` and `load[0]`. */
function split(path: string): readonly [scope: string, own: string] {
  const at = path.lastIndexOf("/") + 1;
  return [path.slice(0, at), path.slice(at)];
}

/** What a document says of a node, also of one inside a pipeline. */
export function documentOf(
  path: string,
  { nodes, pipelines = {} }: RunDocument,
): NodeDocument | undefined {
  let inside = nodes;
  let found: NodeDocument | undefined;
  for (const name of path.split("/")) {
    found = inside.find(({ id }) => id === mappedOf(name));
    inside = pipelines[found?.kind ?? ""]?.nodes ?? [];
  }
  return found;
}

/** An input of a node: where it comes from, and what came. */
export interface InputView {
  /** The port. */
  readonly port: string;
  /** Where from, in words. */
  readonly from: string;
  /** What came; `undefined` where nothing is known of it. */
  readonly preview: Preview | undefined;
}

/** The index of the last element in a path: 2 of `load[2]`. */
const indexOf = (path: string): number | undefined => {
  const match = /\[(\d+)\]$/.exec(path);
  return match === null ? undefined : Number(match[1]);
};

/** The inputs of a node, each with the preview of what made it. */
export function inputsOf(
  path: string,
  document: RunDocument,
  view: RunView,
  given: { readonly [name: string]: Preview },
): InputView[] {
  const own = documentOf(path, document);
  const index = indexOf(path);
  const [scope] = split(path);
  // What a pipeline inside was given is what its node was given.
  const inputs: { readonly [name: string]: Preview | undefined } = scope === ""
    ? given
    : Object.fromEntries(
      inputsOf(scope.slice(0, -1), document, view, given)
        .map(({ port, preview }) => [port, preview]),
    );
  const resolve = (source: SourceView): Omit<InputView, "port"> => {
    if ("constant" in source) {
      return { from: "constant", preview: source.constant as Preview };
    }
    if ("list" in source) {
      const parts = source.list.map(resolve);
      return {
        from: parts.map(({ from }) => from).join(", "),
        preview: parts.map(({ preview }) => preview ?? null),
      };
    }
    if ("input" in source) {
      const preview = inputs[source.input];
      return {
        from: `input ${source.input}`,
        preview: index !== undefined && Array.isArray(preview) && own?.each
          ? (preview as readonly Preview[])[index] ?? preview
          : preview,
      };
    }
    const makers = view.nodes.filter(({ node }) =>
      mappedOf(node) === `${scope}${source.node}`
    );
    const same = index === undefined || !own?.each
      ? undefined
      : makers.find(({ node }) => indexOf(node) === index);
    const previews = (same === undefined ? makers : [same])
      .flatMap(({ outputs }) => outputs?.[source.port] ?? []);
    return {
      from: `${source.node}.${source.port}`,
      preview: same !== undefined ||
          makers.length === 1 && !makers[0]!.node.endsWith("]")
        ? previews[0]
        : previews,
    };
  };
  return Object.entries(own?.inputs ?? {}).map(([port, source]) => ({
    port,
    ...resolve(source),
  }));
}

/** Nodes as a tree: what is inside a pipeline comes after it. */
export function asTree(nodes: readonly NodeView[]): NodeView[] {
  const inside = Map.groupBy(nodes, ({ node }) => split(node)[0]);
  const under = (scope: string): NodeView[] =>
    (inside.get(scope) ?? []).flatMap((node) => [
      node,
      ...(node.composite ? under(`${node.node}/`) : []),
    ]);
  return under("");
}
