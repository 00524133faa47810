import type { JSX } from "preact";
import { readBatches, type ShownBatches } from "../../dashboard/batches.ts";
import type { Handlers, PageProps } from "../../dashboard/state.ts";
import { BatchTable } from "../../islands/BatchTable.tsx";

interface Data {
  readonly shown: ShownBatches;
  readonly now: number;
}

export const handler: Handlers<Data> = {
  async GET(ctx) {
    ctx.state.title = "Batches · Tessera";
    // Before the reading, because the page's stream goes on from here.
    const now = Date.now();
    return { data: { shown: await readBatches(ctx.state.services), now } };
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
