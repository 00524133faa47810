/**
 * A plugin is a value: kinds, pipelines, ports and layers under one name. A registry finds them by name.
 * @module
 */
import type { Layer } from "effect";
import { graphError, type GraphProblem } from "./problem.ts";
import type { AnyPipeline } from "./handles.ts";
import { type AnyKind, type AnyNodeKind, isName, type Kind } from "./node.ts";
import {
  type AnyPort,
  genericPorts,
  list,
  optional,
  sameDefinition,
} from "./port.ts";

/** Errors of a kind, or of several. */
// deno-lint-ignore no-explicit-any
export type KindErrorOf<K> = K extends Kind<any, any, any, infer E, any> ? E
  : never;

/** Services of a kind, or of several. */
// deno-lint-ignore no-explicit-any
export type KindServicesOf<K> = K extends Kind<any, any, any, any, infer R> ? R
  : never;

/** Marks the phantom types of plugins and registries. */
export const PluginTypeId: unique symbol = Symbol.for("tessera/Plugin");

/** Kinds, pipelines, ports and layers under one name. */
export interface Plugin<E = never, R = never, Services = never> {
  /** Name, for people and for messages. */
  readonly name: string;
  /** Version, for people. */
  readonly version: string | undefined;
  /** One or two sentences. */
  readonly description: string;
  /** Node kinds. */
  readonly nodes: readonly AnyNodeKind[];
  /** Ready-made pipelines, usable as kinds by their names. */
  readonly pipelines: readonly AnyPipeline[];
  /** Ports that no kind of the plugin mentions but documents may. */
  readonly ports: readonly AnyPort[];
  /** What provides the services that nodes ask for. */
  // deno-lint-ignore no-explicit-any
  readonly layers: Layer.Layer<Services, any, any> | undefined;
  /** Types only. */
  readonly [PluginTypeId]?: {
    readonly error: (_: never) => E;
    readonly services: (_: never) => R;
  };
}

/** Any plugin. (A layer is contravariant in what it provides, so `never` takes all of them.) */
// deno-lint-ignore no-explicit-any
export type AnyPlugin = Plugin<any, any, never>;

/** How to make a plugin. */
export interface PluginOptions<
  Nodes extends readonly AnyNodeKind[],
  Pipelines extends readonly AnyPipeline[],
  Services,
> {
  /** Name, for people and for messages. */
  readonly name: string;
  /** Version, for people. */
  readonly version?: string;
  /** One or two sentences. */
  readonly description?: string;
  /** Node kinds. */
  readonly nodes?: Nodes;
  /** Ready-made pipelines, usable as kinds by their names. */
  readonly pipelines?: Pipelines;
  /** Ports that no kind of the plugin mentions but documents may. */
  readonly ports?: readonly AnyPort[];
  /** What provides the services that nodes ask for. */
  // deno-lint-ignore no-explicit-any
  readonly layers?: Layer.Layer<Services, any, any>;
}

/**
 * Makes a plugin.
 *
 * ```ts
 * import { defineNode, definePlugin, Text } from "@tessera/sdk";
 * import { Effect } from "effect";
 * import assert from "node:assert/strict";
 *
 * const upper = defineNode({
 *   kind: "upper",
 *   inputs: { text: Text },
 *   outputs: { text: Text },
 *   run: ({ text }) => Effect.succeed({ text: text.toUpperCase() }),
 * });
 * const plugin = definePlugin({
 *   name: "text",
 *   description: "Nodes for text.",
 *   nodes: [upper],
 * });
 * assert.equal(plugin.nodes[0]?.kind, "upper");
 * ```
 */
export function definePlugin<
  const Nodes extends readonly AnyNodeKind[] = readonly [],
  const Pipelines extends readonly AnyPipeline[] = readonly [],
  Services = never,
>(
  options: PluginOptions<Nodes, Pipelines, Services>,
): Plugin<
  KindErrorOf<Nodes[number] | Pipelines[number]>,
  KindServicesOf<Nodes[number] | Pipelines[number]>,
  Services
> {
  return {
    name: options.name,
    version: options.version,
    description: options.description ?? "",
    nodes: options.nodes ?? [],
    pipelines: options.pipelines ?? [],
    ports: options.ports ?? [],
    layers: options.layers,
  };
}

/** Kinds, pipelines and ports by name. `E` and `R` are the union over all of them. */
export interface Registry<E = never, R = never> {
  /** The plugins, in order. */
  readonly plugins: readonly AnyPlugin[];
  /** Node kinds by name. */
  readonly nodes: ReadonlyMap<string, AnyNodeKind>;
  /** Pipelines by name. */
  readonly pipelines: ReadonlyMap<string, AnyPipeline>;
  /** Plain ports by name. */
  readonly ports: ReadonlyMap<string, AnyPort>;
  /** A node kind or pipeline by name. */
  readonly kind: (name: string) => AnyKind | undefined;
  /** A port by name; `List<X>` and `Optional<X>` are derived from `X`. */
  readonly port: (name: string) => AnyPort | undefined;
  /** Types only. */
  readonly [PluginTypeId]?: {
    readonly error: (_: never) => E;
    readonly services: (_: never) => R;
  };
}

/** Any registry. */
// deno-lint-ignore no-explicit-any
export type AnyRegistry = Registry<any, any>;

/** Errors of a plugin's kinds. */
export type PluginErrorOf<P> = P extends Plugin<infer E, infer _R, infer _S> ? E
  : never;

/** Services that a plugin's kinds ask for. */
export type PluginServicesOf<P> = P extends Plugin<infer _E, infer R, infer _S>
  ? R
  : never;

/**
 * Finds kinds, pipelines and ports by name. Throws a `GraphError` for a name that two plugins claim,
 * naming both; the same object may come from both.
 *
 * ```ts
 * import { defineNode, definePlugin, makeRegistry, Text } from "@tessera/sdk";
 * import { Effect } from "effect";
 * import assert from "node:assert/strict";
 *
 * const upper = defineNode({
 *   kind: "upper",
 *   inputs: { text: Text },
 *   outputs: { text: Text },
 *   run: ({ text }) => Effect.succeed({ text: text.toUpperCase() }),
 * });
 * const plugin = definePlugin({ name: "text", nodes: [upper] });
 * const registry = makeRegistry([plugin]);
 * assert.equal(registry.kind("upper"), upper);
 * assert.equal(registry.port("Optional<Text>")?.name, "Optional<Text>");
 * const other = definePlugin({ name: "other", nodes: [{ ...upper }] });
 * assert.throws(() => makeRegistry([plugin, other]), /defined by both/);
 * ```
 */
export function makeRegistry<const P extends readonly AnyPlugin[]>(
  plugins: P,
): Registry<PluginErrorOf<P[number]>, PluginServicesOf<P[number]>> {
  const problems: GraphProblem[] = [];
  const nodes = new Map<string, AnyNodeKind>();
  const pipelines = new Map<string, AnyPipeline>();
  const ports = new Map<string, AnyPort>();
  const owners = new Map<string, string>();
  for (const port of genericPorts) {
    ports.set(port.name, port);
    owners.set(`port ${port.name}`, "the core");
  }
  const addPort = (plugin: string, port: AnyPort): void => {
    if (port.element !== undefined) return addPort(plugin, port.element);
    const known = ports.get(port.name);
    if (known === undefined) {
      ports.set(port.name, port);
      owners.set(`port ${port.name}`, plugin);
    } else if (!sameDefinition(known, port)) {
      problems.push({
        port: port.name,
        message: `port "${port.name}" is defined differently by ${
          owners.get(`port ${port.name}`)
        } and ${plugin}; both must use the same definition`,
      });
    }
  };
  const addKind = (plugin: string, kind: AnyKind): boolean => {
    const known = nodes.get(kind.kind) ?? pipelines.get(kind.kind);
    const owner = owners.get(`kind ${kind.kind}`);
    if (known !== undefined) {
      if (known !== kind) {
        problems.push({
          node: kind.kind,
          message:
            `kind "${kind.kind}" is defined by both ${owner} and ${plugin}; rename one of them`,
        });
      }
      return false;
    }
    if (!isName(kind.kind)) {
      problems.push({
        node: kind.kind,
        message: `"${kind.kind}" of ${plugin} is no name for a kind`,
      });
      return false;
    }
    owners.set(`kind ${kind.kind}`, plugin);
    for (const port of Object.values<AnyPort>(kind.inputs)) {
      addPort(plugin, port);
    }
    for (const port of Object.values<AnyPort>(kind.outputs)) {
      addPort(plugin, port);
    }
    return true;
  };
  for (const plugin of plugins) {
    const name = `plugin "${plugin.name}"`;
    for (const port of plugin.ports) addPort(name, port);
    for (const kind of plugin.nodes) {
      if (addKind(name, kind)) nodes.set(kind.kind, kind);
    }
    for (const kind of plugin.pipelines) {
      if (addKind(name, kind)) pipelines.set(kind.kind, kind);
    }
  }
  if (problems.length > 0) {
    throw graphError(undefined, problems);
  }
  const derived = new Map<string, AnyPort>();
  const port = (name: string): AnyPort | undefined => {
    const known = ports.get(name) ?? derived.get(name);
    if (known !== undefined) return known;
    const match = /^(List|Optional)<(.{1,200})>$/.exec(name);
    const element = match === null ? undefined : port(match[2]!);
    if (match === null || element === undefined) return undefined;
    const made = match[1] === "List" ? list(element) : optional(element);
    derived.set(name, made);
    return made;
  };
  return {
    plugins,
    nodes,
    pipelines,
    ports,
    kind: (name) => nodes.get(name) ?? pipelines.get(name),
    port,
  };
}
