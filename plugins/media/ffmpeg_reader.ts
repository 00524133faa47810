/**
 * Reads frames of a video exactly with the `ffmpeg` and `ffprobe` programs on the PATH: where node-av
 * is missing, or where a library under the GPL may not be linked. One pass decodes the whole stream
 * up to the last frame that is wanted.
 * @module
 */
import type { SampleOptions } from "../../nodes/services.ts";
import type { RawPixels } from "./pixels.ts";
import { readPpm } from "./ppm.ts";
import { end, ffmpegVersion, head, readText, start } from "./programs.ts";
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
