import type { JSX } from "preact";
import { isStop } from "./graph_state.ts";

/** What went wrong; of what was stopped, that it was. */
export function Fault(
  { error: { tag, message } }: {
    readonly error: { readonly tag: string; readonly message: string };
  },
): JSX.Element {
  return isStop({ tag })
    ? (
      <p class="notice" role="status">
        Stopped before it was done
        {message === "interrupted" ? "" : `: ${message}`}.
      </p>
    )
    : (
      <p class="notice bad" role="alert">
        <strong>{tag}</strong>: {message}
      </p>
    );
}
