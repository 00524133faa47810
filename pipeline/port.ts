/**
 * Port types: what may flow along an edge, how it is checked, hashed, shown and stored.
 * @module
 */
import { Effect, Result, Schema } from "effect";
import {
  canonicalJson,
  previewList,
  previewOf,
  previewText,
  sha256,
} from "./json.ts";
import { schemaProblems } from "./problem.ts";

/**
 * A small JSON value that stands for a large one in events, stores and dashboards. In an object two fields
 * have a meaning for stores: `icon`, a small picture as a `data:` URL, and `usage`, an object of numbers
 * that add up over the nodes of a run.
 */
export type Preview = Schema.Json;

/**
 * What may flow along an edge. Ports are nominal: two ports connect when their names are equal, so a
 * name means one thing everywhere.
 */
// deno-lint-ignore no-explicit-any
export interface PortType<Name extends string = string, A = any> {
  /** Name of the type, such as `Image`; `List<Image>` and `Optional<Image>` are derived. */
  readonly name: Name;
  /** JSON codec; absent for a handle that never crosses a process. */
  readonly schema?: Schema.Codec<A, unknown>;
  /** Cheap run-time check, used for the inputs of a run and for node results in documents. */
  readonly is?: (value: unknown) => value is A;
  /** What a value is, for the message about one that does not fit: `a path or a URL`. */
  readonly expects?: string;
  /** Digest of the content: equal values have equal digests, in this process and in any other. */
  readonly digest: (value: A) => Effect.Effect<string>;
  /**
   * Of a value whose content lies elsewhere, such as in a file: something cheap that is another when the
   * content may have changed. What was made of content that changed meanwhile is not kept under its digest.
   */
  readonly stamp?: (value: A) => Effect.Effect<string>;
  /** A small JSON value for events, stores and dashboards. */
  readonly preview: (value: A) => Preview;
  /** Of a record made of other ports' values: these ports, so that a wrong field can be named. */
  readonly fields?: Ports;
  /** How the port was made from another one, if it was. */
  readonly derived?: "list" | "optional";
  /** The port inside a `List<…>` or an `Optional<…>`. */
  readonly element?: PortType;
  /** An input of this type may be left out. */
  readonly omittable?: true;
}

/** The type of `list(port)`. */
export type ListOf<P extends AnyPort> = P extends PortType<infer Name, infer A>
  ? PortType<`List<${Name}>`, readonly A[]>
  : never;

/** The type of `optional(port)`. */
export type OptionalOf<P extends AnyPort> = P extends
  PortType<infer Name, infer A>
  ? Omittable<PortType<`Optional<${Name}>`, A | undefined>>
  : never;

/** Any port. */
// deno-lint-ignore no-explicit-any
export type AnyPort = PortType<string, any>;

/** Ports by name: the inputs or outputs of a node. */
export type Ports = { readonly [name: string]: AnyPort };

/** The value a port carries. */
export type ValueOf<P> = P extends PortType<string, infer A> ? A : never;

/** A port that may be left out. */
export type Omittable<P extends AnyPort> = P & { readonly omittable: true };

/** How to make a port. */
export interface PortOptions<Name extends string, A> {
  /** Name of the type; letters, digits, `_`, `-`, `.`. */
  readonly name: Name;
  /** JSON codec; leave it out for handles that never cross a process. */
  readonly schema?: Schema.Codec<A, unknown>;
  /** Cheap run-time check; default: that of `fields`, else none for handles, the schema's for inputs. */
  readonly is?: (value: unknown) => value is A;
  /** See {@link PortType.expects}; default: the type's name says it. */
  readonly expects?: string;
  /** Of a record made of other ports' values: these ports. Other fields may be there as well. */
  readonly fields?: Ports;
  /**
   * Digest of the content. Default: SHA-256 of the canonical JSON encoding; without a schema, a handle
   * equals only itself.
   */
  readonly digest?: (value: A) => Effect.Effect<string>;
  /** See {@link PortType.stamp}; default: content is never elsewhere. */
  readonly stamp?: (value: A) => Effect.Effect<string>;
  /** A small JSON value; default: the value cut to a few entries and 200 characters. */
  readonly preview?: (value: A) => Preview;
}

const namePattern = /^[A-Za-z][A-Za-z0-9_.-]*$/;

/**
 * Makes a port type. Throws `RangeError` for a name that could not stand in a document.
 *
 * ```ts
 * import { definePort } from "@tessera/sdk";
 * import { Effect, Schema } from "effect";
 * import assert from "node:assert/strict";
 *
 * const Point = definePort({
 *   name: "Point",
 *   schema: Schema.Struct({ x: Schema.Finite, y: Schema.Finite }),
 * });
 * const digests = await Effect.runPromise(
 *   Effect.all([Point.digest({ x: 1, y: 2 }), Point.digest({ y: 2, x: 1 })]),
 * );
 * assert.equal(digests[0], digests[1]);
 * ```
 */
export function definePort<const Name extends string, A>(
  options: PortOptions<Name, A>,
): PortType<Name, A> {
  const { name, fields } = options;
  // JavaScript may pass none, and "undefined" would be a name.
  if (typeof name !== "string" || !namePattern.test(name)) {
    throw new RangeError(
      `definePort: "${name}" is no port name; use letters, digits, "_", "-" and "."`,
    );
  }
  const schema = options.schema === undefined
    ? undefined
    : Schema.toCodecJson(options.schema);
  const is = options.is ??
    (fields === undefined
      ? undefined
      : (value: unknown): value is A =>
        isRecord(value) && wrongField(fields, value) === undefined);
  return {
    name,
    ...(schema === undefined ? {} : { schema }),
    ...(is === undefined ? {} : { is }),
    ...(options.expects === undefined ? {} : { expects: options.expects }),
    ...(fields === undefined ? {} : { fields }),
    digest: options.digest ??
      (schema === undefined ? handleDigest : schemaDigest(schema)),
    ...(options.stamp === undefined ? {} : { stamp: options.stamp }),
    preview: options.preview ?? previewOf,
  };
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** The first field of a record whose value its port does not take. */
const wrongField = (
  fields: Ports,
  record: { readonly [name: string]: unknown },
): string | undefined =>
  Object.keys(fields).find((name) => !fits(fields[name]!, record[name]));

function schemaDigest<A>(
  schema: Schema.Codec<A, unknown>,
): (value: A) => Effect.Effect<string> {
  const encode = Schema.encodeUnknownEffect(schema);
  // A value that its own codec refuses is a defect of the node that made it.
  return (value) =>
    Effect.flatMap(
      Effect.orDie(encode(value)),
      (json) => sha256(canonicalJson(json as Schema.Json)),
    );
}

const handles = new WeakMap<WeakKey, string>();

/** A handle without a codec equals only itself, so a memo can miss but never mistake. */
function handleDigest(value: unknown): Effect.Effect<string> {
  return Effect.sync(() => {
    if (
      (typeof value !== "object" || value === null) &&
      typeof value !== "function"
    ) {
      return `${typeof value}:${String(value)}`;
    }
    let id = handles.get(value);
    if (id === undefined) {
      handles.set(value, id = `handle:${crypto.randomUUID()}`);
    }
    return id;
  });
}

const lists = new WeakMap<AnyPort, AnyPort>();

/**
 * The port of a list of values; its digest is made of the elements' digests.
 *
 * ```ts
 * import { list, Text } from "@tessera/sdk";
 * import assert from "node:assert/strict";
 *
 * const Texts = list(Text);
 * assert.equal(Texts.name, "List<Text>");
 * assert.deepEqual(Texts.preview(["a", "b"]), ["a", "b"]);
 * ```
 */
export function list<Name extends string, A>(
  port: PortType<Name, A>,
): PortType<`List<${Name}>`, readonly A[]> {
  const known = lists.get(port);
  if (known !== undefined) {
    return known as PortType<`List<${Name}>`, readonly A[]>;
  }
  const { schema, stamp } = port;
  const made: PortType<`List<${Name}>`, readonly A[]> = {
    name: `List<${port.name}>`,
    ...(schema === undefined ? {} : { schema: Schema.Array(schema) }),
    is: (value): value is readonly A[] =>
      Array.isArray(value) && wrongIndex(port, value) < 0,
    ...(port.expects === undefined
      ? {}
      : { expects: `a list, each of it ${port.expects}` }),
    digest: (values) =>
      Effect.flatMap(
        Effect.forEach(values, (value) => port.digest(value)),
        listDigest,
      ),
    ...(stamp === undefined ? {} : {
      stamp: (values) =>
        Effect.map(Effect.forEach(values, stamp), (all) => all.join()),
    }),
    preview: (values) => previewList(values, port.preview),
    derived: "list",
    element: port,
  };
  lists.set(port, made);
  return made;
}

/** The first element that a port does not take, or -1; unlike `every`, `findIndex` sees holes. */
const wrongIndex = (port: AnyPort, values: readonly unknown[]): number =>
  values.findIndex((value) => !fits(port, value));

const checks = new WeakMap<AnyPort, (value: unknown) => boolean>();

/** Whether a value fits a port: by its own check, else by its schema, else always. */
export function fits(port: AnyPort, value: unknown): boolean {
  let check: ((value: unknown) => boolean) | undefined = port.is;
  if (check === undefined && port.schema !== undefined) {
    check = checks.get(port);
    if (check === undefined) checks.set(port, check = Schema.is(port.schema));
  }
  return check === undefined || check(value);
}

/**
 * What is wrong with a value that does not fit a port, in one line: the innermost element or field that does
 * not fit is named behind `path`, and what would fit where the port says it.
 */
export function misfit(port: AnyPort, value: unknown, path: string): string {
  if (port.derived === "optional") return misfit(port.element!, value, path);
  if (port.derived === "list" && Array.isArray(value)) {
    const index = wrongIndex(port.element!, value);
    return misfit(port.element!, value[index], `${path}[${index}]`);
  }
  const field = port.fields !== undefined && isRecord(value)
    ? wrongField(port.fields, value)
    : undefined;
  if (field !== undefined) {
    return misfit(
      port.fields![field]!,
      (value as Record<string, unknown>)[field],
      `${path}.${field}`,
    );
  }
  const expected = port.expects === undefined
    ? ""
    : `; expected ${port.expects}`;
  const found = issueInside(port, value);
  return found === undefined
    ? `"${path}" is no ${port.name} but ${kindOf(value)}${expected}`
    : `"${path}${found.place}": ${found.reason}${
      found.value === undefined ? "" : `, got ${shown(found.value)}`
    }${expected}`;
}

/** The first thing that a port's schema finds wrong inside of a value, if that is where it is. */
function issueInside(
  port: AnyPort,
  value: unknown,
): { place: string; reason: string; value: unknown } | undefined {
  if (port.is !== undefined || port.schema === undefined) return undefined;
  const checked = Schema.decodeUnknownResult(Schema.toType(port.schema))(value);
  if (Result.isSuccess(checked)) return undefined;
  const [problem] = schemaProblems(checked.failure);
  if (problem === undefined || problem.path.length === 0) return undefined;
  const { path, reason } = problem;
  let inner = value;
  let place = "";
  for (const key of path) {
    inner = (inner as Record<PropertyKey, unknown> | undefined)?.[key];
    place += typeof key === "number" ? `[${key}]` : `.${String(key)}`;
  }
  return { place, reason, value: inner };
}

/** A short value as it is, any other by its kind. */
function shown(value: unknown): string {
  switch (typeof value) {
    case "number":
    case "boolean":
      return String(value);
    case "string":
      return value.length > 40 ? "a text" : JSON.stringify(value);
    default:
      return kindOf(value);
  }
}

/** What a value is, in a word: its class, where it has one. */
export function kindOf(value: unknown): string {
  if (value === null) return "null";
  if (Array.isArray(value)) return "a list";
  if (typeof value !== "object") return typeof value;
  const { name } = Object.getPrototypeOf(value)?.constructor ?? {};
  return typeof name === "string" && name !== "" && name !== "Object"
    ? name
    : "object";
}

/** Digest of a list from the digests of its elements. */
export function listDigest(
  digests: readonly string[],
): Effect.Effect<string> {
  return sha256(`list:${digests.join(",")}`);
}

/**
 * The port of a value that may be absent; an input of this type may be left unconnected. In JSON,
 * absence is `null`.
 *
 * ```ts
 * import { Num, optional } from "@tessera/sdk";
 * import assert from "node:assert/strict";
 *
 * const Maybe = optional(Num);
 * assert.equal(Maybe.name, "Optional<Num>");
 * assert.ok(Maybe.is!(undefined) && Maybe.is!(3) && !Maybe.is!("3"));
 * ```
 */
export function optional<Name extends string, A>(
  port: PortType<Name, A>,
): Omittable<PortType<`Optional<${Name}>`, A | undefined>> {
  const { schema, stamp } = port;
  return {
    name: `Optional<${port.name}>`,
    ...(schema === undefined
      ? {}
      : { schema: Schema.toCodecJson(Schema.UndefinedOr(schema)) }),
    is: (value): value is A | undefined =>
      value === undefined || fits(port, value),
    digest: (value) =>
      value === undefined ? Effect.succeed("absent") : port.digest(value),
    ...(stamp === undefined ? {} : {
      stamp: (value) =>
        value === undefined ? Effect.succeed("absent") : stamp(value),
    }),
    preview: (value) => value === undefined ? null : port.preview(value),
    derived: "optional",
    element: port,
    omittable: true,
  };
}

const originals = new WeakMap<AnyPort, AnyPort>();

/** The same port for an input that may be left out because it has a default. */
export function omittable<P extends AnyPort>(port: P): Omittable<P> {
  if (port.omittable === true) return port as Omittable<P>;
  const made: Omittable<P> = { ...port, omittable: true };
  originals.set(made, originals.get(port) ?? port);
  return made;
}

/** The port without the mark that {@link omittable} put on it. */
export function withoutDefault(port: AnyPort): AnyPort {
  return originals.get(port) ?? port;
}

/** Whether two ports are one definition, not merely of one name. */
export function sameDefinition(a: AnyPort, b: AnyPort): boolean {
  return withoutDefault(a) === withoutDefault(b);
}

/** Text. */
export const Text: PortType<"Text", string> = definePort({
  name: "Text",
  schema: Schema.String,
  is: (value): value is string => typeof value === "string",
  digest: (value: string) => sha256(`text:${value}`),
  preview: previewText,
});

/** A finite number. */
export const Num: PortType<"Num", number> = definePort({
  name: "Num",
  schema: Schema.Finite,
  is: (value): value is number => Number.isFinite(value),
});

/** True or false. */
export const Bool: PortType<"Bool", boolean> = definePort({
  name: "Bool",
  schema: Schema.Boolean,
  is: (value): value is boolean => typeof value === "boolean",
});

/** Any JSON value. */
export type Json = Schema.Json;

/** Any JSON value. */
export const Json: PortType<"Json", Json> = definePort({
  name: "Json",
  schema: Schema.Json,
});

/** The ports every registry knows. */
export const genericPorts: readonly AnyPort[] = [Text, Num, Bool, Json];
