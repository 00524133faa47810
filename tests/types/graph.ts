// Checked by the compiler, never run: connections that must not compile.
import { type Context, Effect, Schema, type Scope } from "effect";
import type { CapacityError } from "../../pipeline/errors.ts";
import { pipeline } from "../../pipeline/graph.ts";
import type { Handle, InputOf, Pipeline } from "../../pipeline/handles.ts";
import {
  definePlugin,
  makeRegistry,
  type Registry,
} from "../../pipeline/plugin.ts";
import {
  defineNode,
  type NodeKind,
  type RunInputs,
} from "../../pipeline/node.ts";
import {
  definePort,
  list,
  Num,
  type Omittable,
  optional,
  type PortType,
  Text,
} from "../../pipeline/port.ts";

type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends
  (<T>() => T extends B ? 1 : 2) ? true : false;
const same = <A, B>(_: Equal<A, B>): void => {};

interface Picture {
  readonly width: number;
}
interface LoadError {
  readonly _tag: "LoadError";
}
class CutError {
  readonly _tag = "CutError";
}
interface Loader {
  readonly load: (path: string) => Effect.Effect<Picture, LoadError>;
}
declare const Loader: Context.Service<Loader, Loader>;
declare const scoped: Effect.Effect<number, never, Scope.Scope>;

const Image: PortType<"Image", Picture> = definePort<"Image", Picture>({
  name: "Image",
});
const Tiles: PortType<"Tiles", readonly Picture[]> = definePort<
  "Tiles",
  readonly Picture[]
>({ name: "Tiles" });

// Explicit types, as JSR wants them, are what is inferred.
const load: NodeKind<
  "load",
  { readonly path: typeof Text },
  { readonly image: typeof Image },
  Record<string, never>,
  Record<string, never>,
  LoadError,
  Loader
> = defineNode({
  kind: "load",
  inputs: { path: Text },
  outputs: { image: Image },
  run: ({ path }) =>
    Effect.gen(function* () {
      yield* scoped;
      return { image: yield* (yield* Loader).load(path) };
    }),
});

const TileParams = Schema.Struct({
  maxTiles: Schema.Int,
  overlap: Schema.Finite.pipe(Schema.withDecodingDefaultKey(Effect.succeed(0))),
});
const tile = defineNode({
  kind: "tile",
  inputs: { image: Image },
  outputs: { tiles: Tiles, count: Num },
  params: TileParams,
  lane: "cpu",
  streams: { text: Text },
  run: ({ image }, { maxTiles, overlap }, ctx) => {
    ctx.emit("text", "a");
    // @ts-expect-error: the stream carries text
    ctx.emit("text", 1);
    // @ts-expect-error: not a declared stream
    ctx.emit("other", "a");
    return image.width > maxTiles + overlap
      ? Effect.fail(new CutError())
      : Effect.succeed({ tiles: [image], count: 1 });
  },
});
const shrink = defineNode({
  kind: "shrink",
  inputs: { image: Image },
  outputs: { image: Image },
  params: Schema.Struct({
    by: Schema.Finite.pipe(Schema.withDecodingDefaultKey(Effect.succeed(2))),
  }),
  run: ({ image }, { by }) =>
    Effect.succeed({ image: { width: image.width / by } }),
});
const join = defineNode({
  kind: "join",
  inputs: { sets: list(Tiles), extra: optional(Tiles) },
  outputs: { tiles: Tiles },
  run: ({ sets, extra }) =>
    Effect.succeed({ tiles: [...sets.flat(), ...extra ?? []] }),
});

defineNode({
  kind: "wrong-output",
  inputs: { image: Image },
  outputs: { image: Image },
  // @ts-expect-error: the output is missing
  run: () => Effect.succeed({}),
});

export const cut = pipeline("cut", (g) => {
  const path = g.input("path", Text);
  const { image } = g.add(load, { path });
  const { tiles, count } = g.add(tile, { image }, { maxTiles: 12 });
  return { tiles, count };
});
same<
  typeof cut,
  Pipeline<
    { readonly path: PortType<"Text", string> },
    {
      readonly tiles: PortType<"Tiles", readonly Picture[]>;
      readonly count: PortType<"Num", number>;
    },
    LoadError | CutError,
    Loader
  >
>(true);

export const declared: Pipeline<
  { readonly path: typeof Text; readonly size: Omittable<typeof Num> },
  { readonly image: typeof Image },
  LoadError | CapacityError,
  Loader
> = pipeline("declared", (g) => {
  const size = g.input("size", Num, { default: 3 });
  const path = g.input("path", Text);
  const { image } = g.add(load, { path }, {}, {
    timeoutMs: 5,
    retry: { times: 1 },
  });
  const sized = defineNode({
    kind: "sized",
    inputs: { image: Image, size: Num },
    outputs: { image: Image },
    run: ({ image }) => Effect.succeed({ image }),
  });
  return g.add(sized, { image, size });
});
same<
  RunInputs<(typeof declared)["inputs"]>,
  { readonly path: string } & { readonly size?: number }
>(true);

pipeline("wrong", (g) => {
  const path = g.input("path", Text);
  const paths = g.input("paths", list(Text));
  const { image } = g.add(load, { path });
  const { tiles } = g.add(tile, { image }, { maxTiles: 1, overlap: 2 });
  // @ts-expect-error: Tiles where Image is wanted
  g.add(tile, { image: tiles }, { maxTiles: 12 });
  // @ts-expect-error: a list where one is wanted
  g.add(load, { path: paths });
  // @ts-expect-error: a value where a handle is wanted
  g.add(load, { path: "a.png" });
  // @ts-expect-error: missing input
  g.add(load, {});
  // @ts-expect-error: surplus input
  g.add(load, { path, image });
  // @ts-expect-error: parameters are required
  g.add(tile, { image });
  // @ts-expect-error: parameter of the wrong type
  g.add(tile, { image }, { maxTiles: "12" });
  // @ts-expect-error: unknown parameter
  g.add(tile, { image }, { maxTiles: 12, min: 1 });
  // @ts-expect-error: a kind without parameters takes none
  g.add(load, { path }, { quick: true });
  // @ts-expect-error: unknown option
  g.add(load, { path }, {}, { often: 2 });
  g.add(shrink, { image });
  g.add(shrink, { image }, { by: 3 });

  const { image: images } = g.each(load, { path: paths });
  const asList: Handle<
    "List<Image>",
    readonly Picture[],
    unknown,
    unknown,
    unknown
  > = images;
  g.each(tile, { image: asList }, { maxTiles: 2 });
  // @ts-expect-error: no input is a list
  g.each(load, { path });
  // @ts-expect-error: a list of another port
  g.each(load, { path: images });
  // @ts-expect-error: surplus input
  g.each(load, { path: paths, image });

  g.add(join, { sets: g.list(tiles, tiles), extra: tiles });
  g.add(join, { sets: g.list(tiles) });
  // @ts-expect-error: the wrong port for an optional input
  g.add(join, { sets: g.list(tiles), extra: image });
  // @ts-expect-error: one list, two ports
  g.list(tiles, image);
  // @ts-expect-error: a constant of the wrong type
  g.constant(Num, "1");
  // @ts-expect-error: a default of the wrong type
  g.input("size", Num, { default: "3" });

  const nested = g.add(cut, { path });
  // @ts-expect-error: a pipeline's inputs are checked as well
  g.add(cut, { path: image });
  // @ts-expect-error: a pipeline takes no parameters
  g.add(cut, { path }, { maxTiles: 1 });
  const many = g.each(cut, { path: paths });
  const lists: Handle<
    "List<Num>",
    readonly number[],
    unknown,
    unknown,
    unknown
  > = many.count;
  return { a: nested.tiles, lists };
});

// A port taken from a pipeline where it has a default is a port without one.
pipeline("again", (g) => {
  const size = g.input("size", declared.inputs.size);
  same<
    typeof size,
    Handle<
      "Num",
      number,
      never,
      never,
      InputOf<"size", PortType<"Num", number>>
    >
  >(true);
  const more = g.input("more", optional(Num));
  same<
    RunInputs<
      {
        readonly more: Omittable<PortType<"Optional<Num>", number | undefined>>;
      }
    >,
    Record<never, never> & { readonly more?: number | undefined }
  >(true);
  const { image } = g.add(load, { path: g.input("path", Text) });
  const both = g.list(image, g.add(shrink, { image }).image);
  same<
    typeof both,
    Handle<
      "List<Image>",
      readonly Picture[],
      LoadError,
      Loader,
      InputOf<"path", PortType<"Text", string>>
    >
  >(true);
  return { size, more, both };
});

// A registry knows the errors and services of all its kinds.
export const registry: Registry<LoadError | CutError | CapacityError, Loader> =
  makeRegistry([
    definePlugin({
      name: "pictures",
      nodes: [load, tile],
      pipelines: [declared],
    }),
  ]);
// @ts-expect-error: the registry's kinds fail with more than that
export const narrow: Registry<LoadError, Loader> = registry;
