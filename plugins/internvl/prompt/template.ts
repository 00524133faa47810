/**
 * Prompt templates as data: the MPT style of the reference's `conversation.py`, in which every family of
 * the series is written. A later family is one more entry.
 * @module
 */
import { Effect } from "effect";
import { CheckpointError } from "../../../nodes/errors.ts";
import type { Tokenizer } from "../tokenizer/tokenizer.ts";
import { quoted } from "../files.ts";
import { strip } from "../text.ts";

/** A template: system block, then role + text + separator for each message. */
export interface Template {
  /** Its name in the reference and in `config.json`; of a chat template the file it is in. */
  readonly name: string;
  /** What stands in front of the system message. */
  readonly systemPrefix: string;
  /** The user's role, its newline included. */
  readonly user: string;
  /** The model's role, its newline included. */
  readonly assistant: string;
  /** What ends the system block and every message. The answer ends at it, without its white space. */
  readonly separator: string;
  /** The system message, unless the checkpoint or the caller has another; `null` for no system block at all. */
  readonly systemMessage: string | null;
  /** Whether an empty message ends with the separator, too. Default `false`, as in the reference. */
  readonly endsEmpty?: boolean;
}

/** One message; the model's answer that is to come has none (`undefined`). */
export interface Message {
  /** Who speaks. */
  readonly role: "user" | "assistant";
  /** What is said. */
  readonly text: string | undefined;
}

const systemOfJuly2024 =
  "你是由上海人工智能实验室联合商汤科技开发的书生多模态大模型，英文名叫InternVL, 是一个有用无害的人工智能助手。";
const chatMarkup = {
  systemPrefix: "<|im_start|>system\n",
  user: "<|im_start|>user\n",
  assistant: "<|im_start|>assistant\n",
};

/**
 * The templates of the series (`internvl/conversation.py`). `internlm2-chat` has the English system
 * message of the V1-5 release; later checkpoints bring theirs in `config.json` or `conversation.py`.
 */
export const builtInTemplates: readonly Template[] = [
  {
    name: "internlm2-chat",
    ...chatMarkup,
    separator: "<|im_end|>",
    systemMessage:
      "You are an AI assistant whose name is InternLM (书生·浦语).",
  },
  {
    name: "internvl2_5",
    ...chatMarkup,
    separator: "<|im_end|>\n",
    systemMessage:
      "你是书生·万象，英文名是InternVL，是由上海人工智能实验室、清华大学及多家合作单位联合开发的多模态大语言模型。",
  },
  {
    name: "Hermes-2",
    ...chatMarkup,
    separator: "<|im_end|>",
    systemMessage: systemOfJuly2024,
  },
  {
    name: "phi3-chat",
    systemPrefix: "<|system|>\n",
    user: "<|user|>\n",
    assistant: "<|assistant|>\n",
    separator: "<|end|>",
    systemMessage: systemOfJuly2024,
  },
];

/** Finds a template by name. Fails with {@link CheckpointError} naming those there are. */
export function findTemplate(
  name: string,
  templates: readonly Template[] = builtInTemplates,
): Effect.Effect<Template, CheckpointError> {
  const found = templates.find((template) => template.name === name);
  return found !== undefined ? Effect.succeed(found) : Effect.fail(
    new CheckpointError({
      message: `the prompt template ${quoted(name)} is not known; there are ${
        templates.map((template) => template.name).join(", ")
      }`,
    }),
  );
}

/** The system block; nothing where there is no system message. */
export function systemBlock(
  template: Template,
  systemMessage: string | null,
): string {
  return systemMessage === null
    ? ""
    : template.systemPrefix + systemMessage + template.separator;
}

/**
 * A message behind its role. An empty one is nothing, without separator: so the reference renders the
 * answer to come, and an empty answer in the history with it.
 */
export function endedMessage(template: Template, text: string): string {
  return text === "" && template.endsEmpty !== true
    ? ""
    : text + template.separator;
}

/** Renders a conversation; without a system block where the system message is `null`. */
export function renderConversation(
  template: Template,
  systemMessage: string | null,
  messages: readonly Message[],
): string {
  let text = systemBlock(template, systemMessage);
  for (const message of messages) {
    text += template[message.role];
    if (message.text !== undefined) {
      text += endedMessage(template, message.text);
    }
  }
  return text;
}

/** The text an answer ends at: the separator without its white space. */
export function stopText(template: Template): string {
  return strip(template.separator);
}

/**
 * Id of the token that ends an answer, looked up by {@link stopText}; `</s>` does not end one.
 * Fails with {@link CheckpointError} when the tokenizer, that of the folder `dir`, does not have it.
 */
export function endTokenId(
  template: Template,
  tokenizer: Pick<Tokenizer, "idOf">,
  dir: string,
): Effect.Effect<number, CheckpointError> {
  const text = stopText(template);
  const id = tokenizer.idOf(text);
  return id !== undefined ? Effect.succeed(id) : Effect.fail(
    new CheckpointError({
      path: dir,
      message:
        `${dir}: the tokenizer has no token ${text}, at which answers of the prompt template ${template.name} end`,
    }),
  );
}

/** The answer: what stands before the first {@link stopText}, trimmed as Python does. */
export function stopAndTrim(text: string, template: Template): string {
  const stop = stopText(template);
  const end = text.indexOf(stop);
  return strip(end < 0 ? text : text.slice(0, end));
}

/** What `clean_up_tokenization` of `transformers` replaces, in its order. */
const cleanUps: readonly (readonly [string, string])[] = [
  [" .", "."],
  [" ?", "?"],
  [" !", "!"],
  [" ,", ","],
  [" ' ", "'"],
  [" n't", "n't"],
  [" 'm", "'m"],
  [" 's", "'s"],
  [" 've", "'ve"],
  [" 're", "'re"],
];

/**
 * Removes spaces in front of English punctuation, as the published `tokenization_internlm2.py` does to
 * every text it decodes, whatever `clean_up_tokenization_spaces` says. Not part of decoding here: it
 * changes code and tables, and cannot be streamed. Apply it to an answer to compare with that file.
 */
export function cleanUpSpaces(text: string): string {
  return cleanUps.reduce((out, [from, to]) => out.replaceAll(from, to), text);
}
