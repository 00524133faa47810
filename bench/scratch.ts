/**
 * The temporary folder of a benchmark run, with what the sections share. It is deleted at the end, an
 * interruption by the keyboard included.
 * @module
 */
import { fileURLToPath } from "node:url";
import { writeSyntheticCheckpoint } from "./checkpoint.ts";
import { writePicture } from "./picture.ts";

/** Things made when they are first asked for. */
export interface Scratch extends AsyncDisposable {
  /** The folder of the embedded model. */
  readonly nano: string;
  /** The folder of the random checkpoint. */
  readonly synthetic: () => Promise<string>;
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
  Deno.addSignalListener("SIGINT", interrupted);
  const inside = () => folder ??= Deno.makeTempDirSync({ prefix: "tessera-" });
  const once = <A>(make: () => Promise<A>) => {
    let made: Promise<A> | undefined;
    return () => made ??= make();
  };
  return {
    nano,
    synthetic: once(async () => {
      const dir = `${inside()}/synthetic`;
      await Deno.mkdir(dir);
      await writeSyntheticCheckpoint(dir, nano);
      return dir;
    }),
    picture: once(async () => {
      const path = `${inside()}/large.jpg`;
      await writePicture(path);
      return path;
    }),
    [Symbol.asyncDispose]: () => {
      Deno.removeSignalListener("SIGINT", interrupted);
      remove();
      return Promise.resolve();
    },
  };
}
