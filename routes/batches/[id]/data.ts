import { itemQuery } from "../../../dashboard/batches.ts";
import type { Handlers } from "../../../dashboard/state.ts";

export const handler: Handlers = {
  async GET(ctx) {
    const { store, run } = ctx.state.services;
    const { id } = ctx.params;
    const batch = await run(store.batches.get(id!));
    if (batch === undefined) {
      return Response.json({ error: "no such batch" }, { status: 404 });
    }
    const query = itemQuery(ctx.url.searchParams);
    const page = await run(store.batches.items(id!, query));
    return Response.json({ batch, page });
  },
};
