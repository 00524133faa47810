/**
 * `project`: pixel shuffle and the MLP into the language model's space.
 * @module
 */
import { Effect } from "effect";
import { defineNode, type NodeKind, type NoParams } from "../pipeline/mod.ts";
import type { BackendError } from "./errors.ts";
import { PatchFeatures, VisualTokens } from "./ports.ts";
import { ModelInfo, Projector } from "./services.ts";

/**
 * Patch features [n, 1 + g², Dv] → visual tokens [n, tokens per tile, Dl]. Fails with `BackendError`.
 *
 * ```ts
 * import {
 *   elementCount,
 *   hostTensor,
 *   InternVL,
 *   pipeline,
 *   project,
 *   Tiles,
 *   visionEncode,
 * } from "@tessera/sdk";
 * import assert from "node:assert/strict";
 *
 * await using model = await InternVL.load("models/nano");
 * const { tileSize, tokensPerTile } = model.info;
 * const see = pipeline("see", (g) => {
 *   const { features } = g.add(visionEncode, { tiles: g.input("tiles", Tiles) });
 *   return g.add(project, { features });
 * });
 * const shape = [1, 3, tileSize, tileSize];
 * const { outputs } = await model.run(see, {
 *   tiles: {
 *     pixels: hostTensor("float32", shape, new Float32Array(elementCount(shape))),
 *     grid: [1, 1],
 *     thumbnail: false,
 *   },
 * });
 * assert.deepEqual(outputs.tokens.shape.slice(0, 2), [1, tokensPerTile]);
 * ```
 */
export const project: NodeKind<
  "project",
  { readonly features: typeof PatchFeatures },
  { readonly tokens: typeof VisualTokens },
  NoParams,
  NoParams,
  BackendError,
  Projector | ModelInfo
> = defineNode({
  kind: "project",
  version: 1,
  description: "Pixel shuffle and projection into the language model's space.",
  inputs: { features: PatchFeatures },
  outputs: { tokens: VisualTokens },
  // The service puts the tiles of several requests together.
  lane: "batch",
  memoize: true,
  identity: Effect.map(ModelInfo, (info) => info.digest),
  run: ({ features }) =>
    Effect.gen(function* () {
      const projector = yield* Projector;
      return { tokens: yield* projector.project(features) };
    }),
});
