import type { JSX } from "preact";
import { RunTable } from "../islands/RunTable.tsx";
import type { Handlers, PageProps } from "../dashboard/state.ts";
import type { RunPage } from "../pipeline/mod.ts";

export const handler: Handlers<RunPage> = {
  async GET(ctx) {
    ctx.state.title = "Runs · Tessera";
    const { store, run } = ctx.state.services;
    return { data: await run(store.list({ limit: 50 })) };
  },
};

/** Every run, latest first. */
export default function Runs({ data }: PageProps<RunPage>): JSX.Element {
  return (
    <>
      <div class="head">
        <h1>Runs</h1>
      </div>
      <RunTable runs={data.runs} />
    </>
  );
}
