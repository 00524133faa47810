/**
 * `join-tokens`: the visual tokens of a video's frames, then those of the pictures.
 * @module
 */
import { Effect } from "effect";
import { defineNode, type NodeKind, type NoParams } from "../pipeline/mod.ts";
import { VisualTokensList } from "./ports.ts";

/**
 * Puts two lists of visual tokens one behind the other, in the order of their placeholders.
 *
 * ```ts
 * import { hostTensor, joinTokens, pipeline, run, VisualTokensList } from "@tessera/sdk";
 * import { Effect } from "effect";
 * import assert from "node:assert/strict";
 *
 * const tokens = hostTensor("float32", [1, 2, 4], new Float32Array(8));
 * const join = pipeline("join", (g) =>
 *   g.add(joinTokens, {
 *     frames: g.input("frames", VisualTokensList),
 *     images: g.input("images", VisualTokensList),
 *   }));
 * const { outputs } = await Effect.runPromise(
 *   run(join, { frames: [tokens, tokens], images: [tokens] }),
 * );
 * assert.equal(outputs.tokens.length, 3);
 * ```
 */
export const joinTokens: NodeKind<
  "join-tokens",
  {
    readonly frames: typeof VisualTokensList;
    readonly images: typeof VisualTokensList;
  },
  { readonly tokens: typeof VisualTokensList },
  NoParams,
  NoParams,
  never,
  never
> = defineNode({
  kind: "join-tokens",
  version: 1,
  description: "Visual tokens of the frames, then those of the pictures.",
  inputs: { frames: VisualTokensList, images: VisualTokensList },
  outputs: { tokens: VisualTokensList },
  memoize: false,
  run: ({ frames, images }) =>
    Effect.succeed({ tokens: [...frames, ...images] }),
});
