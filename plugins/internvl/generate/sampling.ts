/**
 * Draws a token from the logits, as Hugging Face `generate` does: temperature, top-k, top-p, min-p,
 * softmax, one draw. The vocabulary is never sorted.
 * @module
 */
import type { Random } from "./random.ts";
import type { ResolvedSettings } from "./settings.ts";

/** Index of the largest number, the first of equals; -1 when there is none. */
export function argMax(values: Float32Array): number {
  let best = -Infinity;
  let index = -1;
  for (let i = 0; i < values.length; i++) {
    if (values[i] > best) {
      best = values[i];
      index = i;
    }
  }
  return index;
}

/** Tokens that may be drawn, in the order of their indices, and their weights (no sum is implied). */
export interface Distribution {
  /** Indices. */
  readonly tokens: Int32Array;
  /** Weights, the largest 1. */
  readonly weights: Float64Array;
}

/**
 * What is left of the logits after temperature, top-k, top-p and min-p, in that order.
 *
 * - Top-k (`TopKLogitsWarper`): every token whose logit is at least the k-th largest; equals stay.
 * - Top-p (`TopPLogitsWarper`): in order of falling probability, every token with less than p before
 *   it; among equals the larger index comes first. At least one stays; p = 1 keeps all.
 * - Min-p (`MinPLogitsWarper`): tokens with at least p times the largest probability; at least one.
 */
export function distribution(
  logits: Float32Array,
  settings: Pick<ResolvedSettings, "temperature" | "topK" | "topP" | "minP">,
): Distribution {
  const { temperature, topK, topP, minP } = settings;
  const floor = topK > 0 && topK < logits.length
    ? kthLargest(logits, topK)
    : -Infinity;
  let tokens = new Int32Array(64);
  let count = 0;
  let top = -Infinity;
  for (let i = 0; i < logits.length; i++) {
    const value = logits[i];
    // Written so that a logit that is no number, or minus infinity, drops out.
    if (value >= floor && value > -Infinity) {
      if (count === tokens.length) {
        const larger = new Int32Array(Math.min(logits.length, count * 4));
        larger.set(tokens);
        tokens = larger;
      }
      tokens[count++] = i;
      if (value > top) top = value;
    }
  }
  const weights = new Float64Array(count);
  for (let i = 0; i < count; i++) {
    // Infinity less itself is no number: of infinite logits each is certain.
    const value = logits[tokens[i]];
    weights[i] = value === top ? 1 : Math.exp((value - top) / temperature);
  }
  if (topP < 1 && count > 0) count = keepTopP(tokens, weights, count, topP);
  if (minP > 0) {
    // The largest weight is 1, so at least one stays.
    count = keepIf(tokens, weights, count, (i) => weights[i] >= minP);
  }
  return {
    tokens: tokens.subarray(0, count),
    weights: weights.subarray(0, count),
  };
}

/** Draws a token; -1 from an empty distribution. */
export function draw(
  { tokens, weights }: Distribution,
  random: Random,
): number {
  let total = 0;
  for (let i = 0; i < weights.length; i++) total += weights[i];
  let rest = random() * total;
  for (let i = 0; i < weights.length; i++) {
    rest -= weights[i];
    if (rest < 0) return tokens[i];
  }
  // Rounding may leave a rest of about 1e-16.
  return tokens.length === 0 ? -1 : tokens[tokens.length - 1];
}

/** Moves the entries to keep to the front, in order; returns their number. */
function keepIf(
  tokens: Int32Array,
  weights: Float64Array,
  count: number,
  keep: (i: number) => boolean,
): number {
  let kept = 0;
  for (let i = 0; i < count; i++) {
    if (keep(i)) {
      tokens[kept] = tokens[i];
      weights[kept++] = weights[i];
    }
  }
  return kept;
}

function keepTopP(
  tokens: Int32Array,
  weights: Float64Array,
  count: number,
  topP: number,
): number {
  let total = 0;
  for (let i = 0; i < count; i++) total += weights[i];
  const limit = topP * total;
  // Together the tokens below this weigh less than what top-p drops: no need to look among them.
  const least = (1 - topP) * total / count;
  const candidates = new Float64Array(count);
  let some = 0;
  for (let i = 0; i < count; i++) {
    if (weights[i] >= least) candidates[some++] = weights[i];
  }
  const floor = massThreshold(candidates.subarray(0, some), limit);
  // Of the tokens at the threshold the last ones stay, as many as it takes.
  let above = 0;
  let equals = 0;
  for (let i = 0; i < count; i++) {
    if (weights[i] > floor) above += weights[i];
    else if (weights[i] === floor) equals++;
  }
  const wanted = Math.max(
    1,
    Math.min(equals, Math.ceil((limit - above) / floor)),
  );
  let passed = equals - wanted;
  return keepIf(
    tokens,
    weights,
    count,
    (i) => weights[i] > floor || (weights[i] === floor && passed-- <= 0),
  );
}

/** Up to this k a heap is faster than partitioning a copy: nearly every value fails its first test. */
const HEAP_LIMIT = 512;

/** The k-th largest number, 1 ≤ k ≤ length; entries that are no numbers count as the smallest. */
export function kthLargest(values: Float32Array, k: number): number {
  return k <= HEAP_LIMIT
    ? kthByHeap(values, k)
    : kthByPartition(values.slice(), k);
}

/** A min-heap of the k largest so far; its root is the answer. */
function kthByHeap(values: Float32Array, k: number): number {
  const heap = new Float32Array(k).fill(-Infinity);
  let root = -Infinity;
  for (let i = 0; i < values.length; i++) {
    const value = values[i];
    if (!(value > root)) continue;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= k) break;
      if (child + 1 < k && heap[child + 1] < heap[child]) child++;
      if (heap[child] >= value) break;
      heap[at] = heap[child];
      at = child;
    }
    heap[at] = value;
    root = heap[0];
  }
  return root;
}

/** Quickselect in three parts; destroys the array. */
function kthByPartition(values: Float32Array, k: number): number {
  let low = 0;
  let high = values.length;
  let wanted = k;
  for (let i = 0; i < high; i++) {
    if (Number.isNaN(values[i])) values[i] = -Infinity;
  }
  for (;;) {
    const pivot = medianOfThree(values, low, high);
    const [larger, notSmaller] = partition(values, low, high, pivot);
    if (wanted <= larger - low) high = larger;
    else if (wanted <= notSmaller - low) return pivot;
    else {
      wanted -= notSmaller - low;
      low = notSmaller;
    }
  }
}

/**
 * The largest value t such that the values of at least t sum up to `limit` or more (the smallest value
 * when rounding keeps the sum below it); destroys the array.
 */
function massThreshold(values: Float64Array, limit: number): number {
  let low = 0;
  let high = values.length;
  let wanted = limit;
  for (;;) {
    const pivot = medianOfThree(values, low, high);
    const [larger, notSmaller] = partition(values, low, high, pivot);
    let mass = 0;
    for (let i = low; i < larger; i++) mass += values[i];
    if (larger > low && mass >= wanted) {
      high = larger;
      continue;
    }
    mass += (notSmaller - larger) * pivot;
    if (mass >= wanted || notSmaller === high) return pivot;
    wanted -= mass;
    low = notSmaller;
  }
}

function medianOfThree(
  values: Float32Array | Float64Array,
  low: number,
  high: number,
): number {
  const a = values[low];
  const b = values[(low + high) >> 1];
  const c = values[high - 1];
  return Math.max(Math.min(a, b), Math.min(Math.max(a, b), c));
}

/** Orders [low, high) as larger, equal, smaller than the pivot; returns the two borders. */
function partition(
  values: Float32Array | Float64Array,
  low: number,
  high: number,
  pivot: number,
): readonly [larger: number, notSmaller: number] {
  let larger = low;
  let i = low;
  let smaller = high;
  while (i < smaller) {
    const value = values[i];
    if (value > pivot) {
      values[i++] = values[larger];
      values[larger++] = value;
    } else if (value < pivot) {
      values[i] = values[--smaller];
      values[smaller] = value;
    } else i++;
  }
  return [larger, smaller];
}
