/**
 * The server: routes behind a front, on `Deno.serve`.
 * @module
 */
import { Context, Effect, Layer, type Scope, Tracer } from "effect";
import * as HttpEffect from "effect/http/HttpEffect";
import * as HttpMiddleware from "effect/http/HttpMiddleware";
import * as HttpRouter from "effect/http/HttpRouter";
import * as HttpServer from "effect/http/HttpServer";
import type * as HttpServerResponse from "effect/http/HttpServerResponse";
import { Lanes, makeLanes } from "../../pipeline/mod.ts";
import type { OnAccess } from "./access.ts";
import { routeOf } from "./api.ts";
import { type Inner, makeFront } from "./front.ts";
import { makeKeptResponses } from "./kept.ts";
import { makeKeys } from "./keys.ts";
import { defaultServerLimits, type ServerLimits } from "./limits.ts";
import type { MediaPolicy } from "./media/resolve.ts";
import { countRequest } from "./metrics.ts";
import { ServerParts } from "./parts.ts";
import { watchPeer } from "./peer.ts";
import { ModelPool } from "./pool.ts";
import { makeRateLimiter } from "./rate.ts";
import { RequestInfo } from "./request_info.ts";
import { routes } from "./routes.ts";

/** How a server works. */
export interface ServerOptions {
  /** Keys that may ask; default: anybody may. */
  readonly apiKeys?: readonly string[];
  /** What is taken on; see {@link defaultServerLimits}. */
  readonly limits?: Partial<ServerLimits>;
  /** Where pictures and videos may come from. */
  readonly media?: MediaPolicy;
  /** Hosts that requests may name; default: any. */
  readonly hosts?: readonly string[];
  /** Origins of pages that may ask; default none. */
  readonly origins?: readonly string[];
  /** Stands between the front and the routes. */
  readonly around?: (inner: Inner) => Inner;
  /** Is told of every request that is over; see {@link AccessEntry}. */
  readonly onAccess?: OnAccess;
  /** Routes besides OpenAI's, and their paths. */
  readonly more?: {
    readonly paths: readonly string[];
    readonly routes: Layer.Layer<
      never,
      Error,
      HttpRouter.HttpRouter | ModelPool | ServerParts
    >;
  };
}

/** A server as a function. */
export interface ServerHandler {
  /** Answers a request; `address` is the client's, `left` aborts when it has gone; default: the request's signal. */
  readonly handle: (
    request: Request,
    address: string,
    left?: AbortSignal,
  ) => Promise<Response>;
  /** Requests being answered. */
  readonly inFlight: () => number;
  /** Takes no more requests. */
  readonly drain: () => void;
}

/** Bounds and state of a server. */
export const makeParts = (
  options: Pick<ServerOptions, "limits" | "media">,
): ServerParts => {
  const limits = { ...defaultServerLimits, ...options.limits };
  return {
    limits,
    media: options.media ?? {},
    load: { inFlight: 0 },
    kept: makeKeptResponses(limits),
    state: { draining: false },
  };
};

/** Makes a server of the models in the pool; it works as long as the scope is open. */
export const makeServer: (
  options?: ServerOptions,
) => Effect.Effect<ServerHandler, never, ModelPool | Scope.Scope> = (
  options = {},
) =>
  // A span that is open while the server is made would become the parent of every request.
  Effect.updateContext(
    build(options),
    (context: Context.Context<ModelPool | Scope.Scope>) =>
      Context.omit(Tracer.ParentSpan)(context) as typeof context,
  );

const build: (
  options: ServerOptions,
) => Effect.Effect<ServerHandler, never, ModelPool | Scope.Scope> = Effect
  .fnUntraced(function* (options: ServerOptions) {
    const parts = makeParts(options);
    const pool = yield* ModelPool;
    const services = Layer.mergeAll(
      Layer.succeed(ModelPool, pool),
      Layer.succeed(ServerParts, parts),
      HttpServer.layerServices,
    );
    const app = yield* HttpRouter.toHttpEffect(
      Layer.provide(
        options.more === undefined
          ? routes
          : Layer.merge(routes, Layer.orDie(options.more.routes)),
        services,
      ),
    );
    // The fiber of a request has what surrounds the server: tracer, logger, metrics.
    const around = Context.merge(
      yield* Effect.context<never>(),
      Context.mergeAll(
        Context.make(ModelPool, pool),
        Context.make(ServerParts, parts),
        // Few names, whatever is asked for: by the route, as OpenTelemetry has it.
        Context.make(HttpMiddleware.SpanNameGenerator, ({ method, url }) => {
          const route = routeOf(url.split("?", 1)[0]!);
          return route === undefined ? method : `${method} ${route}`;
        }),
        // The engine has a queue of its own, and says how many are before whom.
        Context.make(
          Lanes,
          makeLanes({
            cpu: Math.max(1, navigator.hardwareConcurrency),
            device: 1,
            batch: parts.limits.maxConcurrent * parts.limits.maxChoices,
          }),
        ),
      ),
    );
    const inner = HttpEffect.toWebHandlerWith(around)(
      app as unknown as Effect.Effect<HttpServerResponse.HttpServerResponse>,
      // A middleware, even one that does nothing, brings the span of the request with it.
      (app) => app,
    ) as (
      request: Request,
      context: Context.Context<never>,
    ) => Promise<Response>;
    const handle = makeFront(
      {
        keys: makeKeys(options.apiKeys ?? []),
        rate: makeRateLimiter(parts.limits.requestsPerMinute),
        parts,
        ...(options.hosts === undefined
          ? {}
          : { hosts: new Set(options.hosts) }),
        ...(options.origins === undefined ? {} : { origins: options.origins }),
        ...(options.more === undefined
          ? {}
          : { paths: new Set(options.more.paths) }),
        ...(options.onAccess === undefined
          ? {}
          : { onAccess: options.onAccess }),
        count: (endpoint, status, ms) =>
          Effect.runSyncWith(around)(countRequest(endpoint, status, ms)),
      },
      (options.around ?? ((inner) => inner))((request, info) =>
        inner(request, Context.make(RequestInfo, info))
      ),
    );
    return {
      handle,
      inFlight: () => parts.load.inFlight,
      drain: () => {
        parts.state.draining = true;
      },
    };
  });

/** Where a server listens. */
export interface ListenOptions {
  /** Port; 0 for any free one. Default 8000. */
  readonly port?: number;
  /** Address. Default `127.0.0.1`. */
  readonly hostname?: string;
  /** Milliseconds that running requests get at the end. Default: the limits'. */
  readonly graceMs?: number;
}

/** A server that listens. */
export interface Listening {
  /** The port. */
  readonly port: number;
  /** The address. */
  readonly hostname: string;
  /** Requests being answered. */
  readonly inFlight: () => number;
}

/**
 * Listens until the scope closes. Then no new request is taken, running ones get their time, and what is
 * left is interrupted.
 */
export const listen: (
  handler: ServerHandler,
  options?: ListenOptions,
) => Effect.Effect<Listening, ListenError, Scope.Scope> = Effect.fnUntraced(
  function* (handler: ServerHandler, options: ListenOptions = {}) {
    const { port = 8000, hostname = "127.0.0.1" } = options;
    const graceMs = options.graceMs ?? defaultServerLimits.graceMs;
    const stop = new AbortController();
    // Requests whose last byte has not left yet.
    let open = 0;
    let whenNone = () => {};
    const server: Deno.HttpServer<Deno.NetAddr> = yield* Effect.acquireRelease(
      Effect.try({
        try: () =>
          Deno.serve({
            port,
            hostname,
            signal: stop.signal,
            onListen: () => {},
            onError: () => new Response(null, { status: 500 }),
          }, async (request, info) => {
            open++;
            const over = () => {
              if (--open === 0) whenNone();
            };
            info.completed.then(over, over);
            const remote = info.remoteAddr as Deno.NetAddr;
            // Of the others Deno says by itself when their client leaves.
            if (request.body === null) {
              return await handler.handle(request, remote.hostname);
            }
            const left = new AbortController();
            const leave = () => left.abort();
            request.signal.addEventListener("abort", leave, { once: true });
            const end = watchPeer(remote, server.addr.port, leave);
            try {
              return await handler.handle(
                request,
                remote.hostname,
                left.signal,
              );
            } finally {
              // What streams is the runtime's to watch again.
              end();
            }
          }),
        catch: (cause) => new ListenError(hostname, port, cause),
      }),
      (server) =>
        Effect.promise(async () => {
          handler.drain();
          const late = Promise.withResolvers<void>();
          const timer = setTimeout(late.resolve, graceMs);
          const none = Promise.withResolvers<void>();
          whenNone = none.resolve;
          if (open === 0) none.resolve();
          await Promise.race([none.promise, late.promise]);
          if (open > 0) {
            // Not after `shutdown()`: Deno then throws at the signal, where nobody can catch it.
            stop.abort();
            await server.finished;
          } else {
            // Deno says that an answer is complete before its bytes have left; `shutdown()` sees them off.
            await Promise.race([server.shutdown(), late.promise]);
            server.unref();
          }
          clearTimeout(timer);
        }),
    );
    return {
      port: server.addr.port,
      hostname: server.addr.hostname,
      inFlight: handler.inFlight,
    };
  },
);

/** The address cannot be listened on. */
export class ListenError extends Error {
  /** The discriminator. */
  readonly _tag = "ListenError" as const;
  /** Makes the error. */
  constructor(hostname: string, port: number, cause: unknown) {
    const why = cause instanceof Deno.errors.AddrInUse
      ? "another program listens there; --port gives another"
      : cause instanceof Deno.errors.PermissionDenied
      ? "permission denied"
      : cause instanceof Error
      ? cause.message.split("\n")[0]
      : String(cause);
    super(`cannot listen on ${hostname}:${port}: ${why}`, { cause });
    this.name = this._tag;
  }
}
