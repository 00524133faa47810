/**
 * Server-sent events of a conversation's latest round, with resume.
 * @module
 */
import type { Chats } from "./chats.ts";

const encoder = new TextEncoder();

/** How often an idle stream says that it lives, in milliseconds. */
const heartbeat = 15_000;

/** Events `change` with their numbers, and `end` when the round is over. */
export function chatStream(
  chats: Chats,
  id: string,
  after: number,
): ReadableStream<Uint8Array<ArrayBuffer>> {
  let end = () => {};
  return new ReadableStream({
    start: (controller) => {
      let open = true;
      const send = (text: string): void => {
        if (open) controller.enqueue(encoder.encode(text));
      };
      const timer = setInterval(() => send(": here\n\n"), heartbeat);
      let stop = () => {};
      end = () => {
        open = false;
        clearInterval(timer);
        stop();
      };
      send("retry: 1000\n\n");
      stop = chats.listen(id, after, (change, seq) => {
        if (!open) return;
        if (change === undefined) {
          send("event: end\ndata: {}\n\n");
          end();
          controller.close();
        } else {
          send(
            `id: ${seq}\nevent: change\ndata: ${JSON.stringify(change)}\n\n`,
          );
        }
      });
      if (!open) stop();
    },
    cancel: () => end(),
  });
}
