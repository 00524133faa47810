import type { JSX } from "preact";

const words: Readonly<Record<string, string>> = {
  succeeded: "done",
  running: "running",
  failed: "failed",
  interrupted: "stopped",
  lost: "lost",
  cached: "cached",
};

/** How a run or a node stands, as a word in its colour. */
export function StateBadge({ state }: { readonly state: string }): JSX.Element {
  return <span class={`state ${state}`}>{words[state] ?? state}</span>;
}
