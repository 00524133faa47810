import type { JSX } from "preact";
import type { PageProps } from "../dashboard/state.ts";

/** Shown when a page failed: the message of a known error, nothing of an unknown one. */
export default function Failed({ error }: PageProps): JSX.Element {
  const known = error instanceof Error && "_tag" in error;
  return (
    <div class="empty">
      <h1>This page could not be made</h1>
      <p>{known ? error.message : "The server's log says why."}</p>
      <p>
        <a href="/">All runs</a>
      </p>
    </div>
  );
}
