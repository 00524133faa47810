/**
 * `tessera mcp`: eyes for agents, by the Model Context Protocol.
 * @module
 */
import * as Effect from "effect/Effect";
import * as Sink from "effect/Sink";
import * as Stdio from "effect/Stdio";
import * as Stream from "effect/Stream";
import * as Command from "effect/cli/Command";
import * as Flag from "effect/cli/Flag";
import * as flags from "./flags.ts";
import { serveHttp } from "./serve.ts";
import { dashboardFlags, listening, servedFlags } from "./serve_flags.ts";
import { serverOptions } from "./serve_options.ts";
import { Shell } from "./shell.ts";
import { version } from "./version.ts";

const config = {
  ...servedFlags,
  ...dashboardFlags,
  http: Flag.Boolean("http").pipe(
    Flag.withoutNegation,
    Flag.withDescription(
      "Serve over HTTP at /mcp, beside OpenAI's API, instead of standard input and output",
    ),
    Flag.withDefault(false),
  ),
  ...listening,
  json: flags.json,
};

/** What the flags of `mcp` parse to. */
export type McpFlags = Command.Command.Config.Infer<typeof config>;

/** Standard input and output of this process. */
const stdio = (shell: Shell): Stdio.Stdio =>
  Stdio.make({
    args: Effect.succeed([]),
    stdin: Stream.fromReadableStream({
      evaluate: () => Deno.stdin.readable,
      onError: (error) => error as never,
    }),
    stdout: () =>
      Sink.forEach((chunk: string | Uint8Array) =>
        Effect.ignore(shell.write(
          typeof chunk === "string" ? chunk : new TextDecoder().decode(chunk),
        ))
      ),
    stderr: () => Sink.drain,
  });

/** `mcp` with its arguments parsed. */
export const mcpHandler = Effect.fn("cli.mcp")(function* (options: McpFlags) {
  if (options.http) {
    return yield* serveHttp(options, { mcp: { version } });
  }
  const shell = yield* Shell;
  const served = yield* serverOptions(options, options.host);
  const { servingMcp } = yield* Effect.promise(() => import("../mod.ts"));
  const folder = Deno.cwd();
  const given = served.media?.folders ?? [];
  yield* servingMcp({
    ...served,
    version,
    folder,
    media: {
      ...served.media,
      // An agent on this machine speaks of the files of the folder it works in.
      folders: given.length > 0 ? given : [folder],
    },
  }).pipe(Effect.provideService(Stdio.Stdio, stdio(shell)));
}, Effect.scoped);

/** The `mcp` command. */
export const mcp = Command.make("mcp", config, mcpHandler).pipe(
  Command.withDescription(
    "Give agents eyes, by the Model Context Protocol: the tools ask_image, ask_images, ask_video and " +
      "read_text.\n\n" +
      "An agent starts this command and speaks to it over standard input and output; files are read from " +
      "the folder it is started in, or from --allow-dir. With --http it is a server at " +
      "http://127.0.0.1:8000/mcp instead, which reads no files unless --allow-dir says so.",
  ),
  Command.withShortDescription(
    "Give agents eyes, by the Model Context Protocol",
  ),
  Command.withExamples([
    {
      command: "tessera mcp --model DIR",
      description: "The command to put into an agent's list of MCP servers",
    },
    {
      command: "tessera mcp --model DIR --http --port 8000",
      description: "For agents that speak HTTP",
    },
  ]),
);
