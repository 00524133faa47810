/**
 * The host of the dashboard: serves `routes/`, `islands/` and `static/` by Fresh's conventions.
 * @module
 */
import { Hono } from "hono";
import { etag } from "hono/etag";
import type { Handlers, Middleware, RouteContext } from "../types.ts";
import { type IslandFiles, registerIslands } from "./islands.ts";
import { type IslandScript, renderPage } from "./render.ts";
import {
  makeRouter,
  type Route,
  type RouteFiles,
  type RouteModule,
} from "./router.ts";

/** A file that is served as it is. */
export interface Asset {
  /** Its media type. */
  readonly type: string;
  /** Its content. */
  readonly body: string;
  /** Whether its name changes with its content. */
  readonly hashed: boolean;
}

/** What a host serves. */
export interface HostOptions<S extends object> {
  /** The files of `routes/`. */
  readonly routes: RouteFiles;
  /** The files of `islands/`. */
  readonly islands: IslandFiles;
  /** Scripts and styles by path. */
  readonly assets: { readonly [path: string]: Asset };
  /** Scripts of the files of `islands/`. */
  readonly scripts: { readonly [file: string]: IslandScript };
  /** What a request's `state` holds before any middleware. */
  readonly state: (req: Request) => S;
  /** Allows the scripts of a page. */
  readonly nonce?: (state: S) => string | undefined;
  /** Is told what a handler or a page threw. */
  readonly onError?: (error: unknown, req: Request) => void;
}

const year = 31_536_000;

/** Answers requests. */
export type Host = (req: Request) => Response | Promise<Response>;

/** Makes a host. */
export function makeHost<S extends object>(options: HostOptions<S>): Host {
  registerIslands(options.islands);
  const router = makeRouter(options.routes);
  const app = new Hono();
  app.use("/assets/*", etag());
  for (const [path, asset] of Object.entries(options.assets)) {
    app.get(path, () =>
      new Response(asset.body, {
        headers: {
          "content-type": asset.type,
          "cache-control": asset.hashed
            ? `public, max-age=${year}, immutable`
            : "no-cache",
          "x-content-type-options": "nosniff",
        },
      }));
  }
  app.all("*", ({ req }) => respond(options, router, req.raw));
  return (req) => app.fetch(req);
}

type Router = ReturnType<typeof makeRouter>;

async function respond<S extends object>(
  options: HostOptions<S>,
  router: Router,
  req: Request,
): Promise<Response> {
  const url = new URL(req.url);
  const found = router.match(url.pathname);
  const route = found?.route ?? router.notFound;
  if (route === undefined) return new Response("Not found", { status: 404 });
  const state = options.state(req);
  const base: Omit<RouteContext<S>, "next"> = {
    req,
    url,
    params: found?.params ?? {},
    state,
    error: undefined,
    redirect: (path, status = 302) =>
      new Response(null, { status, headers: { location: path } }),
  };
  const page = (
    module: RouteModule,
    data: unknown,
    init: ResponseInit,
    error?: unknown,
  ) => renderRoute(options, router, route, module, base, data, init, error);
  const missing = found === undefined;
  const steps = route.middlewares.flatMap(({ default: one, handler }) =>
    (one ?? handler) as Middleware<S> | Middleware<S>[]
  );
  const run = async (index: number): Promise<Response> => {
    const step = steps[index];
    if (step !== undefined) {
      return await step({ ...base, next: () => run(index + 1) });
    }
    try {
      return await handle(route, missing, base, page);
    } catch (error) {
      options.onError?.(error, req);
      for (const module of route.errors) {
        try {
          return await page(module, undefined, { status: 500 }, error);
        } catch (again) {
          options.onError?.(again, req);
        }
      }
      return new Response("Internal error", { status: 500 });
    }
  };
  let response: Response;
  try {
    response = await run(0);
  } catch (error) {
    options.onError?.(error, req);
    response = new Response("Internal error", { status: 500 });
  }
  return req.method === "HEAD"
    ? new Response(null, { status: response.status, headers: response.headers })
    : response;
}

async function handle<S>(
  route: Route,
  missing: boolean,
  base: Omit<RouteContext<S>, "next">,
  page: (
    module: RouteModule,
    data: unknown,
    init: ResponseInit,
  ) => Promise<Response>,
): Promise<Response> {
  const { module } = route;
  const { req } = base;
  const method = req.method === "HEAD" ? "GET" : req.method;
  const status = missing ? 404 : 200;
  const handlers = module.handler as
    | Handlers<unknown, S>
    | NonNullable<Handlers<unknown, S>["GET"]>
    | undefined;
  const handler = typeof handlers === "function"
    ? handlers
    : handlers !== undefined && Object.hasOwn(handlers, method)
    ? handlers[method as keyof Handlers<unknown, S>]
    : undefined;
  if (handler === undefined) {
    const known = typeof handlers === "object" ? Object.keys(handlers) : [];
    if (
      typeof module.default === "function" &&
      (missing || method === "GET" && !known.includes("GET"))
    ) {
      return await page(module, undefined, { status });
    }
    return new Response("Method not allowed", {
      status: 405,
      headers: { allow: known.join(", ") },
    });
  }
  const result = await handler({
    ...base,
    next: () => Promise.resolve(new Response("Not found", { status: 404 })),
  });
  if (result instanceof Response) return result;
  return await page(module, result.data, {
    status: result.status ?? status,
    ...(result.headers === undefined ? {} : { headers: result.headers }),
  });
}

async function renderRoute<S extends object>(
  options: HostOptions<S>,
  router: Router,
  route: Route,
  module: RouteModule,
  base: Omit<RouteContext<S>, "next">,
  data: unknown,
  init: ResponseInit,
  error: unknown,
): Promise<Response> {
  const { req, url, params, state } = base;
  const html = await renderPage({
    modules: [module, ...route.layouts.toReversed(), router.app],
    props: { data, req, url, params, state, error },
    nonce: options.nonce?.(state),
    scriptOf: (file) => options.scripts[file],
  });
  if (html instanceof Response) return html;
  const headers = new Headers(init.headers);
  headers.set("content-type", "text/html; charset=utf-8");
  return new Response(html, { ...init, headers });
}
