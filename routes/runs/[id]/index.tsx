import type { JSX } from "preact";
import { clip, duration } from "../../../components/format.ts";
import type { DrawnGraph } from "../../../components/Graph.tsx";
import { layOut } from "../../../dashboard/graph_layout.ts";
import {
  afterEvents,
  afterSeen,
  emptyView,
  type RunDocument,
  type RunView,
  seenOf,
} from "../../../dashboard/run_view.ts";
import type { Handlers, PageProps } from "../../../dashboard/state.ts";
import { questionOf } from "../../../dashboard/view.ts";
import { DeleteButton } from "../../../islands/DeleteButton.tsx";
import { Moment } from "../../../islands/Moment.tsx";
import { RunBoard } from "../../../islands/RunBoard.tsx";
import type {
  Json,
  PipelineDocument,
  RunEvent,
  RunSummary,
} from "../../../pipeline/mod.ts";

interface Data {
  readonly summary: RunSummary;
  readonly view: RunView;
  readonly graph?: DrawnGraph;
  readonly document: RunDocument;
  readonly repeatable: boolean;
  /** What was asked, whole where the inputs were kept. */
  readonly question: string;
}

/** Letters of a heading; a longer question is behind a click. */
const longestTitle = 160;

/** Events of a run that a page is made of; the rest of a very long one streams in. */
const mostEvents = 20_000;

/** The drawing of a document; nothing for one that cannot be drawn. */
function draw(document: Json | undefined): DrawnGraph | undefined {
  try {
    return document === undefined
      ? undefined
      : layOut(document as unknown as PipelineDocument);
  } catch {
    return undefined;
  }
}

export const handler: Handlers<Data | undefined> = {
  async GET(ctx) {
    const { store, run } = ctx.state.services;
    const id = ctx.params.id ?? "";
    const summary = await run(store.summary(id));
    if (summary === undefined) {
      ctx.state.title = "No such run · Tessera";
      return { data: undefined, status: 404 };
    }
    ctx.state.title = `${
      questionOf(summary.inputs).slice(0, 60) || summary.pipeline
    } · Tessera`;
    let view = emptyView(summary.startedAt);
    let first: RunEvent | undefined;
    for (let seq = -1; seq < mostEvents;) {
      const events = await run(store.eventsAfter(id, seq));
      first ??= events[0];
      view = afterEvents(view, events);
      const last = events.at(-1);
      if (last === undefined || last._tag === "RunFinished") break;
      seq = last.seq;
    }
    const started = first?._tag === "RunStarted" ? first : undefined;
    const graph = draw(started?.document);
    const { nodes, pipelines } = (started?.document ?? {}) as Partial<
      RunDocument
    >;
    return {
      data: {
        summary,
        // What the table says stands: a run may have been ended from outside.
        view: afterSeen(view, seenOf(summary)),
        document: graph === undefined || nodes === undefined
          ? { nodes: [] }
          : { nodes, ...(pipelines === undefined ? {} : { pipelines }) },
        repeatable: started?.values !== undefined,
        question: questionOf(started?.values ?? {}) ||
          questionOf(summary.inputs),
        ...(graph === undefined ? {} : { graph }),
      },
    };
  },
};

/** A run: what it was asked, what it said, where the time went. */
export default function Run(
  { data, params, url, state }: PageProps<Data | undefined>,
): JSX.Element {
  if (data === undefined) {
    return (
      <div class="empty">
        <h1>There is no such run</h1>
        <p>
          <code>{params.id}</code> was deleted, or never recorded here.
        </p>
        <p>
          <a href="/">All runs</a>
        </p>
      </div>
    );
  }
  const { summary, view, graph, document, repeatable, question } = data;
  const { runId, pipeline, attributes, inputs, startedAt } = summary;
  const { model, ...others } = attributes;
  const selected = url.searchParams.get("node");
  const again = typeof others.again === "string" ? others.again : undefined;
  return (
    <>
      <div class="head">
        <h1>{clip(question, longestTitle) || pipeline}</h1>
        <form method="post" action="/runs/actions" class="row end">
          <input type="hidden" name="csrf" value={state.csrf} />
          <input type="hidden" name="run" value={runId} />
          <button
            type="submit"
            name="action"
            value="rerun"
            disabled={!repeatable}
            title={repeatable
              ? "The same pipeline and inputs, with this dashboard's model"
              : "Its inputs were not kept"}
          >
            Run again
          </button>
          <a
            class="button"
            href={`/export?run=${encodeURIComponent(runId)}`}
            download={`${runId}.json`}
          >
            Export JSON
          </a>
          <DeleteButton ask="Delete this run for good?" />
        </form>
      </div>
      {question.length > longestTitle && (
        <details class="whole">
          <summary>The whole question</summary>
          <p class="question">{question}</p>
        </details>
      )}
      <dl class="meta">
        <div>
          <dt>Pipeline</dt>
          <dd>{pipeline}</dd>
        </div>
        {typeof model === "string" && (
          <div>
            <dt>Model</dt>
            <dd>{model}</dd>
          </div>
        )}
        <div>
          <dt>Began</dt>
          <dd>
            <Moment at={startedAt} />
          </dd>
        </div>
        {summary.firstPartMs !== undefined && (
          <div>
            <dt>First token</dt>
            <dd>{duration(summary.firstPartMs)}</dd>
          </div>
        )}
        <div>
          <dt>Id</dt>
          <dd class="mono">{runId}</dd>
        </div>
        {again !== undefined && (
          <div>
            <dt>Again</dt>
            <dd>
              <a
                href={`/compare?run=${encodeURIComponent(again)}&run=${
                  encodeURIComponent(runId)
                }`}
              >
                compare with the first
              </a>
            </dd>
          </div>
        )}
      </dl>
      <RunBoard
        id={runId}
        pipeline={pipeline}
        view={view}
        document={document}
        inputs={inputs}
        now={Date.now()}
        csrf={state.csrf}
        {...(graph === undefined ? {} : { graph })}
        {...(selected === null ? {} : { selected })}
      />
    </>
  );
}
