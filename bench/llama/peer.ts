/**
 * llama.cpp in a process of its own, through node-llama-cpp on Node.
 * @module
 */
import { fileURLToPath } from "node:url";
import { openPeer, type Peer } from "../peer.ts";

/** The version that is compared with. */
export const VERSION = "3.22.1";

/** The folder whose `node_modules` holds node-llama-cpp. */
export const folder = (): string =>
  Deno.env.get("TESSERA_LLAMA") ??
    fileURLToPath(new URL(".", import.meta.url)).replace(/[\\/]$/, "");

/** Why there is nothing to compare with, and what to do about it; `undefined` where there is. */
export const peerProblem = (): Promise<string | undefined> =>
  missing({ "node-llama-cpp": VERSION });

/** What to do about the packages that are not there in these versions; `undefined` where all are. */
export async function missing(
  wanted: Readonly<Record<string, string>>,
): Promise<string | undefined> {
  const place = folder();
  for (const [name, version] of Object.entries(wanted)) {
    const path = `${place}/node_modules/${name}/package.json`;
    let found: string;
    try {
      found = JSON.parse(await Deno.readTextFile(path)).version;
    } catch {
      const all = Object.entries(wanted).map((one) => one.join("@")).join(" ");
      return `${name} is not measured: npm install --no-save --ignore-scripts --prefix ${place} ${all}; TESSERA_LLAMA names another folder`;
    }
    if (found !== version) {
      return `${name} is not measured: ${place} has version ${found}, not ${version}`;
    }
  }
}

/** Starts llama.cpp on a GGUF file, with room for a context of `longest` tokens. */
export async function openLlama(
  gguf: string,
  threads: number,
  longest: number,
): Promise<Peer> {
  const script = fileURLToPath(new URL("./peer.mjs", import.meta.url));
  const peer = await openPeer("node", [
    script,
    folder(),
    gguf,
    String(threads),
    String(longest),
  ]);
  if (peer === undefined) {
    throw new Error("llama.cpp does not start: it needs Node on the PATH");
  }
  return peer;
}
