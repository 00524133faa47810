/**
 * The projector as an ONNX graph: class token dropped, pixel shuffle, `mlp1`
 * (`modeling_internvl_chat.py`, `extract_feature` and `pixel_shuffle`).
 * @module
 */
import { GraphBuilder } from "../../onnx/mod.ts";
import type { ModelSource } from "../../onnx/mod.ts";
import { tileSize, tokensPerTile } from "../config.ts";
import { layoutOf } from "../layouts.ts";
import {
  cast,
  type Emitter,
  layerNorm,
  linear,
  microsoft,
  reshape,
  transpose,
} from "./operators.ts";
import { type GraphSettings, type GraphSource, Weights } from "./weights.ts";

/** Epsilon of the norm in front: the default of `torch.nn.LayerNorm`. */
const NORM_EPSILON = 1e-5;

/**
 * The projector: `patch_features` float32 [n, 1 + g², Dv] → `visual_tokens` float32 [n, T, Dl].
 *
 * With block b = 1 / downsample ratio, output cell (r, c) holds the b² input cells (b·r + i, b·c + j),
 * i outermost. Version v1 leaves the grid of outputs transposed.
 */
export function projectorGraph(
  source: GraphSource,
  settings: GraphSettings = {},
): ModelSource {
  const dtype = settings.dtype ?? "float32";
  const { config } = source;
  const width = config.vision.hiddenSize;
  const grid = tileSize(config) / config.vision.patchSize;
  const block = Math.round(1 / config.downsampleRatio);
  const small = grid / block;
  const inner = width * block * block;
  const graph = new GraphBuilder({ name: "projector" });
  const e: Emitter = { graph, weights: new Weights(graph, source, dtype) };

  const features = graph.input("patch_features", "float32", [
    "n",
    1 + grid * grid,
    width,
  ]);
  const patches = graph.node("Slice", [
    features,
    graph.int64s([1]),
    graph.int64s([1 + grid * grid]),
    graph.int64s([1]),
  ]);
  const cells = reshape(e, patches, [-1, small, block, small, block, width]);
  const shuffled = transpose(
    e,
    cells,
    config.psVersion === "v1" ? [0, 3, 1, 2, 4, 5] : [0, 1, 3, 2, 4, 5],
  );
  let x = cast(e, reshape(e, shuffled, [-1, inner]), "float32", dtype);
  const { norm, first, second } = layoutOf(config.architecture).projector;
  x = layerNorm(e, x, norm, NORM_EPSILON);
  x = linear(e, x, `${first}.weight`, `${first}.bias`);
  x = graph.node("Gelu", [x], { domain: microsoft });
  x = linear(e, x, `${second}.weight`, `${second}.bias`);
  const tokens = tokensPerTile(config);
  const hidden = config.language.hiddenSize;
  x = cast(e, reshape(e, x, [-1, tokens, hidden]), dtype, "float32");
  graph.output("visual_tokens", x, "float32", ["n", tokens, hidden]);
  return { bytes: graph.build(), externalDataFolder: source.folder };
}
