/**
 * The handlers behind the routes.
 * @module
 */
import { Effect, Exit, Layer, Scope } from "effect";
import {
  HttpApiBuilder,
  HttpApiMiddleware,
  HttpApiSwagger,
} from "effect/http-api";
import * as HttpServerResponse from "effect/http/HttpServerResponse";
import { Mistakes, routeName, ServerApi } from "./api.ts";
import { answerChat } from "./chat.ts";
import { answerCompletion, detokenize, tokenize } from "./completions.ts";
import { answerResponses, forgetResponse, keptResponse } from "./responses.ts";
import { ApiError, oneLine } from "./errors.ts";
import { countRequest, prometheusText, setInFlight } from "./metrics.ts";
import { ServerParts } from "./parts.ts";
import { ModelPool, type ModelState } from "./pool.ts";
import { Place, RequestInfo } from "./request_info.ts";
import { mistake } from "./schema/issues.ts";

/** A failure as a response. */
export const failureResponse = (
  error: ApiError,
): HttpServerResponse.HttpServerResponse =>
  HttpServerResponse.jsonUnsafe(error.body, {
    status: error.fields.status,
    headers: error.headers,
  });

const asApiError = (error: unknown): ApiError =>
  error instanceof ApiError ? error : new ApiError({
    status: 500,
    message: "something went wrong; the server's log says what",
    code: "internal_error",
  });

/** A route: a failure becomes its response, and what came of the request is counted. */
function route<A, R>(
  endpoint: string,
  body: Effect.Effect<A, ApiError, R>,
): Effect.Effect<
  A | HttpServerResponse.HttpServerResponse,
  never,
  R | Scope.Scope
> {
  return Effect.gen(function* () {
    const { id, began } = yield* RequestInfo;
    // 499: the client left before there was an answer.
    let status = 499;
    yield* Effect.addFinalizer((exit) =>
      countRequest(
        endpoint,
        Exit.isFailure(exit) && status === 200 ? 499 : status,
        performance.now() - began,
      )
    );
    const answer = yield* body.pipe(
      Effect.catchDefect((defect) =>
        Effect.andThen(
          Effect.logError(`${id}: ${
            oneLine(
              defect instanceof Error
                ? defect.stack ?? defect.message
                : String(defect),
            )
          }`),
          Effect.fail(asApiError(defect)),
        )
      ),
      Effect.catch((error) => {
        status = error.fields.status;
        return Effect.succeed(failureResponse(error));
      }),
    );
    if (status === 499) status = 200;
    return answer;
  }).pipe(Effect.updateService(RequestInfo, (info) => ({ ...info, endpoint })));
}

/** A route that computes: bounded in number, stopped when it takes too long. */
function working<A, R>(
  endpoint: string,
  body: Effect.Effect<A, ApiError, R>,
): Effect.Effect<
  A | HttpServerResponse.HttpServerResponse,
  never,
  R | Scope.Scope | ServerParts
> {
  return route(
    endpoint,
    Effect.gen(function* () {
      const { limits, load, state } = yield* ServerParts;
      if (state.draining) {
        return yield* Effect.fail(
          new ApiError({
            status: 503,
            message: "the server is stopping",
            code: "server_stopping",
            retryAfter: 1,
          }),
        );
      }
      if (load.inFlight >= limits.maxConcurrent) {
        return yield* Effect.fail(
          new ApiError({
            status: 429,
            message:
              `${load.inFlight} requests are being answered, the most that are taken at once`,
            code: "too_many_requests",
            retryAfter: 1,
          }),
        );
      }
      const scope = yield* Scope.fork(yield* Effect.scope);
      let taken = true;
      const giveBack = Effect.suspend(() => {
        if (!taken) return Effect.void;
        taken = false;
        return Effect.andThen(
          setInFlight(--load.inFlight),
          Scope.close(scope, Exit.void),
        );
      });
      yield* Effect.acquireRelease(
        Effect.suspend(() => setInFlight(++load.inFlight)),
        () => giveBack,
      );
      return yield* Effect.provideService(body, Place, { scope, giveBack });
    }),
  );
}

const modelBody = ({ id, created, loaded }: ModelState) => ({
  id,
  object: "model" as const,
  created,
  owned_by: "tessera",
  max_model_len: loaded?.info.contextLength ?? null,
});

const openai = HttpApiBuilder.group(ServerApi, "openai", (handlers) =>
  handlers
    .handle("chat", ({ payload }) =>
      working(
        "/v1/chat/completions",
        answerChat(payload),
      ))
    .handle("completions", ({ payload }) =>
      working("/v1/completions", answerCompletion(payload)))
    .handle("responses", ({ payload }) =>
      working("/v1/responses", answerResponses(payload)))
    .handle("response", ({ params }) =>
      route("/v1/responses/:id", keptResponse(params.id)))
    .handle("deleteResponse", ({ params }) =>
      route("/v1/responses/:id", forgetResponse(params.id)))
    .handle("tokenize", ({ payload }) =>
      working("/tokenize", tokenize(payload)))
    .handle("detokenize", ({ payload }) =>
      working("/detokenize", detokenize(payload)))
    .handle("models", () =>
      route(
        "/v1/models",
        Effect.map(ModelPool, (pool) => ({
          object: "list" as const,
          data: pool.list().map(modelBody),
        })),
      ))
    .handle("model", ({ params }) =>
      route(
        "/v1/models/:id",
        Effect.flatMap(ModelPool, (pool) => {
          const state = pool.list().find(({ id }) =>
            id === params.id
          );
          return state === undefined
            ? Effect.fail(
              new ApiError({
                status: 404,
                message: `the model ${
                  JSON.stringify(params.id.slice(0, 100))
                } is not served here`,
                param: "model",
                code: "model_not_found",
              }),
            )
            : Effect.succeed(modelBody(state));
        }),
      )));

const server = HttpApiBuilder.group(ServerApi, "server", (handlers) =>
  handlers
    .handle("health", () => Effect.succeed({ status: "ok" }))
    .handle("ready", () =>
      Effect.map(ServerParts, ({ state }) =>
        state.draining
          ? HttpServerResponse.jsonUnsafe({ status: "stopping" }, {
            status: 503,
          })
          : { status: "ready" }))
    .handle("metrics", () =>
      Effect.flatMap(ModelPool, (pool) =>
        Effect.map(prometheusText(pool), (text) =>
          HttpServerResponse.text(text, {
            contentType: "text/plain; version=0.0.4; charset=utf-8",
          })))));

const mistakes = HttpApiMiddleware.layerSchemaErrorTransform(
  Mistakes,
  (error) => {
    const failure = mistake(error.cause);
    return Effect.gen(function* () {
      const { endpoint, began } = yield* RequestInfo;
      // No route will: its request has not come that far.
      yield* countRequest(
        routeName(endpoint),
        failure.fields.status,
        performance.now() - began,
      );
      return failureResponse(failure);
    });
  },
);

/** All routes, their document, and a page that shows it without anything from elsewhere. */
export const routes = Layer.merge(
  HttpApiBuilder.layer(ServerApi, { openapiPath: "/openapi.json" }).pipe(
    Layer.provide(Layer.mergeAll(openai, server)),
    Layer.provide(mistakes),
  ),
  HttpApiSwagger.layer(ServerApi, { path: "/docs" }),
);
