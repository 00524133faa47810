/**
 * The tokens of a vocabulary as a tree of their bytes, laid out in one pass order: a walk that skips
 * what an automaton refuses is a loop over arrays.
 * @module
 */
import { Effect } from "effect";

/** A tree of byte strings. Entry i is a node; its descendants are the entries up to `end[i]`. */
export interface Trie {
  /** The byte that leads to the node. */
  readonly byte: Uint8Array;
  /** Bytes before that one. */
  readonly depth: Uint16Array;
  /** One past the node's last descendant. */
  readonly end: Int32Array;
  /** Where in `ids` the node's tokens begin; those of node i end where those of i + 1 begin. */
  readonly first: Int32Array;
  /** Ids of tokens. */
  readonly ids: Int32Array;
  /** The largest depth there is, and one. */
  readonly height: number;
}

/** Tokens read between two turns of the event loop. */
const TOKENS_PER_TURN = 1024;

/** Nodes laid out between two turns. */
const NODES_PER_TURN = 1 << 14;

/** Longest token; longer ones are never chosen under a constraint. */
const MAX_LENGTH = 1024;

/** Builds the tree of ids from 0 to `count`; ids without bytes are left out. */
export const buildTrie: (
  count: number,
  bytesOf: (id: number) => Uint8Array | undefined,
) => Effect.Effect<Trie> = Effect.fnUntraced(function* (count, bytesOf) {
  // Children in a table by parent and byte, siblings in a list each.
  const children = new Map<number, number>();
  const byteOf: number[] = [0];
  const firstChild: number[] = [0];
  const sibling: number[] = [0];
  const firstToken: number[] = [-1];
  const nextToken = new Int32Array(count).fill(-1);
  let kept = 0;
  for (let id = 0; id < count; id++) {
    if (id % TOKENS_PER_TURN === TOKENS_PER_TURN - 1) yield* Effect.yieldNow;
    const bytes = bytesOf(id);
    if (bytes === undefined || bytes.length === 0) continue;
    if (bytes.length > MAX_LENGTH) continue;
    let node = 0;
    for (const byte of bytes) {
      const key = node * 256 + byte;
      let child = children.get(key);
      if (child === undefined) {
        child = byteOf.push(byte) - 1;
        firstChild.push(0);
        firstToken.push(-1);
        sibling.push(firstChild[node]);
        firstChild[node] = child;
        children.set(key, child);
      }
      node = child;
    }
    nextToken[id] = firstToken[node];
    firstToken[node] = id;
    kept++;
  }
  yield* Effect.yieldNow;
  const size = byteOf.length - 1;
  const byte = new Uint8Array(size);
  const depth = new Uint16Array(size);
  const end = new Int32Array(size);
  const first = new Int32Array(size + 1);
  const ids = new Int32Array(kept);
  let at = 0;
  let filled = 0;
  let height = 0;
  // The way down to the node being laid out: places of the open entries.
  const open: number[] = [];
  let node = firstChild[0];
  const waiting: number[] = [];
  while (node !== 0 || waiting.length > 0) {
    if (at % NODES_PER_TURN === NODES_PER_TURN - 1 && node !== 0) {
      yield* Effect.yieldNow;
    }
    if (node === 0) {
      end[open.pop()!] = at;
      node = waiting.pop()!;
      continue;
    }
    byte[at] = byteOf[node];
    depth[at] = open.length;
    first[at] = filled;
    for (let id = firstToken[node]; id >= 0; id = nextToken[id]) {
      ids[filled++] = id;
    }
    open.push(at++);
    height = Math.max(height, open.length);
    waiting.push(sibling[node]);
    node = firstChild[node];
  }
  first[size] = filled;
  return { byte, depth, end, first, ids, height };
});
