import type { JSX } from "preact";
import { count } from "../components/format.ts";
import {
  addressOf,
  pageLength,
  queryOf,
  readView,
  type TableView,
} from "../dashboard/list_query.ts";
import type { Handlers, PageProps } from "../dashboard/state.ts";
import { rowOf, type RunRow } from "../dashboard/view.ts";
import { Days } from "../islands/Days.tsx";
import { RunTable, type SortLink } from "../islands/RunTable.tsx";
import type { Facets } from "../plugins/sqlite/mod.ts";

interface Data {
  readonly view: TableView;
  readonly rows: readonly RunRow[];
  readonly next?: string;
  readonly facets: Facets;
  readonly mark: number;
}

export const handler: Handlers<Data> = {
  async GET(ctx) {
    ctx.state.title = "Runs · Tessera";
    const { store, run } = ctx.state.services;
    const view = readView(ctx.url.searchParams);
    // The mark comes first: what changes after it comes again, and nothing is missed.
    const { mark } = await run(store.changes());
    const [page, facets] = await Promise.all([
      run(store.list(queryOf(view))),
      run(store.facets),
    ]);
    return {
      data: {
        view,
        rows: page.runs.map(rowOf),
        facets,
        mark,
        ...(page.cursor === undefined ? {} : { next: page.cursor }),
      },
    };
  },
};

const states: readonly (readonly [state: string, name: string])[] = [
  ["running", "Running"],
  ["succeeded", "Done"],
  ["failed", "Failed"],
  ["interrupted", "Stopped"],
];

/** Every run, latest first. */
export default function Runs(
  { data, url, state }: PageProps<Data>,
): JSX.Element {
  const { view, rows, next, facets, mark } = data;
  const params = url.searchParams;
  const total = Object.values(facets.statuses).reduce((sum, n) => sum + n, 0);
  const sortLink = (sort: TableView["sort"]): SortLink => {
    const mine = view.sort === sort;
    const order = mine && view.order === "desc" ? "asc" : "desc";
    return {
      href: addressOf(params, {
        sort: sort === "startedAt" ? undefined : sort,
        order: order === "desc" ? undefined : order,
      }),
      ...(mine ? { order: view.order } : {}),
    };
  };
  const { state: _, sort: __, order: ___, cursor, ...narrowed } = view;
  const filtered = Object.keys(narrowed).length > 0;
  return (
    <>
      <div class="head">
        <h1>Runs</h1>
        <nav class="segments" aria-label="State">
          <a
            href={addressOf(params, { state: undefined })}
            aria-current={view.state === undefined ? "page" : undefined}
          >
            All <span class="n">{count(total)}</span>
          </a>
          {states.map(([name, text]) => (
            <a
              key={name}
              href={addressOf(params, { state: name })}
              aria-current={view.state === name ? "page" : undefined}
            >
              {text} <span class="n">{count(facets.statuses[name] ?? 0)}</span>
            </a>
          ))}
        </nav>
      </div>
      <form class="toolbar" method="get" action="/" role="search">
        {view.state !== undefined && (
          <input type="hidden" name="state" value={view.state} />
        )}
        {view.sort !== "startedAt" && (
          <input type="hidden" name="sort" value={view.sort} />
        )}
        {view.order !== "desc" && (
          <input type="hidden" name="order" value={view.order} />
        )}
        <label class="grow">
          <span>Text in questions, answers, files, errors</span>
          <input type="search" name="q" value={view.text ?? ""} />
        </label>
        <Choice
          name="pipeline"
          label="Pipeline"
          value={view.pipeline}
          all={facets.pipelines}
        />
        <Choice
          name="model"
          label="Model"
          value={view.model}
          all={facets.models}
        />
        <Days from={params.get("from") ?? ""} to={params.get("to") ?? ""} />
        <button type="submit">Filter</button>
        {filtered && (
          <a
            class="button plain"
            href={addressOf(new URLSearchParams(), { state: view.state })}
          >
            Clear
          </a>
        )}
      </form>
      <RunTable
        key={url.search}
        rows={rows}
        any={total > 0}
        filter={narrowedFilter(view)}
        growing={view.sort === "startedAt" && view.order === "desc" &&
          cursor === undefined}
        length={pageLength}
        mark={mark}
        now={Date.now()}
        csrf={state.csrf}
        sorts={{
          startedAt: sortLink("startedAt"),
          ms: sortLink("ms"),
          tokens: sortLink("tokens"),
        }}
      />
      {(next !== undefined || cursor !== undefined) && (
        <nav class="pages" aria-label="Pages of runs">
          {cursor !== undefined && (
            <a class="button" href={addressOf(params, {})}>First page</a>
          )}
          {next !== undefined && (
            <a class="button" href={addressOf(params, { after: next })}>
              Next {count(pageLength)}
            </a>
          )}
        </nav>
      )}
    </>
  );
}

function narrowedFilter(view: TableView) {
  const { state, pipeline, model, text, since, until } = view;
  return { state, pipeline, model, text, since, until };
}

function Choice({ name, label, value, all }: {
  readonly name: string;
  readonly label: string;
  readonly value: string | undefined;
  readonly all: readonly string[];
}): JSX.Element {
  const options = value === undefined || all.includes(value)
    ? all
    : [value, ...all];
  return (
    <label>
      <span>{label}</span>
      <select name={name}>
        <option value="">Any</option>
        {options.map((one) => (
          <option key={one} value={one} selected={one === value}>{one}</option>
        ))}
      </select>
    </label>
  );
}
