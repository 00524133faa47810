/**
 * `tessera graph`: a pipeline as a drawing or as a document.
 * @module
 */
import * as Effect from "effect/Effect";
import * as Argument from "effect/cli/Argument";
import * as Command from "effect/cli/Command";
import * as Flag from "effect/cli/Flag";
import { checked } from "./chat.ts";
import * as flags from "./flags.ts";
import { findPipeline, loadRegistry, pluginFlag } from "./pipelines.ts";
import { Shell } from "./shell.ts";
import { jsonText, printable } from "./text.ts";

const config = {
  format: Flag.Literals("format", ["mermaid", "json"]).pipe(
    Flag.withDescription("A drawing or a document; default: mermaid"),
    Flag.withDefault("mermaid" as const),
  ),
  plugin: pluginFlag,
  pipeline: flags.named("pipeline").pipe(
    Argument.withMetavar("NAME"),
    Argument.withDescription(
      "A ready-made pipeline's name, or the path of a document",
    ),
  ),
};

/** What the flags of `graph` parse to. */
export type GraphFlags = Command.Command.Config.Infer<typeof config>;

/** `graph` with its arguments parsed. */
export const graphHandler = Effect.fn("cli.graph")(function* (
  options: GraphFlags,
) {
  const shell = yield* Shell;
  const registry = yield* loadRegistry(options.plugin);
  const pipeline = yield* findPipeline(options.pipeline, registry);
  const { toDocument, toMermaid } = yield* Effect.promise(() =>
    import("../pipeline/mod.ts")
  );
  const text = yield* checked(() =>
    options.format === "json"
      ? jsonText(toDocument(pipeline))
      : printable(toMermaid(pipeline))
  );
  yield* shell.write(`${text.trimEnd()}\n`);
});

/** The `graph` command. */
export const graph = Command.make("graph", config, graphHandler).pipe(
  Command.withDescription(
    "Print a pipeline as a Mermaid drawing or as a JSON document.\n\n" +
      "NAME is chat, video-chat, answer, batch-chat, or what the server runs, converse and complete; or the " +
      "path of a document, which is checked on the way.",
  ),
  Command.withShortDescription("Print a pipeline as a drawing or a document"),
  Command.withExamples([
    { command: "tessera graph chat" },
    {
      command: "tessera graph chat --format json > mine.json",
      description: "The start of a document of yours, for tessera run",
    },
  ]),
);
