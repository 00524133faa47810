/**
 * The interactive chat: questions and streaming answers with a history, pictures added on the way.
 * @module
 */
import * as Cause from "effect/Cause";
import * as Effect from "effect/Effect";
import * as Exit from "effect/Exit";
import * as Fiber from "effect/Fiber";
import type { AskOptions, ChatRequest } from "../mod.ts";
import type { History } from "../nodes/values.ts";
import { answer } from "./answer.ts";
import { type Fault, faultText, requireFileFault } from "./faults.ts";
import type { Completer, LineReader } from "./lines.ts";
import type { Model } from "./models.ts";
import { Shell } from "./shell.ts";
import { nearest, plural, wrap } from "./text.ts";

/** What the chat begins with. */
export interface InteractiveOptions {
  /** Settings of every question. */
  readonly ask: AskOptions;
  /** Pictures given on the command line. */
  readonly images: readonly string[];
  /** A video given on the command line. */
  readonly video: string | undefined;
  /** Earlier rounds. */
  readonly history: History | undefined;
}

/** How the chat ended: by `/exit` or the end of input, or by Ctrl-C. */
export type Ending = "exit" | "interrupt";

const commands: Record<string, string> = {
  "/image FILE": "add a picture to the next question",
  "/reset": "forget the rounds and the pictures",
  "/help": "show this",
  "/exit": "leave (so does Ctrl-D)",
};
const commandNames = Object.keys(commands).map((usage) => usage.split(" ")[0]!);

const help = "Type a question. Ctrl-C stops an answer, twice it leaves.\n" +
  Object.entries(commands)
    .map(([usage, what]) => `  ${usage.padEnd(12)} ${what}\n`).join("");

/** Completes slash commands and, after `/image`, the names of files. */
export const completer: Completer = (line) => {
  const image = /^\/image\s+(.*)$/.exec(line);
  if (image !== null) return [fileNames(image[1]!), image[1]!];
  return line.startsWith("/")
    ? [commandNames.filter((name) => name.startsWith(line)), line]
    : [[], line];
};

function fileNames(start: string): string[] {
  const slash = start.lastIndexOf("/") + 1;
  const folder = start.slice(0, slash);
  try {
    return [...Deno.readDirSync(folder === "" ? "." : folder)]
      .filter((entry) => entry.name.startsWith(start.slice(slash)))
      .map((entry) => `${folder}${entry.name}${entry.isDirectory ? "/" : ""}`)
      .sort();
  } catch {
    return [];
  }
}

/**
 * The question as it is put: one placeholder a picture, so that pictures can be added in later rounds
 * (the model card's separate form), unless the person placed them.
 */
export function placeImages(
  question: string,
  before: number,
  added: number,
): string {
  if (added === 0 || question.includes("<image>")) return question;
  const lines = before === 0 && added === 1 ? ["<image>"] : Array.from(
    { length: added },
    (_, index) => `Image-${before + index + 1}: <image>`,
  );
  return `${lines.join("\n")}\n${question}`;
}

/** Runs the chat until the person leaves. */
export const interactive: (
  model: Model,
  reader: LineReader,
  options: InteractiveOptions,
) => Effect.Effect<Ending, Fault, Shell> = Effect.fn("cli.interactive")(
  function* (model: Model, reader: LineReader, options: InteractiveOptions) {
    const shell = yield* Shell;
    const [dim, plain] = shell.colors ? ["\x1b[2m", "\x1b[0m"] : ["", ""];
    const note = (text: string) =>
      shell.write(
        `${dim}${wrap(text, shell.columns() - 1).join("\n")}${plain}\n`,
      );
    let history: History | undefined = options.history;
    let video = options.video;
    let images: readonly string[] = history === undefined ? [] : options.images;
    let pending: readonly string[] = history === undefined
      ? options.images
      : [];
    let armed = false;
    let leaving = false;
    let stop: (() => void) | undefined;
    reader.onInterrupt = (discarded) => {
      if (discarded) {
        armed = false;
        return;
      }
      if (armed) {
        leaving = true;
        reader.close();
      } else if (stop === undefined) {
        shell.warn(`${dim}(Ctrl-C again, or /exit, leaves)${plain}\n`);
      }
      armed = true;
      stop?.();
    };
    yield* note(
      `${model.info.name}. /help shows the commands, /exit leaves.` +
        (images.length + pending.length > 0
          ? ` With ${plural(images.length + pending.length, "picture")}.`
          : ""),
    );
    while (true) {
      const line = yield* Effect.promise(() => reader.read("> "));
      if (line === undefined) break;
      armed = false;
      const text = line.trim();
      if (text === "") continue;
      if (text.startsWith("/")) {
        const [, name, rest] = /^(\S+)\s*(.*)$/s.exec(text)!;
        if (name === "/exit" || name === "/quit") break;
        if (name === "/help") yield* shell.write(help);
        else if (name === "/reset") {
          history = undefined;
          images = pending = [];
          video = undefined;
          yield* note("Forgotten: rounds and pictures.");
        } else if (name === "/image") {
          const file = rest!.replace(/^(["'])(.*)\1$/, "$2");
          const fault = file === ""
            ? new Error("which picture? /image FILE")
            : requireFileFault("picture", file);
          if (fault !== undefined) shell.warn(`${fault.message}\n`);
          else {
            pending = [...pending, file];
            yield* note(
              `Picture ${
                images.length + pending.length
              } goes with the next question.`,
            );
          }
        } else {
          const guess = nearest(name!, commandNames);
          shell.warn(
            `there is no command ${name}${
              guess === undefined ? "" : `; did you mean ${guess}`
            }? /help shows them\n`,
          );
        }
        continue;
      }
      const request: ChatRequest = {
        ...options.ask,
        question: placeImages(text, images.length, pending.length),
        images: [...images, ...pending],
        ...(video === undefined ? {} : { video }),
        ...(history === undefined ? {} : { history }),
      };
      const fiber = yield* Effect.forkChild(
        answer(model, request, { json: false }),
      );
      stop = () => fiber.interruptUnsafe();
      const exit = yield* Fiber.await(fiber).pipe(
        // The chat itself may be interrupted, by a signal from outside.
        Effect.onInterrupt(() => Fiber.interrupt(fiber)),
      );
      stop = undefined;
      if (Exit.isSuccess(exit)) {
        history = exit.value.history;
        images = [...images, ...pending];
        pending = [];
      } else if (Cause.hasInterruptsOnly(exit.cause)) {
        yield* note("(stopped; this round is not remembered)");
      } else {
        const error = Cause.squash(exit.cause);
        shell.warn(faultText(error, shell.debug));
        if (
          (error as Partial<Fault>)._tag === "MediaError" && pending.length > 0
        ) {
          shell.warn(
            `the ${
              pending.length === 1 ? "picture is" : "new pictures are"
            } left out again\n`,
          );
          pending = [];
        }
      }
      if (leaving) break;
    }
    return leaving ? "interrupt" : "exit";
  },
);
