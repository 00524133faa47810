import type { JSX } from "preact";
import type { Field } from "../../components/fields.ts";
import {
  type KindView,
  type PortView,
  registryView,
} from "../../dashboard/registry.ts";
import type { Handlers, PageProps } from "../../dashboard/state.ts";

interface Data {
  readonly pipelines: readonly KindView[];
  readonly kinds: readonly KindView[];
}

export const handler: Handlers<Data> = {
  async GET(ctx) {
    ctx.state.title = "Pipelines · Tessera";
    return { data: registryView(await ctx.state.services.registry()) };
  },
};

/** Ready-made pipelines, and the kinds of nodes to make others of. */
export default function Pipelines({ data }: PageProps<Data>): JSX.Element {
  return (
    <>
      <div class="head">
        <h1>Pipelines</h1>
      </div>
      <div class="stack">
        <ul class="cards">
          {data.pipelines.map((pipeline) => (
            <li key={pipeline.kind} class="panel kind">
              <h2>
                <a href={`/pipelines/${pipeline.kind}`}>{pipeline.kind}</a>
              </h2>
              <p>{pipeline.description}</p>
              <Ports title="Takes" ports={pipeline.inputs} />
              <Ports title="Gives" ports={pipeline.outputs} />
            </li>
          ))}
        </ul>
        <h2>Kinds of nodes</h2>
        <ul class="cards">
          {data.kinds.map((kind) => (
            <li key={kind.kind} class="panel kind" id={`kind-${kind.kind}`}>
              <div class="row">
                <h3 class="mono">{kind.kind}</h3>
                <span class="muted small end">
                  {[
                    kind.plugin,
                    ...(kind.lane === undefined ? [] : [`lane ${kind.lane}`]),
                    ...(kind.memoize ? ["memo"] : []),
                  ].join(" · ")}
                </span>
              </div>
              <p>{kind.description}</p>
              <Ports title="Takes" ports={kind.inputs} />
              <Ports title="Gives" ports={kind.outputs} />
              <Params fields={kind.params} />
            </li>
          ))}
        </ul>
      </div>
    </>
  );
}

function Ports(
  { title, ports }: {
    readonly title: string;
    readonly ports: readonly PortView[];
  },
): JSX.Element {
  return (
    <dl class="ports small">
      <dt>{title}</dt>
      <dd>
        {ports.length === 0
          ? "nothing"
          : ports.map((port) => (
            <span key={port.name} class="port">
              {port.name}
              {port.optional ? "?" : ""} <code>{port.type}</code>
            </span>
          ))}
      </dd>
    </dl>
  );
}

function Params(
  { fields }: { readonly fields: readonly Field[] },
): JSX.Element | null {
  if (fields.length === 0) return null;
  return (
    <dl class="ports small">
      <dt>Parameters</dt>
      <dd>
        {fields.map(({ name, control, required, min, max }) => (
          <span key={name} class="port">
            {name}
            {required ? "" : "?"}{" "}
            <code>
              {control === "line" ? "text" : control}
              {min === undefined && max === undefined
                ? ""
                : ` ${min ?? "…"}–${max ?? "…"}`}
            </code>
          </span>
        ))}
      </dd>
    </dl>
  );
}
