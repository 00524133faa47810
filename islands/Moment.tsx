import type { JSX } from "preact";
import { clock, day } from "../components/format.ts";

/** A day and a time: the server's until the browser, which may be in another time zone, says its own. */
export function Moment({ at }: { readonly at: number }): JSX.Element {
  return (
    <time dateTime={new Date(at).toISOString()}>{day(at)} {clock(at)}</time>
  );
}
