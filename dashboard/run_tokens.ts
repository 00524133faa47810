/**
 * Tokens of a run, from what its nodes say.
 * @module
 */
import type { NodeView } from "./run_view.ts";

/** Generated tokens, of answers that are done and of those that are being made. */
export function tokensOf(nodes: readonly NodeView[]): number | undefined {
  let sum: number | undefined;
  for (const { outputs, progress, status, composite } of nodes) {
    // What is inside a pipeline says it itself.
    if (composite) continue;
    for (const value of Object.values(outputs ?? {})) {
      const { usage } = (value ?? {}) as {
        readonly usage?: { readonly completionTokens?: unknown };
      };
      const n = usage?.completionTokens;
      if (typeof n === "number") sum = (sum ?? 0) + n;
    }
    if (status === "running" && progress?.message === "decode") {
      sum = (sum ?? 0) + progress.done;
    }
  }
  return sum;
}

/** Tokens of the prompts, once they were answered. */
export function promptTokensOf(nodes: readonly NodeView[]): number | undefined {
  const usages = nodes.filter(({ composite }) => !composite)
    .flatMap(({ outputs }) => Object.values(outputs ?? {}))
    .map((value) =>
      (value as { readonly usage?: { readonly promptTokens?: unknown } } | null)
        ?.usage?.promptTokens
    ).filter((n) => typeof n === "number");
  return usages.length === 0 ? undefined : usages.reduce((sum, n) => sum + n);
}
