/**
 * Who may see and change what: sessions in a cookie, a token beyond this machine, a check of every
 * change, and the headers that keep a page from running anything but its own scripts.
 * @module
 */
import {
  createHash,
  createHmac,
  randomBytes,
  timingSafeEqual,
} from "node:crypto";
import { readForm } from "./body.ts";

/** How a dashboard is reached. */
export interface AccessOptions {
  /** What people must know to come in; nothing on the machine's own address. */
  readonly token?: string;
  /** Part of the cookie's name, because cookies do not know ports. */
  readonly port: number;
  /** Names it is reached by besides `localhost` and the loopback addresses. */
  readonly hosts?: readonly string[];
}

/** What is known of who asks. */
export interface Session {
  /** Must come back with every change. */
  readonly csrf: string;
  /** The cookie to set, when the session is new. */
  readonly setCookie?: string;
}

/** Decides about requests. */
export interface Access {
  /** Whether a token is needed. */
  readonly locked: boolean;
  /** The session of a request, or what to answer in place of anything else. */
  readonly enter: (req: Request) => Promise<Session | Response>;
  /** Makes a session when the token is right; nothing otherwise. */
  readonly signIn: (token: string) => Session | undefined;
}

const loopback = ["localhost", "127.0.0.1", "[::1]"];

/** Most bytes of a form that carries its token in a field. */
const mostForm = 1 << 16;

/** Compares in a time that says nothing about where two texts differ. */
export function sameText(a: string, b: string): boolean {
  const digest = (text: string) => createHash("sha256").update(text).digest();
  return timingSafeEqual(digest(a), digest(b));
}

/** Makes the rules of a dashboard. */
export function makeAccess(options: AccessOptions): Access {
  const { token, port, hosts = [] } = options;
  const cookieName = `tessera_${port}`;
  // With a token of its own choosing, a restart signs nobody out.
  const secret = token === undefined
    ? randomBytes(32)
    : createHash("sha256").update(`tessera ${token}`).digest();
  const sign = (text: string): string =>
    createHmac("sha256", secret).update(text).digest("base64url");
  const csrfOf = (id: string): string => sign(`csrf ${id}`);
  const begin = (): Session => {
    const id = randomBytes(16).toString("base64url");
    return {
      csrf: csrfOf(id),
      setCookie: `${cookieName}=${id}.${
        sign(id)
      }; Path=/; HttpOnly; SameSite=Strict`,
    };
  };
  const sessionOf = (req: Request): string | undefined => {
    for (const part of (req.headers.get("cookie") ?? "").split(";")) {
      const [name, value = ""] = part.trim().split("=", 2);
      if (name !== cookieName) continue;
      const [id = "", mac = ""] = value.split(".", 2);
      if (id !== "" && sameText(mac, sign(id))) return id;
    }
    return undefined;
  };
  const allowedHost = (req: Request): boolean => {
    if (token !== undefined) return true;
    const host = (req.headers.get("host") ?? new URL(req.url).host)
      .replace(/:\d+$/, "").toLowerCase();
    return loopback.includes(host) || hosts.includes(host);
  };
  return {
    locked: token !== undefined,
    signIn: (given) =>
      token === undefined || sameText(given, token) ? begin() : undefined,
    enter: async (req) => {
      // A page elsewhere whose name was made to point here is another origin with our address.
      if (!allowedHost(req)) {
        return refusal(
          403,
          "This dashboard does not answer to that host name.",
        );
      }
      const changes = req.method !== "GET" && req.method !== "HEAD";
      if (changes && !sameOrigin(req)) {
        return refusal(
          403,
          "A change must come from a page of this dashboard.",
        );
      }
      const id = sessionOf(req);
      if (id === undefined) {
        if (token === undefined && !changes) return begin();
        return signInAnswer(req, token !== undefined);
      }
      const csrf = csrfOf(id);
      if (changes && !sameText(await csrfGiven(req), csrf)) {
        return refusal(
          403,
          "The page was too old for this change; load it again.",
        );
      }
      return { csrf };
    },
  };
}

function sameOrigin(req: Request): boolean {
  const site = req.headers.get("sec-fetch-site");
  if (site !== null && site !== "same-origin" && site !== "none") return false;
  const origin = req.headers.get("origin");
  if (origin === null) return true;
  try {
    return new URL(origin).host ===
      (req.headers.get("host") ?? new URL(req.url).host);
  } catch {
    return false;
  }
}

/** The token of a change: in a header, a field of a small form, or the address of an upload. */
async function csrfGiven(req: Request): Promise<string> {
  const header = req.headers.get("x-csrf-token");
  if (header !== null) return header;
  const type = req.headers.get("content-type") ?? "";
  if (type.startsWith("application/x-www-form-urlencoded")) {
    try {
      return (await readForm(req.clone(), mostForm)).get("csrf") ?? "";
    } catch {
      return "";
    }
  }
  return new URL(req.url).searchParams.get("csrf") ?? "";
}

function signInAnswer(req: Request, locked: boolean): Response {
  const wantsPage = (req.headers.get("accept") ?? "").includes("text/html");
  if (locked && wantsPage && req.method === "GET") {
    const { pathname, search } = new URL(req.url);
    return new Response(null, {
      status: 303,
      headers: {
        location: `/sign-in?to=${encodeURIComponent(pathname + search)}`,
      },
    });
  }
  return refusal(
    locked ? 401 : 403,
    locked
      ? "Sign in first, with the token that the server printed."
      : "Load a page of this dashboard first.",
  );
}

/** A refusal as plain text. */
export function refusal(status: number, message: string): Response {
  return new Response(`${message}\n`, {
    status,
    headers: { "content-type": "text/plain; charset=utf-8" },
  });
}

/** A nonce for the scripts of one page. */
export const makeNonce = (): string => randomBytes(16).toString("base64url");

/** The headers of every answer. */
export function secureHeaders(nonce: string): Record<string, string> {
  return {
    "content-security-policy": [
      "default-src 'none'",
      `script-src 'nonce-${nonce}'`,
      "style-src 'self'",
      "img-src 'self' data: blob:",
      "media-src 'self' blob:",
      "connect-src 'self'",
      "form-action 'self'",
      "base-uri 'none'",
      "frame-ancestors 'none'",
    ].join("; "),
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
  };
}
