/**
 * The InternVL-Chat family: from a checkpoint folder to the services that the built-in nodes ask for.
 * @module
 */
import { Context, Effect, Layer, type Scope } from "effect";
import { basename } from "node:path";
import { BackendError, CheckpointError } from "../../nodes/errors.ts";
import {
  LanguageModel,
  ModelInfo,
  Projector,
  PromptRenderer,
  TextTokenizer,
  VisionEncoder,
} from "../../nodes/services.ts";
import { Backend, type Device } from "../onnx/mod.ts";
import {
  type Checkpoint,
  expectTensors,
  expectUnchanged,
  openCheckpoint,
} from "./checkpoint.ts";
import { tileSize, tokensPerTile } from "./config.ts";
import { calibrate, calibrationSamples } from "./engine/calibrate.ts";
import { cacheFault, type EngineSettings } from "./engine/options.ts";
import { tokenizerConstrainer } from "./generate/constrained.ts";
import { makeLanguageModel } from "./generate/model.ts";
import { makeProjector, makeVisionEncoder } from "./graphs/encoder.ts";
import { languageGraph } from "./graphs/language.ts";
import { projectorGraph } from "./graphs/projector.ts";
import { allExpectedTensors } from "./graphs/tensors.ts";
import { visionGraph } from "./graphs/vision.ts";
import type { ComputeType } from "./graphs/types.ts";
import { type GraphSettings, graphSource } from "./graphs/weights.ts";
import { checkpointTemplate } from "./prompt/conversation_file.ts";
import { makePromptRenderer } from "./prompt/renderer.ts";
import { endTokenId, stopText } from "./prompt/template.ts";
import { imageTokenFault, openTokenizer } from "./tokenizer/load.ts";

/** A GPU for each half of a model. */
export interface DeviceIds {
  /** Index of the GPU for vision tower and projector. */
  readonly vision: number;
  /** Index of the GPU for the language model and its cache. */
  readonly language: number;
}

/** How a checkpoint is put to work. */
export interface InternVLOptions {
  /** Where the model computes. Default `"cpu"`. */
  readonly device?: Device;
  /**
   * Index of the GPU; default 0. With two numbers the vision tower and the projector stand on one GPU and
   * the language model on another: visual tokens pass through host memory, 8 MB a tile at most.
   */
  readonly deviceId?: number | DeviceIds;
  /** Threads inside one operator. Default: the machine's cores. */
  readonly threads?: number;
  /** Type of weights and activations. Default: float32 on the CPU, float16 elsewhere. */
  readonly dtype?: ComputeType;
  /**
   * Longest sequence, prompt and answer together. Default: the checkpoint's
   * `max_position_embeddings`; past it, rotary positions follow its `rope_scaling`.
   */
  readonly contextLength?: number;
  /** How many requests are computed at once, and with how much memory. */
  readonly engine?: EngineSettings;
}

/** What a loaded model provides. */
export type ModelServices =
  | ModelInfo
  | VisionEncoder
  | Projector
  | PromptRenderer
  | TextTokenizer
  | LanguageModel;

/** Facts for nodes, from a checkpoint's config. */
export function modelInfo(
  checkpoint: Checkpoint,
  contextLength: number = checkpoint.config.language.maxPositionEmbeddings,
): ModelInfo {
  const { config, dir, digest } = checkpoint;
  return {
    digest,
    name: basename(dir.replace(/[\\/]+$/, "")) || dir,
    tileSize: tileSize(config),
    tokensPerTile: tokensPerTile(config),
    minTiles: config.dynamicImageSize ? config.minDynamicPatch : 1,
    maxTiles: config.dynamicImageSize ? config.maxDynamicPatch : 1,
    useThumbnail: config.useThumbnail,
    contextLength,
  };
}

/** What is wrong with the numbers of the options; `undefined` where nothing is. */
function numberFault(
  { contextLength, engine = {} }: InternVLOptions,
): string | undefined {
  if (
    contextLength !== undefined &&
    !(Number.isSafeInteger(contextLength) && contextLength > 0)
  ) {
    return `contextLength is ${contextLength}; it must be a whole number from 1`;
  }
  const { speculate, kvCacheBytes, ...rest } = engine;
  if (kvCacheBytes !== undefined && !(kvCacheBytes > 0)) {
    return `kvCacheBytes is ${kvCacheBytes}; it must be a number of bytes above 0`;
  }
  // Those that are out of range become the nearest in it, for which they must be numbers.
  for (const name of ["slots", "chunk", "queue", "wideFrom"] as const) {
    const value = rest[name];
    if (value === undefined || value > -Infinity) continue;
    return `${name} is ${value}; it must be a number`;
  }
  for (const [name, value] of Object.entries(speculate ?? {})) {
    if (!(value > -Infinity)) {
      return `speculate.${name} is ${value}; it must be a number`;
    }
  }
  return undefined;
}

const load: (
  dir: string,
  options: InternVLOptions,
) => Effect.Effect<
  Context.Context<ModelServices>,
  CheckpointError | BackendError,
  Backend | Scope.Scope
> = Effect.fn("internvl.load")(
  function* (dir: string, options: InternVLOptions) {
    const { device = "cpu", threads, deviceId = 0 } = options;
    const ids = typeof deviceId === "number"
      ? { vision: deviceId, language: deviceId }
      : deviceId;
    const dtype = options.dtype ?? (device === "cpu" ? "float32" : "float16");
    const { kvCache = dtype } = options.engine ?? {};
    const wrong = cacheFault(kvCache, dtype, device) ?? numberFault(options);
    if (wrong !== undefined) return yield* new BackendError({ message: wrong });
    const backend = yield* Backend;
    const checkpoint = yield* openCheckpoint(dir);
    const { config } = checkpoint;
    const info = modelInfo(checkpoint, options.contextLength);
    yield* expectTensors(checkpoint, allExpectedTensors(config));
    const tokenizer = yield* openTokenizer(dir, config.language.vocabSize);
    const fault = imageTokenFault(config, tokenizer);
    if (fault !== undefined) {
      return yield* new CheckpointError({
        path: dir,
        message: `${dir}: ${fault}`,
      });
    }
    const template = yield* checkpointTemplate(checkpoint);
    const end = yield* endTokenId(template, tokenizer, dir);
    const source = yield* graphSource(checkpoint);
    const session = (
      name: string,
      graph: typeof visionGraph,
      deviceId = ids.vision,
      settings: GraphSettings = {},
    ) =>
      backend.load(graph(source, { dtype, ...settings }), {
        device,
        deviceId,
        threads,
        name,
      }).pipe(
        // Of a file that was cut or taken away meanwhile the library says nothing anybody understands.
        Effect.tapError(() => expectUnchanged(checkpoint)),
      );
    const languageSession = (settings: GraphSettings) =>
      session("language", languageGraph, ids.language, settings);
    const renderer = makePromptRenderer({
      tokenizer,
      template,
      tokensPerTile: tokensPerTile(config),
    });
    const vision = yield* session("vision", visionGraph);
    const projector = yield* session("projector", projectorGraph);
    const cache: GraphSettings = kvCache !== "int8" ? { kvCache } : {
      // The first session is gone before the second comes: there may not be room for both.
      kvScales: yield* Effect.scoped(Effect.gen(function* () {
        const samples = yield* calibrationSamples({
          config,
          renderer,
          encoder: makeVisionEncoder(vision, config),
          projector: makeProjector(projector, config),
        });
        const session = yield* languageSession({ calibrate: true });
        return yield* calibrate(session, config.language, samples);
      })).pipe(
        Effect.catchTag("PromptError", ({ message }) =>
          Effect.fail(
            new BackendError({
              message: `no scales for an int8 cache can be found: ${message}`,
            }),
          )),
      ),
    };
    const language = yield* languageSession(cache);
    const { quantization } = config;
    // Prompts' own weights are bytes, which are multiplied in float32 on a CPU; N-API cannot share the cache.
    const prefill = quantization?.prefill !== undefined &&
        device === "cpu" && dtype === "float32" && backend.binding === "ffi"
      ? yield* session("prefill", languageGraph, ids.language, {
        ...cache,
        prefill: true,
      })
      : undefined;
    yield* expectUnchanged(checkpoint);
    const encoder = makeVisionEncoder(vision, config);
    const inBlocks = (role: "language" | "head") =>
      quantization?.[role].type === "blocks";
    return Context.empty().pipe(
      Context.add(ModelInfo, info),
      Context.add(VisionEncoder, encoder),
      Context.add(Projector, makeProjector(projector, config)),
      Context.add(TextTokenizer, {
        vocabSize: tokenizer.vocabSize,
        encode: tokenizer.encode,
        decode: (ids, { special = false } = {}) =>
          tokenizer.decode(ids, { skipSpecialTokens: !special }),
        tokenOf: tokenizer.tokenOf,
      }),
      Context.add(PromptRenderer, renderer),
      Context.add(
        LanguageModel,
        yield* makeLanguageModel({
          ...options.engine,
          session: language,
          ...(prefill === undefined ? {} : { prefill }),
          config: config.language,
          dtype,
          contextLength: info.contextLength,
          vision: encoder.stats,
          oddDiffers: inBlocks("language") || inBlocks("head"),
          // The head computes one row of a prompt, the last one.
          oddPromptDiffers: inBlocks("language") && prefill === undefined,
          endIds: [end],
          endTexts: [stopText(template)],
          detokenizer: ({ skipSpecialTokens }) =>
            tokenizer.streamDecoder({ skipSpecialTokens }),
          names: tokenizer,
          constrainer: tokenizerConstrainer(
            tokenizer,
            config.language.vocabSize,
          ),
        }),
      ),
    );
  },
);

/**
 * The services of a checkpoint folder in the Hugging Face layout. The ONNX graphs are built in memory
 * from `config.json` and the safetensors headers; weights are read where they lie.
 *
 * Fails with `CheckpointError` (missing, damaged, of another architecture) or `BackendError` (a device
 * that is not there, no memory).
 *
 * ```ts
 * import { defaultBackend, internvl, ModelInfo } from "@tessera/sdk";
 * import { Effect, Layer } from "effect";
 * import assert from "node:assert/strict";
 *
 * const layer = internvl("models/nano").pipe(Layer.provide(defaultBackend));
 * const info = await Effect.runPromise(Effect.provide(ModelInfo, layer));
 * assert.equal(info.name, "nano");
 * ```
 */
export function internvl(
  dir: string,
  options: InternVLOptions = {},
): Layer.Layer<ModelServices, CheckpointError | BackendError, Backend> {
  return Layer.effectContext(load(dir, options));
}

export * from "./checkpoint.ts";
export * from "./config.ts";
export {
  floatDTypes,
  type TensorEntry,
  type WeightDType,
} from "./safetensors.ts";
export { imageTokenFault, openTokenizer } from "./tokenizer/load.ts";
export type { SpecialTokens, Tokenizer } from "./tokenizer/tokenizer.ts";
export * from "./graphs/tensors.ts";
export { unsupported } from "./graphs/weights.ts";
export * from "./quantize/mod.ts";
export { schemeText } from "./quantize/scheme.ts";
export { checkpointTemplate } from "./prompt/conversation_file.ts";
export type { Template } from "./prompt/template.ts";
export type { CacheType, EngineSettings } from "./engine/options.ts";
export type { ComputeType } from "./graphs/types.ts";
