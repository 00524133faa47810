import type { Handlers } from "../../../dashboard/state.ts";

export const handler: Handlers = {
  POST(ctx) {
    const id = ctx.params.id!;
    const stopped = ctx.state.services.chats.stop(id);
    return ctx.req.headers.get("accept") === "application/json"
      ? Response.json({ stopped })
      : ctx.redirect(`/chat/${encodeURIComponent(id)}`, 303);
  },
};
