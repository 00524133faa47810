import { newChatId } from "../../dashboard/chat/chats.ts";
import type { Handlers } from "../../dashboard/state.ts";

export const handler: Handlers = {
  GET: (ctx) => ctx.redirect(`/chat/${newChatId()}`, 303),
};
