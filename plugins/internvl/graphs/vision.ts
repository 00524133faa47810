/**
 * InternViT as an ONNX graph (`modeling_intern_vit.py`): patch embedding, class token, position
 * embedding, then pre-norm layers with layer scale.
 * @module
 */
import { attribute, GraphBuilder, type GraphValue } from "../../onnx/mod.ts";
import type { ModelSource } from "../../onnx/mod.ts";
import { tileSize, type VisionConfig, visionLayersUsed } from "../config.ts";
import {
  cast,
  type Emitter,
  layerNorm,
  linear,
  microsoft,
  reshape,
  rmsNorm,
  transpose,
} from "./operators.ts";
import { type GraphSettings, type GraphSource, Weights } from "./weights.ts";

/**
 * The vision tower: `pixel_values` float32 [n, 3, S, S] → `patch_features` float32 [n, 1 + g², Dv],
 * with g = S / patch size. No norm after the last layer.
 */
export function visionGraph(
  source: GraphSource,
  settings: GraphSettings = {},
): ModelSource {
  const dtype = settings.dtype ?? "float32";
  const { config } = source;
  const { vision } = config;
  const edge = tileSize(config);
  const grid = edge / vision.patchSize;
  const width = vision.hiddenSize;
  const graph = new GraphBuilder({ name: "vision" });
  const e: Emitter = { graph, weights: new Weights(graph, source, dtype) };

  const pixels = graph.input("pixel_values", "float32", ["n", 3, edge, edge]);
  let x = cast(e, embed(e, pixels, vision, grid), "float32", dtype);
  // Rows of all tiles together: one matrix product each, whatever n is.
  x = reshape(e, x, [-1, width]);
  const layers = visionLayersUsed(vision.layers, config.selectLayer);
  for (let i = 0; i < layers; i++) {
    x = layer(e, x, `vision_model.encoder.layers.${i}`, vision, grid);
  }
  x = cast(e, reshape(e, x, [-1, 1 + grid * grid, width]), dtype, "float32");
  graph.output("patch_features", x, "float32", ["n", 1 + grid * grid, width]);
  return { bytes: graph.build(), externalDataFolder: source.folder };
}

/**
 * [n, 3, S, S] → [n, 1 + g², D], in float32 whatever the rest is: it is a thousandth of the work, and
 * several of its operators have no bfloat16 form.
 */
function embed(
  e: Emitter,
  pixels: GraphValue,
  vision: VisionConfig,
  grid: number,
): GraphValue {
  const { graph, weights } = e;
  const width = vision.hiddenSize;
  const prefix = "vision_model.embeddings";
  const patches = graph.node("Conv", [
    pixels,
    weights.as(`${prefix}.patch_embedding.weight`, "float32"),
    weights.as(`${prefix}.patch_embedding.bias`, "float32"),
  ], {
    attributes: {
      kernel_shape: attribute.ints([vision.patchSize, vision.patchSize]),
      strides: attribute.ints([vision.patchSize, vision.patchSize]),
    },
  });
  const rows = transpose(e, reshape(e, patches, [0, width, -1]), [0, 2, 1]);
  // The class token once per tile: its shape is [n, 1, D], n taken from the patches.
  const count = graph.node("Shape", [patches], {
    attributes: { start: attribute.int(0), end: attribute.int(1) },
  });
  const classShape = graph.node("Concat", [count, graph.int64s([1, width])], {
    attributes: { axis: attribute.int(0) },
  });
  const classToken = graph.node("Expand", [
    weights.as(`${prefix}.class_embedding`, "float32"),
    classShape,
  ]);
  const tokens = graph.node("Concat", [classToken, rows], {
    attributes: { axis: attribute.int(1) },
  });
  return graph.node("Add", [tokens, positions(e, vision, grid)]);
}

/**
 * The position embedding for a grid, [1, 1 + g², D]. Where the grid is not the stored one it is
 * resized as `F.interpolate(mode="bicubic", align_corners=False)` does (a = -0.75, no antialias), by
 * constant nodes that ONNX Runtime folds while it loads.
 */
function positions(e: Emitter, vision: VisionConfig, grid: number): GraphValue {
  const { graph, weights } = e;
  const name = "vision_model.embeddings.position_embedding";
  const stored = vision.imageSize / vision.patchSize;
  const table = weights.as(name, "float32");
  if (stored === grid) return table;
  const width = vision.hiddenSize;
  const part = (start: number, end: number) =>
    graph.node("Slice", [
      table,
      graph.int64s([start]),
      graph.int64s([end]),
      graph.int64s([1]),
    ]);
  const image = transpose(
    e,
    reshape(e, part(1, 1 + stored * stored), [1, stored, stored, width]),
    [0, 3, 1, 2],
  );
  const resized = graph.node("Resize", [
    image,
    undefined,
    undefined,
    graph.int64s([1, width, grid, grid]),
  ], {
    attributes: {
      mode: attribute.text("cubic"),
      cubic_coeff_a: attribute.float(-0.75),
      coordinate_transformation_mode: attribute.text("half_pixel"),
    },
  });
  const rows = transpose(
    e,
    reshape(e, resized, [1, width, grid * grid]),
    [0, 2, 1],
  );
  return graph.node("Concat", [part(0, 1), rows], {
    attributes: { axis: attribute.int(1) },
  });
}

/** x += ls1 · attention(norm1 x); x += ls2 · mlp(norm2 x), on rows [n·(1 + g²), D]. */
function layer(
  e: Emitter,
  x: GraphValue,
  prefix: string,
  vision: VisionConfig,
  grid: number,
): GraphValue {
  const { graph } = e;
  const norm = (value: GraphValue, name: string) =>
    vision.normType === "rms_norm"
      ? rmsNorm(e, value, `${name}.weight`, vision.normEps)
      : layerNorm(e, value, name, vision.normEps);
  x = graph.node("Add", [
    x,
    attention(e, norm(x, `${prefix}.norm1`), prefix, vision, grid),
  ]);
  const inner = linear(
    e,
    norm(x, `${prefix}.norm2`),
    `${prefix}.mlp.fc1.weight`,
    `${prefix}.mlp.fc1.bias`,
  );
  return graph.node("Add", [
    x,
    linear(
      e,
      graph.node("Gelu", [inner], { domain: microsoft }),
      `${prefix}.mlp.fc2.weight`,
      `${prefix}.mlp.fc2.bias`,
      `${prefix}.ls2`,
    ),
  ]);
}

/** Bidirectional attention over the tokens of each tile; scale head_dim^-0.5. Times `ls1`. */
function attention(
  e: Emitter,
  x: GraphValue,
  prefix: string,
  vision: VisionConfig,
  grid: number,
): GraphValue {
  const { graph } = e;
  const width = vision.hiddenSize;
  const qkv = linear(
    e,
    x,
    `${prefix}.attn.qkv.weight`,
    vision.qkvBias ? `${prefix}.attn.qkv.bias` : undefined,
  );
  let [q, k, v] = graph.nodes("Split", [qkv], {
    attributes: { axis: attribute.int(-1) },
    outputs: 3,
  }) as [GraphValue, GraphValue, GraphValue];
  if (vision.qkNormalization) {
    // Over the whole width, all heads together.
    q = rmsNorm(e, q, `${prefix}.attn.q_norm.weight`, vision.normEps);
    k = rmsNorm(e, k, `${prefix}.attn.k_norm.weight`, vision.normEps);
  }
  const perTile = (value: GraphValue) =>
    reshape(e, value, [-1, 1 + grid * grid, width]);
  const mixed = graph.node(
    "MultiHeadAttention",
    [perTile(q), perTile(k), perTile(v)],
    {
      domain: microsoft,
      attributes: {
        num_heads: attribute.int(vision.heads),
        scale: attribute.float((width / vision.heads) ** -0.5),
      },
    },
  );
  return linear(
    e,
    reshape(e, mixed, [-1, width]),
    `${prefix}.attn.proj.weight`,
    `${prefix}.attn.proj.bias`,
    `${prefix}.ls1`,
  );
}
