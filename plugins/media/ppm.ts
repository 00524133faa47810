/**
 * Reads the pictures that ffmpeg writes.
 * @module
 */
import type { RawPixels } from "./pixels.ts";
import { checkSize } from "./video_reader.ts";

/** Splits a stream of binary PPM pictures. */
export async function* readPpm(
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
