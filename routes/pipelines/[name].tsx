import type { JSX } from "preact";
import type { FieldGroup } from "../../components/fields.ts";
import { FormField } from "../../components/FormField.tsx";
import { type DrawnGraph, Graph } from "../../components/Graph.tsx";
import { BodyTooLarge, readBody } from "../../dashboard/body.ts";
import { mostVideo, UploadError } from "../../dashboard/chat/uploads.ts";
import { layOut } from "../../dashboard/graph_layout.ts";
import {
  type PipelineForm,
  pipelineForm,
  readPipelineForm,
} from "../../dashboard/pipeline_form.ts";
import { JobError, startRun } from "../../dashboard/jobs.ts";
import { FieldError } from "../../dashboard/schema_fields.ts";
import type { Context, Handlers, PageProps } from "../../dashboard/state.ts";

interface Data {
  readonly name: string;
  readonly description: string;
  readonly graph: DrawnGraph;
  readonly form: PipelineForm;
  readonly document: string;
  readonly error?: string;
}

async function find(ctx: Context) {
  const registry = await ctx.state.services.registry();
  const pipeline = registry.pipelines.get(ctx.params.name!);
  if (pipeline === undefined) return undefined;
  const { toDocument } = await import("../../pipeline/mod.ts");
  return { registry, pipeline, document: toDocument(pipeline) };
}

type Found = NonNullable<Awaited<ReturnType<typeof find>>>;

function dataOf(
  { registry, pipeline, document }: Found,
  given?: (name: string) => string | undefined,
): Data {
  return {
    name: pipeline.name,
    description: pipeline.description,
    graph: layOut(document),
    form: pipelineForm(pipeline, document, registry, given),
    document: JSON.stringify(document, undefined, 2),
  };
}

export const handler: Handlers<Data | undefined> = {
  async GET(ctx) {
    ctx.state.title = `${ctx.params.name} · Tessera`;
    const found = await find(ctx);
    return found === undefined
      ? { data: undefined, status: 404 }
      : { data: dataOf(found) };
  },
  async POST(ctx) {
    ctx.state.title = `${ctx.params.name} · Tessera`;
    const found = await find(ctx);
    if (found === undefined) return { data: undefined, status: 404 };
    let form = new FormData();
    try {
      form = await parse(ctx.req);
      const { registry, pipeline, document } = found;
      const { services } = ctx.state;
      const filled = await readPipelineForm(
        pipeline,
        document,
        registry,
        form,
        services.uploads,
      );
      const runId = await startRun(services, filled);
      return ctx.redirect(`/runs/${encodeURIComponent(runId)}`, 303);
    } catch (error) {
      const known = error instanceof FieldError ||
        error instanceof UploadError || error instanceof BodyTooLarge ||
        error instanceof JobError ||
        (error instanceof Error && "_tag" in error);
      if (!known) throw error;
      const given = (name: string) => {
        const value = form.get(name);
        return typeof value === "string" ? value : undefined;
      };
      return {
        data: { ...dataOf(found, given), error: (error as Error).message },
        status: 400,
      };
    }
  },
};

async function parse(req: Request): Promise<FormData> {
  const body = await readBody(req, mostVideo);
  try {
    return await new Response(body, {
      headers: { "content-type": req.headers.get("content-type") ?? "" },
    }).formData();
  } catch {
    throw new FieldError("the form is not well-formed");
  }
}

/** A pipeline: its graph, a form to run it, its document. */
export default function PipelinePage(
  { data, state }: PageProps<Data | undefined>,
): JSX.Element {
  if (data === undefined) {
    return (
      <div class="empty">
        <h1>There is no such pipeline</h1>
        <p>
          <a href="/pipelines">All pipelines</a>
        </p>
      </div>
    );
  }
  const { name, description, graph, form, document, error } = data;
  const refused = form.inputs.some(({ refusal }) => refusal !== undefined);
  return (
    <>
      <div class="head">
        <h1>{name}</h1>
        <span class="muted">{description}</span>
      </div>
      <div class="stack">
        <Drawing name={name} graph={graph} />
        <form
          class="panel"
          method="post"
          encType="multipart/form-data"
          action={`/pipelines/${name}?csrf=${encodeURIComponent(state.csrf)}`}
        >
          <header>
            <h2>Run it</h2>
          </header>
          <div class="body stack">
            {error !== undefined && (
              <p class="notice bad" role="alert">{error}</p>
            )}
            {form.inputs.map((group) => (
              <Group key={group.title} group={group} />
            ))}
            {form.params.length > 0 && (
              <details open={error !== undefined}>
                <summary>Parameters of the nodes</summary>
                {form.params.map((group) => (
                  <Group key={group.title} group={group} />
                ))}
              </details>
            )}
            <p>
              <button type="submit" class="primary" disabled={refused}>
                Run
              </button>
            </p>
          </div>
        </form>
        <details class="panel document">
          <summary>Its document</summary>
          <pre>{document}</pre>
        </details>
      </div>
    </>
  );
}

function Drawing(
  { name, graph }: { readonly name: string; readonly graph: DrawnGraph },
): JSX.Element {
  return (
    <section class="panel" aria-labelledby={`graph-${name}`}>
      <header>
        <h2 id={`graph-${name}`}>Graph</h2>
      </header>
      <div
        class="body scroll"
        tabIndex={0}
        role="group"
        aria-label={`Graph of ${name}`}
      >
        <Graph
          graph={graph}
          name={name}
          hrefOf={({ kind }) => `/pipelines#kind-${kind}`}
        />
      </div>
    </section>
  );
}

/** Few fields stand open; the many of a setting behind a click. */
const mostOpen = 3;

function Group({ group }: { readonly group: FieldGroup }): JSX.Element {
  const { title, type, fields, refusal } = group;
  const [single] = fields;
  if (fields.length === 1 && single!.label === title) {
    return (
      <div class="fields">
        <FormField field={{ ...single!, hint: type }} />
      </div>
    );
  }
  const inside = refusal === undefined
    ? (
      <div class="fields">
        {fields.map((field) => <FormField key={field.name} field={field} />)}
      </div>
    )
    : <p class="muted">{refusal}</p>;
  const name = (
    <>
      {title} <code class="muted">{type}</code>
    </>
  );
  if (fields.length > mostOpen) {
    return (
      <details class="settings">
        <summary>{name}</summary>
        {inside}
      </details>
    );
  }
  return (
    <fieldset>
      <legend>{name}</legend>
      {inside}
    </fieldset>
  );
}
