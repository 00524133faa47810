import type { JSX } from "preact";
import { settingsLine } from "../../components/BatchProgress.tsx";
import { count, duration } from "../../components/format.ts";
import { LongText } from "../../components/LongText.tsx";
import { Picture } from "../../components/Picture.tsx";
import { StateBadge } from "../../components/StateBadge.tsx";
import { pageSize, placeOf } from "../../dashboard/batches.ts";
import type { Handlers, PageProps } from "../../dashboard/state.ts";
import { difference, type Words } from "../../dashboard/words.ts";
import type {
  BatchComparison,
  BatchItem,
  BatchSummary,
} from "../../plugins/sqlite/mod.ts";

interface Data {
  readonly a: BatchSummary;
  readonly b: BatchSummary;
  readonly comparison: BatchComparison;
  readonly onlyDifferent: boolean;
}

export const handler: Handlers<Data | undefined> = {
  async GET(ctx) {
    ctx.state.title = "Two batches · Tessera";
    const { store, run } = ctx.state.services;
    const { searchParams } = ctx.url;
    const [a, b] = await Promise.all(
      ["a", "b"].map((name) =>
        run(store.batches.get(searchParams.get(name) ?? ""))
      ),
    );
    if (a === undefined || b === undefined) {
      return { data: undefined, status: 404 };
    }
    const onlyDifferent = searchParams.get("only") === "different";
    const comparison = await run(
      store.batches.compare(a.batchId, b.batchId, {
        limit: pageSize,
        onlyDifferent,
        ...placeOf(searchParams),
      }),
    );
    return { data: { a, b, comparison, onlyDifferent } };
  },
};

/** The same questions in two batches, side by side. */
export default function Compare(
  { data }: PageProps<Data | undefined>,
): JSX.Element {
  if (data === undefined) {
    return (
      <div class="empty">
        <h1>One of these batches is not there</h1>
        <p>
          <a href="/batches">All batches</a>
        </p>
      </div>
    );
  }
  const { a, b, comparison, onlyDifferent } = data;
  const { pairs, shared, same, different, after } = comparison;
  const address = (more: Record<string, string>) =>
    `/batches/compare?${new URLSearchParams({
      a: a.batchId,
      b: b.batchId,
      ...(onlyDifferent ? { only: "different" } : {}),
      ...more,
    })}`;
  return (
    <>
      <div class="head">
        <h1>{a.name} and {b.name}</h1>
        <span class="muted">
          {count(shared)} questions in both: {count(same)} answered alike,{" "}
          {count(different)} differently
        </span>
        <nav class="segments end" aria-label="Which questions">
          <a
            href={address({ only: "" })}
            aria-current={onlyDifferent ? undefined : "true"}
          >
            All
          </a>
          <a
            href={address({ only: "different" })}
            aria-current={onlyDifferent ? "true" : undefined}
          >
            Different
          </a>
        </nav>
      </div>
      <div class="panel scroll">
        <table class="pairs">
          <thead>
            <tr>
              <th>Question</th>
              <Heading batch={a} />
              <Heading batch={b} />
            </tr>
          </thead>
          <tbody>
            {pairs.map(({ a, b }) => {
              const marked = difference(a.answer ?? "", b.answer ?? "");
              return (
                <tr key={a.item}>
                  <td>
                    <div class="asked">
                      <Picture preview={a.picture} sources={a.sources} />
                      <LongText text={a.question} name="question" />
                    </div>
                  </td>
                  <Answered item={a} words={marked.a} tag="del" />
                  <Answered item={b} words={marked.b} tag="ins" />
                </tr>
              );
            })}
          </tbody>
        </table>
        {pairs.length === 0 && (
          <p class="empty">
            {shared === 0
              ? "These batches have no question in common."
              : "All answers are alike."}
          </p>
        )}
      </div>
      {after !== undefined && (
        <p class="row pager">
          <a class="button" href={address({ after: String(after) })} rel="next">
            Next questions
          </a>
        </p>
      )}
    </>
  );
}

function Heading({ batch }: { readonly batch: BatchSummary }): JSX.Element {
  return (
    <th>
      <a href={`/batches/${encodeURIComponent(batch.batchId)}`}>
        {batch.name}
      </a>
      <div>{batch.model} · {settingsLine(batch.settings)}</div>
    </th>
  );
}

function Answered(
  { item, words, tag: Tag }: {
    readonly item: BatchItem;
    readonly words: readonly Words[];
    readonly tag: "ins" | "del";
  },
): JSX.Element {
  return (
    <td>
      {item.status !== "succeeded" && <StateBadge state={item.status} />}
      {item.error !== undefined && <p class="error">{item.error}</p>}
      <p class="answer">
        {words.map(({ text, differs }, index) =>
          differs ? <Tag key={index}>{text}</Tag> : text
        )}
      </p>
      <p class="muted small">
        <a href={`/runs/${encodeURIComponent(item.runId)}`}>run</a>
        {item.tokens === undefined ? "" : ` · ${count(item.tokens)} tokens`}
        {item.ms === undefined ? "" : ` · ${duration(item.ms)}`}
      </p>
    </td>
  );
}
