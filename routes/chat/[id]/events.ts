import { chatStream } from "../../../dashboard/chat/stream.ts";
import type { Handlers } from "../../../dashboard/state.ts";

export const handler: Handlers = {
  GET(ctx) {
    const { chats } = ctx.state.services;
    const last = ctx.req.headers.get("last-event-id") ??
      ctx.url.searchParams.get("after") ?? "0";
    const after = /^\d{1,9}$/.test(last) ? Number(last) : 0;
    return new Response(chatStream(chats, ctx.params.id!, after), {
      headers: { "content-type": "text/event-stream; charset=utf-8" },
    });
  },
};
