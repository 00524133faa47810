import type { Handlers } from "../../../dashboard/state.ts";

export const handler: Handlers = {
  POST(ctx) {
    const id = ctx.params.id!;
    ctx.state.services.chats.stop(id);
    return ctx.redirect(`/chat/${encodeURIComponent(id)}`, 303);
  },
};
