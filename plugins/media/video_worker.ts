/**
 * The worker that reads videos with node-av, whose calls block for seconds.
 * @module
 */
import { parentPort } from "node:worker_threads";
import type { SampleOptions } from "../../nodes/services.ts";
import { withIcons } from "./icon.ts";
import { loadNodeAv, type NodeAv } from "./node_av.ts";
import { sampleWithNodeAv } from "./node_av_reader.ts";
import type { Reply } from "./thread.ts";
import { CancelledError, type RawFrames, VideoError } from "./video_reader.ts";

/** What the worker is asked. Answer: {@link VideoAnswer}. */
export interface VideoMessage {
  /** The file. */
  readonly path: string;
  /** Which frames. */
  readonly options: SampleOptions;
  /** Four bytes; reading stops soon after they are no longer zero. */
  readonly cancel: SharedArrayBuffer;
}

/** The frames, or why node-av is not there at all. */
export type VideoAnswer =
  | { readonly loaded: true; readonly sampled: RawFrames }
  | { readonly loaded: false; readonly reason: string };

let library: Promise<NodeAv> | undefined;

async function answer(message: VideoMessage): Promise<VideoAnswer> {
  let av: NodeAv;
  try {
    av = await (library ??= loadNodeAv());
  } catch (error) {
    library = undefined;
    return { loaded: false, reason: firstLine(error) };
  }
  const flag = new Int32Array(message.cancel);
  const sampled = sampleWithNodeAv(
    av,
    message.path,
    message.options,
    () => Atomics.load(flag, 0) !== 0,
  );
  const frames = await withIcons(sampled.frames);
  return { loaded: true, sampled: { ...sampled, frames } };
}

parentPort?.on("message", async (message: VideoMessage) => {
  try {
    const value = await answer(message);
    const reply: Reply<VideoAnswer> = { ok: true, value };
    parentPort?.postMessage(
      reply,
      value.loaded ? value.sampled.frames.map(({ buffer }) => buffer) : [],
    );
  } catch (error) {
    const known = error instanceof VideoError ||
      error instanceof CancelledError;
    const message = known
      ? error.message
      : `cannot be read: ${firstLine(error)}`;
    const reply: Reply<never> = { ok: false, message };
    parentPort?.postMessage(reply);
  }
});

const firstLine = (error: unknown): string =>
  (error instanceof Error ? error.message : String(error)).split("\n")[0];
