/**
 * The command line as one effect: arguments in, an exit code out.
 * @module
 */
import * as Cause from "effect/Cause";
import * as Console from "effect/Console";
import * as Effect from "effect/Effect";
import * as Layer from "effect/Layer";
import * as Logger from "effect/Logger";
import * as CliConfig from "effect/cli/CliConfig";
import type * as CliError from "effect/cli/CliError";
import * as CliOutput from "effect/cli/CliOutput";
import * as Command from "effect/cli/Command";
import * as GlobalFlag from "effect/cli/GlobalFlag";
import { batch } from "./batch.ts";
import { chat } from "./chat.ts";
import { dashboard } from "./dashboard.ts";
import { doctor } from "./doctor.ts";
import { describe, faultText, OutputError, Reported } from "./faults.ts";
import { graph } from "./graph.ts";
import { helpText } from "./help.ts";
import { inspect } from "./inspect.ts";
import { mcp } from "./mcp.ts";
import type { Models } from "./models.ts";
import { quantize } from "./quantize.ts";
import { run } from "./run.ts";
import { runs } from "./runs.ts";
import { services } from "./services.ts";
import { serve } from "./serve.ts";
import { Shell } from "./shell.ts";
import { jsonText, oneLine } from "./text.ts";
import { version } from "./version.ts";
import { video } from "./video.ts";

/** The whole command line. */
export const tessera = Command.make("tessera").pipe(
  Command.withDescription(
    "Asks vision-language models of the InternVL-Chat family about pictures and videos, on this machine.",
  ),
  Command.withSubcommands([
    chat,
    video,
    batch,
    run,
    graph,
    runs,
    serve,
    mcp,
    dashboard,
    inspect,
    quantize,
    doctor,
  ]),
  Command.withExamples([
    {
      command:
        'tessera chat --image examples/images/shapes.png "What is in the picture?"',
      description: "The first minute: the embedded model and a picture",
    },
    {
      command: "tessera chat --model DIR",
      description: "An interactive chat with a checkpoint of yours",
    },
    { command: "tessera doctor", description: "What works on this machine" },
  ]),
);

/**
 * Runs the command line and returns the exit code: 0, or 1 after a failure that was reported on stderr
 * (and on stdout, as JSON, where `--json` was given). Interruption passes through.
 */
export const execute: (
  args: readonly string[],
) => Effect.Effect<number, never, Shell | Models> = Effect.fnUntraced(
  function* (args: readonly string[]) {
    const shell = yield* Shell;
    const wantsJson = args.slice(0, endOfFlags(args)).some((arg) =>
      arg === "--json" || arg === "--json=true"
    );
    const reportJson = (tag: string, message: string) =>
      wantsJson
        ? Effect.ignore(
          shell.write(`${jsonText({ error: { tag, message } })}\n`),
        )
        : Effect.void;
    const presenter: CliOutput.Presenter = {
      present: (event) => {
        switch (event._tag) {
          case "Help":
            return Effect.orDie(
              shell.write(
                helpText(event.helpDoc, {
                  columns: shell.stdoutIsTerminal ? shell.columns() : 80,
                  colors: shell.stdoutIsTerminal && shell.colors,
                }),
              ),
            );
          case "Version":
            return Effect.orDie(shell.write(`tessera ${event.version}\n`));
          case "InvalidInvocation": {
            const message = invocationMessage(event.errors, event.commandPath);
            shell.warn(
              `tessera: ${message}\n` +
                `Try: ${event.commandPath.join(" ")} --help\n`,
            );
            return reportJson("UsageError", message);
          }
        }
      },
    };
    // Completion scripts are printed by effect/cli itself, on the console.
    const output: Console.Console = Object.assign(
      Object.create(globalThis.console),
      {
        log: (...words: readonly unknown[]) =>
          Effect.runSync(shell.write(`${words.join(" ")}\n`)),
      },
    );
    // Warnings of what runs underneath: stdout is for answers, and agents read it.
    const warnings = Logger.layer([
      Logger.make<unknown, void>(({ message }) =>
        shell.warn(`tessera: ${oneLine([message].flat().join(" "))}\n`)
      ),
    ]);
    const at = args.slice(0, endOfFlags(args)).findIndex(isDashed);
    if (at >= 0) {
      const dashed = args[at]!;
      const before = args[at - 1] ?? "";
      const flag = /^(--[a-z-]+|-[im])$/.test(before) ? before : "--image";
      const message =
        `there is no flag ${dashed}; as the value of ${flag} it is written ${flag}=${
          quoted(dashed)
        }, and a question that begins with a dash stands after --`;
      shell.warn(`tessera: ${oneLine(message)}\n`);
      yield* reportJson("UsageError", oneLine(message));
      return 1;
    }
    return yield* Command.runWith(tessera, { version })(args).pipe(
      Effect.as(0),
      Effect.provideService(Console.Console, output),
      Effect.provide(Layer.mergeAll(
        services,
        warnings,
        CliOutput.layerPresenter(presenter),
        CliConfig.layer({
          builtIns: [
            GlobalFlag.Help,
            GlobalFlag.Version,
            GlobalFlag.Completions,
          ],
        }),
      )),
      Effect.catchCause((cause) => {
        if (Cause.hasInterruptsOnly(cause)) {
          return Effect.failCause(cause as Cause.Cause<never>);
        }
        const error = Cause.squash(cause);
        if (isHelp(error)) {
          return Effect.succeed(error.errors.length > 0 ? 1 : 0);
        }
        if (error instanceof Reported) return Effect.succeed(1);
        // `tessera … | head` is nobody's mistake; shells report 128 + SIGPIPE for it.
        if (error instanceof OutputError && error.closedPipe) {
          return Effect.succeed(141);
        }
        shell.warn(faultText(error, shell.debug));
        const { tag, message } = describe(error);
        return Effect.as(reportJson(tag, message), 1);
      }),
    );
  },
);

function endOfFlags(args: readonly string[]): number {
  const at = args.indexOf("--");
  return at < 0 ? args.length : at;
}

/**
 * Whether an argument begins with one dash and is no flag of ours: effect/cli would read `-dash.png` as
 * five flags, one of them `-h`.
 */
function isDashed(arg: string): boolean {
  return /^-[^-]/su.test(arg) && !/^-[himp](=|$)/.test(arg) &&
    !Number.isFinite(Number(arg));
}

/** A text as a shell has to be given it. */
function quoted(text: string): string {
  return /^[\w./:,=+-]*$/.test(text)
    ? text
    : `'${text.replaceAll("'", "'\\''")}'`;
}

function isHelp(error: unknown): error is CliError.ShowHelp {
  return (error as { readonly _tag?: unknown } | null)?._tag === "ShowHelp";
}

/** What is wrong with the arguments, on one line. */
function invocationMessage(
  errors: readonly CliError.NonShowHelpErrors[],
  commandPath: readonly string[],
): string {
  const asks = ["chat", "video"].includes(commandPath.at(-1) ?? "");
  return errors.map((error) => {
    switch (error._tag) {
      case "UnrecognizedOption":
        return `there is no flag ${error.option}${meant(error.suggestions)}`;
      case "UnknownSubcommand":
        return `there is no command ${error.subcommand}${
          error.subcommand === "help"
            ? "; --help tells about all commands, and behind a command about that one"
            : meant(error.suggestions)
        }`;
      case "MissingOption":
        return `--${error.option} is missing`;
      case "MissingArgument":
        return `${error.argument.toUpperCase()} is missing`;
      case "UnexpectedArgument":
        return `unexpected ${
          error.arguments.map((value) => JSON.stringify(value)).join(" ")
        }${
          asks
            ? "; put a question in quotes, and give --image once for each picture"
            : ""
        }`;
      case "InvalidValue":
        if (/^\d+ occurrences$/.test(error.value)) {
          return `--${error.option} is given ${
            error.value.replace("occurrences", "times")
          }; it takes one value`;
        }
        return `${
          error.kind === "argument"
            ? error.option.toUpperCase()
            : `--${error.option}`
        } ${
          error.value === ""
            ? "has no value"
            : `${JSON.stringify(error.value)}: ${expectation(error.expected)}`
        }`;
      default:
        return error.message;
    }
  }).map(oneLine).join("; ");
}

/** What effect/cli expects, in our words. */
function expectation(expected: string): string {
  const choices = expected.split(" | ");
  return choices.length > 1 && choices.every((one) => /^"[^"]*"$/.test(one))
    ? `expected ${choices.map((one) => one.slice(1, -1)).join(", ")}`
    : lowerFirst(
      expected.replace("a string representing a finite number", "a number"),
    );
}

function meant(suggestions: readonly string[]): string {
  return suggestions.length === 0
    ? ""
    : `; did you mean ${suggestions.join(" or ")}?`;
}

function lowerFirst(text: string): string {
  return text.charAt(0).toLowerCase() + text.slice(1);
}
