/**
 * InternViT as an ONNX graph (`modeling_intern_vit.py`): patch embedding, class token, position
 * embedding, then pre-norm layers with layer scale.
 * @module
 */
import { attribute, GraphBuilder, type GraphValue } from "../../onnx/mod.ts";
import type { ModelSource } from "../../onnx/mod.ts";
import { tileSize, type VisionConfig, visionLayersUsed } from "../config.ts";
import { type Layout, layoutOf } from "../layouts.ts";
import {
  cast,
  each,
  type Emitter,
  layerNorm,
  linear,
  microsoft,
  reshape,
  rmsNorm,
  transpose,
} from "./operators.ts";
import {
  type GraphSettings,
  type GraphSource,
  stackOf,
  Weights,
} from "./weights.ts";

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
  const layout = layoutOf(config.architecture);
  const edge = tileSize(config);
  const grid = edge / vision.patchSize;
  const width = vision.hiddenSize;
  const graph = new GraphBuilder({ name: "vision" });
  const e: Emitter = { graph, weights: new Weights(graph, source, dtype) };

  const pixels = graph.input("pixel_values", "float32", ["n", 3, edge, edge]);
  let x = cast(e, embed(e, pixels, vision, layout, grid), "float32", dtype);
  // Rows of all tiles together: one matrix product each, whatever n is.
  x = reshape(e, x, [-1, width]);
  const layers = visionLayersUsed(vision.layers, config.selectLayer);
  for (let i = 0; i < layers; i++) {
    x = layer(e, x, `${layout.layers}${i}`, vision, layout, grid);
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
  layout: Layout,
  grid: number,
): GraphValue {
  const { graph, weights } = e;
  const width = vision.hiddenSize;
  const patches = graph.node("Conv", [
    pixels,
    weights.as(`${layout.patches}.weight`, "float32"),
    weights.as(`${layout.patches}.bias`, "float32"),
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
    weights.as(layout.classToken, "float32"),
    classShape,
  ]);
  const tokens = graph.node("Concat", [classToken, rows], {
    attributes: { axis: attribute.int(1) },
  });
  return graph.node("Add", [
    tokens,
    positions(e, layout.positions, vision, grid),
  ]);
}

/**
 * The position embedding for a grid, [1, 1 + g², D]. Where the grid is not the stored one it is
 * resized as `F.interpolate(mode="bicubic", align_corners=False)` does (a = -0.75, no antialias), by
 * constant nodes that ONNX Runtime folds while it loads.
 */
function positions(
  e: Emitter,
  name: string,
  vision: VisionConfig,
  grid: number,
): GraphValue {
  const { graph, weights } = e;
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

/** x += s₁ · attention(norm₁ x); x += s₂ · mlp(norm₂ x), on rows [n·(1 + g²), D]. */
function layer(
  e: Emitter,
  x: GraphValue,
  prefix: string,
  vision: VisionConfig,
  layout: Layout,
  grid: number,
): GraphValue {
  const { graph } = e;
  const norm = (value: GraphValue, name: string) =>
    vision.normType === "rms_norm"
      ? rmsNorm(e, value, `${name}.weight`, vision.normEps)
      : layerNorm(e, value, name, vision.normEps);
  x = graph.node("Add", [
    x,
    attention(
      e,
      norm(x, `${prefix}.${layout.attentionNorm}`),
      prefix,
      vision,
      layout,
      grid,
    ),
  ]);
  const [first, second] = layout.mlp.map((name) => `${prefix}.${name}`);
  const inner = linear(
    e,
    norm(x, `${prefix}.${layout.mlpNorm}`),
    `${first}.weight`,
    `${first}.bias`,
  );
  return graph.node("Add", [
    x,
    linear(
      e,
      graph.node("Gelu", [inner], { domain: microsoft }),
      `${second}.weight`,
      `${second}.bias`,
      `${prefix}.${layout.mlpScale}`,
    ),
  ]);
}

/** Bidirectional attention over the tokens of each tile; scale head_dim^-0.5. Times the layer's scale. */
function attention(
  e: Emitter,
  x: GraphValue,
  prefix: string,
  vision: VisionConfig,
  layout: Layout,
  grid: number,
): GraphValue {
  const { graph } = e;
  const width = vision.hiddenSize;
  const stack = stackOf(layout.qkv);
  const qkv = linear(
    e,
    x,
    each(stack, (name) => `${prefix}.${name}.weight`),
    vision.qkvBias
      ? each(stack, (name) => `${prefix}.${name}.bias`)
      : undefined,
  );
  let [q, k, v] = graph.nodes("Split", [qkv], {
    attributes: { axis: attribute.int(-1) },
    outputs: 3,
  }) as [GraphValue, GraphValue, GraphValue];
  if (vision.qkNormalization) {
    // Over the whole width, all heads together.
    const { queryNorm, keyNorm } = layout;
    q = rmsNorm(e, q, `${prefix}.${queryNorm}.weight`, vision.qkNormEps);
    k = rmsNorm(e, k, `${prefix}.${keyNorm}.weight`, vision.qkNormEps);
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
    `${prefix}.${layout.output}.weight`,
    `${prefix}.${layout.output}.bias`,
    `${prefix}.${layout.attentionScale}`,
  );
}
