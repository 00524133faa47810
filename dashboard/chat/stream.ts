/**
 * Server-sent events of a conversation's latest round, with resume.
 * @module
 */
import type { Chats } from "./chats.ts";

const encoder = new TextEncoder();

/** How often an idle stream says that it lives, in milliseconds. */
const heartbeat = 15_000;

/** Up to where a listener knows a conversation. */
export interface Position {
  /** Id of its last round. */
  readonly round: string;
  /** How many changes of that round. */
  readonly seq: number;
}

/** A position as the events carry it: the round and the number. */
export function readPosition(text: string): Position {
  const [, round = "", seq = "0"] = /^([\w-]*)\.(\d{1,9})$/.exec(text) ?? [];
  return { round, seq: Number(seq) };
}

/**
 * Events `change` of the latest round with their positions, and `end` when it is over. Who knows another
 * round is first told the whole conversation, as `chat`: changes would be put into the wrong round.
 */
export function chatStream(
  chats: Chats,
  id: string,
  from: Position,
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
      const view = chats.view(id);
      const { id: round = "", seq: known = 0 } = view.rounds.at(-1) ?? {};
      const behind = from.round !== round;
      if (behind) {
        send(
          `id: ${round}.${known}\nevent: chat\ndata: ${
            JSON.stringify(view)
          }\n\n`,
        );
      }
      stop = chats.listen(id, behind ? known : from.seq, (change, seq) => {
        if (!open) return;
        if (change === undefined) {
          send("event: end\ndata: {}\n\n");
          end();
          controller.close();
        } else {
          send(
            `id: ${round}.${seq}\nevent: change\ndata: ${
              JSON.stringify(change)
            }\n\n`,
          );
        }
      });
      if (!open) stop();
    },
    cancel: () => end(),
  });
}
