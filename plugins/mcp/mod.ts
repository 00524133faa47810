/**
 * A server of the Model Context Protocol, so that agents can see: questions about pictures and videos as
 * tools, over standard input and output or over HTTP.
 * @module
 */
import { Effect, Layer, Schema } from "effect";
import { McpProtocol, McpServer, Tool, Toolkit } from "effect/ai";
import type { HttpRouter } from "effect/http";
import { Stdio } from "effect/Stdio";
import { isAbsolute, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import {
  askText,
  type TextQuestion,
  type TextServices,
} from "../openai/mod.ts";
import { jsonLines } from "./lines.ts";

export { boundSessions, type SessionBounds } from "./sessions.ts";

const picture = Schema.String.annotate({
  description:
    "A picture: https address, data URL, or path of a file where files may be read",
});
const question = Schema.String.annotate({ description: "What to find out" });
const shared = {
  model: Schema.optionalKey(Schema.String.annotate({
    description: "Which model; default: the first that is served",
  })),
  max_tokens: Schema.optionalKey(
    Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 65_536 })),
  ),
};

const Answer = Schema.Struct({ answer: Schema.String });
const Failure = Schema.Struct({ error: Schema.String });

const common = {
  success: Answer,
  failure: Failure,
  failureMode: "return" as const,
};

const askImage = Tool.make("ask_image", {
  description: "Answers a question about one picture.",
  parameters: Schema.Struct({ image: picture, question, ...shared }),
  ...common,
}).annotate(Tool.Readonly, true).annotate(Tool.Destructive, false);

const askImages = Tool.make("ask_images", {
  description:
    "Answers a question about several pictures; <image> in the question marks their places, in order.",
  parameters: Schema.Struct({
    images: Schema.Array(picture).check(Schema.isMinLength(1)),
    question,
    ...shared,
  }),
  ...common,
}).annotate(Tool.Readonly, true).annotate(Tool.Destructive, false);

const askVideo = Tool.make("ask_video", {
  description:
    "Answers a question about a video, of which frames at equal distances are seen.",
  parameters: Schema.Struct({
    video: Schema.String.annotate({
      description:
        "A video: https address, data URL, or path of a file where files may be read",
    }),
    question,
    frames: Schema.optionalKey(
      Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 256 }))
        .annotate({ description: "Frames to look at; default: 8" }),
    ),
    ...shared,
  }),
  ...common,
}).annotate(Tool.Readonly, true).annotate(Tool.Destructive, false);

const readText = Tool.make("read_text", {
  description: "Reads the text in a picture.",
  parameters: Schema.Struct({ image: picture, ...shared }),
  ...common,
}).annotate(Tool.Readonly, true).annotate(Tool.Destructive, false);

const toolkit = Toolkit.make(askImage, askImages, askVideo, readText);

/** How the tools understand what they are given. */
export interface McpOptions {
  /** Version that clients are told. */
  readonly version: string;
  /** Folder that relative paths start from; without it paths have to be whole. */
  readonly folder?: string;
}

/**
 * An address: what has a scheme, or the path of a file. Without a folder a path has to be a whole one; whether
 * its file may be read is not decided here.
 */
const addressOf = (source: string, folder: string | undefined): string =>
  /^[a-z][a-z0-9+.-]+:/i.test(source) ||
    folder === undefined && !isAbsolute(source)
    ? source
    : pathToFileURL(resolve(folder ?? "/", source)).href;

/** The tools, over the models of the server. */
const handlers = ({ folder }: McpOptions) =>
  toolkit.toLayer(Effect.gen(function* () {
    const services = yield* Effect.context<TextServices>();
    const ask = (question: TextQuestion) =>
      askText(question).pipe(
        Effect.provideContext(services),
        Effect.map((answer) => ({ answer })),
        // Said to the agent, not to the protocol: it can try another picture.
        Effect.mapError((error) => ({ error: error.message })),
      );
    const more = (
      { model, max_tokens: maxTokens }: {
        readonly model?: string;
        readonly max_tokens?: number;
      },
    ) => ({
      ...(model === undefined ? {} : { model }),
      ...(maxTokens === undefined ? {} : { maxTokens }),
    });
    const at = (source: string) => addressOf(source, folder);
    const pictureAt = (source: string, name = "image") => ({
      url: at(source),
      name,
    });
    return {
      ask_image: ({ image, question, ...rest }) =>
        ask({ question, images: [pictureAt(image)], ...more(rest) }),
      ask_images: ({ images, question, ...rest }) =>
        ask({
          question,
          images: images.map((image, i) => pictureAt(image, `images[${i}]`)),
          ...more(rest),
        }),
      ask_video: ({ video, question, frames, ...rest }) =>
        ask({
          question,
          video: {
            url: at(video),
            ...(frames === undefined ? {} : { frames }),
          },
          ...more(rest),
        }),
      read_text: ({ image, ...rest }) =>
        ask({
          question: "Read the text in the picture.",
          images: [pictureAt(image)],
          ...more(rest),
        }),
    };
  }));

const protocols = [
  McpProtocol.v2025_11_25,
  McpProtocol.v2025_06_18,
  McpProtocol.v2025_03_26,
  McpProtocol.v2024_11_05,
] as const;

const described = (options: McpOptions) => ({
  name: "tessera",
  version: options.version,
  instructions:
    "Looks at pictures and videos with a vision-language model and answers questions about them.",
  protocols,
  registrations: McpServer.toolkit(toolkit).pipe(
    Layer.provide(handlers(options)),
  ),
});

/** The server over standard input and output. */
export const mcpStdio = (
  options: McpOptions,
): Layer.Layer<never, Error, Stdio | TextServices> =>
  Layer.provide(
    McpServer.layerStdio(described(options)),
    Layer.effect(Stdio, Effect.map(Stdio, jsonLines)),
  ) as unknown as Layer.Layer<
    never,
    Error,
    Stdio | TextServices
  >;

/** The server as the route `/mcp` (Streamable HTTP). */
export const mcpHttp = (
  options: McpOptions,
): Layer.Layer<never, Error, HttpRouter.HttpRouter | TextServices> =>
  McpServer.layerHttp({
    ...described(options),
    path: "/mcp",
    allowSessionTermination: true,
  }) as unknown as Layer.Layer<
    never,
    Error,
    HttpRouter.HttpRouter | TextServices
  >;
