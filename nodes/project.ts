/**
 * `project`: pixel shuffle and the MLP into the language model's space.
 * @module
 */
import { Effect } from "effect";
import { defineNode, type NodeKind, type NoParams } from "../pipeline/mod.ts";
import type { BackendError } from "./errors.ts";
import { PatchFeatures, VisualTokens } from "./ports.ts";
import { ModelInfo, Projector } from "./services.ts";

/** [n, 1 + g², Dv] → [n, tokens per tile, Dl]. */
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
  lane: "device",
  memoize: true,
  identity: Effect.map(ModelInfo, (info) => info.digest),
  run: ({ features }) =>
    Effect.gen(function* () {
      const projector = yield* Projector;
      return { tokens: yield* projector.project(features) };
    }),
});
