/**
 * From OpenAI's messages to a conversation, with the addresses of its pictures and videos.
 *
 * A picture stands where the message has it when words are on both sides of it; pictures that come all
 * before or all after the words are put in front, each on a line of its own, because that is how the
 * models were trained. `<image>` in the words marks the places when there are as many as pictures.
 * @module
 */
import type {
  ConversationValue,
  Message,
  MessagePart,
} from "../../nodes/mod.ts";
import { type ApiError, invalid } from "./errors.ts";
import type { ServerLimits } from "./limits.ts";
import type { Reference, VideoReference } from "./media/resolve.ts";
import type { ChatMessage, Tool, UserPart } from "./schema/chat.ts";
import { callParts, resultMessage, toolsMessage } from "./tools.ts";

/** A conversation and what it refers to. */
export interface MappedMessages {
  /** The messages. */
  readonly conversation: ConversationValue;
  /** Pictures in full. */
  readonly images: readonly Reference[];
  /** Pictures of `detail: "low"`: one tile each. */
  readonly small: readonly Reference[];
  /** Videos. */
  readonly videos: readonly VideoReference[];
}

const placeholder = "<image>";

/** Words that stand in one or several parts. */
const textOf = (
  content: string | readonly { readonly text: string }[] | null | undefined,
): string =>
  typeof content === "string"
    ? content
    : (content ?? []).map(({ text }) => text).join("\n");

/** Maps messages; throws an {@link ApiError} for what cannot be right. */
export function mapMessages(
  messages: readonly ChatMessage[],
  tools: readonly Tool[],
  continues: boolean,
  limits: Pick<
    ServerLimits,
    "maxMessages" | "maxImages" | "maxVideos" | "maxFrames"
  >,
): MappedMessages {
  if (messages.length > limits.maxMessages) {
    throw invalid(
      "messages",
      `there are ${messages.length} messages; at most ${limits.maxMessages} are taken`,
    );
  }
  const media = new Media(limits);
  const out: Message[] = [];
  for (const [index, message] of messages.entries()) {
    out.push(mapMessage(message, `messages[${index}]`, media));
  }
  if (tools.length > 0) {
    out.splice(out[0]?.role === "system" ? 1 : 0, 0, toolsMessage(tools));
  }
  const { images, small, videos } = media;
  return {
    conversation: { messages: out, ...(continues ? { continues } : {}) },
    images,
    small,
    videos,
  };
}

function mapMessage(
  message: ChatMessage,
  param: string,
  media: Media,
): Message {
  switch (message.role) {
    case "system":
    case "developer":
      return { role: "system", parts: [{ text: textOf(message.content) }] };
    case "user": {
      const { content, name } = message;
      const parts = typeof content === "string"
        ? [{ text: content }]
        : userParts(content, param, media);
      return { role: "user", ...(name == null ? {} : { name }), parts };
    }
    case "assistant": {
      const parts: MessagePart[] = [{ text: textOf(message.content) }];
      for (const [i, { function: f }] of (message.tool_calls ?? []).entries()) {
        let args: unknown;
        try {
          args = JSON.parse(f.arguments === "" ? "{}" : f.arguments);
        } catch {
          const place = `${param}.tool_calls[${i}].function.arguments`;
          throw invalid(place, `${place}: not valid JSON`);
        }
        parts.push(...callParts(f.name, args));
      }
      return { role: "assistant", parts };
    }
    case "tool":
      return resultMessage(textOf(message.content));
  }
}

/** Collects the pictures and videos of a request. */
class Media {
  readonly images: Reference[] = [];
  readonly small: Reference[] = [];
  readonly videos: VideoReference[] = [];

  constructor(
    readonly limits: Pick<
      ServerLimits,
      "maxImages" | "maxVideos" | "maxFrames"
    >,
  ) {}

  add(part: Exclude<UserPart, { type: "text" }>, param: string): MessagePart {
    const { maxImages, maxVideos, maxFrames } = this.limits;
    if (part.type === "image_url") {
      if (this.images.length + this.small.length >= maxImages) {
        throw tooMany("pictures", maxImages);
      }
      const { url, detail } = part.image_url;
      const group = detail === "low" ? "small" : "images";
      const index = this[group].push({ url, param: `${param}.image_url.url` });
      return { media: group, index: index - 1 };
    }
    if (this.videos.length >= maxVideos) throw tooMany("videos", maxVideos);
    const { url, num_frames: frames, start, end } = part.video_url;
    if (frames != null && frames > maxFrames) {
      const place = `${param}.video_url.num_frames`;
      throw invalid(place, `${place}: at most ${maxFrames} frames are taken`);
    }
    const index = this.videos.push({
      url,
      param: `${param}.video_url.url`,
      ...(frames == null ? {} : { segments: frames }),
      ...(start == null ? {} : { start }),
      ...(end == null ? {} : { end }),
    });
    return { media: "videos", index: index - 1 };
  }
}

const tooMany = (what: string, most: number): ApiError =>
  invalid("messages", `there are more than ${most} ${what} in the request`);

function userParts(
  content: readonly UserPart[],
  param: string,
  media: Media,
): MessagePart[] {
  const items = content.map((part, i): MessagePart =>
    part.type === "text"
      ? { text: part.text }
      : media.add(part, `${param}.content[${i}]`)
  );
  const isMedia = (part: MessagePart) => "media" in part;
  const shown = items.filter(isMedia);
  if (shown.length === 0) return [{ text: joined(items) }];
  const words = joined(items.filter((part) => !isMedia(part)));
  const pieces = words.split(placeholder);
  if (pieces.length - 1 === shown.length) {
    return pieces.flatMap((text, i) =>
      i < shown.length ? [{ text }, shown[i]!] : [{ text }]
    );
  }
  const kinds = items.map((part) => isMedia(part) ? "m" : "w").join("");
  if (/^(m*w*|w*m*)$/.test(kinds)) {
    return [...shown.flatMap(onItsLine), { text: words }];
  }
  return items.flatMap((part, i) =>
    isMedia(part)
      ? onItsLine(part)
      : i < items.length - 1
      ? [part, { text: "\n" }]
      : [part]
  );
}

/** The frames of a video end their lines themselves. */
const onItsLine = (part: MessagePart): MessagePart[] =>
  "media" in part && part.media === "videos" ? [part] : [part, { text: "\n" }];

const joined = (parts: readonly MessagePart[]): string =>
  parts.flatMap((part) => "text" in part ? [part.text] : []).join("\n");
