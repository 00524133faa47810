import type { Handlers } from "../../dashboard/state.ts";

export const handler: Handlers = {
  async GET(ctx) {
    const { store, run } = ctx.state.services;
    return Response.json(await run(store.batches.list()));
  },
};
