/**
 * The temporary folder of a benchmark run, with what the sections share. It is deleted at the end,
 * an interruption or an order to end included.
 * @module
 */
import { Effect } from "effect";
import { fileURLToPath } from "node:url";
import { quantize } from "../plugins/internvl/mod.ts";
import { mini2bConfig, type NoiseOptions, writeNoise } from "./checkpoint.ts";
import { writePicture } from "./picture.ts";

/** Things made when they are first asked for. */
export interface Scratch extends AsyncDisposable {
  /** The folder of the embedded model. */
  readonly nano: string;
  /** The folder of the random checkpoint. */
  readonly synthetic: () => Promise<string>;
  /** The same in 4 bits with a second set of weights for prompts, the tower in w8a8. */
  readonly twoSets: () => Promise<string>;
  /** A random checkpoint of the shape of Mini-InternVL-Chat-2B-V1-5, stored as the options say. */
  readonly mini2b: (options: Omit<NoiseOptions, "config">) => Promise<string>;
  /** A place for a file or folder that is not shared. */
  readonly path: (name: string) => string;
  /** A JPEG of 12 megapixels. */
  readonly picture: () => Promise<string>;
}

/** Opens a scratch; nothing is written before it is needed. */
export function openScratch(): Scratch {
  const nano = fileURLToPath(new URL("../models/nano", import.meta.url));
  let folder: string | undefined;
  const remove = () => {
    if (folder !== undefined) Deno.removeSync(folder, { recursive: true });
    folder = undefined;
  };
  const interrupted = () => {
    remove();
    Deno.exit(130);
  };
  // Windows knows no SIGTERM.
  const signals: readonly Deno.Signal[] = Deno.build.os === "windows"
    ? ["SIGINT"]
    : ["SIGINT", "SIGTERM"];
  for (const signal of signals) Deno.addSignalListener(signal, interrupted);
  const inside = () => folder ??= Deno.makeTempDirSync({ prefix: "tessera-" });
  const once = <A>(make: () => Promise<A>) => {
    let made: Promise<A> | undefined;
    return () => made ??= make();
  };
  const synthetic = once(async () => {
    const dir = `${inside()}/synthetic`;
    await Deno.mkdir(dir);
    await writeNoise(dir, nano);
    return dir;
  });
  return {
    nano,
    synthetic,
    twoSets: once(async () => {
      const dir = `${inside()}/synthetic-int4-w8a8`;
      const options = { weights: "int4", prefill: "w8a8" } as const;
      await Effect.runPromise(quantize(await synthetic(), dir, options));
      return dir;
    }),
    mini2b: async (options) => {
      const dir = Deno.makeTempDirSync({ dir: inside(), prefix: "mini2b-" });
      await writeNoise(dir, nano, { ...options, config: mini2bConfig });
      return dir;
    },
    path: (name) => `${inside()}/${name}`,
    picture: once(async () => {
      const path = `${inside()}/large.jpg`;
      await writePicture(path);
      return path;
    }),
    [Symbol.asyncDispose]: () => {
      for (const signal of signals) {
        Deno.removeSignalListener(signal, interrupted);
      }
      remove();
      return Promise.resolve();
    },
  };
}
