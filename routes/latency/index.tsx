import type { JSX } from "preact";
import {
  latencyAddress,
  latencyQuery,
  latencyReport,
} from "../../dashboard/latency.ts";
import type { Handlers, PageProps } from "../../dashboard/state.ts";
import { LatencyBoard } from "../../islands/LatencyBoard.tsx";
import {
  type LatencyQuery,
  type LatencyReport,
  latencyWindows,
} from "../../plugins/sqlite/mod.ts";

interface Data {
  readonly query: LatencyQuery;
  readonly stage: string;
  readonly report: LatencyReport;
  readonly now: number;
}

export const handler: Handlers<Data> = {
  async GET(ctx) {
    ctx.state.title = "Latency · Tessera";
    const query = latencyQuery(ctx.url.searchParams);
    const { report, at } = await latencyReport(ctx.state.services, query);
    const stage = ctx.url.searchParams.get("stage") ?? "";
    return { data: { query, report, stage, now: at } };
  },
};

const words = { hour: "Last hour", day: "Last day", week: "Last week" };

/** Latency, throughput and use over time. */
export default function Latency({ data }: PageProps<Data>): JSX.Element {
  const { query, report, stage, now } = data;
  const address = latencyAddress(query);
  return (
    <>
      <div class="head">
        <h1>Latency</h1>
        <nav class="segments" aria-label="How far back">
          {latencyWindows.map((window) => (
            <a
              key={window}
              href={`/latency?${latencyAddress({ ...query, window })}`}
              aria-current={window === query.window ? "true" : undefined}
            >
              {words[window]}
            </a>
          ))}
        </nav>
        <form class="row end" method="get" action="/latency">
          <input type="hidden" name="window" value={query.window} />
          <Choice
            name="pipeline"
            label="Pipeline"
            values={report.pipelines}
            value={query.pipeline}
          />
          <Choice
            name="model"
            label="Model"
            values={report.models}
            value={query.model}
          />
          <button type="submit">Show</button>
          <a class="button" href={`/latency/data?${address}`} download>
            JSON
          </a>
        </form>
      </div>
      <LatencyBoard
        key={address}
        report={report}
        query={address}
        stage={stage}
        now={now}
      />
    </>
  );
}

function Choice(
  { name, label, values, value }: {
    readonly name: string;
    readonly label: string;
    readonly values: readonly string[];
    readonly value: string | undefined;
  },
): JSX.Element {
  const known = value === undefined || values.includes(value)
    ? values
    : [...values, value];
  return (
    <label class="row">
      <span>{label}</span>
      <select name={name}>
        <option value="">all</option>
        {known.map((one) => (
          <option key={one} value={one} selected={one === value}>{one}</option>
        ))}
      </select>
    </label>
  );
}
