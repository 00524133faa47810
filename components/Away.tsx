import type { JSX } from "preact";

/** Says that a page does not hear from its server, so that nobody takes what is old for what is. */
export function Away({ away }: { readonly away: boolean }): JSX.Element | null {
  return away
    ? (
      <p class="notice" role="status">
        The connection is lost, so what is here may be old; reconnecting …{" "}
        <a href="">Load the page again</a>
      </p>
    )
    : null;
}
