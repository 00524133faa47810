/**
 * Probabilities of tokens, from logits that nothing has changed yet.
 * @module
 */
import type { TokenAlternative, TokenLogprob } from "../../../nodes/values.ts";

/** What a token stands for. */
export interface TokenNames {
  /** Text of a token, where the vocabulary has it. */
  readonly tokenOf: (id: number) => string | undefined;
  /** Bytes that a token adds to a text; none for special and unknown ones. */
  readonly bytesOf: (id: number) => Uint8Array<ArrayBuffer> | undefined;
}

/** Logarithm of the sum of the exponentials; entries that are no numbers count as minus infinity. */
export function logSumExp(logits: Float32Array): number {
  let top = -Infinity;
  for (let i = 0; i < logits.length; i++) {
    if (logits[i] > top) top = logits[i];
  }
  if (!Number.isFinite(top)) return top;
  let sum = 0;
  for (let i = 0; i < logits.length; i++) {
    const power = Math.exp(logits[i] - top);
    // Written so that what is no number adds nothing.
    if (power > 0) sum += power;
  }
  return top + Math.log(sum);
}

/** Indices of the `count` largest numbers, the largest first, of equals the first first. */
export function largest(values: Float32Array, count: number): number[] {
  const best: number[] = [];
  let least = -Infinity;
  for (let i = 0; i < values.length; i++) {
    const value = values[i];
    if (!(value > least)) continue;
    let at = best.length;
    while (at > 0 && values[best[at - 1]] < value) at--;
    best.splice(at, 0, i);
    if (best.length > count) best.pop();
    if (best.length === count) {
      least = count === 0 ? Infinity : values[best[count - 1]];
    }
  }
  return best;
}

/** The probabilities of one place: of the token that was chosen, and of the `top` likeliest. */
export function tokenLogprob(
  logits: Float32Array,
  id: number,
  top: number,
  names: TokenNames,
): TokenLogprob {
  const total = logSumExp(logits);
  const entry = (id: number): TokenAlternative => {
    const token = names.tokenOf(id) ?? "";
    const bytes = names.bytesOf(id) ?? new TextEncoder().encode(token);
    return {
      id,
      text: new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes),
      bytes,
      logprob: logits[id] - total,
    };
  };
  return { ...entry(id), top: largest(logits, top).map(entry) };
}
