/**
 * What changes the logits before a token is chosen, each in place.
 * @module
 */

/** Adds to the logits of some tokens, as OpenAI's `logit_bias`; ids beyond the logits are passed over. */
export function addBias(
  logits: Float32Array,
  bias: readonly (readonly [id: number, bias: number])[],
): void {
  for (const [id, value] of bias) {
    if (id < logits.length) logits[id] += value;
  }
}

/**
 * `RepetitionPenaltyLogitsProcessor` (Keskar et al., "CTRL", 2019): positive logits of the tokens are
 * divided by the penalty, negative ones multiplied.
 */
export function penalizeRepetition(
  logits: Float32Array,
  tokens: Iterable<number>,
  penalty: number,
): void {
  if (penalty === 1) return;
  for (const token of tokens) {
    const value = logits[token];
    logits[token] = value < 0 ? value * penalty : value / penalty;
  }
}

/**
 * OpenAI's presence and frequency penalties: a token that was generated c times loses
 * `presence + c · frequency`.
 */
export function penalizeCounts(
  logits: Float32Array,
  counts: ReadonlyMap<number, number>,
  presence: number,
  frequency: number,
): void {
  if (presence === 0 && frequency === 0) return;
  for (const [token, count] of counts) {
    logits[token] -= presence + count * frequency;
  }
}

/** Makes tokens impossible. */
export function forbid(logits: Float32Array, ids: readonly number[]): void {
  for (const id of ids) logits[id] = -Infinity;
}

/** Makes all tokens impossible but those whose bit is set; says whether there are any. */
export function keepAllowed(logits: Float32Array, bits: Int32Array): boolean {
  let any = false;
  for (let word = 0, from = 0; from < logits.length; word++, from += 32) {
    const allowed = word < bits.length ? bits[word] : 0;
    const to = Math.min(from + 32, logits.length);
    if (allowed === 0) {
      logits.fill(-Infinity, from, to);
      continue;
    }
    any = true;
    if (allowed === -1) continue;
    for (let id = from, rest = allowed; id < to; id++, rest >>>= 1) {
      if ((rest & 1) === 0) logits[id] = -Infinity;
    }
  }
  return any;
}
