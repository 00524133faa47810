import assert from "node:assert/strict";
import type { Image } from "../../nodes/values.ts";
import { Resampler } from "./kernel.ts";
import { PlainResampler } from "./plain_resampler.ts";
import { type PassOrder, resizeBicubic } from "./resample.ts";
import { random, sha256, throughRows } from "./test_kit.ts";

type Case = [
  width: number,
  height: number,
  outWidth: number,
  outHeight: number,
  kind: number,
  seed: number,
  order: PassOrder,
  digest: string,
];

const golden: { readonly cases: readonly Case[] } = JSON.parse(
  await Deno.readTextFile(
    new URL("../../tests/golden/media/resizes.json", import.meta.url),
  ),
);

/** The same formulas as in tools/media/make_resizes.py. */
function source(
  width: number,
  height: number,
  kind: number,
  seed: number,
): Image {
  const data = new Uint8Array(width * height * 3);
  for (let i = 0; i < data.length; i++) {
    if (kind === 2) {
      data[i] = seed & 255;
    } else if (kind === 3) {
      const pixel = Math.floor(i / 3);
      data[i] = (pixel % width) + Math.floor(pixel / width) + seed;
    } else {
      let x = Math.imul(i + seed, 0x9e3779b1);
      x = Math.imul(x ^ (x >>> 15), 0x85ebca77);
      x = Math.imul(x ^ (x >>> 13), 0xc2b2ae3d);
      x ^= x >>> 16;
      const byte = x >>> 24;
      data[i] = kind === 0 ? byte : byte >= 128 ? 255 : 0;
    }
  }
  return { width, height, data };
}

Deno.test("resizing in TypeScript equals Pillow's", async () => {
  for (const [w, h, outW, outH, kind, seed, order, digest] of golden.cases) {
    const image = source(w, h, kind, seed);
    const out = resizeBicubic(image, outW, outH, order);
    assert.equal(
      await sha256(out.data),
      digest,
      `${w}x${h} to ${outW}x${outH}, kind ${kind}, ${order}`,
    );
  }
});

Deno.test("resizing in the kernel equals Pillow's", async () => {
  const kernel = new Resampler();
  let cases = 0;
  for (const [w, h, outW, outH, kind, seed, order, digest] of golden.cases) {
    if (order !== "classic") continue;
    const out = throughRows(kernel, source(w, h, kind, seed), outW, outH);
    assert.equal(
      await sha256(out),
      digest,
      `${w}x${h} to ${outW}x${outH}, kind ${kind}`,
    );
    cases++;
  }
  assert.equal(cases, 160);
});

Deno.test("kernel, its plain double and the plain function agree on random pictures", () => {
  const next = random(1);
  const kernel = new Resampler(), plain = new PlainResampler();
  for (let i = 0; i < 120; i++) {
    // Sizes spread over the orders of magnitude; now and then wide enough for several slots.
    const size = (most: number) => Math.ceil(most ** next());
    const width = size(i % 10 === 0 ? 6000 : 300);
    const height = size(i % 10 === 5 ? 3000 : 200);
    const outWidth = size(400), outHeight = size(400);
    const image = source(width, height, i % 4, i * 7919);
    const label = `${width}x${height} to ${outWidth}x${outHeight}`;
    const expected = resizeBicubic(image, outWidth, outHeight).data;
    const got = throughRows(kernel, image, outWidth, outHeight);
    assert.ok(equal(got, expected), label);
    if (i % 8 === 0) {
      const double = throughRows(plain, image, outWidth, outHeight);
      assert.ok(equal(double, expected), `${label} without WebAssembly`);
    }
  }
});

function equal(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}

Deno.test("a size of the same pixels is a copy", () => {
  const image = source(9, 4, 0, 3);
  const out = resizeBicubic(image, 9, 4);
  assert.deepEqual(out.data, image.data);
  assert.notEqual(out.data.buffer, image.data.buffer);
});

Deno.test("the kernel's memory does not grow with the picture's height", () => {
  const kernel = new Resampler();
  kernel.begin(4000, 1000, [{ width: 448, height: 448 }]);
  const before = kernel.memory.byteLength;
  kernel.begin(4000, 40_000, [{ width: 448, height: 448 }]);
  // Only the vertical window and its weights grow with the scale.
  assert.ok(kernel.memory.byteLength < before + 4 * 2 ** 20);
});

Deno.test("rows that do not fit the plan are refused", () => {
  const kernel = new Resampler();
  assert.throws(() => kernel.consume(0, 8, () => {}), /before begin/);
  const { slots } = kernel.begin(100, 20, [{ width: 50, height: 10 }]);
  assert.throws(() => kernel.consume(slots[0], 7, () => {}), RangeError);
  assert.throws(() => kernel.consume(slots[0], 28, () => {}), RangeError);
  kernel.consume(slots[0], 16, () => {});
  assert.throws(() => kernel.consume(slots[1], 5, () => {}), RangeError);
  assert.equal(kernel.consume(slots[1], 4, () => {}), true);
});

Deno.test("sizes that are none are named", () => {
  const image = source(4, 4, 0, 0);
  assert.throws(() => resizeBicubic(image, 0, 4), /0x4 is no size/);
  assert.throws(() => resizeBicubic(image, 4, 2.5), /4x2.5 is no size/);
  assert.throws(
    () => resizeBicubic({ ...image, width: 5 }, 4, 4),
    /5x4 pixels needs 60 bytes/,
  );
});
