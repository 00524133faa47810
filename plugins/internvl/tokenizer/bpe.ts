/**
 * SentencePiece's BPE encoder (google/sentencepiece `bpe_model.cc`), to the id.
 *
 * Why not `@huggingface/tokenizers` 0.2, which runs every `tokenizer.json`: SentencePiece orders merges by
 * the score of the piece they make and takes the leftmost of equals, while a merge list orders pairs, so
 * equal scores cannot be written in it; nor has it frozen user-defined pieces or unused pieces, which
 * SentencePiece takes apart again. On 6,008 strings a converted model differed on none for models as
 * trained, on 211 with tied scores and on 3,359 with user-defined pieces, and its decoder differed on
 * broken byte sequences for all of them.
 * @module
 */
import {
  characterLength,
  type PrefixMatcher,
  spaceMarker,
} from "./normalize.ts";
import type { SentencePieceModel } from "./sentencepiece.ts";

/** Appends the ids of a normalized text. */
export type BpeEncoder = (normalized: string, ids: number[]) => void;

/** Left ends take this many bits of a queue key; the rank stands above them. */
const leftRange = 2 ** 31;
/** Ids and ranks are below this (`sentencepiece.ts` bounds them). */
const maxRank = 2 ** 21;
/** Pairs remembered. */
const memoBits = 16;
const memoSize = 1 << memoBits;

/** Makes the encoder of a model. */
export function makeBpeEncoder(
  model: SentencePieceModel,
  userDefined: PrefixMatcher,
): BpeEncoder {
  const { pieces, unknownId, byteIds } = model;
  // Merges only make ordinary pieces; a finished symbol may also be a reserved one.
  const ordinary = new Map<string, number>();
  const reserved = new Map<string, number>();
  let hasUnused = false;
  for (const [id, { text, type }] of pieces.entries()) {
    const names = type === "normal" || type === "user_defined" ||
        type === "unused"
      ? ordinary
      : reserved;
    names.set(text, id);
    if (type === "unused") hasUnused = true;
  }
  const ranks = rankByScore(pieces.map((piece) => piece.score));
  const cut = hasUnused ? undefined : wordBoundary(
    pieces.filter((piece) => piece.type === "normal").map((p) => p.text),
  );
  // Pieces that stand for themselves: not unused, and no reserved piece has the same text.
  const settled = Uint8Array.from(
    pieces,
    ({ text, type }) => type === "unused" || reserved.has(text) ? 0 : 1,
  );
  const idOf = (symbol: string): number =>
    reserved.get(symbol) ?? ordinary.get(symbol) ?? unknownId;

  // Ids of single characters of the basic plane, and a memory of what two ids merge to: text repeats
  // itself, and looking up a number is much quicker than looking up a string.
  const characterIds = new Int32Array(1 << 16).fill(-1);
  for (const [text, id] of ordinary) {
    if (text.length === 1) characterIds[text.charCodeAt(0)] = id;
  }
  const memoKeys = new Float64Array(memoSize).fill(-1);
  const memoIds = new Int32Array(memoSize);

  // One symbol per place, linked; scratch space that grows with the longest stretch seen. A symbol is a
  // stretch of the text, and its id when it is an ordinary piece, else -1.
  let begin = new Int32Array(0);
  let finish = new Int32Array(0);
  let ident = new Int32Array(0);
  let next = new Int32Array(0);
  let previous = new Int32Array(0);
  let pair = new Int32Array(0);
  let frozen = new Uint8Array(0);
  const queue = new KeyQueue();
  const unmerged = new Map<string, readonly [string, string]>();
  const encoded = new TextEncoder();

  const grow = (count: number) => {
    if (next.length >= count) return;
    const size = Math.max(1024, 2 * count);
    begin = new Int32Array(size);
    finish = new Int32Array(size);
    ident = new Int32Array(size);
    next = new Int32Array(size);
    previous = new Int32Array(size);
    pair = new Int32Array(size);
    frozen = new Uint8Array(size);
  };

  /** The piece that two neighbours merge to, or -1. */
  const merge = (text: string, left: number, right: number): number => {
    const a = ident[left]!;
    const b = ident[right]!;
    const look = () =>
      ordinary.get(text.slice(begin[left]!, finish[right]!)) ?? -1;
    if (a < 0 || b < 0) return look();
    const key = a * maxRank + b;
    const slot = (Math.imul(a, 0x9e3779b1) ^ Math.imul(b, 0x85ebca6b)) >>>
      (32 - memoBits);
    if (memoKeys[slot] === key) return memoIds[slot]!;
    const id = look();
    memoKeys[slot] = key;
    memoIds[slot] = id;
    return id;
  };

  /** Looks up what the symbol at `left` and the one after it merge to, and queues that. */
  const consider = (text: string, left: number) => {
    const right = next[left]!;
    const id = right < 0 || frozen[left] === 1 || frozen[right] === 1
      ? -1
      : merge(text, left, right);
    pair[left] = id;
    if (id < 0) return;
    queue.push(ranks[id]! * leftRange + left);
    if (hasUnused && pieces[id]!.type === "unused") {
      unmerged.set(pieces[id]!.text, [
        text.slice(begin[left]!, finish[left]!),
        text.slice(begin[right]!, finish[right]!),
      ]);
    }
  };

  const emit = (
    symbol: string,
    ids: number[],
    afterUnknown: boolean,
  ): boolean => {
    const id = idOf(symbol);
    const unused = hasUnused && pieces[id]!.type === "unused";
    if (id !== unknownId && !unused) {
      ids.push(id);
      return false;
    }
    // An unused piece is taken apart as it was merged; one that no merge made is unknown.
    const parts = unused ? unmerged.get(symbol) : undefined;
    if (parts !== undefined) {
      return emit(parts[1], ids, emit(parts[0], ids, afterUnknown));
    }
    if (byteIds.length > 0) {
      for (const byte of encoded.encode(symbol)) ids.push(byteIds[byte]!);
      return false;
    }
    // A run of unknown characters is one unknown piece.
    if (!afterUnknown) ids.push(unknownId);
    return true;
  };

  /**
   * Encodes a stretch that no merge leads out of; returns whether it ends in an unknown piece. There is
   * no short cut for a stretch that is a piece: not every piece can be reached by merges.
   */
  const encodeStretch = (
    text: string,
    ids: number[],
    afterUnknown: boolean,
  ): boolean => {
    grow(text.length);
    let count = 0;
    for (let at = 0; at < text.length; count++) {
      const found = userDefined(text, at);
      const length = found > 0 ? found : characterLength(text, at);
      begin[count] = at;
      finish[count] = at + length;
      ident[count] = length === 1
        ? characterIds[text.charCodeAt(at)]!
        : ordinary.get(text.slice(at, at + length)) ?? -1;
      frozen[count] = found > 0 ? 1 : 0;
      previous[count] = count - 1;
      next[count] = count + 1;
      at += length;
    }
    if (count === 0) return afterUnknown;
    next[count - 1] = -1;
    queue.clear();
    for (let i = 0; i < count; i++) consider(text, i);
    for (let key = queue.pop(); key >= 0; key = queue.pop()) {
      const left = key % leftRange;
      const id = pair[left]!;
      // Stale when the pair has changed since; a changed pair has its own key.
      if (id < 0 || ranks[id] !== Math.floor(key / leftRange)) continue;
      const right = next[left]!;
      ident[left] = id;
      finish[left] = finish[right]!;
      pair[right] = -1;
      const after = next[right]!;
      next[left] = after;
      if (after >= 0) previous[after] = left;
      const before = previous[left]!;
      if (before >= 0) consider(text, before);
      consider(text, left);
    }
    let unknown = afterUnknown;
    for (let i = 0; i >= 0; i = next[i]!) {
      const id = ident[i]!;
      if (id >= 0 && settled[id] === 1) {
        ids.push(id);
        unknown = false;
      } else {
        unknown = emit(text.slice(begin[i]!, finish[i]!), ids, unknown);
      }
    }
    return unknown;
  };

  return (normalized, ids) => {
    unmerged.clear();
    if (cut === undefined) {
      encodeStretch(normalized, ids, false);
      return;
    }
    let unknown = false;
    let start = 0;
    for (let at = 0; at < normalized.length;) {
      const found = userDefined(normalized, at);
      const step = found > 0 ? found : 1;
      const end = at + step;
      if (end < normalized.length && cut(normalized, end)) {
        unknown = encodeStretch(normalized.slice(start, end), ids, unknown);
        start = end;
      }
      at = end;
    }
    encodeStretch(normalized.slice(start), ids, unknown);
  };
}

/**
 * Where a text may be cut so that no merge crosses the cut: in front of a space marker that follows
 * something else, if no piece has a marker behind another character. `undefined` if one has.
 * Short stretches keep the queue short; the result is the same.
 */
function wordBoundary(
  texts: readonly string[],
): ((text: string, at: number) => boolean) | undefined {
  const marker = spaceMarker.charCodeAt(0);
  for (const text of texts) {
    let leading = 0;
    while (text.charCodeAt(leading) === marker) leading++;
    if (text.indexOf(spaceMarker, leading) >= 0) return undefined;
  }
  return (text, at) =>
    text.charCodeAt(at) === marker && text.charCodeAt(at - 1) !== marker;
}

/** Dense ranks, 0 for the highest score; equal scores have equal ranks. */
function rankByScore(scores: readonly number[]): Int32Array {
  const order = scores.map((_, id) => id).sort((a, b) =>
    scores[b]! - scores[a]!
  );
  const ranks = new Int32Array(scores.length);
  let rank = -1;
  let last = NaN;
  for (const id of order) {
    if (scores[id] !== last) {
      rank++;
      last = scores[id]!;
    }
    ranks[id] = rank;
  }
  return ranks;
}

/** A binary heap of non-negative numbers, the smallest first. */
class KeyQueue {
  #keys = new Float64Array(256);
  #size = 0;

  clear(): void {
    this.#size = 0;
  }

  push(key: number): void {
    if (this.#size === this.#keys.length) {
      const larger = new Float64Array(2 * this.#size);
      larger.set(this.#keys);
      this.#keys = larger;
    }
    const keys = this.#keys;
    let i = this.#size++;
    while (i > 0) {
      const parent = (i - 1) >> 1;
      if (keys[parent]! <= key) break;
      keys[i] = keys[parent]!;
      i = parent;
    }
    keys[i] = key;
  }

  /** The smallest key, or -1 when there is none. */
  pop(): number {
    if (this.#size === 0) return -1;
    const keys = this.#keys;
    const top = keys[0]!;
    const last = keys[--this.#size]!;
    let i = 0;
    for (;;) {
      let child = 2 * i + 1;
      if (child >= this.#size) break;
      if (child + 1 < this.#size && keys[child + 1]! < keys[child]!) child++;
      if (keys[child]! >= last) break;
      keys[i] = keys[child]!;
      i = child;
    }
    keys[i] = last;
    return top;
  }
}
