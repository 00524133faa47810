import { secureHeaders } from "../dashboard/access.ts";
import type { Context } from "../dashboard/state.ts";

/** Where Fresh leaves the nonce of the scripts that it has put into a page. */
const freshNonce = Symbol.for("__freshNonce");

/** Lets in who may come in, and puts the headers on every answer. */
export default async function enter(ctx: Context): Promise<Response> {
  const { services, nonce } = ctx.state;
  const session = ctx.url.pathname === "/sign-in"
    ? { csrf: "" }
    : await services.access.enter(ctx.req);
  let response: Response;
  if (session instanceof Response) response = session;
  else {
    ctx.state.csrf = session.csrf;
    response = await ctx.next();
  }
  const headers = new Headers(response.headers);
  const allowed: unknown = Reflect.get(response, freshNonce) ?? nonce;
  for (const [name, value] of Object.entries(secureHeaders(`${allowed}`))) {
    headers.set(name, value);
  }
  // Fresh's preloads carry no nonce: the policy would refuse them.
  headers.delete("link");
  if (!headers.has("cache-control")) headers.set("cache-control", "no-store");
  if (!(session instanceof Response) && session.setCookie !== undefined) {
    headers.append("set-cookie", session.setCookie);
  }
  return new Response(response.body, { status: response.status, headers });
}
