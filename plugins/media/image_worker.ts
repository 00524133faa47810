/**
 * The worker that decodes and tiles pictures, one at a time.
 * @module
 */
import { parentPort } from "node:worker_threads";
import { DecodeError, decodePicture, loadSharp, type Sharp } from "./decode.ts";
import type { DecodedPixels, RawPixels } from "./pixels.ts";
import { makeIcon } from "./icon.ts";
import { Resampler, type ResizePlan, type RowResampler } from "./kernel.ts";
import { PlainResampler } from "./plain_resampler.ts";
import { readPicture } from "./read.ts";
import { resizeBicubic } from "./resample.ts";
import type { Reply } from "./thread.ts";
import { type TileGrid, Tiler } from "./tiler.ts";

/**
 * What the worker is asked. Bytes travel as buffers: Deno 2.9 takes 0.1 microseconds per element to
 * receive a typed array in a worker of `node:worker_threads`.
 */
export type ImageMessage =
  /** Decode a file or its bytes. Answer: {@link DecodedPixels}. */
  | {
    readonly kind: "decode";
    readonly file: string | ArrayBuffer;
    readonly maxBytes: number;
    readonly maxPixels: number;
  }
  /** Make an icon. Answer: a `data:` URL, or nothing. */
  | { readonly kind: "icon"; readonly pixels: RawPixels }
  /** Begin a picture, giving up another; the tiles go to the buffers. Answer: {@link Ready}. */
  | {
    readonly kind: "begin";
    readonly width: number;
    readonly height: number;
    readonly grids: readonly TileGrid[];
    readonly buffers: readonly ArrayBuffer[];
  }
  /** Rows lie at an address of the shared memory. Answer, after the last rows: the buffers. */
  | { readonly kind: "rows"; readonly address: number; readonly rows: number }
  /** The vertical pass alone, where it comes first. Answer: {@link RawPixels} of `height` rows. */
  | {
    readonly kind: "shrink";
    readonly pixels: RawPixels;
    readonly height: number;
  };

/** Where the rows of a picture are to be written. */
export interface Ready {
  /** The memory that the plan's addresses refer to. */
  readonly memory: SharedArrayBuffer;
  /** Slots and their size. */
  readonly plan: ResizePlan;
}

let sharp: Promise<Sharp> | undefined;
let tools:
  | { readonly resampler: RowResampler; readonly tiler: Tiler }
  | undefined;

/** Memory above which a resampler is not kept for the next picture. */
const KEPT_BYTES = 128 * 2 ** 20;

function makeTools(): NonNullable<typeof tools> {
  let resampler: RowResampler;
  try {
    resampler = new Resampler();
  } catch (error) {
    // No SIMD, or no threads, in this machine's WebAssembly.
    if (!(error instanceof WebAssembly.CompileError)) throw error;
    resampler = new PlainResampler();
  }
  return { resampler, tiler: new Tiler(resampler) };
}

type Answer = { readonly value: unknown; readonly transfer?: ArrayBuffer[] };

async function answer(message: ImageMessage): Promise<Answer> {
  switch (message.kind) {
    case "decode": {
      const bytes = typeof message.file === "string"
        ? await readPicture(message.file, message.maxBytes)
        : new Uint8Array(message.file);
      const decoder = await (sharp ??= loadSharp());
      const pixels = await decodePicture(decoder, bytes, message.maxPixels);
      const { width, height, data } = pixels;
      const icon = await makeIcon(decoder, pixels);
      const value: DecodedPixels = {
        width,
        height,
        buffer: data.buffer,
        ...(icon === undefined ? {} : { icon }),
      };
      return raw(value);
    }
    case "icon": {
      const { width, height, buffer } = message.pixels;
      const data = new Uint8Array(buffer);
      const decoder = await (sharp ??= loadSharp());
      return { value: await makeIcon(decoder, { width, height, data }) };
    }
    case "begin": {
      tools ??= makeTools();
      const { width, height, grids, buffers } = message;
      const plan = tools.tiler.begin(
        width,
        height,
        grids.map((grid, i) => [grid, new Float32Array(buffers[i])]),
      );
      const ready: Ready = { memory: tools.resampler.memory, plan };
      return { value: ready };
    }
    case "rows": {
      if (tools === undefined) throw new Error("rows before begin");
      const tensors = tools.tiler.consume(message.address, message.rows);
      if (tensors === undefined) return { value: undefined };
      if (tools.resampler.memory.byteLength > KEPT_BYTES) tools = undefined;
      const transfer = tensors.map(({ buffer }) => buffer);
      return { value: transfer, transfer };
    }
    case "shrink": {
      const { width, height, buffer } = message.pixels;
      const image = { width, height, data: new Uint8Array(buffer) };
      const { data } = resizeBicubic(image, width, message.height);
      return raw({ width, height: message.height, buffer: data.buffer });
    }
  }
}

const raw = (value: RawPixels): Answer => ({
  value,
  transfer: [value.buffer],
});

// Messages are answered strictly one after the other, although some answers take several turns.
let last: Promise<void> = Promise.resolve();

parentPort?.on("message", (message: ImageMessage) => {
  last = last.then(async () => {
    try {
      const { value, transfer } = await answer(message);
      const reply: Reply<unknown> = { ok: true, value };
      parentPort?.postMessage(reply, transfer ?? []);
    } catch (error) {
      const reply: Reply<never> = { ok: false, message: describe(error) };
      parentPort?.postMessage(reply);
    }
  });
});

/** One line. What is no {@link DecodeError} comes from the machine: a module, memory, a permission. */
function describe(error: unknown): string {
  if (error instanceof DecodeError) return error.message;
  if (message(error).includes('Could not load the "sharp" module')) {
    sharp = undefined;
    return `cannot be decoded because sharp does not load: ${
      reason(message(error))
    }`;
  }
  return `cannot be processed: ${reason(message(error))}`;
}

const message = (error: unknown) =>
  error instanceof Error ? error.message : String(error);

/** The line that says why, of a message of several lines. */
function reason(text: string): string {
  const lines = text.split("\n").map((line) => line.trim());
  return lines.find((line) =>
    /permission|access|allow-|not found/i.test(line)
  ) ??
    lines[0];
}
