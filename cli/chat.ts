/**
 * `tessera chat`: one question and its answer, or an interactive chat.
 * @module
 */
import * as Effect from "effect/Effect";
import * as Option from "effect/Option";
import * as Argument from "effect/cli/Argument";
import * as Command from "effect/cli/Command";
import * as Flag from "effect/cli/Flag";
import type { ChatRequest } from "../mod.ts";
import type { ImageSource } from "../nodes/values.ts";
import { answer } from "./answer.ts";
import { type Fault, fileReason, InputError, UsageError } from "./faults.ts";
import * as flags from "./flags.ts";
import { generationFlags, idleSettings } from "./generation.ts";
import { openModel, requireDump } from "./models.ts";
import { Shell } from "./shell.ts";

const config = {
  ...flags.modelFlags,
  image: flags.path("image").pipe(
    Flag.withAlias("i"),
    Flag.withMetavar("FILE"),
    Flag.withDescription(
      "A picture, - from standard input; repeat it for more. <image> in the question marks their places",
    ),
    Flag.atLeast(0),
  ),
  video: flags.path("video").pipe(
    Flag.withMetavar("FILE"),
    Flag.withDescription("A video, 8 frames of it; see the video command"),
    Flag.optional,
  ),
  history: flags.path("history").pipe(
    Flag.withMetavar("FILE"),
    Flag.withDescription(
      "Earlier rounds: JSON pairs of question and answer, or what --json printed. Give their pictures again",
    ),
    Flag.optional,
  ),
  ...flags.tilingFlags,
  numPatches: Flag.String("num-patches").pipe(
    Flag.withMetavar("N,N"),
    Flag.withDescription("Tiles for each <image>, such as 7,7"),
    Flag.optional,
  ),
  system: flags.system,
  ...generationFlags,
  json: flags.json,
  dump: flags.dump,
  question: flags.question.pipe(Argument.optional),
};

/** What the flags of `chat` parse to. */
export type ChatFlags = Command.Command.Config.Infer<typeof config>;

const stdinLimit = 1 << 20;
const pictureLimit = 256 << 20;

/** The question as given, or from standard input for `-`. */
export const readQuestion: (
  given: string,
) => Effect.Effect<string, Fault, Shell> = Effect.fnUntraced(
  function* (given: string) {
    let question = given;
    if (given === "-") {
      const shell = yield* Shell;
      const bytes = yield* Effect.tryPromise({
        try: () => shell.readAll(stdinLimit),
        catch: (cause): Fault =>
          new InputError(
            `cannot read the question from standard input: ${
              cause instanceof Error ? cause.message : cause
            }`,
          ),
      });
      question = new TextDecoder().decode(bytes).trimEnd();
    }
    if (question.trim() === "") {
      return yield* Effect.fail<Fault>(
        new UsageError("the question is empty; give one in quotes"),
      );
    }
    return question;
  },
);

/** Whether a path means standard input. The device's own name may be opened by nobody: Deno refuses it. */
const isStdin = (path: string) => path === "-" || path === "/dev/stdin";

/** The pictures as they are given to the model, one of them perhaps from standard input. */
const readPictures: (
  paths: readonly string[],
) => Effect.Effect<readonly ImageSource[], Fault, Shell> = Effect.fnUntraced(
  function* (paths: readonly string[]) {
    if (!paths.some(isStdin)) return paths;
    const shell = yield* Shell;
    const bytes = yield* Effect.tryPromise({
      try: () => shell.readAll(pictureLimit),
      catch: (cause): Fault =>
        new InputError(
          `cannot read the picture from standard input: ${fileReason(cause)}`,
          { cause },
        ),
    });
    if (bytes.length === 0) {
      return yield* Effect.fail<Fault>(
        new InputError("there is no picture on standard input: it is empty"),
      );
    }
    const picture = { name: "standard input", bytes };
    return paths.map((path) => isStdin(path) ? picture : path);
  },
);

/** Runs a check that throws a typed error. */
export function checked<A>(check: () => A): Effect.Effect<A, Fault> {
  return Effect.try({ try: check, catch: (error) => error as Fault });
}

/** `chat` with its arguments parsed. */
export const chatHandler = Effect.fn("cli.chat")(function* (
  options: ChatFlags,
) {
  const shell = yield* Shell;
  const ask = yield* checked(() => flags.askOptions(options));
  const history = yield* checked(() =>
    Option.isSome(options.history)
      ? flags.readHistory(options.history.value)
      : undefined
  );
  const numPatchesList = yield* checked(() =>
    Option.isSome(options.numPatches)
      ? flags.parseCounts(options.numPatches.value)
      : undefined
  );
  const video = Option.getOrUndefined(options.video);
  yield* checked(() => {
    for (const image of options.image) {
      if (!isStdin(image)) flags.requireFile("picture", image);
    }
    const piped = options.image.filter(isStdin).length +
      Number(Option.contains(options.question, "-"));
    if (piped > 1) {
      throw new UsageError(
        "standard input is asked for more than once; one picture or the question can come from it",
      );
    }
    if (options.image.some(isStdin) && shell.stdinIsTerminal) {
      throw new UsageError(
        "--image - reads a picture from standard input, which is a terminal here; ./- is a file of that name",
      );
    }
    if (video !== undefined) flags.requireFile("video", video);
  });
  yield* checked(() => requireDump(ask.dump));
  const idle = idleSettings(options);
  if (idle !== undefined) shell.warn(`tessera: ${idle}\n`);

  if (Option.isNone(options.question)) {
    if (options.json || !shell.stdinIsTerminal || !shell.stdoutIsTerminal) {
      return yield* Effect.fail<Fault>(
        new UsageError(
          "no question: give one in quotes as the last argument, or - to read it from standard input",
        ),
      );
    }
    if (numPatchesList !== undefined) {
      return yield* Effect.fail<Fault>(
        new UsageError("--num-patches needs a question"),
      );
    }
    const { interactive, completer } = yield* Effect.promise(() =>
      import("./interactive.ts")
    );
    const { terminalReader } = yield* Effect.promise(() =>
      import("./lines.ts")
    );
    const { model } = yield* openModel(flags.modelChoice(options));
    const reader = yield* Effect.acquireRelease(
      Effect.sync(() => terminalReader(completer)),
      (reader) => Effect.sync(reader.close),
    );
    const ending = yield* interactive(model, reader, {
      ask,
      images: options.image,
      video,
      history,
    });
    return ending === "interrupt" ? yield* Effect.interrupt : undefined;
  }

  const question = yield* readQuestion(options.question.value);
  const request: ChatRequest = {
    ...ask,
    question,
    images: yield* readPictures(options.image),
    ...(video === undefined ? {} : { video }),
    ...(history === undefined ? {} : { history }),
    ...(numPatchesList === undefined ? {} : { numPatchesList }),
  };
  const { model } = yield* openModel(flags.modelChoice(options));
  yield* answer(model, request, { json: options.json });
}, Effect.scoped);

/** The `chat` command. */
export const chat = Command.make("chat", config, chatHandler).pipe(
  Command.withDescription(
    "Ask about pictures, a video, or nothing but words.\n\n" +
      "Without a QUESTION, on a terminal, this is an interactive chat that streams its answers: " +
      "/image FILE adds a picture, /help shows the rest, Ctrl-C stops an answer and twice it leaves.\n\n" +
      "With --json one object is printed: response, history, usage {prompt_tokens, image_tokens, " +
      "completion_tokens}, finish_reason, timings {stage: ms}, run_id; after a failure " +
      "{error: {tag, message}} and exit code 1.",
  ),
  Command.withShortDescription("Ask about pictures, a video, or words alone"),
  Command.withExamples([
    {
      command:
        'tessera chat --image examples/images/shapes.png "What is in the picture?"',
      description: "One question, with the embedded model",
    },
    {
      command:
        'tessera chat -m DIR -i a.png -i b.png \\\n  "Image-1: <image> Image-2: <image> Which is larger?"',
      description:
        "Two pictures, each at its place; without <image> they are one group",
    },
    {
      command:
        'tessera chat -i a.png --json "What is it?" > 1.json\ntessera chat -i a.png --history 1.json "And its colour?"',
      description: "A second round",
    },
    { command: "tessera chat -m DIR", description: "An interactive chat" },
  ]),
);
