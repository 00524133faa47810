import type { JSX } from "preact";
import type { Handlers } from "../dashboard/state.ts";

// Not `_404`: Fresh shows that one after the middlewares have been left, so without their headers.
export const handler: Handlers<undefined> = {
  GET(ctx) {
    ctx.state.title = "Not found · Tessera";
    return { data: undefined, status: 404 };
  },
};

/** Shown where there is no page. */
export default function NotFound(): JSX.Element {
  return (
    <div class="empty">
      <h1>There is no such page</h1>
      <p>
        <a href="/">All runs</a>
      </p>
    </div>
  );
}
