/**
 * `tessera run`: a pipeline from a document, or a ready-made one.
 * @module
 */
import * as Effect from "effect/Effect";
import * as Option from "effect/Option";
import * as Argument from "effect/cli/Argument";
import * as Command from "effect/cli/Command";
import * as Flag from "effect/cli/Flag";
import { roundTimings, warnUnrecorded } from "./answer.ts";
import { checked } from "./chat.ts";
import * as flags from "./flags.ts";
import { attempt, openModel, requireDump } from "./models.ts";
import {
  decodeInputs,
  encodeOutputs,
  findPipeline,
  loadRegistry,
  pluginFault,
  pluginFlag,
} from "./pipelines.ts";
import { makePainter, runProgress } from "./progress.ts";
import { Shell } from "./shell.ts";
import { jsonText } from "./text.ts";

const config = {
  ...flags.modelFlags,
  input: Flag.String("input").pipe(
    Flag.withMetavar("NAME=VALUE"),
    Flag.withDescription(
      "An input: text and paths as they are, the rest as JSON; repeat it for more, and for lists",
    ),
    Flag.atLeast(0),
  ),
  plugin: pluginFlag,
  dump: flags.dump,
  json: Flag.Boolean("json").pipe(
    Flag.withoutNegation,
    Flag.withDescription(
      "Outputs are JSON in any case; errors, too, with this",
    ),
    Flag.withDefault(false),
  ),
  pipeline: flags.named("pipeline").pipe(
    Argument.withMetavar("DOCUMENT"),
    Argument.withDescription(
      "A pipeline's JSON document, or a ready-made pipeline's name",
    ),
  ),
};

/** What the flags of `run` parse to. */
export type RunFlags = Command.Command.Config.Infer<typeof config>;

/** `run` with its arguments parsed. */
export const runHandler = Effect.fn("cli.run")(function* (options: RunFlags) {
  const shell = yield* Shell;
  const registry = yield* loadRegistry(options.plugin);
  const pipeline = yield* findPipeline(options.pipeline, registry);
  const inputs = yield* checked(() => decodeInputs(pipeline, options.input));
  const dump = Option.getOrUndefined(options.dump);
  yield* checked(() => requireDump(dump));
  const { model } = yield* openModel(flags.modelChoice(options));
  const progress = runProgress();
  const painter = makePainter(shell);
  let failed: { readonly node: string; readonly kind: string } | undefined;
  const result = yield* attempt((signal) =>
    model.run(pipeline, inputs, {
      signal,
      onEvent: (event) => {
        if (
          event._tag === "NodeFailed" && !event.composite &&
          !event.willRetry && event.error.tag !== "Interrupted"
        ) failed ??= event;
        progress.observe(event);
        painter.paint(progress.line);
      },
      ...(dump === undefined ? {} : { dump }),
    }).catch((error) => {
      throw pluginFault(error, failed, registry);
    })
  ).pipe(Effect.ensuring(Effect.sync(painter.clear)));
  warnUnrecorded(shell, result.storeError);
  yield* shell.write(`${
    jsonText({
      outputs: encodeOutputs(pipeline, result.outputs),
      timings: roundTimings(result.timings),
      ms: Math.round(result.ms * 1000) / 1000,
      run_id: result.runId,
    })
  }\n`);
}, Effect.scoped);

/** The `run` command. */
export const run = Command.make("run", config, runHandler).pipe(
  Command.withDescription(
    "Run a pipeline.\n\n" +
      "DOCUMENT is a JSON document, as `tessera graph NAME --format json` prints it, or the name of a " +
      "ready-made pipeline: chat, video-chat, answer, batch-chat. Printed is one JSON object: outputs " +
      "(whole where they are short JSON, previews otherwise), timings {stage: ms}, ms, run_id.",
  ),
  Command.withShortDescription("Run a pipeline from a JSON document"),
  Command.withExamples([
    {
      command:
        'tessera run chat --input images=examples/images/one.jpg \\\n  --input question="What is this?"',
      description: "A ready-made pipeline",
    },
    {
      command:
        "tessera run mine.json --plugin ./crop.ts --input image=a.png \\\n  --input 'settings={\"maxNewTokens\": 8}'",
      description: "A document of yours, with a node kind of somebody else",
    },
  ]),
);
