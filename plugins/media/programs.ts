/**
 * Running `ffmpeg` and `ffprobe`.
 * @module
 */
import { unreadable, VideoError } from "./video_reader.ts";

/** The programs of FFmpeg. */
export type Program = "ffmpeg" | "ffprobe";

/** Most bytes of text that ffprobe may print about one file: some five million packets. */
const MAX_TEXT = 128 * 2 ** 20;

/** The version that `ffmpeg -version` tells; throws {@link VideoError} when it cannot be started. */
export async function ffmpegVersion(
  program: Program,
  signal: AbortSignal,
): Promise<string> {
  const text = await readText(program, ["-version"], signal);
  return /version (\S+)/.exec(text)?.[1] ?? "unknown";
}

/** What a program prints, at most {@link MAX_TEXT} bytes. */
export async function readText(
  program: Program,
  args: string[],
  signal: AbortSignal,
): Promise<string> {
  const process = start(program, args, signal);
  const errors = head(process.stderr);
  const decoder = new TextDecoder();
  let text = "", bytes = 0;
  try {
    for await (const chunk of process.stdout) {
      bytes += chunk.length;
      if (bytes > MAX_TEXT) {
        throw new VideoError("has more packets than can be listed");
      }
      text += decoder.decode(chunk, { stream: true });
    }
    await process.status;
  } finally {
    await end(process);
  }
  const said = (await errors).trim().split("\n").pop() ?? "";
  signal.throwIfAborted();
  if (!(await process.status).success) {
    const reason = said.slice(said.lastIndexOf(": ") + 1).trim();
    throw unreadable(reason || `${program} refuses it`);
  }
  return text;
}

/** Ends a program if it is still running, and waits for its end. */
export async function end(process: Deno.ChildProcess): Promise<void> {
  try {
    process.kill("SIGKILL");
  } catch {
    // It has ended by itself.
  }
  await process.status;
}

/** The first 64 KiB of what a program complains about; the rest is read and dropped. */
export async function head(
  stream: ReadableStream<Uint8Array>,
): Promise<string> {
  const decoder = new TextDecoder();
  let text = "";
  for await (const chunk of stream) {
    if (text.length < 65536) text += decoder.decode(chunk, { stream: true });
  }
  return text;
}

/** Starts a program; throws {@link VideoError} when it is missing or not allowed. */
export function start(
  program: Program,
  args: string[],
  signal: AbortSignal,
): Deno.ChildProcess {
  try {
    return new Deno.Command(program, {
      args,
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
      signal,
    }).spawn();
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) {
      throw new VideoError(
        `cannot be read: ${program} is not on the PATH; install FFmpeg (or the npm package node-av)`,
      );
    }
    if (error instanceof Deno.errors.NotCapable) {
      throw new VideoError(
        `cannot be read: ${program} may not be started; run with --allow-run=ffmpeg,ffprobe`,
      );
    }
    throw error;
  }
}
