import type { Handlers } from "../../../dashboard/state.ts";

export const handler: Handlers = {
  async POST(ctx) {
    const { store, run } = ctx.state.services;
    const runIds = await run(store.batches.runIds(ctx.params.id!));
    await run(store.removeAll(runIds));
    return ctx.redirect("/batches", 303);
  },
};
