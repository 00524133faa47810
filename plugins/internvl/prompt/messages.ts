/**
 * Rendering of messages in any order: the same markup as a chat of questions and answers, and the roles
 * that InternLM2's chat format adds (`system name=…`, `environment name=…`; InternLM
 * `chat/chat_format.md`). A text of the caller is not trusted: control tokens in it are refused.
 * @module
 */
import { Effect } from "effect";
import { PromptError } from "../../../nodes/errors.ts";
import type { ConversationRequest } from "../../../nodes/services.ts";
import type { Message, MessagePart, Prompt } from "../../../nodes/values.ts";
import { strip } from "../text.ts";
import {
  controlToken,
  maxContextTokens,
  pictureText,
  type RenderContext,
  tokenize,
} from "./render.ts";
import { endedMessage, systemBlock, type Template } from "./template.ts";

/** Renders and tokenizes a conversation; see {@link ConversationRequest}. */
export function renderMessages(
  { conversation, tiles }: ConversationRequest,
  context: RenderContext,
): Effect.Effect<Prompt, PromptError> {
  const { template, tokensPerTile } = context;
  const { messages, continues = false } = conversation;
  const last = messages.at(-1);
  if (last === undefined) return refuse("there are no messages");
  if (continues && last.role !== "assistant") {
    return refuse(
      `the answer can only go on with a message of the assistant; the last one is of role ${last.role}`,
    );
  }
  const spoken = messages.filter(({ role }) => role !== "system");
  if (spoken.length === 0) {
    return refuse("there is only a system message; give one of the user");
  }
  if (
    last.role === "user" &&
    last.parts.every((part) =>
      !("media" in part) && strip(wordsOf(part)) === ""
    )
  ) {
    return refuse("the last message is empty");
  }
  const forbidden = controlToken(
    messages.flatMap(({ role, parts }, index) =>
      parts.flatMap((part) =>
        "text" in part
          ? [[`message ${index + 1} (${role})`, part.text] as const]
          : []
      )
    ),
    context,
  );
  if (forbidden !== undefined) return refuse(forbidden);

  const counts: number[] = [];
  let missing: string | undefined;
  let total = 0;
  // Counted before it is written, so that no count can fill the memory.
  const picture = (count: number): string => {
    total += count * tokensPerTile;
    counts.push(count);
    return total > maxContextTokens ? "" : pictureText(count, context);
  };
  const write = (part: MessagePart): string => {
    if (!("media" in part)) return wordsOf(part);
    const entry = tiles[part.media][part.index];
    if (entry === undefined) {
      missing ??= `a message names ${part.media}[${part.index}], but ${
        tiles[part.media].length
      } are given`;
      return "";
    }
    return part.media === "videos"
      ? entry.map((count, k) => `Frame${k + 1}: ${picture(count)}\n`).join("")
      : entry.map(picture).join("");
  };
  let text = "";
  if (messages[0]!.role !== "system" || messages[0]!.name !== undefined) {
    text += systemBlock(template, template.systemMessage);
  }
  for (const message of messages) {
    const start = roleText(template, message);
    if (start === undefined) {
      return refuse(
        `the prompt template ${template.name} has no role ${message.role}${
          message.name === undefined ? "" : ` with a name`
        }`,
      );
    }
    const { name } = message;
    if (name?.startsWith("<|") && context.tokenizer.idOf(name) === undefined) {
      return refuse(
        `this model's tokenizer has no token ${name}, with which tools and their results are written`,
      );
    }
    const said = message.parts.map(write).join("");
    text += start +
      (message === last && continues ? said : endedMessage(template, said));
  }
  if (missing !== undefined) return refuse(missing);
  if (total > maxContextTokens) {
    return refuse(
      `${counts.length} pictures need ${total} image tokens; at most ${maxContextTokens} can be rendered`,
    );
  }
  if (!continues) text += template.assistant;
  const tokens = tokenize(text, counts, context);
  if (tokens === undefined) {
    return refuse(
      "a text of the messages tokenizes to a place for a visual token; leave it out",
    );
  }
  const question = last.parts.map((part) =>
    "media" in part ? "<image>" : wordsOf(part)
  ).join("");
  return Effect.succeed({
    text,
    ...tokens,
    question,
    ...(continues ? { continues } : {}),
  });
}

const wordsOf = (part: Exclude<MessagePart, { media: unknown }>): string =>
  "text" in part ? part.text : part.markup;

/** What a message begins with; `undefined` where the template has no such role. */
function roleText(
  template: Template,
  { role, name }: Message,
): string | undefined {
  const chat = template.systemPrefix === "<|im_start|>system\n";
  const start = role === "system"
    ? template.systemPrefix
    : role === "environment"
    ? chat ? "<|im_start|>environment\n" : undefined
    : template[role];
  if (start === undefined || name === undefined) return start;
  return chat ? start.replace(/\n$/, () => ` name=${name}\n`) : undefined;
}

function refuse(message: string): Effect.Effect<never, PromptError> {
  return Effect.fail(new PromptError({ message }));
}
