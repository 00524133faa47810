/**
 * Kinds and pipelines, as pages show them.
 * @module
 */
import type { Field } from "../components/fields.ts";
import type { AnyKind, AnyNodeKind, AnyRegistry } from "../pipeline/mod.ts";
import { schemaFields } from "./schema_fields.ts";

/** A port of a kind. */
export interface PortView {
  /** Its name. */
  readonly name: string;
  /** Its type. */
  readonly type: string;
  /** Whether it may be left out. */
  readonly optional: boolean;
}

/** A kind or a pipeline. */
export interface KindView {
  /** Its name. */
  readonly kind: string;
  /** One or two sentences. */
  readonly description: string;
  /** The plugin that brings it. */
  readonly plugin: string;
  /** The bounded resource it occupies. */
  readonly lane: string | undefined;
  /** Whether its results are kept by content. */
  readonly memoize: boolean;
  /** Inputs. */
  readonly inputs: readonly PortView[];
  /** Outputs. */
  readonly outputs: readonly PortView[];
  /** Parameters. */
  readonly params: readonly Field[];
}

function view(
  kind: AnyKind & Partial<AnyNodeKind>,
  plugin: string,
): KindView {
  const ports = (of: AnyKind["inputs"]): PortView[] =>
    Object.entries<{ readonly name: string; readonly omittable?: true }>(of)
      .map(([name, port]) => ({
        name,
        type: port.name,
        optional: port.omittable === true,
      }));
  return {
    kind: kind.kind,
    description: kind.description,
    plugin,
    lane: kind.lane,
    memoize: kind.memoize === true,
    inputs: ports(kind.inputs),
    outputs: ports(kind.outputs),
    params: (kind.params && schemaFields(kind.params)) ?? [],
  };
}

/** Everything a registry has. */
export function registryView(
  registry: AnyRegistry,
): {
  readonly pipelines: readonly KindView[];
  readonly kinds: readonly KindView[];
} {
  const owner = (kind: unknown): string =>
    registry.plugins.find(({ nodes, pipelines }) =>
      (nodes as readonly unknown[]).includes(kind) ||
      (pipelines as readonly unknown[]).includes(kind)
    )?.name ?? "";
  const views = (kinds: Iterable<AnyKind>): KindView[] =>
    Array.from(kinds, (kind) => view(kind, owner(kind)));
  return {
    pipelines: views(registry.pipelines.values()),
    kinds: views(registry.nodes.values()),
  };
}
