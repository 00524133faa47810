/**
 * A language of byte strings as a network of nodes: edges that read a byte, edges that read nothing, and
 * calls of other networks (rules), so that it may be recursive. Whatever is built is bounded.
 * @module
 */

/** What is wrong with a constraint, in words for the person who wrote it. */
export class ConstraintFault extends Error {}

/** Most nodes of a network: some megabytes, and every step stays in the microseconds. */
const MAX_NODES = 60_000;

/** Adds ways from one node to another. */
export type Part = (net: Network, from: number, to: number) => void;

/** A rule's nodes. */
export interface Rule {
  /** Where it begins. */
  readonly start: number;
  /** Where it ends. */
  readonly end: number;
}

/** The network under construction, and its analysis. */
export class Network {
  /** Bytes that lead on, by node: from, to (inclusive), target, and so on. */
  readonly bytes: number[][] = [];
  /** Nodes reached without reading. */
  readonly empty: number[][] = [];
  /** Calls: start of the rule, node to return to, and so on. */
  readonly calls: number[][] = [];
  /** Nodes that end their rule. */
  readonly ends = new Set<number>();
  readonly #rules = new Map<string, Rule>();
  readonly #unbuilt: (readonly [Rule, () => Part])[] = [];

  /** A new node. */
  node(): number {
    if (this.bytes.length >= MAX_NODES) {
      throw new ConstraintFault(
        `is too large: it takes more than ${MAX_NODES} states`,
      );
    }
    this.empty.push([]);
    this.calls.push([]);
    return this.bytes.push([]) - 1;
  }

  /** The rule of that name; where there is none yet, `build` makes it when {@link build} is called. */
  rule(name: string, build: () => Part): Rule {
    const known = this.#rules.get(name);
    if (known !== undefined) return known;
    const rule = { start: this.node(), end: this.node() };
    this.#rules.set(name, rule);
    this.ends.add(rule.end);
    this.#unbuilt.push([rule, build]);
    return rule;
  }

  /** Builds the rules that were asked for; one after the other, so that a long chain is no deep one. */
  build(): void {
    for (let next = this.#unbuilt.pop(); next; next = this.#unbuilt.pop()) {
      const [{ start, end }, build] = next;
      build()(this, start, end);
    }
  }

  /** End of each rule by its start. */
  ruleEnds(): ReadonlyMap<number, number> {
    return new Map(
      [...this.#rules.values()].map(({ start, end }) => [start, end]),
    );
  }
}

/** Reads nothing. */
export const nothing: Part = (net, from, to) => void net.empty[from].push(to);

/** There is no way. */
export const never: Part = () => {};

/** One byte of a range. */
export const byteRange =
  (least: number, most: number): Part => (net, from, to) =>
    void net.bytes[from].push(least, most, to);

/** These bytes. */
export const bytesOf = (bytes: Uint8Array): Part =>
  sequence(...Array.from(bytes, (byte) => byteRange(byte, byte)));

const encoder = new TextEncoder();

/** This text, in UTF-8. */
export const text = (value: string): Part => bytesOf(encoder.encode(value));

/** One after the other. */
export function sequence(...parts: readonly Part[]): Part {
  if (parts.length === 0) return nothing;
  return (net, from, to) => {
    let at = from;
    for (const [i, part] of parts.entries()) {
      const next = i === parts.length - 1 ? to : net.node();
      part(net, at, next);
      at = next;
    }
  };
}

/** One of them. */
export const either = (...parts: readonly Part[]): Part => (net, from, to) => {
  for (const part of parts) part(net, from, to);
};

/** So many times; `Infinity` for no end. */
export function repeated(part: Part, least: number, most: number): Part {
  return (net, from, to) => {
    let at = from;
    for (let i = 0; i < least; i++) {
      const next = net.node();
      part(net, at, next);
      at = next;
    }
    if (most === Infinity) {
      const loop = net.node();
      net.empty[at].push(loop);
      part(net, loop, loop);
      net.empty[loop].push(to);
      return;
    }
    for (let i = least; i < most; i++) {
      net.empty[at].push(to);
      const next = net.node();
      part(net, at, next);
      at = next;
    }
    net.empty[at].push(to);
  };
}

/** Once or not at all. */
export const maybe = (part: Part): Part => repeated(part, 0, 1);

/** Whatever the rule reads. */
export const call = (rule: (net: Network) => Rule): Part => (net, from, to) => {
  net.calls[from].push(rule(net).start, to);
};

/** A network that is finished. */
export interface Language {
  /** The nodes. */
  readonly net: Network;
  /** The rule that everything is. */
  readonly root: Rule;
  /** Whether the rest of a rule can be read from a node. */
  readonly productive: Uint8Array;
}

/**
 * Finishes a network: finds the nodes from which there is no way to the end, so that none is ever
 * entered. Throws {@link ConstraintFault} when nothing at all can be read, or a rule begins with itself.
 */
export function finish(part: Part): Language {
  const net = new Network();
  const root = net.rule("", () => part);
  net.build();
  const productive = productiveNodes(net);
  if (productive[root.start] === 0) {
    throw new ConstraintFault("cannot be satisfied by any text");
  }
  refuseLeftRecursion(net, root, productive);
  return { net, root, productive };
}

/** Nodes from which the end of their rule can be reached: a fixed point, backwards from the ends. */
function productiveNodes(net: Network): Uint8Array {
  const size = net.bytes.length;
  const productive = new Uint8Array(size);
  const before: number[][] = Array.from({ length: size }, () => []);
  // A call needs its rule and the node to return to.
  for (let node = 0; node < size; node++) {
    for (let i = 2; i < net.bytes[node].length; i += 3) {
      before[net.bytes[node][i]].push(node);
    }
    for (const target of net.empty[node]) before[target].push(node);
    for (const target of net.calls[node]) before[target].push(node);
  }
  const leads = (node: number): boolean => {
    if (net.ends.has(node)) return true;
    const bytes = net.bytes[node];
    for (let i = 2; i < bytes.length; i += 3) {
      if (productive[bytes[i]] === 1) return true;
    }
    if (net.empty[node].some((target) => productive[target] === 1)) return true;
    const calls = net.calls[node];
    for (let i = 0; i < calls.length; i += 2) {
      if (productive[calls[i]] === 1 && productive[calls[i + 1]] === 1) {
        return true;
      }
    }
    return false;
  };
  const queue = [...net.ends];
  while (queue.length > 0) {
    const node = queue.pop()!;
    if (productive[node] === 1 || !leads(node)) continue;
    productive[node] = 1;
    queue.push(...before[node]);
  }
  return productive;
}

/** Rules that call themselves before they read anything would be entered without end. */
function refuseLeftRecursion(
  net: Network,
  root: Rule,
  productive: Uint8Array,
): void {
  const size = net.bytes.length;
  // Rules that can be empty: their ends are reached from their starts without a byte.
  const starts = new Map<number, number>();
  const endOf = net.ruleEnds();
  const empty = new Uint8Array(size);
  const reach = (start: number): Set<number> => {
    const seen = new Set([start]);
    for (const node of seen) {
      for (const target of net.empty[node]) seen.add(target);
      const calls = net.calls[node];
      for (let i = 0; i < calls.length; i += 2) {
        if (empty[calls[i]] === 1) seen.add(calls[i + 1]);
      }
    }
    return seen;
  };
  for (let changed = true; changed;) {
    changed = false;
    for (const [start, end] of endOf) {
      if (empty[start] === 0 && reach(start).has(end)) {
        empty[start] = 1;
        changed = true;
      }
    }
  }
  const calledFirst = (start: number): number[] => {
    const called: number[] = [];
    for (const node of reach(start)) {
      const calls = net.calls[node];
      for (let i = 0; i < calls.length; i += 2) {
        if (productive[calls[i]] === 1) called.push(calls[i]);
      }
    }
    return called;
  };
  const open = 1;
  const done = 2;
  const stack: [start: number, called: number[]][] = [];
  const enter = (start: number) => {
    starts.set(start, open);
    stack.push([start, calledFirst(start)]);
  };
  for (const start of [root.start, ...endOf.keys()]) {
    if (!starts.has(start)) enter(start);
    while (stack.length > 0) {
      const [at, called] = stack[stack.length - 1];
      const next = called.pop();
      if (next === undefined) {
        starts.set(at, done);
        stack.pop();
      } else if (starts.get(next) === open) {
        throw new ConstraintFault("refers to itself without end");
      } else if (!starts.has(next)) enter(next);
    }
  }
}
