/**
 * Tessera: vision-language pipelines for the InternVL-Chat family on ONNX Runtime.
 *
 * Plain scripts start with {@link InternVL}. Programs on Effect start with {@link chat} and
 * {@link modelLayer}. Graphs of your own start with {@link pipeline} and {@link defineNode}.
 *
 * ```ts
 * import { InternVL } from "@tessera/sdk";
 *
 * await using model = await InternVL.load("models/nano");
 * const { response } = await model.chat({
 *   images: ["examples/images/shapes.png"],
 *   question: "What is in the picture?",
 *   generation: { maxNewTokens: 24 },
 * });
 * console.log(response); // A red circle on the left and a blue square on the right.
 * ```
 * @module
 */
export * from "./sdk/mod.ts";
export * from "./nodes/mod.ts";
export * from "./pipeline/mod.ts";
export {
  type BlockScheme,
  type ByRole,
  type CacheType,
  type Checkpoint,
  type ComputeType,
  type DeviceIds,
  type EngineSettings,
  type FloatScheme,
  internvl,
  type InternVLConfig,
  type InternVLOptions,
  type LanguageConfig,
  type ModelServices,
  openCheckpoint,
  type Quantization,
  quantize,
  type QuantizedRole,
  type QuantizeOptions,
  type QuantizeProgress,
  type QuantizeResult,
  type QuantizeSettings,
  type Role,
  type RopeScaling,
  type Scheme,
  type TensorEntry,
  type VisionConfig,
  type W8A8Scheme,
  type WeightDType,
} from "./plugins/internvl/mod.ts";
export {
  findTileGrid,
  type Grid,
  imageProcessor,
  type ImageProcessorOptions,
  imageProcessorWith,
  type PassOrder,
  sampleIndices,
  videoProcessor,
  type VideoProcessorOptions,
  videoProcessorWith,
} from "./plugins/media/mod.ts";
export {
  Backend,
  BackendChoice,
  type BackendTensor,
  defaultBackend,
  type Device,
  ffiBackend,
  type ModelSource,
  napiBackend,
  type PreparedRun,
  type Running,
  type RunOptions as SessionRunOptions,
  type Session,
  type SessionOptions,
  type ValueInfo,
} from "./plugins/onnx/mod.ts";
export {
  type AccessEntry,
  accessWords,
  defaultServerLimits,
  ListenError,
  type Listening,
  type ListenOptions,
  type MediaPolicy,
  type ModelPool,
  type ModelState,
  type OnAccess,
  type ServedModel,
  type ServedServices,
  type ServerLimits,
  type ServerOptions,
} from "./plugins/openai/mod.ts";
export {
  layerSqlite,
  type Retention,
  type SqliteOptions,
} from "./plugins/sqlite/mod.ts";
