import assert from "node:assert/strict";
import { decodePicture, loadSharp } from "./decode.ts";

/** A GIF of two colours with one frame of 2x1 pixels, of which the second is the second colour. */
const gif = (
  canvas: readonly [number, number],
  left: number,
  top: number,
): Uint8Array<ArrayBuffer> => {
  const word = (value: number) => [value & 255, value >> 8];
  return Uint8Array.from([
    ...new TextEncoder().encode("GIF89a"),
    ...canvas.flatMap(word),
    ...[0x80, 0, 0, 10, 20, 30, 200, 210, 220],
    ...[0x2c, ...word(left), ...word(top), ...word(2), ...word(1), 0],
    ...[2, 2, 0x44, 0x0a, 0, 0x3b],
  ]);
};

Deno.test("a GIF has the canvas that it says, as in Pillow, also where sharp takes it for a mistake", async () => {
  const sharp = await loadSharp();
  for (
    const [width, height] of [
      ...[[640, 480], [800, 600], [1024, 768], [1280, 1024]],
      ...[[2049, 3], [5, 3000], [100, 100], [10, 4]],
    ] as [number, number][]
  ) {
    const decoded = await decodePicture(sharp, gif([width, height], 3, 2), 1e8);
    assert.deepEqual([decoded.width, decoded.height], [width, height]);
    const seen = new Set<string>();
    for (let i = 0; i < decoded.data.length; i += 3) {
      const at = i / 3;
      if (decoded.data[i] !== 10) seen.add(`${at % width},${at / width | 0}`);
    }
    assert.deepEqual([...seen], ["4,2"], `${width}x${height}`);
  }
  // It grows where the frame does not fit.
  const grown = await decodePicture(sharp, gif([1, 1], 3, 2), 1e8);
  assert.deepEqual([grown.width, grown.height], [5, 3]);
});

Deno.test("a GIF's canvas counts against the limit of pixels, however small its frame", async () => {
  await assert.rejects(
    decodePicture(await loadSharp(), gif([65535, 65535], 0, 0), 178_956_970),
    { message: "has more pixels than the limit of 178956970" },
  );
});
