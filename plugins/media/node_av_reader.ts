/**
 * Reads frames of a video exactly with node-av (FFmpeg's libraries in this process). Its calls block,
 * so this runs inside a worker.
 *
 * Exactness comes from an index of all packets made beforehand: a frame is found by its presentation
 * time, never by counting from wherever a seek has landed. Where a seek lands too late, it is tried
 * again from one key frame earlier and then from the beginning.
 * @module
 */
import type {
  CodecContext,
  FormatContext,
  Frame,
  Packet,
  Stream,
} from "node-av/lib";
import type { SampleOptions } from "../../nodes/services.ts";
import { FramePainter } from "./frame_painter.ts";
import type { RawPixels } from "./pixels.ts";
import type { NodeAv } from "./node_av.ts";
import {
  indexPackets,
  keyBefore,
  type PacketFacts,
  type VideoIndex,
} from "./video_index.ts";
import {
  CancelledError,
  checkSize,
  chooseFrames,
  CONTAINERS,
  type RawFrames,
  undecodable,
  unreadable,
  VideoError,
} from "./video_reader.ts";

/** Samples frames of a file; throws {@link VideoError}, or {@link CancelledError} once `cancelled`. */
export function sampleWithNodeAv(
  av: NodeAv,
  path: string,
  options: SampleOptions,
  cancelled: () => boolean,
): RawFrames {
  using video = new OpenVideo(av, path, cancelled);
  const index = video.index();
  if (index.count === 0) throw new VideoError("holds no frame");
  const fps = video.framesPerSecond(index);
  const { indices, unique } = chooseFrames(index.count, fps, options);
  checkSize(video.width, video.height, unique.length);
  video.rewind();
  const frames: RawPixels[] = [];
  for (const wanted of unique) {
    const found = index.times === undefined
      ? video.count(wanted)
      : video.find(index.times[wanted], index.keys);
    if (!found) undecodable(wanted, index.count);
    frames.push(video.picture(unique.length));
  }
  return { frames, unique, indices, fps, frameCount: index.count };
}

/** An open file with its decoder; everything native is freed on disposal. */
class OpenVideo implements Disposable {
  readonly #av: NodeAv;
  readonly #path: string;
  readonly #cancelled: () => boolean;
  readonly #packet: Packet;
  readonly #frame: Frame;
  #input: FormatContext | undefined;
  #stream: Stream | undefined;
  #decoder: CodecContext | undefined;
  #painter: FramePainter | undefined;
  /** Whether the decoder was told that nothing more comes. */
  #drained = false;
  /** Presentation time of the frame decoded last; `undefined` right after opening or seeking. */
  #last: number | undefined;
  /** Frames decoded since the beginning, when nothing was skipped since. */
  #counted = 0;
  /**
   * Whether something failed to decode since the last key frame. The frames in between may be made of
   * what is not there, and nothing in them tells.
   */
  #tainted = false;

  constructor(av: NodeAv, path: string, cancelled: () => boolean) {
    this.#av = av;
    this.#path = path;
    this.#cancelled = cancelled;
    this.#packet = new av.Packet();
    this.#packet.alloc();
    this.#frame = new av.Frame();
    this.#frame.alloc();
    try {
      this.#open();
    } catch (error) {
      this[Symbol.dispose]();
      throw error;
    }
  }

  get width(): number {
    return this.#stream!.codecpar.width;
  }

  get height(): number {
    return this.#stream!.codecpar.height;
  }

  #open(): void {
    const av = this.#av;
    this.#close();
    const input = this.#input = new av.FormatContext();
    const options = av.Dictionary.fromObject({
      protocol_whitelist: "file",
      format_whitelist: CONTAINERS,
    });
    // The prefix keeps a file name from being read as another protocol.
    const opened = input.openInputSync(`file:${this.#path}`, null, options);
    options.free();
    if (opened < 0) {
      this.#input = undefined;
      throw unreadable(this.#reason(opened));
    }
    if (input.findStreamInfoSync(null) < 0) {
      throw new VideoError("is no video: its streams are not described");
    }
    const best = input.findBestStream(av.AVMEDIA_TYPE_VIDEO, -1, -1);
    const stream = best < 0 ? undefined : input.streams[best];
    // The cover picture of a song is a video stream by FFmpeg's book.
    if (
      stream === undefined ||
      (stream.disposition & av.AV_DISPOSITION_ATTACHED_PIC) !== 0
    ) {
      throw new VideoError("holds no video stream");
    }
    for (const other of input.streams) {
      if (other.index !== best) other.discard = av.AVDISCARD_ALL;
    }
    this.#stream = stream;
    const codec = av.Codec.findDecoder(stream.codecpar.codecId);
    if (codec === null) {
      const name = av.avGetCodecName(stream.codecpar.codecId);
      throw new VideoError(`needs a decoder for ${name}, which is not there`);
    }
    checkSize(this.width, this.height, 1);
    const decoder = this.#decoder = new av.CodecContext();
    decoder.allocContext3(codec);
    decoder.parametersToContext(stream.codecpar);
    decoder.pktTimebase = stream.timeBase;
    decoder.threadCount = Math.min(4, navigator.hardwareConcurrency);
    const ready = decoder.open2Sync(codec, null);
    if (ready < 0) {
      throw new VideoError(
        `cannot be decoded: ${codec.name} refuses it (${this.#reason(ready)})`,
      );
    }
    this.#drained = false;
    this.#last = undefined;
    this.#counted = 0;
    this.#tainted = false;
  }

  /** Reads all packets once; the file must be opened again afterwards. */
  index(): VideoIndex {
    const av = this.#av;
    const packets: PacketFacts[] = [];
    while (this.#read()) {
      const { pts, flags } = this.#packet;
      packets.push({
        pts: pts === av.AV_NOPTS_VALUE ? undefined : Number(pts),
        key: (flags & av.AV_PKT_FLAG_KEY) !== 0,
        discard: (flags & av.AV_PKT_FLAG_DISCARD) !== 0,
      });
      this.#packet.unref();
    }
    return indexPackets(packets);
  }

  /** The average rate, as the container and the first packets tell it. */
  framesPerSecond(index: VideoIndex): number {
    const { avgFrameRate, rFrameRate, timeBase } = this.#stream!;
    for (const { num, den } of [avgFrameRate, rFrameRate]) {
      if (num > 0 && den > 0) return num / den;
    }
    const times = index.times ?? [];
    const span = (times[times.length - 1] - times[0]) * timeBase.num /
      timeBase.den;
    if (span > 0) return (times.length - 1) / span;
    throw new VideoError("does not tell its frame rate");
  }

  /** Back to the first packet. Opening again is the only seek to the start that never lands late. */
  rewind(): void {
    this.#open();
  }

  /** Decodes up to the frame of a presentation time; `false` when no way leads there. */
  find(time: number, keys: readonly number[]): boolean {
    const key = keyBefore(keys, time);
    const ahead = this.#last !== undefined && this.#last < time;
    // Within one group of pictures going on is the shortest way.
    if (ahead && keyBefore(keys, this.#last!) === key && this.#decodeTo(time)) {
      return true;
    }
    for (const from of [key, key - 1]) {
      if (from > 0 && this.#seek(keys[from]) && this.#decodeTo(time)) {
        return true;
      }
    }
    this.rewind();
    return this.#decodeTo(time);
  }

  /** Decodes up to the frame with a number, for streams without times. */
  count(wanted: number): boolean {
    while (this.#counted <= wanted) {
      if (!this.#decode()) return false;
    }
    return !this.#tainted;
  }

  /** The frame found last as RGB. */
  picture(frames: number): RawPixels {
    const { width, height, format } = this.#frame;
    checkSize(width, height, frames);
    if (this.#painter?.fits(width, height, format) !== true) {
      this.#painter?.[Symbol.dispose]();
      this.#painter = undefined;
      this.#painter = new FramePainter(this.#av, this.#frame, this.#stream!);
    }
    return this.#painter.paint(this.#frame);
  }

  #seek(time: number): boolean {
    const result = this.#input!.seekFrameSync(
      this.#stream!.index,
      BigInt(time),
      this.#av.AVSEEK_FLAG_BACKWARD,
    );
    if (result < 0) return false;
    this.#decoder!.flushBuffers();
    this.#drained = false;
    this.#last = undefined;
    this.#tainted = false;
    return true;
  }

  #decodeTo(time: number): boolean {
    while (this.#decode()) {
      if (this.#last === time) return !this.#tainted;
      if (this.#last !== undefined && this.#last > time) return false;
    }
    return false;
  }

  /** Decodes the next frame; `false` at the end. */
  #decode(): boolean {
    const { AVERROR_EAGAIN, AVERROR_EOF, AV_NOPTS_VALUE } = this.#av;
    for (;;) {
      const received = this.#decoder!.receiveFrameSync(this.#frame);
      if (received >= 0) {
        const { pts } = this.#frame;
        this.#last = pts === AV_NOPTS_VALUE ? undefined : Number(pts);
        this.#counted++;
        const broken = this.#frame.decodeErrorFlags !== 0 ||
          this.#frame.hasFlags(this.#av.AV_FRAME_FLAG_CORRUPT);
        if (broken) this.#tainted = true;
        else if (this.#frame.hasFlags(this.#av.AV_FRAME_FLAG_KEY)) {
          this.#tainted = false;
        }
        return true;
      }
      if (received === AVERROR_EOF) return false;
      if (received !== AVERROR_EAGAIN) {
        this.#tainted = true; // one packet's error; the decoder has left it behind
      } else if (this.#drained) {
        return false;
      } else if (this.#read()) {
        if (this.#decoder!.sendPacketSync(this.#packet) < 0) {
          this.#tainted = true;
        }
        this.#packet.unref();
      } else {
        this.#decoder!.sendPacketSync(null);
        this.#drained = true;
      }
    }
  }

  /** Reads the next packet of the stream; `false` at the end or where the file breaks off. */
  #read(): boolean {
    for (;;) {
      if (this.#cancelled()) throw new CancelledError("was given up");
      if (this.#input!.readFrameSync(this.#packet) < 0) return false;
      if (this.#packet.streamIndex === this.#stream!.index) return true;
      this.#packet.unref();
    }
  }

  #reason(code: number): string {
    return this.#av.FFmpegError.strerror(code);
  }

  #close(): void {
    this.#decoder?.freeContext();
    this.#decoder = undefined;
    this.#input?.closeInputSync();
    this.#input = undefined;
  }

  [Symbol.dispose](): void {
    this.#painter?.[Symbol.dispose]();
    this.#close();
    this.#packet.free();
    this.#frame.free();
  }
}
