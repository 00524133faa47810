/**
 * A template of ours from the Jinja source of a checkpoint's chat template. The source is not read but tried:
 * it renders a few conversations, and what stands between their texts is the template. Whatever does not
 * render all of them by those parts is refused, so that no prompt is another one than its own.
 * @module
 */
import { Environment, Interpreter, parse, tokenize } from "@huggingface/jinja";
import { Effect } from "effect";
import { CheckpointError } from "../../../nodes/errors.ts";
import {
  decodeUtf8,
  isRecord,
  joinPath,
  oneLine,
  quoted,
  readJsonObject,
  readSmallFile,
} from "../files.ts";
import { renderConversation, type Template } from "./template.ts";

/** More than any published one has. */
const sourceLimit = 1 << 18;
const jsonLimit = 64 << 20;
/** Nodes that are evaluated for one conversation; the usual template takes some hundreds. */
const mostSteps = 100_000;
/** Characters of a text and elements of a list that it makes on the way. */
const mostLength = 1 << 16;

/** By this texts of ours are known in what is rendered. */
const mark = "\u27e8";
/** What the source is tried with; spaces at the ends show whether it trims texts. */
const texts = {
  system: ` ${mark}system `,
  user: ` ${mark}user `,
  assistant: ` ${mark}assistant `,
};

type Role = keyof typeof texts;
type Part =
  | { readonly type: "text"; readonly text: string }
  | { readonly type: "image" | "video" };
type Said = {
  readonly role: Role;
  readonly content: string | readonly Part[];
};

const say = (role: Role, text: string = texts[role]): Said => ({
  role,
  content: [{ type: "text", text }],
});

/**
 * The template of a folder, from `chat_template.jinja`, else `chat_template.json`, else
 * `tokenizer_config.json`. Fails with {@link CheckpointError}: there is none, or none of the form that
 * prompts have here.
 */
export const readChatTemplate: (
  dir: string,
) => Effect.Effect<Template, CheckpointError> = Effect.fnUntraced(
  function* (dir: string) {
    const { name, source } = yield* findSource(dir);
    const path = joinPath(dir, name);
    return yield* Effect.try({
      try: () => templateOf(name, source),
      catch: (cause) =>
        new CheckpointError({
          path,
          message: `${path}: the chat template cannot be used: ${
            oneLine(cause)
          }`,
          cause,
        }),
    });
  },
);

/** The source, by the name of the file that has it. */
const findSource = Effect.fnUntraced(function* (
  dir: string,
): Effect.fn.Return<
  { readonly name: string; readonly source: string },
  CheckpointError
> {
  const plain = "chat_template.jinja";
  const bytes = yield* readSmallFile(joinPath(dir, plain), sourceLimit);
  if (bytes !== undefined) {
    const source = yield* decodeUtf8(joinPath(dir, plain), bytes);
    return { name: plain, source };
  }
  for (const name of ["chat_template.json", "tokenizer_config.json"]) {
    const json = yield* readJsonObject(joinPath(dir, name), jsonLimit);
    const found: unknown = json?.value.chat_template;
    // Of several the one by this name is meant where nobody says which.
    const one: unknown = Array.isArray(found)
      ? found.find((item) => isRecord(item) && item.name === "default")
        ?.template
      : found;
    if (typeof one === "string" && one.length <= sourceLimit) {
      return { name, source: one };
    }
    if (found != null) {
      return yield* new CheckpointError({
        path: joinPath(dir, name),
        message: `${
          joinPath(dir, name)
        }: chat_template must be a text of at most ${sourceLimit} characters`,
      });
    }
  }
  return yield* new CheckpointError({
    path: dir,
    message:
      `${dir} has no chat template; ${plain} is expected, or one in tokenizer_config.json`,
  });
});

/** The template that a source stands for. Throws an `Error` where it stands for none. */
export function templateOf(name: string, source: string): Template {
  const program = parse(
    tokenize(source, { lstrip_blocks: true, trim_blocks: true }),
  );
  const render = (messages: readonly Said[], answer: boolean): string => {
    const scope = new Environment();
    for (const [name, value] of Object.entries({ ...globals, messages })) {
      scope.set(name, value);
    }
    scope.set("add_generation_prompt", answer);
    return String(new Bounded(scope).run(program).value);
  };

  const asked = render([say("user")], false);
  const [before, separator] = around(asked, "user");
  const answered = behind(render([say("user")], true), asked);
  const [, toUser] = around(
    render([say("user", "-"), say("assistant"), say("user", "-")], false),
    "assistant",
  );
  const user = behind(toUser, separator).slice(0, -1 - separator.length);
  const [systemPrefix, behindSystem] = around(
    render([say("system"), say("user", "-")], false),
    "system",
  );
  const block = systemBlockIn(before, user);
  const template: Template = {
    name,
    systemPrefix,
    user,
    assistant: answered,
    separator,
    systemMessage: block === ""
      ? null
      : behind(block, systemPrefix).slice(0, -separator.length),
    endsEmpty: true,
  };
  if (
    separator.trim() === "" || JSON.stringify(template).includes(mark) ||
    behindSystem !== `${separator}${user}-${separator}`
  ) refuse();
  for (const [messages, expected] of trials(template)) {
    if (render(messages, true) !== expected) refuse();
  }
  for (const type of ["image", "video"] as const) {
    const content = [{ type }, { type }, ...say("user").content as Part[]];
    const place = render([{ role: "user", content }], false)
      .slice(before.length, -(texts.user.length + separator.length));
    const half = place.slice(0, place.length / 2);
    if (half + half !== place || !/^<[^<>\n]+>\n$/.test(half)) {
      throw new Error(
        `two ${type}s are written as ${
          quoted(place)
        }; a token and a line end for each is supported`,
      );
    }
  }
  return template;
}

/** Conversations, and what a template makes of them. */
function* trials(
  template: Template,
): Generator<readonly [readonly Said[], string]> {
  const conversations: readonly (readonly Said[])[] = [
    [say("user")],
    [say("user"), say("assistant"), say("user", " {{ 1 }}\n<b> ")],
    [say("user"), say("assistant", ""), say("user")],
    [say("system"), say("user")],
    [say("system", ""), say("user"), say("assistant"), say("user")],
  ];
  for (const messages of conversations) {
    const [first, ...rest] = messages;
    const system = first!.role === "system";
    const text = ({ content }: Said) =>
      (content as readonly { readonly text: string }[])[0]!.text;
    const expected = renderConversation(
      template,
      system ? text(first!) : template.systemMessage,
      [
        ...(system ? rest : messages).map((said) => ({
          role: said.role as "user" | "assistant",
          text: text(said),
        })),
        { role: "assistant", text: undefined },
      ],
    );
    yield [messages, expected];
    // A content of one text may be that text itself.
    yield [
      messages.map((said) => ({ ...said, content: text(said) })),
      expected,
    ];
  }
}

/** What stands before and behind the text of a role, which must be there once. */
function around(rendered: string, role: Role): [string, string] {
  const pieces = rendered.split(texts[role]);
  return pieces.length === 2 ? [pieces[0]!, pieces[1]!] : refuse();
}

/** What follows a beginning. */
function behind(text: string, start: string): string {
  return text.startsWith(start) ? text.slice(start.length) : refuse();
}

/** What stands in front of the first message's role. */
function systemBlockIn(before: string, user: string): string {
  return before.endsWith(user)
    ? before.slice(0, before.length - user.length)
    : refuse();
}

function refuse(): never {
  throw new Error(
    "it is not of the form that prompts have here: a system block or none, then a role, the text as it is and a separator for each message",
  );
}

// No `range`, no clock: nothing of a prompt depends on them.
const globals = {
  true: true,
  false: false,
  none: null,
  True: true,
  False: false,
  None: null,
  // A template that writes one of them shows by it.
  bos_token: `${mark}bos`,
  eos_token: `${mark}eos`,
  pad_token: `${mark}pad`,
  unk_token: `${mark}unk`,
  raise_exception: (message: unknown) => {
    throw new Error(oneLine(message));
  },
};

/** Gives a source up that does not come to an end, or fills the memory. */
class Bounded extends Interpreter {
  #steps = 0;

  override evaluate(
    ...args: Parameters<Interpreter["evaluate"]>
  ): ReturnType<Interpreter["evaluate"]> {
    if (++this.#steps > mostSteps) {
      throw new Error(`it takes more than ${mostSteps} steps`);
    }
    const made = super.evaluate(...args);
    const value: unknown = made.value;
    if (
      (typeof value === "string" || Array.isArray(value)) &&
      value.length > mostLength
    ) throw new Error(`it makes more than ${mostLength} of something`);
    return made;
  }
}
