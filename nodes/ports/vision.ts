/**
 * Ports of what the vision side computes.
 * @module
 */
import { definePort, type PortType } from "../../pipeline/mod.ts";
import type {
  PatchFeatures as PatchFeaturesValue,
  VisualTokens as VisualTokensValue,
} from "../values.ts";
import { isTensor, tensorDigest, tensorPreview } from "./tensor.ts";

/** The vision encoder's last hidden state: [n, 1 + g², Dv]. */
export type PatchFeatures = PatchFeaturesValue;

/** The vision encoder's last hidden state, class token included: [n, 1 + g², Dv]. */
export const PatchFeatures: PortType<"PatchFeatures", PatchFeaturesValue> =
  definePort({
    name: "PatchFeatures",
    is: isTensor,
    digest: tensorDigest,
    preview: tensorPreview,
  });

/** Visual tokens in the language model's space: [n, tokens per tile, Dl]. */
export type VisualTokens = VisualTokensValue;

/** Visual tokens: [n, tokens per tile, Dl]. */
export const VisualTokens: PortType<"VisualTokens", VisualTokensValue> =
  definePort({
    name: "VisualTokens",
    is: isTensor,
    digest: tensorDigest,
    preview: tensorPreview,
  });
