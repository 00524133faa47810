/**
 * llama.cpp behind a server with OpenAI's API, in a process of its own.
 * @module
 */
import { fileURLToPath } from "node:url";
import { Effect } from "effect";
import { openCheckpoint } from "../../plugins/internvl/checkpoint.ts";
import type { StreamRequest } from "../clients.ts";
import { openPeer } from "../peer.ts";
import type { Scratch } from "../scratch.ts";
import { writeGguf } from "./gguf.ts";
import { folder, missing, VERSION } from "./peer.ts";

/** The server that is compared with; it is not worked on any more, and npm has no other. */
export const SERVER = "inference-server";
const SERVER_VERSION = "1.0.0-beta.32";

/** Why there is none to compare with, and what to do about it; `undefined` where there is. */
export const serverProblem = (): Promise<string | undefined> =>
  missing({ [SERVER]: SERVER_VERSION, "node-llama-cpp": VERSION });

/** The server. */
export interface LlamaServer extends AsyncDisposable {
  /**
   * A request for `tokens` after a prompt of about `length`: characters, because its vocabulary of noise has
   * no words that could be found in a text.
   */
  readonly request: (length: number, tokens: number) => StreamRequest;
}

/**
 * Starts it on a file of noise of the same shape as the language model of the checkpoint in `dir`. It answers
 * one request after the other: more at once would each need the weights once more, and nothing would be
 * computed together.
 */
export async function startLlamaServer(
  dir: string,
  scratch: Scratch,
): Promise<LlamaServer> {
  const { config } = await Effect.runPromise(openCheckpoint(dir));
  const gguf = scratch.path("served.gguf");
  await writeGguf(gguf, config.language);
  const peer = await openPeer("node", [
    fileURLToPath(new URL("./server.mjs", import.meta.url)),
    folder(),
    gguf,
    String(navigator.hardwareConcurrency),
    scratch.path("served-lists"),
  ]);
  if (peer === undefined) throw new Error(`${SERVER} does not start`);
  const url = `http://127.0.0.1:${peer.about}/openai/v1/completions`;
  return {
    request: (length, tokens) => ({
      url,
      body: {
        model: "bench",
        prompt: Array.from(
          { length },
          () => Math.floor(Math.random() * 10),
        ).join(""),
        max_tokens: tokens,
        temperature: 0,
        stream: true,
      },
      mark: '"text":"',
      // It counts nothing in streams, and says each token for itself.
      count: (stream) => stream.match(/"text":"[^"]+"/g)?.length,
    }),
    [Symbol.asyncDispose]: () => peer[Symbol.asyncDispose](),
  };
}
