/**
 * Reads frames of a video exactly with the `ffmpeg` and `ffprobe` programs on the PATH: where node-av
 * is missing, or where a library under the GPL may not be linked. One pass decodes the whole stream
 * up to the last frame that is wanted.
 * @module
 */
import type { SampleOptions } from "../../nodes/services.ts";
import type { RawPixels } from "./image_worker.ts";
import {
  indexPackets,
  type PacketFacts,
  type VideoIndex,
} from "./video_index.ts";
import {
  checkSize,
  chooseFrames,
  CONTAINERS,
  type RawFrames,
  VideoError,
} from "./video_reader.ts";

/** Most bytes of text that ffprobe may print about one file: some five million packets. */
const MAX_TEXT = 128 * 2 ** 20;

/** Samples frames of a file; throws {@link VideoError}. Aborting the signal ends the programs. */
export async function sampleWithFfmpeg(
  path: string,
  options: SampleOptions,
  signal: AbortSignal,
): Promise<RawFrames> {
  const stream = await probe(path, signal);
  checkSize(stream.width, stream.height, 1);
  const index = indexPackets(stream.packets);
  if (index.count === 0) throw new VideoError("holds no frame");
  const fps = framesPerSecond(stream, index);
  const { indices, unique } = chooseFrames(index.count, fps, options);
  checkSize(stream.width, stream.height, unique.length);
  const frames = await extract(path, stream.index, index, unique, signal);
  return { frames, unique, indices, fps, frameCount: index.count };
}

/** The version that `ffmpeg -version` tells; throws {@link VideoError} when it cannot be started. */
export async function ffmpegVersion(
  program: "ffmpeg" | "ffprobe",
  signal: AbortSignal,
): Promise<string> {
  const text = await readText(program, ["-version"], signal);
  return /version (\S+)/.exec(text)?.[1] ?? "unknown";
}

/** The version of the program on the PATH, once it is known. */
let version: string | undefined;

interface ProbedStream {
  readonly index: number;
  readonly width: number;
  readonly height: number;
  readonly rates: readonly string[];
  readonly timeBase: string;
  readonly packets: readonly PacketFacts[];
}

/** The input, guarded against files that name other files. */
const input = (path: string): string[] => [
  "-protocol_whitelist",
  "file",
  "-format_whitelist",
  CONTAINERS,
  "-i",
  `file:${path}`,
];

/**
 * The video stream that ffmpeg would take (the default one, then the largest; never a cover picture)
 * and its packets.
 */
async function probe(path: string, signal: AbortSignal): Promise<ProbedStream> {
  const text = await readText("ffprobe", [
    "-v",
    "error",
    "-select_streams",
    "v",
    "-show_entries",
    "packet=stream_index,pts,flags" +
    ":stream=index,width,height,avg_frame_rate,r_frame_rate,time_base" +
    ":stream_disposition=attached_pic,default",
    "-of",
    "compact",
    ...input(path),
  ], signal);
  const packets = new Map<string, PacketFacts[]>();
  let best: ReadonlyMap<string, string> | undefined;
  for (const line of text.split("\n")) {
    // packet|stream_index=0|pts=512|flags=K__
    const [section, ...entries] = line.trim().split("|");
    const values = new Map(entries.map((entry) => {
      const at = entry.indexOf("=");
      return [entry.slice(0, at), entry.slice(at + 1)];
    }));
    if (section === "packet") {
      const stream = values.get("stream_index") ?? "";
      const pts = values.get("pts") ?? "";
      const flags = values.get("flags") ?? "";
      const found = packets.get(stream);
      const packet = {
        pts: /^-?\d+$/.test(pts) ? Number(pts) : undefined,
        key: flags.includes("K"),
        discard: flags.includes("D"),
      };
      if (found === undefined) packets.set(stream, [packet]);
      else found.push(packet);
    } else if (
      section === "stream" && values.get("disposition:attached_pic") !== "1" &&
      (best === undefined || rank(values) > rank(best))
    ) {
      best = values;
    }
  }
  if (best === undefined) throw new VideoError("holds no video stream");
  const index = best.get("index") ?? "";
  return {
    index: Number(index),
    width: Number(best.get("width") ?? 0),
    height: Number(best.get("height") ?? 0),
    rates: [best.get("avg_frame_rate") ?? "", best.get("r_frame_rate") ?? ""],
    timeBase: best.get("time_base") ?? "",
    packets: packets.get(index) ?? [],
  };
}

const rank = (stream: ReadonlyMap<string, string>): number =>
  Number(stream.get("disposition:default") === "1") * 2 ** 40 +
  Number(stream.get("width")) * Number(stream.get("height"));

function framesPerSecond(stream: ProbedStream, index: VideoIndex): number {
  for (const rate of stream.rates) {
    const value = ratio(rate);
    if (value > 0) return value;
  }
  const times = index.times ?? [];
  const span = (times[times.length - 1] - times[0]) * ratio(stream.timeBase);
  if (span > 0) return (times.length - 1) / span;
  throw new VideoError("does not tell its frame rate");
}

/** The value of `30000/1001`; NaN for anything else. */
function ratio(text: string): number {
  const [top, bottom] = text.split("/").map(Number);
  return bottom > 0 ? top / bottom : NaN;
}

/** Decodes once and keeps the wanted frames, in ascending order. */
async function extract(
  path: string,
  stream: number,
  index: VideoIndex,
  unique: readonly number[],
  signal: AbortSignal,
): Promise<RawPixels[]> {
  const { times } = index;
  const select = unique.map((i) =>
    times === undefined ? `eq(n\\,${i})` : `eq(pts\\,${times[i]})`
  ).join("+");
  version ??= await ffmpegVersion("ffmpeg", signal);
  const passthrough = parseInt(version) < 6 ? "-vsync" : "-fps_mode";
  const process = start("ffmpeg", [
    "-nostdin",
    "-hide_banner",
    "-loglevel",
    "error",
    "-copyts",
    ...input(path),
    "-map",
    `0:${stream}`,
    "-vf",
    `select='${select}',scale,format=rgb24`,
    passthrough,
    "passthrough",
    "-frames:v",
    String(unique.length),
    "-f",
    "image2pipe",
    "-c:v",
    "ppm",
    "pipe:1",
  ], signal);
  const errors = head(process.stderr);
  const frames: RawPixels[] = [];
  try {
    for await (const frame of readPpm(process.stdout)) {
      checkSize(frame.width, frame.height, unique.length);
      frames.push(frame);
    }
  } finally {
    await end(process);
  }
  signal.throwIfAborted();
  // What a decoder makes of a picture whose references are lost looks like any other frame.
  const complaint = (await errors).split("\n").find(isComplaint);
  if (complaint !== undefined || frames.length !== unique.length) {
    throw new VideoError(
      `is damaged or cut short, and ffmpeg cannot tell which frames are whole (${
        complaint?.slice(0, 120) ?? "some frames are missing"
      }); node-av can`,
    );
  }
  return frames;
}

/** Whether a line of ffmpeg's errors is about the video, and not about the pictures being written. */
function isComplaint(line: string): boolean {
  return line.trim() !== "" &&
    !/^\[(image2pipe|ppm|swscaler|Parsed_|auto_scale|graph|out#|vost#)/.test(
      line,
    ) &&
    !/^\s*Last message repeated/.test(line);
}

/** Splits a stream of binary PPM pictures. */
async function* readPpm(
  stream: ReadableStream<Uint8Array<ArrayBuffer>>,
): AsyncGenerator<RawPixels> {
  const reader = stream.getReader();
  let chunk: Uint8Array<ArrayBuffer> = new Uint8Array(0), at = 0;
  const more = async (): Promise<boolean> => {
    const { value } = await reader.read();
    chunk = value ?? new Uint8Array(0);
    at = 0;
    return value !== undefined;
  };
  try {
    for (;;) {
      // P6, width, height and 255, each followed by one white space.
      const words: string[] = [];
      let word = "";
      while (words.length < 4) {
        if (at === chunk.length && !await more()) return;
        if (at === chunk.length) continue;
        const character = String.fromCharCode(chunk[at++]);
        if (!/\s/.test(character)) word += character;
        else if (word !== "") words.push(word), word = "";
        if (word.length > 12) throw new Error("ffmpeg wrote no PPM");
      }
      const [width, height] = [Number(words[1]), Number(words[2])];
      if (words[0] !== "P6" || words[3] !== "255") {
        throw new Error(`ffmpeg wrote ${words.join(" ")} and no PPM of bytes`);
      }
      checkSize(width, height, 1);
      const data = new Uint8Array(width * height * 3);
      for (let filled = 0; filled < data.length;) {
        if (at === chunk.length && !await more()) return;
        const part = chunk.subarray(at, at + data.length - filled);
        data.set(part, filled);
        filled += part.length;
        at += part.length;
      }
      yield { width, height, buffer: data.buffer };
    }
  } finally {
    await reader.cancel().catch(() => {});
  }
}

/** What a program prints, at most {@link MAX_TEXT} bytes. */
async function readText(
  program: "ffmpeg" | "ffprobe",
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
    throw new VideoError(
      `is no video that can be read (${reason || `${program} refuses it`})`,
    );
  }
  return text;
}

/** Ends a program if it is still running, and waits for its end. */
async function end(process: Deno.ChildProcess): Promise<void> {
  try {
    process.kill("SIGKILL");
  } catch {
    // It has ended by itself.
  }
  await process.status;
}

/** The first 64 KiB of what a program complains about; the rest is read and dropped. */
async function head(stream: ReadableStream<Uint8Array>): Promise<string> {
  const decoder = new TextDecoder();
  let text = "";
  for await (const chunk of stream) {
    if (text.length < 65536) text += decoder.decode(chunk, { stream: true });
  }
  return text;
}

function start(
  program: "ffmpeg" | "ffprobe",
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
