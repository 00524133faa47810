/**
 * Node kinds: data that describes a step, and the one function that runs it.
 * @module
 */
import type { Effect, Schema, Scope } from "effect";
import type { AnyPort, Ports, ValueOf } from "./port.ts";

/** Names of the inputs that may be left out. */
export type OmittableKeys<In extends Ports> = {
  [K in keyof In]: In[K] extends { readonly omittable: true } ? K : never;
}[keyof In];

/** The values a node's `run` receives: every input by name; `undefined` for one left out. */
export type InputValues<In extends Ports> = {
  readonly [K in keyof In]: ValueOf<In[K]>;
};

/** The values a caller gives to a pipeline: inputs with a default, and optional ones, may be left out. */
export type RunInputs<In extends Ports> =
  & {
    readonly [K in Exclude<keyof In, OmittableKeys<In>>]: ValueOf<In[K]>;
  }
  & { readonly [K in OmittableKeys<In>]?: ValueOf<In[K]> };

/** The values a node's `run` returns. */
export type OutputValues<Out extends Ports> = {
  readonly [K in keyof Out]: ValueOf<Out[K]>;
};

/** Parameters of a kind that takes none. */
export type NoParams = Record<string, never>;

/** How far a node has come. */
export interface Progress {
  /** Units done. */
  readonly done: number;
  /** Units in all, where known. */
  readonly total?: number;
  /** A few words. */
  readonly message?: string;
}

/**
 * What a node can say about itself while it runs. `progress`, `emit`, `record` and `now` are plain
 * functions that never throw and never wait, so that native callbacks can call them.
 */
export interface NodeContext<Streams extends Ports = Ports> {
  /** Path of the node in the run, such as `tile`, `load[2]` or `chat[1]/decode`. */
  readonly node: string;
  /** The run. */
  readonly runId: string;
  /** From 1; more than 1 on a retry. */
  readonly attempt: number;
  /** Reports progress as a `NodeProgress` event. */
  readonly progress: (progress: Progress) => void;
  /** Emits a part of a declared stream as a `NodeProgress` event. */
  readonly emit: <K extends keyof Streams & string>(
    port: K,
    delta: ValueOf<Streams[K]>,
  ) => void;
  /** Runs `effect` as a named sub-span, also when it fails. */
  readonly span: <A, E, R>(
    name: string,
    effect: Effect.Effect<A, E, R>,
  ) => Effect.Effect<A, E, R>;
  /** Records a sub-span that was measured with {@link NodeContext.now}; the tracer gets it as well. */
  readonly record: (name: string, startMs: number, endMs: number) => void;
  /** Milliseconds since this attempt began, by the run's clock. */
  readonly now: () => number;
}

/** Marks the phantom types of a kind. */
export const KindTypeId: unique symbol = Symbol.for("tessera/Kind");

/** What node kinds and pipelines have in common: what a graph needs in order to connect them. */
export interface Kind<
  In extends Ports,
  Out extends Ports,
  ParamsEncoded,
  E,
  R,
> {
  /** Name, unique in a registry. */
  readonly kind: string;
  /** Part of every memoization key; raise it when the same inputs give other outputs. */
  readonly version: number;
  /** One or two sentences. */
  readonly description: string;
  /** Input ports by name. */
  readonly inputs: In;
  /** Output ports by name. */
  readonly outputs: Out;
  /** Types only. */
  readonly [KindTypeId]?: {
    readonly params: (params: ParamsEncoded) => void;
    readonly error: (_: never) => E;
    readonly services: (_: never) => R;
  };
}

/** Any kind. */
// deno-lint-ignore no-explicit-any
export type AnyKind = Kind<any, any, any, any, any>;

/** A step: data that describes it, and the function that runs it. */
export interface NodeKind<
  Name extends string,
  In extends Ports,
  Out extends Ports,
  Params = NoParams,
  ParamsEncoded = Params,
  E = never,
  R = never,
> extends Kind<In, Out, ParamsEncoded, E, R> {
  /** The discriminator. */
  readonly _tag: "NodeKind";
  /** Name, unique in a registry. */
  readonly kind: Name;
  /** Codec of the parameters, whose encoded side is JSON; absent when there are none. */
  readonly params: Schema.Codec<Params, ParamsEncoded> | undefined;
  /** Which bounded resource a run of this node occupies; `undefined`: none. */
  readonly lane: string | undefined;
  /** Whether results are kept by content when a memo cache is there. */
  readonly memoize: boolean;
  /** More to tell results apart by, such as the model's digest. */
  readonly identity: Effect.Effect<string, never, R> | undefined;
  /** Ports of the deltas emitted while running. */
  readonly streams: Ports;
  /** One run. */
  readonly run: (
    inputs: InputValues<In>,
    params: Params,
    // deno-lint-ignore no-explicit-any
    context: NodeContext<any>,
  ) => Effect.Effect<OutputValues<Out>, E, R | Scope.Scope>;
}

/** Any node kind. */
// deno-lint-ignore no-explicit-any
export type AnyNodeKind = NodeKind<string, any, any, any, any, any, any>;

/** How to make a node kind. */
export interface NodeDefinition<
  Name extends string,
  In extends Ports,
  Out extends Ports,
  Params,
  ParamsEncoded,
  Streams extends Ports,
  E,
  R,
  RIdentity,
> {
  /** Name, unique in a registry; letters, digits, `_` and `-`. */
  readonly kind: Name;
  /** Part of every memoization key; raise it when the same inputs give other outputs. Default 1. */
  readonly version?: number;
  /** One or two sentences. */
  readonly description?: string;
  /** Input ports by name. */
  readonly inputs: In;
  /** Output ports by name. */
  readonly outputs: Out;
  /** Codec of the parameters; its encoded side must be JSON. Default: no parameters. */
  readonly params?: Schema.Codec<Params, ParamsEncoded>;
  /** Which bounded resource a run occupies, such as `cpu` or `device`. Default: none. */
  readonly lane?: string;
  /**
   * Whether results are kept by content when a memo cache is there; only right when equal inputs
   * and parameters give equal outputs. Default false.
   */
  readonly memoize?: boolean;
  /** More to tell results apart by, such as the model's digest. */
  readonly identity?: Effect.Effect<string, never, RIdentity>;
  /** Ports of the deltas emitted while running. */
  readonly streams?: Streams;
  /**
   * One run. Scoped resources it acquires live until the run of the pipeline ends, or, for a memoized
   * result, until the memo drops it.
   */
  readonly run: (
    inputs: InputValues<In>,
    params: Params,
    context: NodeContext<Streams>,
  ) => Effect.Effect<OutputValues<Out>, E, R>;
}

const namePattern = /^[A-Za-z][A-Za-z0-9_-]*$/;

/**
 * Whether a string can name a kind, a node, a port of a node, a pipeline or an input.
 *
 * ```ts
 * import { isName } from "@tessera/sdk";
 * import assert from "node:assert/strict";
 *
 * assert.ok(isName("vision-encode"));
 * assert.ok(!isName("2nd") && !isName("a b"));
 * ```
 */
export function isName(name: string): boolean {
  return namePattern.test(name) && name.length <= 100;
}

/**
 * Makes a node kind. Throws `RangeError` for a name that could not stand in a document.
 *
 * ```ts
 * import { defineNode, pipeline, run, Text } from "@tessera/sdk";
 * import { Effect, Schema } from "effect";
 * import assert from "node:assert/strict";
 *
 * const repeat = defineNode({
 *   kind: "repeat",
 *   inputs: { text: Text },
 *   outputs: { text: Text },
 *   params: Schema.Struct({ times: Schema.Int }),
 *   run: ({ text }, { times }) => Effect.succeed({ text: text.repeat(times) }),
 * });
 * const twice = pipeline("twice", (g) =>
 *   g.add(repeat, { text: g.input("text", Text) }, { times: 2 }));
 * const { outputs } = await Effect.runPromise(run(twice, { text: "ab" }));
 * assert.equal(outputs.text, "abab");
 * ```
 */
export function defineNode<
  const Name extends string,
  const In extends Ports,
  const Out extends Ports,
  Params = NoParams,
  ParamsEncoded = Params,
  const Streams extends Ports = Record<never, AnyPort>,
  E = never,
  R = never,
  RIdentity = never,
>(
  options: NodeDefinition<
    Name,
    In,
    Out,
    Params,
    ParamsEncoded,
    Streams,
    E,
    R,
    RIdentity
  >,
): NodeKind<
  Name,
  In,
  Out,
  Params,
  ParamsEncoded,
  E,
  Exclude<R, Scope.Scope> | RIdentity
> {
  const names = [
    options.kind,
    ...Object.keys(options.inputs),
    ...Object.keys(options.outputs),
  ];
  for (const name of names) {
    if (!isName(name)) {
      throw new RangeError(
        `defineNode "${options.kind}": "${name}" is no name; start with a letter, then letters, digits, "_" and "-"`,
      );
    }
  }
  return {
    _tag: "NodeKind",
    kind: options.kind,
    version: options.version ?? 1,
    description: options.description ?? "",
    inputs: options.inputs,
    outputs: options.outputs,
    params: options.params,
    lane: options.lane,
    memoize: options.memoize ?? false,
    identity: options.identity as
      | Effect.Effect<string, never, Exclude<R, Scope.Scope> | RIdentity>
      | undefined,
    streams: options.streams ?? {},
    run: options.run as (
      inputs: InputValues<In>,
      params: Params,
      // deno-lint-ignore no-explicit-any
      context: NodeContext<any>,
    ) => Effect.Effect<
      OutputValues<Out>,
      E,
      Exclude<R, Scope.Scope> | RIdentity | Scope.Scope
    >,
  };
}
