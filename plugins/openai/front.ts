/**
 * What stands before the routes: who may ask, how often, and whether the body is within bounds. It works on
 * plain requests, so that nothing unbounded ever reaches a parser.
 * @module
 */
import { AccessRecord, type OnAccess } from "./access.ts";
import { canonicalPath, methodsOf, routeName } from "./api.ts";
import { ApiError, errorResponse } from "./errors.ts";
import { readBody } from "./body.ts";
import type { Keys } from "./keys.ts";
import type { ServerParts } from "./parts.ts";
import type { RateLimiter } from "./rate.ts";
import type { RequestInfo } from "./request_info.ts";

/** What the front works with. */
export interface FrontOptions {
  /** Who may ask. */
  readonly keys: Keys;
  /** How often. */
  readonly rate: RateLimiter;
  /** Bounds and state. */
  readonly parts: ServerParts;
  /** Hosts that requests may name; `undefined` for any. Guards a local server against pages that rebind DNS. */
  readonly hosts?: ReadonlySet<string>;
  /** Origins of pages that may ask; default none. `*` for any. */
  readonly origins?: readonly string[];
  /** Paths that take bodies besides those of OpenAI's API. */
  readonly paths?: ReadonlySet<string>;
  /** Is told of requests that are over. */
  readonly onAccess?: OnAccess;
  /** Counts a request that got no further than this, by its route. */
  readonly count?: (endpoint: string, status: number, ms: number) => void;
}

/** Answers a request once it has been let in. */
export type Inner = (request: Request, info: RequestInfo) => Promise<Response>;

/** Paths that need no key and are not counted. */
const open = new Set(["/health", "/ready", "/openapi.json", "/docs"]);

/** What pages of other origins may read of an answer's head; MCP's clients have to. */
const exposed =
  "x-request-id, retry-after, x-should-retry, mcp-session-id, mcp-protocol-version";

/** Puts the front before the routes. */
export function makeFront(
  { keys, rate, parts, hosts, origins = [], paths, onAccess, count }:
    FrontOptions,
  inner: Inner,
): (
  request: Request,
  address: string,
  left?: AbortSignal,
) => Promise<Response> {
  /** Whether a page of another origin asks, and may. */
  const shares = (request: Request): boolean => {
    const origin = request.headers.get("origin");
    return origin !== null &&
      (origins.includes("*") || origins.includes(origin));
  };
  /** Counts a request that no route counts. */
  const refused = (
    response: Response,
    pathname: string,
    began: number,
  ): Response => {
    const endpoint = paths?.has(pathname) ? pathname : routeName(pathname);
    count?.(endpoint, response.status, performance.now() - began);
    return response;
  };
  const admit = async (
    request: Request,
    address: string,
    id: string,
    pathname: string,
    began: number,
    record: AccessRecord | undefined,
    left: AbortSignal | undefined,
  ): Promise<Response> => {
    const host = hostOf(request);
    if (hosts !== undefined && !hosts.has(host)) {
      throw new ApiError({
        status: 403,
        message:
          "the host that the request names is not this server; --allow-host lets it",
        code: "host_not_allowed",
      });
    }
    let caller = address;
    let owner = "";
    if (!open.has(pathname)) {
      if (keys.required) {
        const found = keys.find(request.headers.get("authorization"));
        if (found === undefined) {
          throw new ApiError({
            status: 401,
            type: "invalid_request_error",
            message: request.headers.has("authorization")
              // OpenAI's words: LiteLLM tells a wrong key by them, and takes it for a wrong request otherwise.
              ? "Incorrect API key provided"
              : "an API key is needed: Authorization: Bearer KEY",
            code: "invalid_api_key",
          });
        }
        caller = owner = found.id;
        if (record !== undefined) record.caller = caller;
      }
      const wait = rate.take(caller);
      if (wait > 0) {
        throw new ApiError({
          status: 429,
          message:
            `${parts.limits.requestsPerMinute} requests a minute are taken; try again in ${
              Math.ceil(wait)
            } s`,
          code: "rate_limit_exceeded",
          retryAfter: wait,
        });
      }
    }
    const info: RequestInfo = {
      id,
      began,
      endpoint: pathname,
      caller,
      owner,
      ...(record === undefined ? {} : { record }),
    };
    const shared = shares(request);
    const plain = request.method !== "POST";
    if (plain && !shared) return await inner(request, info);
    const headers = new Headers(request.headers);
    // Judged here: what is behind knows of no `*`.
    if (shared) headers.delete("origin");
    if (plain) return await inner(new Request(request, { headers }), info);
    if (!methodsOf(pathname).includes("POST") && !paths?.has(pathname)) {
      // Not read, and not judged by its kind: what is wrong with it is where it goes.
      await request.body?.cancel();
      return refused(nothingHere(request), pathname, began);
    }
    const body = await readBody(request, parts.limits);
    // A request of its own: the body is whole, and what was for the front stays here.
    for (const name of ["authorization", "cookie", "content-length"]) {
      headers.delete(name);
    }
    headers.set("content-type", "application/json");
    return await inner(
      new Request(request.url, {
        method: "POST",
        headers,
        body,
        signal: left ?? request.signal,
      }),
      info,
    );
  };
  return async (request, address, left) => {
    const began = performance.now();
    const id = idOf(request);
    const path = URL.parse(request.url)?.pathname ?? "/";
    const pathname = canonicalPath(path);
    const record = onAccess === undefined ? undefined : new AccessRecord({
      request: id,
      method: request.method,
      path: path.slice(0, 200),
    }, onAccess);
    // Where keys are needed, an address is not who asks.
    if (record !== undefined && !keys.required) record.caller = address;
    const shared = shares(request);
    const finish = (response: Response): Response => {
      const headers = response.headers;
      headers.set("x-request-id", id);
      headers.set("x-content-type-options", "nosniff");
      if (headers.get("content-type")?.startsWith("text/html")) {
        // The page of the documentation: its script is in it, and it may speak to this server only.
        headers.set(
          "content-security-policy",
          "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:; connect-src 'self'; frame-ancestors 'none'",
        );
      }
      if (shared) {
        headers.set(
          "access-control-allow-origin",
          request.headers.get("origin")!,
        );
        headers.set("access-control-expose-headers", exposed);
        headers.append("vary", "origin");
      }
      record?.responded(response.status);
      return response;
    };
    if (shared && request.method === "OPTIONS") {
      return finish(
        new Response(null, {
          status: 204,
          headers: {
            "access-control-allow-methods": "GET, POST, DELETE",
            "access-control-allow-headers":
              request.headers.get("access-control-request-headers") ??
                "authorization, content-type",
            "access-control-max-age": "600",
          },
        }),
      );
    }
    try {
      const response = await admit(
        request,
        address,
        id,
        pathname,
        began,
        record,
        left,
      );
      return finish(
        response.status === 404 && !isJson(response)
          ? refused(nothingHere(request), pathname, began)
          : response,
      );
    } catch (error) {
      const response = errorResponse(
        error instanceof ApiError ? error : new ApiError({
          status: 500,
          message: "something went wrong; the server's log says what",
          code: "internal_error",
        }),
      );
      return finish(refused(response, pathname, began));
    }
  };
}

const isJson = (response: Response): boolean =>
  response.headers.get("content-type")?.startsWith("application/json") ?? false;

/** Says of a request that no route took what is wrong with it. */
function nothingHere(request: Request): Response {
  const path = new URL(request.url).pathname;
  const known = methodsOf(path);
  // A name that is too long for a route is not there either.
  const methods = known.includes(request.method) ? "" : known.join(", ");
  const response = errorResponse(
    new ApiError({
      type: "invalid_request_error",
      ...(methods === ""
        ? {
          status: 404,
          message: `there is no ${request.method} ${
            path.slice(0, 200)
          } here; GET /openapi.json lists what there is`,
          code: "unknown_url",
        }
        : {
          status: 405,
          message: `${
            path.slice(0, 200)
          } takes ${methods}, not ${request.method}`,
          code: "method_not_supported",
        }),
    }),
  );
  if (methods !== "") response.headers.set("allow", methods);
  return response;
}

/** The host of a request, without its port. */
function hostOf(request: Request): string {
  const host = request.headers.get("host") ?? new URL(request.url).host;
  return host.replace(/:\d+$/, "").replace(/^\[|\]$/g, "").toLowerCase();
}

/** The client's id for the request, where it is harmless to log, or one of ours. */
function idOf(request: Request): string {
  const given = request.headers.get("x-request-id");
  return given !== null && /^[\w.-]{1,64}$/.test(given)
    ? given
    : `req_${crypto.randomUUID().replaceAll("-", "")}`;
}
