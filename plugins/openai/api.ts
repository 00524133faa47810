/**
 * The routes of the server as one description, from which the OpenAPI document is made.
 * @module
 */
import { Schema } from "effect";
import {
  HttpApi,
  HttpApiEndpoint,
  HttpApiGroup,
  HttpApiMiddleware,
  HttpApiSchema,
  OpenApi,
} from "effect/http-api";
import { ChatChunk, ChatCompletion, ChatRequest } from "./schema/chat.ts";
import {
  CompletionBody,
  CompletionRequest,
  DetokenizeBody,
  DetokenizeRequest,
  TokenizeBody,
  TokenizeRequest,
} from "./schema/completions.ts";
import {
  ResponseBody,
  ResponseDeleted,
  ResponseEvent,
  ResponsesRequest,
} from "./schema/responses.ts";
import config from "../../deno.json" with { type: "json" };
import { ErrorBody } from "./schema/common.ts";
import { ModelBody, ModelList } from "./schema/models.ts";

/** Errors as the document lists them. */
const failure = (status: number, identifier: string) =>
  ErrorBody.annotate({ identifier }).pipe(HttpApiSchema.status(status));

/** What every route may answer instead of a result. */
export const failures = [
  failure(400, "BadRequest"),
  failure(401, "Unauthorized"),
  failure(404, "NotFound"),
  failure(413, "TooLarge"),
  failure(429, "RateLimited"),
  failure(500, "ServerError"),
  failure(503, "Overloaded"),
] as const;

/** Turns what a schema has against a request into OpenAI's form. */
export class Mistakes extends HttpApiMiddleware.Service<Mistakes>()(
  "tessera/openai/Mistakes",
) {}

/** `data: …` of a stream, `[DONE]` at its end. */
const eventsOf = <S extends Schema.Codec<unknown, unknown>>(chunk: S) =>
  HttpApiSchema.StreamSse({
    events: Schema.Struct({
      event: Schema.Literal("message"),
      data: Schema.Union([
        Schema.Literal("[DONE]"),
        Schema.fromJsonString(chunk),
      ]),
    }),
  });

/** The named events of `/v1/responses`, which end without `[DONE]`. */
const responseEvents = HttpApiSchema.StreamSse({
  events: Schema.Struct({
    event: Schema.String,
    data: Schema.fromJsonString(ResponseEvent),
  }),
});

const chat = HttpApiEndpoint.post("chat", "/v1/chat/completions", {
  payload: ChatRequest,
  success: [ChatCompletion, eventsOf(ChatChunk)],
  error: failures,
}).annotate(OpenApi.Summary, "Answers messages with pictures and videos");

const completions = HttpApiEndpoint.post("completions", "/v1/completions", {
  payload: CompletionRequest,
  success: [CompletionBody, eventsOf(CompletionBody)],
  error: failures,
}).annotate(OpenApi.Summary, "Goes on with a text, without a template");

const responses = HttpApiEndpoint.post("responses", "/v1/responses", {
  payload: ResponsesRequest,
  success: [ResponseBody, responseEvents],
  error: failures,
}).annotate(
  OpenApi.Summary,
  "Answers an input, and keeps the answer for later rounds",
);

const response = HttpApiEndpoint.get("response", "/v1/responses/:id", {
  params: { id: Schema.String },
  success: ResponseBody,
  error: failures,
}).annotate(OpenApi.Summary, "An answer that was kept");

const forgetting = HttpApiEndpoint.delete(
  "deleteResponse",
  "/v1/responses/:id",
  { params: { id: Schema.String }, success: ResponseDeleted, error: failures },
).annotate(OpenApi.Summary, "Forgets an answer");

const tokenize = HttpApiEndpoint.post("tokenize", "/tokenize", {
  payload: TokenizeRequest,
  success: TokenizeBody,
  error: failures,
}).annotate(OpenApi.Summary, "Token ids of a text or of messages");

const detokenize = HttpApiEndpoint.post("detokenize", "/detokenize", {
  payload: DetokenizeRequest,
  success: DetokenizeBody,
  error: failures,
}).annotate(OpenApi.Summary, "The text of token ids");

const models = HttpApiEndpoint.get("models", "/v1/models", {
  success: ModelList,
  error: failures,
}).annotate(OpenApi.Summary, "Lists the models");

const model = HttpApiEndpoint.get("model", "/v1/models/:id", {
  params: { id: Schema.String },
  success: ModelBody,
  error: failures,
}).annotate(OpenApi.Summary, "Describes a model");

/** OpenAI's API. */
export class OpenAiGroup extends HttpApiGroup.make("openai")
  .add(chat, completions, responses, response, forgetting)
  .add(tokenize, detokenize, models, model)
  .middleware(Mistakes) {}

const words = Schema.String.pipe(
  HttpApiSchema.asText({ contentType: "text/plain; version=0.0.4" }),
);
const StatusBody = Schema.Struct({ status: Schema.String });

/** What stands around it. */
export class ServerGroup extends HttpApiGroup.make("server")
  .add(
    HttpApiEndpoint.get("health", "/health", { success: StatusBody })
      .annotate(OpenApi.Summary, "Whether the process lives"),
    HttpApiEndpoint.get("ready", "/ready", {
      success: StatusBody,
      error: failure(503, "NotReady"),
    }).annotate(OpenApi.Summary, "Whether requests are taken"),
    HttpApiEndpoint.get("metrics", "/metrics", { success: words })
      .annotate(OpenApi.Summary, "Metrics in the text format of Prometheus"),
  ) {}

/** The whole API. */
export class ServerApi extends HttpApi.make("tessera")
  .add(OpenAiGroup, ServerGroup)
  .annotate(HttpApi.PayloadParseOptions, {
    onExcessProperty: "error",
    // Not all: a body of millions of mistakes would fill the memory with complaints.
    errors: "first",
  })
  .annotateMerge(OpenApi.annotations({
    title: "Tessera",
    version: config.version,
    description:
      "Vision-language models of the InternVL-Chat family behind OpenAI's API.",
    transform: (document) => ({
      ...document,
      components: {
        ...document.components,
        securitySchemes: { key: { type: "http", scheme: "bearer" } },
      },
      // With a key, or without: a server that was started without keys asks for none.
      security: [{ key: [] }, {}],
    }),
  })) {}

/** Every path of the API as a pattern, with its methods. */
const places = new Map<string, { readonly at: RegExp; methods: string[] }>();
for (const { endpoints } of Object.values(ServerApi.groups)) {
  for (const { path, method } of Object.values(endpoints)) {
    const place = places.get(path) ?? {
      at: new RegExp(`^${path.replace(/:\w+/g, "[^/]+")}$`),
      methods: [],
    };
    place.methods.push(method);
    places.set(path, place);
  }
}

/**
 * A path as the router reads it, to which `/MCP`, `//mcp`, `/mcp/`, `/mcp;x` and `/%6dcp` are one: what a
 * bound is set on must not be there by another name.
 */
export function canonicalPath(pathname: string): string {
  let path = pathname.split(";", 1)[0]!;
  try {
    path = decodeURI(path);
  } catch {
    // The router finds nothing there, either.
  }
  path = path.replace(/\/{2,}/g, "/").toLowerCase();
  return path.length > 1 && path.endsWith("/") ? path.slice(0, -1) : path;
}

const placeOf = (pathname: string) =>
  places.entries().find(([, { at }]) => at.test(canonicalPath(pathname)));

/** The methods that a path is there for; none where it is not there at all. */
export const methodsOf = (pathname: string): readonly string[] =>
  placeOf(pathname)?.[1].methods ?? [];

/** The pattern of a path as metrics name it, and one name for all paths that are not there. */
export const routeName = (pathname: string): string =>
  routeOf(pathname) ?? "other";

/** The pattern of a path, such as `/v1/models/:model`, where it is there. */
export const routeOf = (pathname: string): string | undefined =>
  placeOf(pathname)?.[0];
