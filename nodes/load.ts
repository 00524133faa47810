/**
 * `load`: a picture file becomes RGB pixels.
 * @module
 */
import { Effect } from "effect";
import { defineNode, type NodeKind, type NoParams } from "../pipeline/mod.ts";
import type { MediaError } from "./errors.ts";
import { Image, ImageSource } from "./ports.ts";
import { ImageProcessor } from "./services.ts";

/**
 * Decodes a picture to 8-bit RGB exactly as the reference does (no rotation, alpha dropped). Fails with
 * `MediaError` for what cannot be read.
 *
 * ```ts
 * import { imageProcessor, ImageSource, load, pipeline, run } from "@tessera/sdk";
 * import { Effect } from "effect";
 * import assert from "node:assert/strict";
 *
 * const open = pipeline("open", (g) =>
 *   g.add(load, { source: g.input("source", ImageSource) }));
 * const { outputs } = await Effect.runPromise(
 *   run(open, { source: "examples/images/shapes.png" }).pipe(
 *     Effect.provide(imageProcessor),
 *   ),
 * );
 * const { width, height, data } = outputs.image;
 * assert.equal(data.length, width * height * 3);
 * ```
 */
export const load: NodeKind<
  "load",
  { readonly source: typeof ImageSource },
  { readonly image: typeof Image },
  NoParams,
  NoParams,
  MediaError,
  ImageProcessor
> = defineNode({
  kind: "load",
  version: 1,
  description: "Decodes a picture to 8-bit RGB.",
  inputs: { source: ImageSource },
  outputs: { image: Image },
  lane: "cpu",
  memoize: true,
  run: ({ source }) =>
    Effect.gen(function* () {
      const processor = yield* ImageProcessor;
      return { image: yield* processor.decode(source) };
    }),
});
