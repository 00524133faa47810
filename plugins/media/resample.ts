/**
 * Bicubic resizing in plain TypeScript, bit for bit as Pillow's `Image.resize(size)`. The readable
 * form of the algorithm: the oracle for the WASM kernel, and what is used where speed does not matter.
 * @module
 */
import type { Image } from "../../nodes/values.ts";
import {
  type Coefficients,
  coefficients,
  WEIGHT_BITS,
} from "./coefficients.ts";

/**
 * Which Pillow to follow in the order of the two passes. It decides about single bytes, since the
 * picture between the passes is rounded.
 *
 * - `"classic"`: always the horizontal pass first, as every Pillow before 12.2, with which the models
 *   of the family were trained.
 * - `"12.2"`: the vertical pass first for a picture more than 100 times as high as wide whose height
 *   shrinks.
 * - `"13"`: the vertical pass first when the height shrinks by more than twice the pixels by which the
 *   width does. This concerns ordinary pictures in portrait format.
 */
export type PassOrder = "classic" | "12.2" | "13";

/** Whether the vertical pass comes first. */
export function isVerticalFirst(
  order: PassOrder,
  width: number,
  height: number,
  outWidth: number,
  outHeight: number,
): boolean {
  if (outHeight >= height) return false;
  switch (order) {
    case "classic":
      return false;
    case "12.2":
      return height > 100 * width;
    case "13":
      return height - outHeight > 2 * (width - outWidth);
  }
}

/**
 * Resizes a picture in two passes, each of which gives bytes: the horizontal one, then the vertical
 * one, unless `order` says otherwise. A pass that changes nothing is left out.
 */
export function resizeBicubic(
  image: Image,
  outWidth: number,
  outHeight: number,
  order: PassOrder = "classic",
): Image {
  checkImage(image);
  for (const size of [outWidth, outHeight]) {
    if (!Number.isInteger(size) || size < 1) {
      throw new RangeError(
        `resizeBicubic: ${outWidth}x${outHeight} is no size; whole numbers from 1 are`,
      );
    }
  }
  const { width, height } = image;
  if (isVerticalFirst(order, width, height, outWidth, outHeight)) {
    const shrunk = resizeBicubic(image, width, outHeight);
    return resizeBicubic(shrunk, outWidth, outHeight);
  }
  let data = image.data;
  if (outWidth !== width) {
    data = convolve(data, height, width * 3, 3, coefficients(width, outWidth));
  }
  if (outHeight !== height) {
    data = convolve(
      data,
      1,
      0,
      outWidth * 3,
      coefficients(height, outHeight),
    );
  }
  return {
    width: outWidth,
    height: outHeight,
    data: data === image.data ? data.slice() : data,
    ...(image.source === undefined ? {} : { source: image.source }),
  };
}

/**
 * Resizes the inner axis of `lines` lines that lie `lineStep` bytes apart. A position of that axis is
 * `step` bytes wide, all of which share its weights.
 */
function convolve(
  source: Uint8Array<ArrayBuffer>,
  lines: number,
  lineStep: number,
  step: number,
  table: Coefficients,
): Uint8Array<ArrayBuffer> {
  const { starts, counts, weights, stride } = table;
  const positions = starts.length;
  const out = new Uint8Array(lines * positions * step);
  const half = 1 << (WEIGHT_BITS - 1);
  let at = 0;
  for (let line = 0; line < lines; line++) {
    for (let position = 0; position < positions; position++) {
      const first = line * lineStep + starts[position] * step;
      const base = position * stride;
      const count = counts[position];
      for (let byte = 0; byte < step; byte++) {
        let sum = half;
        let from = first + byte;
        for (let i = 0; i < count; i++) {
          sum += source[from] * weights[base + i];
          from += step;
        }
        sum >>= WEIGHT_BITS;
        out[at++] = sum < 0 ? 0 : sum > 255 ? 255 : sum;
      }
    }
  }
  return out;
}

/** Throws a `RangeError` when sizes and bytes of a picture do not fit together. */
export function checkImage(image: Image): void {
  const { width, height, data } = image;
  if (
    !Number.isInteger(width) || !Number.isInteger(height) || width < 1 ||
    height < 1
  ) {
    throw new RangeError(
      `a picture of ${width}x${height} pixels; both must be whole numbers from 1`,
    );
  }
  if (!(data instanceof Uint8Array) || data.length !== width * height * 3) {
    throw new RangeError(
      `a picture of ${width}x${height} pixels needs ${
        width * height * 3
      } bytes of RGB, it has ${
        data instanceof Uint8Array ? data.length : `a ${typeof data}`
      }`,
    );
  }
}
