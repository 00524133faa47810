import type { JSX } from "preact";
import type { ChatView } from "../../../components/chat.ts";
import { isChatId } from "../../../dashboard/chat/chats.ts";
import type { Handlers, PageProps } from "../../../dashboard/state.ts";
import { ChatBoard } from "../../../islands/ChatBoard.tsx";

interface Data {
  readonly chat: ChatView;
  readonly error: string | undefined;
}

export const handler: Handlers<Data | undefined> = {
  GET(ctx) {
    ctx.state.title = "Chat · Tessera";
    const id = ctx.params.id!;
    if (!isChatId(id)) return { data: undefined, status: 404 };
    const chat = ctx.state.services.chats.view(id);
    const error = ctx.url.searchParams.get("error")?.slice(0, 500);
    return { data: { chat, error } };
  },
};

/** A conversation. */
export default function Chat(
  { data, state }: PageProps<Data | undefined>,
): JSX.Element {
  if (data === undefined) {
    return (
      <div class="empty">
        <h1>There is no such conversation</h1>
        <p>
          <a href="/chat">A new one</a>
        </p>
      </div>
    );
  }
  const { chat, error } = data;
  const { status } = chat.rounds.at(-1) ?? {};
  return (
    <>
      {(status === "loading" || status === "running") && (
        <noscript>
          <meta http-equiv="refresh" content="2" />
        </noscript>
      )}
      <div class="head">
        <h1>Chat</h1>
        <span class="muted">{chat.model ?? ""}</span>
        <a class="button end" href="/chat">New conversation</a>
      </div>
      {error !== undefined && <p class="notice bad" role="alert">{error}</p>}
      <ChatBoard chat={chat} csrf={state.csrf} />
    </>
  );
}
