/**
 * A checkpoint's own template: its chat template where the layout has one, else one of ours by its name with
 * the checkpoint's system message. Authority goes down this list: `system_message` in `config.json`, the
 * `conversation.py` beside it, our template. The Python file is read as text, never run.
 * @module
 */
import { Effect } from "effect";
import { CheckpointError } from "../../../nodes/errors.ts";
import type { Checkpoint } from "../checkpoint.ts";
import { decodeUtf8, joinPath, readSmallFile } from "../files.ts";
import { readChatTemplate } from "./chat_template.ts";
import { builtInTemplates, findTemplate, type Template } from "./template.ts";

/** Where a checkpoint may have its templates. */
export const conversationFile = "conversation.py";
const conversationLimit = 1 << 20;

/**
 * The template of a checkpoint, with the checkpoint's own system message. Fails with
 * {@link CheckpointError}: an unknown template, a chat template of another form, or a system message that
 * cannot be read.
 */
export const checkpointTemplate: (
  checkpoint: Pick<Checkpoint, "dir" | "config">,
  templates?: readonly Template[],
) => Effect.Effect<Template, CheckpointError> = Effect.fnUntraced(
  function* (
    checkpoint: Pick<Checkpoint, "dir" | "config">,
    templates: readonly Template[] = builtInTemplates,
  ) {
    const configPath = joinPath(checkpoint.dir, "config.json");
    const { template: name } = checkpoint.config;
    if (name === null) return yield* readChatTemplate(checkpoint.dir);
    const template = yield* findTemplate(name, templates)
      .pipe(Effect.mapError((error) =>
        new CheckpointError({
          path: configPath,
          message: `${configPath}: ${error.message}`,
        })
      ));
    const configured = checkpoint.config.systemMessage;
    if (configured !== undefined) {
      return { ...template, systemMessage: configured };
    }
    const path = joinPath(checkpoint.dir, conversationFile);
    const bytes = yield* readSmallFile(path, conversationLimit);
    if (bytes === undefined) return template;
    const source = yield* decodeUtf8(path, bytes);
    const found = systemMessageIn(source, template.name);
    if (found === undefined) return template;
    if (found === unreadable) {
      return yield* new CheckpointError({
        path,
        message:
          `${path}: the system message of ${template.name} is no plain string; put it into config.json as system_message`,
      });
    }
    return { ...template, systemMessage: found };
  },
);

/** A system message that is not written as plain strings. */
export const unreadable: unique symbol = Symbol("unreadable");

/**
 * The system message that Python source gives a template: `undefined` when it does not define the
 * template, `""` (the class's default) when it defines it without one.
 */
export function systemMessageIn(
  source: string,
  name: string,
): string | typeof unreadable | undefined {
  const code = source.split(/\r?\n/)
    .filter((line) => !line.trimStart().startsWith("#"))
    .join("\n");
  const block = code.split(/\bConversation\s*\(/).slice(1).find((part) => {
    const named = /^[^]*?\bname\s*=\s*(['"])(.*?)\1/.exec(part);
    return named?.[2] === name;
  });
  if (block === undefined) return undefined;
  const start = /\bsystem_message\s*=\s*/.exec(block);
  if (start === null) return "";
  return pythonStrings(block.slice(start.index + start[0].length));
}

const escapes: Readonly<Record<string, string>> = {
  n: "\n",
  t: "\t",
  r: "\r",
  "\\": "\\",
  "'": "'",
  '"': '"',
};

/** Reads adjacent one-line string literals, which Python joins, up to a comma or a bracket. */
function pythonStrings(code: string): string | typeof unreadable {
  const literal = /\s*(?:'((?:[^'\\\n]|\\.)*)'|"((?:[^"\\\n]|\\.)*)")/y;
  let text = "";
  let at = 0;
  for (;;) {
    literal.lastIndex = at;
    const match = literal.exec(code);
    if (match === null) break;
    at = literal.lastIndex;
    const body = match[1] ?? match[2] ?? "";
    let bad = false;
    text += body.replace(
      /\\(?:u([0-9a-fA-F]{4})|(.))/g,
      (_, hex: string | undefined, plain: string | undefined) => {
        if (hex !== undefined) return String.fromCharCode(parseInt(hex, 16));
        const known = escapes[plain ?? ""];
        if (known === undefined) bad = true;
        return known ?? "";
      },
    );
    if (bad) return unreadable;
  }
  return at > 0 && /^\s*[,)]/.test(code.slice(at)) ? text : unreadable;
}
