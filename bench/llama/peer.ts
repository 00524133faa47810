/**
 * llama.cpp in a process of its own, through node-llama-cpp on Node.
 * @module
 */
import { fileURLToPath } from "node:url";
import { openPeer, type Peer } from "../peer.ts";

/** The version that is compared with. */
export const VERSION = "3.22.1";

/** The folder whose `node_modules` holds node-llama-cpp. */
const folder = () =>
  Deno.env.get("TESSERA_LLAMA") ??
    fileURLToPath(new URL(".", import.meta.url)).replace(/[\\/]$/, "");

/** Why there is nothing to compare with, and what to do about it; `undefined` where there is. */
export async function peerProblem(): Promise<string | undefined> {
  const place = folder();
  const path = `${place}/node_modules/node-llama-cpp/package.json`;
  let text: string;
  try {
    text = await Deno.readTextFile(path);
  } catch {
    return `llama.cpp is not measured: npm install --no-save --ignore-scripts --prefix ${place} node-llama-cpp@${VERSION}; TESSERA_LLAMA names another folder`;
  }
  const { version } = JSON.parse(text);
  return version === VERSION
    ? undefined
    : `llama.cpp is not measured: ${place} has node-llama-cpp ${version}, not ${VERSION}`;
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
