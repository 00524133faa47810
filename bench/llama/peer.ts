/**
 * llama.cpp in a process of its own, through node-llama-cpp on Node.
 * @module
 */
import { fileURLToPath } from "node:url";

/** The version that is compared with. */
export const VERSION = "3.22.1";

/** llama.cpp with a model loaded. */
export interface Peer extends AsyncDisposable {
  /** What the library says it was built for and found. */
  readonly system: string;
  /** Milliseconds of each of `count` tokens after a context of `context` tokens. */
  readonly decode: (context: number, count: number) => Promise<number[]>;
  /** Milliseconds to read a prompt and choose the first token. */
  readonly prefill: (length: number) => Promise<number>;
}

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
export async function openPeer(
  gguf: string,
  threads: number,
  longest: number,
): Promise<Peer> {
  const child = new Deno.Command("node", {
    args: [
      fileURLToPath(new URL("./peer.mjs", import.meta.url)),
      folder(),
      gguf,
      String(threads),
      String(longest),
    ],
    stdin: "piped",
    stdout: "piped",
    stderr: "null",
  }).spawn();
  const writer = child.stdin.getWriter();
  const reader = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  const answer = async () => {
    while (!text.includes("\n")) {
      const { value } = await reader.read();
      if (value === undefined) throw new Error("llama.cpp has ended");
      text += value;
    }
    const end = text.indexOf("\n");
    const line = JSON.parse(text.slice(0, end));
    text = text.slice(end + 1);
    if (line.error !== undefined) throw new Error(`llama.cpp: ${line.error}`);
    return line;
  };
  const ask = async (command: Readonly<Record<string, number>>) => {
    await writer.write(
      new TextEncoder().encode(JSON.stringify(command) + "\n"),
    );
    return (await answer()).ms;
  };
  return {
    system: (await answer()).ready,
    decode: (context, count) => ask({ decode: count, context }),
    prefill: (length) => ask({ prefill: length }),
    [Symbol.asyncDispose]: async () => {
      await writer.close().catch(() => {});
      await reader.cancel();
      await child.status;
    },
  };
}
