/**
 * Bounds what clients of the Model Context Protocol leave behind: a session is kept, with what its client
 * said of itself, until the client ends it, which few do.
 * @module
 */
import type { Inner } from "../openai/mod.ts";

/** What the protocol's own refusals say nothing about: they are a status and no more. */
const why: Readonly<Record<number, string>> = {
  400:
    "the request is not one message of JSON-RPC; lists of them are of protocol version 2025-03-26 only",
  403: "pages of this origin may not ask; --cors lets them",
  404: "the session has ended, or never was; begin one with initialize",
  405:
    "POST sends a message and DELETE ends a session; there is no stream to GET",
  406: "accept must name both application/json and text/event-stream",
};

/** The response, with words where it is an error without any. */
function explained(response: Response): Response {
  const message = why[response.status];
  if (
    message === undefined ||
    response.headers.get("content-type")?.startsWith("application/json")
  ) return response;
  const headers = new Headers(response.headers);
  headers.delete("content-length");
  headers.set("content-type", "application/json");
  return new Response(
    JSON.stringify({
      jsonrpc: "2.0",
      id: null,
      error: { code: -32600, message },
    }),
    { status: response.status, headers },
  );
}

/** How much is kept. */
export interface SessionBounds {
  /** Sessions; the least recently used one ends first. Default 1,000. */
  readonly most?: number;
  /** Bytes of a request that may begin one. Default 64 KiB. */
  readonly largest?: number;
}

/** Stands before the route `/mcp`, behind whatever says who may ask; also says why it refuses. */
export function boundSessions(
  inner: Inner,
  { most = 1000, largest = 65_536 }: SessionBounds = {},
): Inner {
  // The least recently used first.
  const sessions = new Set<string>();
  return async (request, info) => {
    if (info.endpoint !== "/mcp") return await inner(request, info);
    const known = request.headers.get("mcp-session-id");
    if (known === null && request.body !== null) {
      const body = await request.arrayBuffer();
      if (body.byteLength > largest) return tooLarge(largest);
      const { url, method, headers, signal } = request;
      request = new Request(url, { method, headers, body, signal });
    }
    const response = explained(await inner(request, info));
    const begun = response.headers.get("mcp-session-id");
    if (known !== null && sessions.delete(known)) {
      if (request.method !== "DELETE" || !response.ok) sessions.add(known);
    } else if (begun !== null) sessions.add(begun);
    while (sessions.size > most) {
      const oldest = sessions.values().next().value!;
      sessions.delete(oldest);
      await inner(
        new Request(request.url, {
          method: "DELETE",
          headers: { "mcp-session-id": oldest },
        }),
        info,
      );
    }
    return response;
  };
}

const tooLarge = (largest: number): Response =>
  Response.json({
    jsonrpc: "2.0",
    id: null,
    error: {
      code: -32600,
      message:
        `a request without a session is not longer than ${largest} bytes; send Mcp-Session-Id`,
    },
  }, { status: 413 });
