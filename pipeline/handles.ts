/**
 * Handles and pipelines as types: graphs are built by passing typed handles around, so that a wrong
 * connection does not compile.
 * @module
 */
import type { CapacityError } from "./errors.ts";
import type { Graph, NodeOptions } from "./model.ts";
import type { AnyKind, Kind, NoParams, OmittableKeys } from "./node.ts";
import type { AnyPort, Omittable, Ports, PortType, ValueOf } from "./port.ts";

/** Marks the phantom types of a handle. */
export const HandleTypeId: unique symbol = Symbol.for("tessera/Handle");

/** An input of the pipeline, as handles remember it: its name and its port. */
export interface InputOf<Name extends string, P extends AnyPort> {
  /** Name of the input. */
  readonly name: Name;
  /** Its port; omittable when it is optional or has a default. */
  readonly port: P;
}

/**
 * A value that a node will have made. Handles are nominal by port name. `E`, `R` and `I` are the errors,
 * services and inputs of everything before it, so that a pipeline asks for what its outputs need.
 */
export interface Handle<
  Name extends string,
  A,
  E = never,
  R = never,
  I = never,
> {
  /** Name of the port type. */
  readonly port: Name;
  /** Types only. */
  readonly [HandleTypeId]: {
    readonly value: (_: never) => A;
    readonly error: (_: never) => E;
    readonly services: (_: never) => R;
    readonly inputs: (_: never) => I;
  };
}

/** Any handle. */
// deno-lint-ignore no-explicit-any
export type AnyHandle = Handle<string, any, any, any, any>;

/** Handles by name. */
export type Handles = { readonly [name: string]: AnyHandle };

/** Errors of what a handle, or several, stand for. */
// deno-lint-ignore no-explicit-any
export type ErrorOf<H> = H extends Handle<any, any, infer E, any, any> ? E
  : never;

/** Services of what a handle, or several, stand for. */
// deno-lint-ignore no-explicit-any
export type ServicesOf<H> = H extends Handle<any, any, any, infer R, any> ? R
  : never;

/** Pipeline inputs that a handle, or several, stand for. */
// deno-lint-ignore no-explicit-any
export type InputsOf<H> = H extends Handle<any, any, any, any, infer I> ? I
  : never;

/** The handles an input accepts: its own port, and for `Optional<X>` also `X`. */
export type Accepts<P extends AnyPort> = P extends PortType<infer Name, infer A>
  ? Name extends `Optional<${infer Inner}>` ?
      | Handle<Name, A, unknown, unknown, unknown>
      | Handle<Inner, A, unknown, unknown, unknown>
  : Handle<Name, A, unknown, unknown, unknown>
  : never;

/** The handles a mapped input accepts: what {@link Accepts} says, or a list of it. */
export type AcceptsEach<P extends AnyPort> =
  | Accepts<P>
  | (P extends PortType<infer Name, infer A>
    ? Name extends `Optional<${infer Inner}>` ?
        | Handle<`List<${Name}>`, readonly A[], unknown, unknown, unknown>
        | Handle<`List<${Inner}>`, readonly A[], unknown, unknown, unknown>
    : Handle<`List<${Name}>`, readonly A[], unknown, unknown, unknown>
    : never);

/** What `g.add` takes as inputs of a kind. */
export type Connections<In extends Ports> =
  & {
    readonly [K in Exclude<keyof In, OmittableKeys<In>>]: Accepts<In[K]>;
  }
  & { readonly [K in OmittableKeys<In>]?: Accepts<In[K]> };

/** What `g.each` takes as inputs of a kind. */
export type EachConnections<In extends Ports> =
  & {
    readonly [K in Exclude<keyof In, OmittableKeys<In>>]: AcceptsEach<In[K]>;
  }
  & { readonly [K in OmittableKeys<In>]?: AcceptsEach<In[K]> };

/** Makes a surplus input a compile error. */
export type NoSurplus<In extends Ports, H> = {
  readonly [K in Exclude<keyof H, keyof In>]: never;
};

/** Makes a mapped node without any list a compile error. */
export type SomeList<H> = [
  // deno-lint-ignore no-explicit-any
  Extract<H[keyof H], Handle<`List<${string}>`, any, any, any, any>>,
] extends [never] ? { readonly "at least one input must be a list": never }
  : unknown;

/** Handles of a node's outputs. */
export type OutputHandles<Out extends Ports, E, R, I> = {
  readonly [K in keyof Out]: Out[K] extends PortType<infer Name, infer A>
    ? Handle<Name, A, E, R, I>
    : never;
};

/** Handles of a mapped node's outputs: lists. */
export type OutputListHandles<Out extends Ports, E, R, I> = {
  readonly [K in keyof Out]: Out[K] extends PortType<infer Name, infer A>
    ? Handle<`List<${Name}>`, readonly A[], E, R, I>
    : never;
};

/** Parameters and options of `g.add`; parameters may be left out when all of them have defaults. */
export type ParamsAndOptions<ParamsEncoded, O> = Record<never, never> extends
  ParamsEncoded ? [params?: ParamsEncoded, options?: O]
  : [params: ParamsEncoded, options?: O];

/** A node with a time limit can fail with a `CapacityError`. */
export type TimeoutErrorOf<O> = O extends { readonly timeoutMs: number }
  ? CapacityError
  : never;

/** The ports of a pipeline's inputs, from what its handles remember. */
export type PipelineInputs<I> = {
  readonly [
    // deno-lint-ignore no-explicit-any
    S in I as S extends InputOf<infer Name, any> ? Name : never
  ]:
    // deno-lint-ignore no-explicit-any
    S extends InputOf<any, infer P> ? P : never;
};

/** Handles of the same port, whatever they come from. */
// deno-lint-ignore no-explicit-any
export type Alike<H> = H extends Handle<infer Name, infer A, any, any, any>
  ? Handle<Name, A, unknown, unknown, unknown>
  : never;

/** The port a handle stands for. */
// deno-lint-ignore no-explicit-any
export type PortOf<H> = H extends Handle<infer Name, infer A, any, any, any>
  ? PortType<Name, A>
  : never;

/** The ports of a pipeline's outputs. */
export type PipelineOutputs<H extends Handles> = {
  readonly [K in keyof H]: PortOf<H[K]>;
};

/** A graph with named inputs and outputs; also usable as a node kind inside another one. */
export interface Pipeline<
  In extends Ports,
  Out extends Ports,
  E = never,
  R = never,
> extends Kind<In, Out, NoParams, E, R> {
  /** The discriminator. */
  readonly _tag: "Pipeline";
  /** Its name, which is also its kind. */
  readonly name: string;
  /** The graph as data. */
  readonly graph: Graph;
}

/** Any pipeline. */
// deno-lint-ignore no-explicit-any
export type AnyPipeline = Pipeline<any, any, any, any>;

/** Whether a kind is a pipeline. */
export function isPipeline(kind: AnyKind): kind is AnyPipeline {
  return (kind as { readonly _tag?: string })._tag === "Pipeline";
}

/** What a pipeline's function builds with. */
export interface GraphBuilder {
  /** An input of the pipeline; with a default, or of an optional port, it may be left out. */
  input<const Name extends string, PortName extends string, A>(
    name: Name,
    port: PortType<PortName, A>,
    options: { readonly default: NoInfer<A> },
  ): Handle<
    PortName,
    A,
    never,
    never,
    InputOf<Name, Omittable<PortType<PortName, A>>>
  >;
  /** An input of the pipeline. */
  input<const Name extends string, const P extends AnyPort>(
    name: Name,
    port: P,
  ): P extends PortType<infer PortName, infer A> ? Handle<
      PortName,
      A,
      never,
      never,
      InputOf<
        Name,
        PortName extends `Optional<${string}>` ? P : PortType<PortName, A>
      >
    >
    : never;

  /** A fixed value. */
  constant<Name extends string, A>(
    port: PortType<Name, A>,
    value: NoInfer<A>,
  ): Handle<Name, A>;

  /** Gathers values of one port into a list. */
  list<const H extends AnyHandle, const More extends readonly Alike<H>[]>(
    first: H,
    ...more: More
  ): Handle<
    `List<${H["port"]}>`,
    readonly ValueOf<PortOf<H>>[],
    ErrorOf<H | More[number]>,
    ServicesOf<H | More[number]>,
    InputsOf<H | More[number]>
  >;

  /** Adds a node: a kind, or a whole pipeline. */
  add<
    In extends Ports,
    Out extends Ports,
    ParamsEncoded,
    E,
    R,
    const H extends Connections<In>,
    const O extends NodeOptions = Record<never, never>,
  >(
    kind: Kind<In, Out, ParamsEncoded, E, R>,
    inputs: H & NoSurplus<In, H>,
    ...rest: ParamsAndOptions<NoInfer<ParamsEncoded>, O>
  ): OutputHandles<
    Out,
    E | ErrorOf<H[keyof H]> | TimeoutErrorOf<O>,
    R | ServicesOf<H[keyof H]>,
    InputsOf<H[keyof H]>
  >;

  /**
   * Adds a node that runs once for every element: each input is its port (the same for every element)
   * or a list of it (all such lists equally long, at least one). Outputs become lists, in order.
   */
  each<
    In extends Ports,
    Out extends Ports,
    ParamsEncoded,
    E,
    R,
    const H extends EachConnections<In>,
    const O extends NodeOptions = Record<never, never>,
  >(
    kind: Kind<In, Out, ParamsEncoded, E, R>,
    inputs: H & NoSurplus<In, H> & SomeList<H>,
    ...rest: ParamsAndOptions<NoInfer<ParamsEncoded>, O>
  ): OutputListHandles<
    Out,
    E | ErrorOf<H[keyof H]> | TimeoutErrorOf<O>,
    R | ServicesOf<H[keyof H]>,
    InputsOf<H[keyof H]>
  >;
}

/** More about a pipeline. */
export interface PipelineOptions {
  /** One or two sentences. */
  readonly description?: string;
  /** Version of the pipeline; default 1. */
  readonly version?: number;
}

/** The values of a pipeline's outputs by name. */
export type OutputsOf<P> = P extends
  Pipeline<infer _In, infer Out, infer _E, infer _R>
  ? { readonly [K in keyof Out]: ValueOf<Out[K]> }
  : never;
