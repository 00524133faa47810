import type { Handlers } from "../../../dashboard/state.ts";

export const handler: Handlers = {
  async POST(ctx) {
    const { store, run } = ctx.state.services;
    for (const runId of await run(store.batches.runIds(ctx.params.id!))) {
      await run(store.remove(runId));
    }
    return ctx.redirect("/batches", 303);
  },
};
