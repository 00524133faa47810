import type { JSX } from "preact";
import type { Handlers, PageProps } from "../../dashboard/state.ts";
import { BatchTable } from "../../islands/BatchTable.tsx";
import type { BatchSummary } from "../../plugins/sqlite/mod.ts";

interface Data {
  readonly batches: readonly BatchSummary[];
  readonly now: number;
}

export const handler: Handlers<Data> = {
  async GET(ctx) {
    ctx.state.title = "Batches · Tessera";
    const { store, run } = ctx.state.services;
    const batches = await run(store.batches.list());
    return { data: { batches, now: Date.now() } };
  },
};

/** The latest batches. */
export default function Batches({ data }: PageProps<Data>): JSX.Element {
  return (
    <>
      <div class="head">
        <h1>Batches</h1>
      </div>
      <BatchTable {...data} />
    </>
  );
}
