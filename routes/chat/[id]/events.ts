import { streamHeaders } from "../../../dashboard/live.ts";
import { chatStream, readPosition } from "../../../dashboard/chat/stream.ts";
import type { Handlers } from "../../../dashboard/state.ts";

export const handler: Handlers = {
  GET(ctx) {
    const { chats } = ctx.state.services;
    const from = readPosition(
      ctx.req.headers.get("last-event-id") ??
        ctx.url.searchParams.get("after") ?? "",
    );
    return new Response(chatStream(chats, ctx.params.id!, from), {
      headers: streamHeaders,
    });
  },
};
