/**
 * A checkpoint's `config.json`, decoded to one form for all layouts. Keys we do not use are passed over;
 * missing ones take the defaults of the configuration classes. Here is what is asked of every layout; the
 * original one is in `chat_config.ts`, that of `transformers` in `transformers_config.ts`, the language
 * model's part in `language_config.ts`.
 * @module
 */
import { Effect } from "effect";
import { CheckpointError } from "../../nodes/errors.ts";
import { readChatConfig } from "./chat_config.ts";
import { isRecord, quoted } from "./files.ts";
import { layouts, type ModelArchitecture } from "./layouts.ts";
import type { PictureSettings } from "./preprocessor.ts";
import { decodeQuantization } from "./quantize/config.ts";
import { type Quantization, schemeText } from "./quantize/scheme.ts";
import { type LanguageConfig, named } from "./language_config.ts";
import { readTransformersConfig } from "./transformers_config.ts";

export type { LanguageConfig } from "./language_config.ts";
export type { RopeScaling } from "./rope_config.ts";
export { languageArchitectures } from "./language_config.ts";

/** The vision tower: InternViT. */
export interface VisionConfig {
  /** Width of the residual stream (Dv). */
  readonly hiddenSize: number;
  /** Transformer layers. */
  readonly layers: number;
  /** Attention heads; they divide `hiddenSize`. */
  readonly heads: number;
  /** Width of the MLP. */
  readonly intermediateSize: number;
  /** Edge in pixels that the stored position embedding was made for. */
  readonly imageSize: number;
  /** Edge of a patch in pixels. */
  readonly patchSize: number;
  /** Kind of the two norms of a layer. */
  readonly normType: "rms_norm" | "layer_norm";
  /** Epsilon of the two norms of a layer. */
  readonly normEps: number;
  /** Whether q and k pass an RMSNorm over the whole width. */
  readonly qkNormalization: boolean;
  /** Epsilon of the norms of q and k. */
  readonly qkNormEps: number;
  /** Whether queries, keys and values have biases. */
  readonly qkvBias: boolean;
  /** Activation of the MLP; always `gelu`, the exact one. */
  readonly hiddenAct: "gelu";
}

/** A decoded `config.json` of the InternVL-Chat family. */
export interface InternVLConfig {
  /** Class name of the whole model, which decides the layout. */
  readonly architecture: ModelArchitecture;
  /** The vision tower. */
  readonly vision: VisionConfig;
  /** The language model. */
  readonly language: LanguageConfig;
  /** Edge of the grid after pixel shuffle over the edge before; 1 over a whole number. */
  readonly downsampleRatio: number;
  /** Order of the pixel shuffle; `v1` leaves the grid transposed. */
  readonly psVersion: "v1" | "v2";
  /** Which hidden state of the tower is used; -1 is the last, 0 the embedding. */
  readonly selectLayer: number;
  /** Name of the prompt template; `null` where the folder has a chat template instead. */
  readonly template: string | null;
  /** Whether pictures are cut into tiles. */
  readonly dynamicImageSize: boolean;
  /** Whether a thumbnail follows more than one tile. */
  readonly useThumbnail: boolean;
  /** Fewest tiles of a picture. */
  readonly minDynamicPatch: number;
  /** Most tiles of a picture. */
  readonly maxDynamicPatch: number;
  /** Edge of a tile in pixels when it is not the tower's own; `null` when it is. See {@link tileSize}. */
  readonly forceImageSize: number | null;
  /** System message, when the checkpoint has one of its own; it rules over the template's. */
  readonly systemMessage?: string;
  /** Id of the token that visual tokens take the place of, where the configuration says one. */
  readonly imageTokenId?: number;
  /** How the weights are quantized; absent where they are as they were trained. */
  readonly quantization?: Quantization;
}

/** Layers of the tower that have to run: hidden state k of `select_layer` is the output of k layers. */
export function visionLayersUsed(layers: number, selectLayer: number): number {
  return selectLayer < 0 ? layers + 1 + selectLayer : selectLayer;
}

/** Edge of a tile in pixels. */
export function tileSize(config: InternVLConfig): number {
  return config.forceImageSize ?? config.vision.imageSize;
}

/** Visual tokens per tile: `(tileSize / patchSize)² · downsampleRatio²`, 256 for V1-5. */
export function tokensPerTile(config: InternVLConfig): number {
  const grid = Math.floor(tileSize(config) / config.vision.patchSize);
  return Math.round(grid * config.downsampleRatio) ** 2;
}

/** The largest edge of a tile; beyond it one tile alone would fill the memory. */
const mostPixels = 4096;

/** A configuration, and what its layout calls the values that others must fit to. */
export interface ReadConfig {
  /** The configuration, but for the quantization. */
  readonly config: InternVLConfig;
  /** What says the edge of a tile. */
  readonly edgeKey: string;
  /** What says which hidden state is used. */
  readonly layerKey: string;
}

/**
 * Decodes the JSON of a `config.json`; `pictures` is what a file beside it says of pictures, which only
 * the layout of `transformers` has. Fails with {@link CheckpointError}: an architecture we do not have, a
 * missing or impossible value.
 */
export function decodeConfig(
  value: unknown,
  path: string,
  pictures?: PictureSettings,
): Effect.Effect<InternVLConfig, CheckpointError> {
  const config = check(value, pictures);
  return typeof config === "string"
    ? Effect.fail(new CheckpointError({ path, message: `${path}: ${config}` }))
    : Effect.succeed(config);
}

/** Whether a `config.json` is in the layout of `transformers`. */
export function isTransformersConfig(
  value: Readonly<Record<string, unknown>>,
): boolean {
  return architectureOf(value) === "InternVLForConditionalGeneration";
}

/** The configuration, or what is wrong with it. */
function check(
  value: unknown,
  pictures: PictureSettings | undefined,
): InternVLConfig | string {
  if (!isRecord(value)) return "a JSON object is expected";
  const architecture = architectureOf(value);
  if (typeof architecture !== "string") {
    return `architecture ${quoted(architecture.foreign)} is not supported; ${
      layouts.map(({ architecture }) => architecture).join(" and ")
    } are`;
  }
  const read = architecture === "InternVLForConditionalGeneration"
    ? readTransformersConfig(value, pictures)
    : readChatConfig(value);
  if (typeof read === "string") return read;
  const wrong = contradiction(read);
  if (wrong !== undefined) return wrong;
  const quantization = value.quantization_config == null
    ? undefined
    : decodeQuantization(value.quantization_config);
  if (typeof quantization === "string") return quantization;
  const config = {
    ...read.config,
    ...(quantization === undefined ? {} : { quantization }),
  };
  // In the other layout the weights are asked first.
  return config.architecture === "InternVLChatModel"
    ? withHead(config, true)
    : config;
}

/** The class of the whole model; or how a config calls itself that is of none of ours. */
function architectureOf(
  value: Readonly<Record<string, unknown>>,
): ModelArchitecture | { readonly foreign: string } {
  let foreign = "";
  for (const { architecture, modelType } of layouts) {
    const other = named(value, architecture, modelType);
    if (other === undefined) return architecture as ModelArchitecture;
    foreign = other;
  }
  return { foreign };
}

/** Which values of a configuration do not go together, in any layout. */
function contradiction(
  { config, edgeKey, layerKey }: ReadConfig,
): string | undefined {
  const { vision, downsampleRatio, selectLayer } = config;
  if (vision.hiddenSize % vision.heads !== 0) {
    return `vision_config.hidden_size ${vision.hiddenSize} is no multiple of num_attention_heads ${vision.heads}`;
  }
  const edge = tileSize(config);
  if (edge > mostPixels) {
    return `${edgeKey} is ${edge}; a tile of at most ${mostPixels} pixels is supported`;
  }
  const { imageSize, patchSize } = vision;
  if (edge % patchSize !== 0 || imageSize % patchSize !== 0) {
    return `the image size ${
      edge % patchSize !== 0 ? edge : imageSize
    } is no multiple of patch_size ${patchSize}`;
  }
  const grid = edge / patchSize;
  const block = 1 / downsampleRatio;
  if (!Number.isInteger(block) || grid % block !== 0) {
    return `downsample_ratio ${downsampleRatio} does not divide a grid of ${grid} × ${grid} patches`;
  }
  const states = vision.layers + 1;
  if (selectLayer < -states || selectLayer >= states) {
    return `${layerKey} ${selectLayer} does not exist; the vision tower has ${states} hidden states`;
  }
  return undefined;
}

/**
 * The configuration with what only the weights tell; or what is wrong with it. `head` says whether there is
 * an output head. In the layout of `transformers` the head shares the embedding's weights where it is not
 * among the tensors: of the two keys that say so either may be missing, by the version that wrote them.
 */
export function withHead(
  config: InternVLConfig,
  head: boolean,
): InternVLConfig | string {
  const language = config.language;
  const tied = language.tieWordEmbeddings &&
    !(head && config.architecture === "InternVLForConditionalGeneration");
  const { quantization } = config;
  if (
    quantization !== undefined && tied &&
    schemeText(quantization.head) !== schemeText(quantization.embedding)
  ) {
    return "quantization_config: head and embedding share their weights and must be alike";
  }
  return { ...config, language: { ...language, tieWordEmbeddings: tied } };
}
