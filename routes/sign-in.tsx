import type { JSX } from "preact";
import { BodyTooLarge, readForm } from "../dashboard/body.ts";
import type { Context, Handlers, PageProps } from "../dashboard/state.ts";

interface Data {
  readonly to: string;
  readonly wrong: boolean;
}

/** A path of this dashboard, whatever somebody put into the address. */
export const localPath = (path: string | null): string =>
  path !== null && /^\/(?![/\\])[^\\\r\n]*$/.test(path) ? path : "/";

function signIn(ctx: Context, token: string, to: string) {
  const session = ctx.state.services.access.signIn(token);
  if (session === undefined) {
    return { data: { to, wrong: true }, status: 401 };
  }
  return new Response(null, {
    status: 303,
    headers: { location: to, "set-cookie": session.setCookie ?? "" },
  });
}

export const handler: Handlers<Data> = {
  GET(ctx) {
    ctx.state.title = "Sign in · Tessera";
    const { searchParams } = ctx.url;
    const to = localPath(searchParams.get("to"));
    const token = searchParams.get("token");
    return token === null
      ? { data: { to, wrong: false } }
      : signIn(ctx, token, to);
  },
  async POST(ctx) {
    try {
      const form = await readForm(ctx.req);
      return signIn(ctx, form.get("token") ?? "", localPath(form.get("to")));
    } catch (error) {
      if (!(error instanceof BodyTooLarge)) throw error;
      return new Response("Too large\n", { status: 413 });
    }
  },
};

/** Asks for the token. */
export default function SignIn({ data }: PageProps<Data>): JSX.Element {
  return (
    <form method="post" action="/sign-in" class="panel sign-in">
      <h1>Sign in</h1>
      <p class="muted">
        The server printed a token, and an address that has it, when it began.
      </p>
      {data.wrong && (
        <p class="notice bad" role="alert">That is not the token.</p>
      )}
      <input type="hidden" name="to" value={data.to} />
      <label>
        <span>Token</span>
        <input
          type="password"
          name="token"
          autocomplete="current-password"
          required
        />
      </label>
      <button type="submit" class="primary">Sign in</button>
    </form>
  );
}
