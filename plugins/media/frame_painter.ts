/**
 * From a decoded frame of node-av to RGB pixels.
 * @module
 */
import type { FilterContext, FilterGraph, Frame, Stream } from "node-av/lib";
import type { RawPixels } from "./pixels.ts";
import type { NodeAv } from "./node_av.ts";
import { VideoError } from "./video_reader.ts";

/** Turns decoded frames upright and to RGB, as the filters of FFmpeg do by default. */
export class FramePainter implements Disposable {
  readonly #av: NodeAv;
  readonly #graph: FilterGraph;
  readonly #source: FilterContext;
  readonly #sink: FilterContext;
  readonly #out: Frame;
  readonly #shape: readonly [width: number, height: number, format: number];

  /** Prepares for frames like this one. Throws {@link VideoError} for what cannot be converted. */
  constructor(av: NodeAv, frame: Frame, stream: Stream) {
    const { width, height, format } = frame;
    this.#av = av;
    this.#shape = [width, height, format];
    this.#graph = new av.FilterGraph();
    this.#graph.alloc();
    this.#out = new av.Frame();
    this.#out.alloc();
    try {
      const { num, den } = stream.timeBase;
      const make = (filter: string, args?: string) => {
        const made = this.#graph.createFilter(
          av.Filter.getByName(filter)!,
          filter,
          args,
        );
        if (made === null) throw new Error(`no filter ${filter}`);
        return made;
      };
      this.#source = make(
        "buffer",
        `video_size=${width}x${height}:pix_fmt=${format}:time_base=${num}/${den}` +
          `:colorspace=${frame.colorSpace}:range=${frame.colorRange}`,
      );
      this.#sink = make("buffersink");
      const chain = [...turns(av, stream), "scale", "format=rgb24"];
      const outputs = av.FilterInOut.createList([
        { name: "in", filterCtx: this.#source, padIdx: 0 },
      ]);
      const inputs = av.FilterInOut.createList([
        { name: "out", filterCtx: this.#sink, padIdx: 0 },
      ]);
      const parsed = this.#graph.parsePtr(chain.join(","), inputs, outputs);
      if (parsed < 0 || this.#graph.configSync() < 0) {
        throw new VideoError(
          `has frames that cannot be converted to RGB (pixel format ${
            av.avGetPixFmtName(format as never)
          })`,
        );
      }
    } catch (error) {
      this[Symbol.dispose]();
      throw error;
    }
  }

  /** Whether frames of this kind can be painted. */
  fits(width: number, height: number, format: number): boolean {
    const [w, h, f] = this.#shape;
    return w === width && h === height && f === format;
  }

  /** The frame's pixels. */
  paint(frame: Frame): RawPixels {
    // The decoder keeps its frame.
    const flag = this.#av.AV_BUFFERSRC_FLAG_KEEP_REF;
    if (
      this.#source.buffersrcAddFrameSync(frame, flag) < 0 ||
      this.#sink.buffersinkGetFrameSync(this.#out) < 0
    ) {
      throw new VideoError("has a frame that cannot be converted to RGB");
    }
    const { width, height } = this.#out;
    const buffer = new Uint8Array(this.#out.toBuffer()).buffer;
    this.#out.unref();
    if (buffer.byteLength !== width * height * 3) {
      throw new Error(
        `a frame of ${width}x${height} came as ${buffer.byteLength} bytes`,
      );
    }
    return { width, height, buffer };
  }

  /** Frees the filters. */
  [Symbol.dispose](): void {
    this.#out.free();
    this.#graph.free();
  }
}

/**
 * The filters that show a frame as the stream's display matrix wants it, turned and mirrored: those that
 * the ffmpeg program chooses.
 */
function turns(av: NodeAv, stream: Stream): string[] {
  const data = stream.codecpar.getCodedSideData(av.AV_PKT_DATA_DISPLAYMATRIX);
  if (data === null || data.byteLength < 36) return [];
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  // Native byte order, rows of three. Of (a, b) and (c, d) the first holds cosine and sine.
  const little = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1;
  const [a, b, c, d] = [0, 4, 12, 16].map((at) => view.getInt32(at, little));
  if (a === 0 && b === 0 || c === 0 && d === 0) return [];
  const degrees = (Math.atan2(b, a) * 180 / Math.PI + 360) % 360;
  const near = (angle: number) => Math.abs(degrees - angle) < 1;
  if (near(90)) return [c > 0 ? "transpose=cclock_flip" : "transpose=clock"];
  if (near(180)) {
    return [...(a < 0 ? ["hflip"] : []), ...(d < 0 ? ["vflip"] : [])];
  }
  if (near(270)) return [c < 0 ? "transpose=clock_flip" : "transpose=cclock"];
  if (near(0) || near(360)) return d < 0 ? ["vflip"] : [];
  return [`rotate=${degrees}*PI/180`];
}
