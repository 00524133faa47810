/**
 * Conversations with the model behind the dashboard. They live in memory; their runs are in the store.
 * @module
 */
import {
  type Attachment,
  changed,
  type ChatSettings,
  type ChatView,
  noSettings,
  type RoundChange,
  type RoundView,
} from "../../components/chat.ts";
import type { History } from "../../nodes/values.ts";
import type { RunEvent } from "../../pipeline/mod.ts";
import type { ChatResult, InternVL } from "../../sdk/mod.ts";
import { figuresOf, makeFollower } from "./follower.ts";
import { askOptions, ChatError } from "./settings.ts";
import type { Uploads } from "./uploads.ts";

/** What is asked. */
export interface Ask {
  /** The question. */
  readonly question: string;
  /** Digests of what comes with it. */
  readonly uploads: readonly string[];
  /** Settings, which stay for later rounds. */
  readonly settings: ChatSettings;
  /** Id of the last round that was seen, empty for none; left out, the question is asked behind any. */
  readonly seen?: string;
}

/** The question was asked without knowing the conversation as it is. */
export class StaleError extends Error {
  /** The discriminator. */
  readonly _tag = "StaleError" as const;
}

/** Conversations kept; the longest unused goes first. */
const mostChats = 200;
const mostRounds = 200;
const mostPictures = 40;
const longestQuestion = 100_000;

/** Is told every change of the round at work, with its number; `undefined` when the round is over. */
export type Listener = (change: RoundChange | undefined, seq: number) => void;

/** Is told of an error that the conversation's page does not explain. */
export type OnAnswerError = (error: unknown, id: string) => void;

interface Chat {
  readonly id: string;
  readonly rounds: RoundView[];
  settings: ChatSettings;
  history: History | undefined;
  /** Pictures of the rounds that are remembered, in order. */
  images: readonly string[];
  /** The latest video. */
  video: string | undefined;
  /** Changes of the latest round, for those who come late. */
  changes: RoundChange[];
  readonly listeners: Set<Listener>;
  stop: AbortController | undefined;
}

/** Whether a text can name a conversation: 128 random bits. */
export const isChatId = (id: string): boolean => /^[\w-]{22}$/.test(id);

/** A name for a new conversation. */
export const newChatId = (): string =>
  crypto.getRandomValues(new Uint8Array(16)).toBase64({
    alphabet: "base64url",
    omitPadding: true,
  });

/**
 * The question as it is put: one placeholder a picture, so that pictures can be added in later rounds,
 * unless the person placed them.
 */
function placeImages(question: string, before: number, added: number): string {
  if (added === 0 || question.includes("<image>")) return question;
  const lines = before === 0 && added === 1 ? ["<image>"] : Array.from(
    { length: added },
    (_, index) => `Image-${before + index + 1}: <image>`,
  );
  return `${lines.join("\n")}\n${question}`;
}

/** All conversations. */
export class Chats {
  readonly #chats = new Map<string, Chat>();
  readonly #model: () => Promise<InternVL>;
  readonly #uploads: Uploads;
  readonly #running = new Set<Promise<void>>();
  readonly #onError: OnAnswerError;
  #name: string | undefined;

  constructor(
    model: () => Promise<InternVL>,
    uploads: Uploads,
    onError: OnAnswerError = (error, id) => console.error(`/chat/${id}`, error),
  ) {
    this.#model = model;
    this.#uploads = uploads;
    this.#onError = onError;
  }

  /** A conversation; one that has not begun is empty. */
  view(id: string): ChatView {
    const chat = this.#chats.get(id);
    const model = this.#name === undefined ? {} : { model: this.#name };
    return chat === undefined
      ? { id, rounds: [], settings: noSettings, ...model }
      : { id, rounds: [...chat.rounds], settings: chat.settings, ...model };
  }

  /**
   * Asks, and tells the round; its answer comes by and by. Throws a {@link ChatError} for what cannot be
   * asked, and a {@link StaleError} for what was asked behind another round than the last.
   */
  ask(id: string, ask: Ask): RoundView {
    const last = this.#chats.get(id)?.rounds.at(-1)?.id ?? "";
    if (ask.seen !== undefined && ask.seen !== last) {
      throw new StaleError(
        last === ""
          ? "The server no longer knows this conversation, so it begins anew."
          : "This conversation went on elsewhere; here is all of it.",
      );
    }
    const question = ask.question.trim();
    if (question === "") throw new ChatError("There is no question.");
    if (question.length > longestQuestion) {
      throw new ChatError("The question is too long.");
    }
    const options = askOptions(ask.settings);
    const attachments = ask.uploads.map((digest): Attachment => {
      const upload = this.#uploads.get(digest);
      if (upload === undefined) throw gone();
      return { digest, kind: upload.kind, type: upload.type };
    });
    const chat = this.#open(id);
    if (chat.stop !== undefined) {
      throw new ChatError("The question before is still being answered.");
    }
    if (chat.rounds.length >= mostRounds) {
      throw new ChatError("This conversation is full; begin another one.");
    }
    const of = (kind: Attachment["kind"]) =>
      attachments.filter((one) => one.kind === kind).map(({ digest }) =>
        digest
      );
    const added = of("image");
    const images = [...chat.images, ...added];
    if (images.length > mostPictures) {
      throw new ChatError(
        `A conversation has ${mostPictures} pictures at most.`,
      );
    }
    const video = of("video").at(-1) ?? chat.video;
    chat.settings = ask.settings;
    chat.changes = [];
    const round: RoundView = {
      id: crypto.randomUUID(),
      question,
      attachments,
      status: "loading",
      answer: "",
      states: {},
      seq: 0,
    };
    chat.rounds.push(round);
    const stop = chat.stop = new AbortController();
    const running = this.#answer(chat, stop.signal, async (model, onEvent) => {
      const bytes = images.map((digest) => {
        const picture = this.#uploads.picture(digest);
        if (picture === undefined) throw gone();
        return picture;
      });
      const file = video === undefined ? undefined : this.#uploads.video(video);
      if (video !== undefined && file === undefined) throw gone();
      const result = await model.chat({
        ...options,
        question: placeImages(question, chat.images.length, added.length),
        images: bytes,
        ...(file === undefined ? {} : { video: file }),
        ...(chat.history === undefined ? {} : { history: chat.history }),
        attributes: { chat: chat.id },
        signal: stop.signal,
        onEvent,
      });
      chat.history = result.history;
      chat.images = images;
      chat.video = video;
      return result;
    });
    this.#running.add(running);
    running.finally(() => this.#running.delete(running));
    return round;
  }

  /** Stops the round at work; tells whether there was one. */
  stop(id: string): boolean {
    const chat = this.#chats.get(id);
    if (chat?.stop === undefined) return false;
    chat.stop.abort(new DOMException("stopped", "AbortError"));
    return true;
  }

  /**
   * Tells the changes of the latest round after one of them, then those that come. Returns how to end it.
   */
  listen(id: string, after: number, listener: Listener): () => void {
    const chat = this.#chats.get(id);
    if (chat === undefined) {
      listener(undefined, 0);
      return () => {};
    }
    chat.changes.slice(after).forEach((change, index) =>
      listener(change, after + index + 1)
    );
    if (chat.stop === undefined) {
      listener(undefined, chat.changes.length);
      return () => {};
    }
    chat.listeners.add(listener);
    return () => chat.listeners.delete(listener);
  }

  /** Forgets a conversation. */
  remove(id: string): void {
    this.stop(id);
    this.#chats.delete(id);
  }

  /** Stops everything and waits until it has stopped. */
  async close(): Promise<void> {
    for (const id of this.#chats.keys()) this.stop(id);
    await Promise.allSettled(this.#running);
  }

  #open(id: string): Chat {
    let chat = this.#chats.get(id);
    if (chat !== undefined) this.#chats.delete(id);
    else {
      chat = {
        id,
        rounds: [],
        settings: noSettings,
        history: undefined,
        images: [],
        video: undefined,
        changes: [],
        listeners: new Set(),
        stop: undefined,
      };
    }
    this.#chats.set(id, chat);
    for (const [oldest, { stop }] of this.#chats) {
      if (this.#chats.size <= mostChats) break;
      if (stop === undefined) this.#chats.delete(oldest);
    }
    return chat;
  }

  async #answer(
    chat: Chat,
    signal: AbortSignal,
    start: (
      model: InternVL,
      onEvent: (event: RunEvent) => void,
    ) => Promise<ChatResult>,
  ): Promise<void> {
    const tell = (change: RoundChange): void => {
      const last = chat.rounds.length - 1;
      chat.rounds[last] = changed(chat.rounds[last]!, change);
      chat.changes.push(change);
      for (const listener of chat.listeners) {
        listener(change, chat.changes.length);
      }
    };
    const answered = () => chat.rounds.at(-1)!.answer.trim();
    try {
      const model = await this.#model();
      this.#name = model.info.name;
      signal.throwIfAborted();
      const result = await start(model, makeFollower(tell));
      tell({
        type: "ended",
        status: "succeeded",
        answer: result.response,
        figures: figuresOf(result),
      });
    } catch (error) {
      const stopped = signal.aborted || (error as Error).name === "AbortError";
      if (!stopped && !isTold(error)) this.#onError(error, chat.id);
      tell(
        stopped
          ? { type: "ended", status: "interrupted", answer: answered() }
          : {
            type: "ended",
            status: "failed",
            answer: answered(),
            error: messageOf(error),
          },
      );
    } finally {
      chat.stop = undefined;
      for (const listener of chat.listeners) {
        listener(undefined, chat.changes.length);
      }
      chat.listeners.clear();
    }
  }
}

const gone = (): ChatError =>
  new ChatError(
    "A picture or video of this conversation is no longer here; begin a new one.",
  );

/** Known errors say what was wrong; of others the page says nothing. */
const isTold = (error: unknown): error is Error =>
  error instanceof Error && "_tag" in error;

function messageOf(error: unknown): string {
  return isTold(error)
    ? error.message.split("\n")[0]!
    : "The question could not be answered; the server's log says why.";
}
