/**
 * Random pipelines and random damage to their documents, repeatable from a seed, for tests.
 * @module
 */
import { Effect, Schema } from "effect";
import { pipeline } from "./graph.ts";
import type { AnyHandle, AnyPipeline } from "./handles.ts";
import { type AnyNodeKind, defineNode } from "./node.ts";
import { type AnyRegistry, definePlugin, makeRegistry } from "./plugin.ts";
import { type AnyPort, Bool, Json, list, Num, optional, Text } from "./port.ts";
import { increment, sum, upper } from "./test_kit.ts";

/** Numbers in [0, 1), the same for the same seed (mulberry32). */
export function random(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

const join: AnyNodeKind = defineNode({
  kind: "join",
  version: 3,
  inputs: { texts: list(Text), between: optional(Text) },
  outputs: { text: Text, count: Num },
  params: Schema.Struct({
    upTo: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 99 })).pipe(
      Schema.withDecodingDefaultKey(Effect.succeed(99)),
    ),
    style: Schema.optionalKey(Schema.Literals(["plain", "fancy"])),
  }),
  lane: "cpu",
  memoize: true,
  run: ({ texts, between }, { upTo }) =>
    Effect.succeed({
      text: texts.slice(0, upTo).join(between ?? ","),
      count: texts.length,
    }),
});

const label: AnyNodeKind = defineNode({
  kind: "label",
  inputs: { value: Num, big: Bool, extra: Json },
  outputs: { text: Text },
  run: ({ value, big, extra }) =>
    Effect.succeed({ text: `${value} ${big} ${JSON.stringify(extra)}` }),
});

const kinds: readonly AnyNodeKind[] = [increment, sum, upper, join, label];

/** A registry of the kinds that random pipelines are made of. */
export const randomRegistry: AnyRegistry = makeRegistry([
  definePlugin({ name: "random", nodes: kinds }),
]);

/** A random pipeline: constants, defaults, lists, mapped nodes, options, pipelines inside. */
export function randomPipeline(next: () => number, depth = 2): AnyPipeline {
  const below = (limit: number): number => Math.floor(next() * limit);
  const pick = <A>(items: readonly A[]): A => items[below(items.length)]!;
  const value = (port: string): unknown => {
    switch (port) {
      case "Text":
        return pick([
          "",
          "a",
          "Gruß, 世界 \u{1f600}",
          "line\nbreak",
          '"quoted"',
        ]);
      case "Num":
        return pick([0, -1.5, 1e300, below(100)]);
      case "Bool":
        return next() < 0.5;
      default:
        return pick([null, [], { a: [1, { b: "c" }] }, "x", 3]);
    }
  };
  const ports: readonly AnyPort[] = [Text, Num, Bool, Json];
  const inner = depth > 0
    ? Array.from({ length: below(3) }, () => randomPipeline(next, depth - 1))
    : [];
  const name = `p${below(1e9)}`;
  // The random choices are checked when they are made, which the types cannot follow.
  // deno-lint-ignore no-explicit-any
  return pipeline(name, (g: any) => {
    const handles: AnyHandle[] = [];
    const used = new Set<AnyHandle>();
    const input = (port: AnyPort): AnyHandle =>
      next() < 0.3
        ? g.input(`in${handles.length}`, port, { default: value(port.name) })
        : g.input(`in${handles.length}`, port);
    const find = (port: AnyPort): AnyHandle => {
      const known = handles.filter((handle) => handle.port === port.name);
      if (known.length > 0 && next() < 0.8) {
        const handle = pick(known);
        used.add(handle);
        return handle;
      }
      if (port.derived === "list") {
        const items = Array.from(
          { length: 1 + below(3) },
          () => find(port.element!),
        );
        return g.list(...items);
      }
      if (next() < 0.5) return g.constant(port, value(port.name));
      const made = input(port);
      handles.push(made);
      used.add(made);
      return made;
    };
    for (let i = below(3); i >= 0; i--) handles.push(input(pick(ports)));
    for (let i = 1 + below(8); i > 0; i--) {
      const kind = inner.length > 0 && next() < 0.3 ? pick(inner) : pick(kinds);
      const each = next() < 0.3 && Object.keys(kind.inputs).length > 0;
      const inputs: Record<string, AnyHandle> = {};
      let mapped = false;
      for (
        const [port, type] of Object.entries(
          kind.inputs as { readonly [name: string]: AnyPort },
        )
      ) {
        if (type.omittable === true && next() < 0.5) continue;
        const one = type.derived === "optional" ? type.element! : type;
        const map: boolean = each && (!mapped || next() < 0.3);
        inputs[port] = find(map ? list(one) : one);
        mapped ||= map;
      }
      const options = {
        ...(next() < 0.2 ? { id: `node${i}` } : {}),
        ...(next() < 0.2
          ? { retry: { times: 1 + below(3), delayMs: below(9) } }
          : {}),
        ...(next() < 0.2 ? { timeoutMs: 1 + below(1000) } : {}),
        ...(each && mapped && next() < 0.3
          ? { concurrency: 1 + below(4) }
          : {}),
        ...(kind._tag === "NodeKind" && next() < 0.2
          ? { memoize: next() < 0.5, lane: pick(["cpu", "other"]) }
          : {}),
      };
      const params = kind.kind !== "join" ? {} : {
        ...(next() < 0.5 ? { upTo: 1 + below(99) } : {}),
        ...(next() < 0.5 ? { style: pick(["plain", "fancy"]) } : {}),
      };
      const outputs = mapped
        ? g.each(kind, inputs, params, options)
        : g.add(kind, inputs, params, options);
      handles.push(...Object.values<AnyHandle>(outputs));
    }
    const loose = handles.filter((handle) => !used.has(handle));
    const outputs = loose.length > 0 ? loose : [handles.at(-1)!];
    return Object.fromEntries(outputs.map((handle, i) => [`out${i}`, handle]));
  }, { description: pick(["", "made at random"]), version: 1 + below(3) });
}

type Box = { [key: string]: unknown };

/** Damages a document in one to three places; sometimes only its text. */
export function damage(document: unknown, next: () => number): unknown {
  const below = (limit: number): number => Math.floor(next() * limit);
  const pick = <A>(items: readonly A[]): A => items[below(items.length)]!;
  if (next() < 0.1) {
    const text = JSON.stringify(document);
    const at = below(text.length);
    return next() < 0.5
      ? text.slice(0, at)
      : text.slice(0, at) + String.fromCharCode(below(128)) +
        text.slice(at + 1);
  }
  const copy = structuredClone(document) as Box;
  for (let i = 1 + below(3); i > 0; i--) {
    const places: [Box, string][] = [];
    const visit = (value: unknown): void => {
      if (typeof value !== "object" || value === null) return;
      for (const key of Object.keys(value)) {
        places.push([value as Box, key]);
        visit((value as Box)[key]);
      }
    };
    visit(copy);
    if (places.length === 0) break;
    const [box, key] = pick(places);
    const junk = (): unknown =>
      pick<unknown>([
        null,
        0,
        -1,
        1e308,
        true,
        "",
        "upper",
        "uper",
        "List<Text>",
        "List<List<List<Num>>>",
        "__proto__",
        "constructor",
        "x".repeat(5000),
        "line\nbreak",
        [],
        {},
        [null],
        { input: "in0" },
        { node: "upper", port: "text" },
        { node: "join", port: "count", extra: 1 },
        { constant: [1, 2] },
        { constant: "a", port: "Text" },
        { list: [] },
        { list: [{ input: "in0" }, { constant: 1, port: "Num" }] },
      ]);
    const rename = (name: string): void => {
      const kept = box[key];
      delete box[key];
      Object.defineProperty(box, name, {
        value: kept,
        enumerable: true,
        configurable: true,
        writable: true,
      });
    };
    switch (below(7)) {
      case 0:
        if (Array.isArray(box)) box.splice(Number(key), 1);
        else delete box[key];
        break;
      case 1:
        box[key] = junk();
        break;
      case 2:
        if (!Array.isArray(box)) {
          rename(
            pick([
              "__proto__",
              "constructor",
              "toString",
              "",
              "in0",
              "text",
              `${key}x`,
            ]),
          );
        }
        break;
      case 3:
        if (Array.isArray(box)) box.push(structuredClone(box[Number(key)]));
        break;
      case 4: {
        const [other, name] = pick(places);
        const given = structuredClone(other[name]);
        other[name] = structuredClone(box[key]);
        box[key] = given;
        break;
      }
      case 5:
        if (typeof box[key] === "string") {
          const text = box[key] as string;
          const at = below(text.length + 1);
          box[key] = text.slice(0, at) + pick(["", "x", "-2", "<", "\u0000"]) +
            text.slice(at + 1);
        }
        break;
      default: {
        let deep: unknown = junk();
        for (let n = below(300); n > 0; n--) {
          deep = next() < 0.5 ? { list: [deep] } : [deep];
        }
        box[key] = deep;
      }
    }
  }
  return copy;
}
