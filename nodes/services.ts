/**
 * What the built-in nodes ask for. Plugins provide these by layers; a plugin may replace any one.
 * @module
 */
import { Context, type Effect } from "effect";
import type { CapacityError } from "../pipeline/errors.ts";
import type { BackendError, MediaError, PromptError } from "./errors.ts";
import type {
  Completion,
  Conversation,
  GenerationSettings,
  History,
  Image,
  ImageSource,
  MediaGroup,
  PatchFeatures,
  Prompt,
  Tiles,
  TokenLogprob,
  VideoFrames,
  VideoSource,
  VisualTokens,
} from "./values.ts";
import type { HostTensor } from "./tensor.ts";

/** Decodes and tiles pictures exactly as the reference does. */
export interface ImageProcessor {
  /** Decodes a picture as Pillow's `open(…).convert("RGB")` does. */
  readonly decode: (source: ImageSource) => Effect.Effect<Image, MediaError>;
  /** The grid `tile` would cut a picture of this size into. */
  readonly grid: (
    size: { readonly width: number; readonly height: number },
    options: TileOptions,
  ) => readonly [columns: number, rows: number];
  /** Dynamic tiling, resize and normalisation; no thumbnail. */
  readonly tile: (
    image: Image,
    options: TileOptions,
  ) => Effect.Effect<Tiles, MediaError>;
  /** The whole picture as one tile. */
  readonly thumbnail: (
    image: Image,
    tileSize: number,
  ) => Effect.Effect<Tiles, MediaError>;
}

/** How a picture is cut. */
export interface TileOptions {
  /** Edge of a tile in pixels (448). */
  readonly tileSize: number;
  /** Fewest tiles, default 1. */
  readonly minTiles: number;
  /** Most tiles, 1 to 40. */
  readonly maxTiles: number;
}

/**
 * Picture processing as a service.
 *
 * ```ts
 * import { ImageProcessor, imageProcessor } from "@tessera/sdk";
 * import { Effect } from "effect";
 * import assert from "node:assert/strict";
 *
 * const grid = Effect.gen(function* () {
 *   const processor = yield* ImageProcessor;
 *   const options = { tileSize: 448, minTiles: 1, maxTiles: 12 };
 *   return processor.grid({ width: 800, height: 600 }, options);
 * });
 * assert.deepEqual(
 *   await Effect.runPromise(Effect.provide(grid, imageProcessor)),
 *   [4, 3],
 * );
 * ```
 */
export const ImageProcessor: Context.Service<ImageProcessor, ImageProcessor> =
  Context.Service<
    ImageProcessor
  >("tessera/ImageProcessor");

/** Which frames of a video. */
export interface SampleOptions {
  /** Number of segments; one frame from the middle of each. */
  readonly segments: number;
  /** Start of the range in seconds; default: the beginning. */
  readonly start?: number;
  /** End of the range in seconds; default: the end. */
  readonly end?: number;
}

/** Samples frames of a video exactly. */
export interface VideoProcessor {
  /** Frame i is the i-th in presentation order. `name` is what messages call the video; default: the source. */
  readonly sample: (
    source: VideoSource,
    options: SampleOptions,
    name?: string,
  ) => Effect.Effect<VideoFrames, MediaError>;
}

/**
 * Video processing as a service.
 *
 * ```ts
 * import { pipeline, run, VideoClip, VideoProcessor, videoSample } from "@tessera/sdk";
 * import { Effect, Layer } from "effect";
 * import assert from "node:assert/strict";
 *
 * // Frames that come from somewhere else: a service of your own in place of the video plugin.
 * const black = { width: 8, height: 8, data: new Uint8Array(192) };
 * const dark = Layer.succeed(VideoProcessor, {
 *   sample: (_source, { segments }) =>
 *     Effect.succeed({
 *       frames: Array.from({ length: segments }, () => black),
 *       indices: Array.from({ length: segments }, (_, index) => index),
 *       fps: 1,
 *       frameCount: segments,
 *     }),
 * });
 * const look = pipeline("look", (g) =>
 *   g.add(videoSample, { video: g.input("video", VideoClip) }, { segments: 3 }));
 * const { outputs } = await Effect.runPromise(
 *   run(look, { video: "camera" }).pipe(Effect.provide(dark)),
 * );
 * assert.equal(outputs.frames.length, 3);
 * ```
 */
export const VideoProcessor: Context.Service<VideoProcessor, VideoProcessor> =
  Context.Service<
    VideoProcessor
  >("tessera/VideoProcessor");

/** Facts about the loaded model that nodes need. */
export interface ModelInfo {
  /** Identity of the checkpoint's content, part of every memoization key. */
  readonly digest: string;
  /** Name for people, such as the folder's. */
  readonly name: string;
  /** Edge of a tile in pixels. */
  readonly tileSize: number;
  /** Visual tokens per tile after pixel shuffle. */
  readonly tokensPerTile: number;
  /** Fewest tiles a picture is cut into by default. */
  readonly minTiles: number;
  /** Most tiles a picture is cut into by default. */
  readonly maxTiles: number;
  /** Whether a thumbnail follows the tiles. */
  readonly useThumbnail: boolean;
  /** Longest sequence, prompt and answer together. */
  readonly contextLength: number;
}

/**
 * The loaded model's facts as a service.
 *
 * ```ts
 * import { InternVL, ModelInfo } from "@tessera/sdk";
 * import assert from "node:assert/strict";
 *
 * await using model = await InternVL.load("models/nano");
 * const info = await model.effect(ModelInfo);
 * assert.equal(info.name, "nano");
 * assert.equal(info.contextLength, model.info.contextLength);
 * ```
 */
export const ModelInfo: Context.Service<ModelInfo, ModelInfo> = Context.Service<
  ModelInfo
>(
  "tessera/ModelInfo",
);

/** The vision tower. */
export interface VisionEncoder {
  /** float32 [n, 3, S, S] → [n, 1 + g², Dv]; `onTile` is called with the number of tiles done. */
  readonly encode: (
    pixels: HostTensor<"float32">,
    onTile?: (done: number) => void,
  ) => Effect.Effect<PatchFeatures, BackendError>;
}

/**
 * The vision tower as a service.
 *
 * ```ts
 * import { elementCount, hostTensor, InternVL, VisionEncoder } from "@tessera/sdk";
 * import { Effect } from "effect";
 * import assert from "node:assert/strict";
 *
 * await using model = await InternVL.load("models/nano");
 * const shape = [1, 3, model.info.tileSize, model.info.tileSize];
 * const pixels = hostTensor("float32", shape, new Float32Array(elementCount(shape)));
 * const features = await model.effect(Effect.gen(function* () {
 *   const encoder = yield* VisionEncoder;
 *   return yield* encoder.encode(pixels, (done) => assert.equal(done, 1));
 * }));
 * assert.equal(features.shape.length, 3);
 * ```
 */
export const VisionEncoder: Context.Service<VisionEncoder, VisionEncoder> =
  Context.Service<
    VisionEncoder
  >("tessera/VisionEncoder");

/** Pixel shuffle and the MLP into the language model's space. */
export interface Projector {
  /** [n, 1 + g², Dv] → [n, tokens per tile, Dl]. */
  readonly project: (
    features: PatchFeatures,
  ) => Effect.Effect<VisualTokens, BackendError>;
}

/**
 * The projector as a service.
 *
 * ```ts
 * import { hostTensor, Projector } from "@tessera/sdk";
 * import { Effect, Layer } from "effect";
 * import assert from "node:assert/strict";
 *
 * // A projector of your own, in place of the checkpoint's: it passes the class token on.
 * const first = Layer.succeed(Projector, {
 *   project: (features) =>
 *     Effect.map(features.read, (data) => {
 *       const width = features.shape[2]!;
 *       const token = (data as Float32Array<ArrayBuffer>).slice(0, width);
 *       return hostTensor("float32", [1, 1, width], token);
 *     }),
 * });
 * const program = Effect.gen(function* () {
 *   const projector = yield* Projector;
 *   const features = hostTensor("float32", [1, 2, 2], Float32Array.of(1, 2, 3, 4));
 *   return yield* projector.project(features);
 * });
 * const tokens = await Effect.runPromise(Effect.provide(program, first));
 * assert.deepEqual(tokens.shape, [1, 1, 2]);
 * ```
 */
export const Projector: Context.Service<Projector, Projector> = Context.Service<
  Projector
>(
  "tessera/Projector",
);

/** What a prompt is made of. */
export interface PromptRequest {
  /** The question, with or without `<image>` placeholders. */
  readonly question: string;
  /** Earlier rounds; `undefined` for a first round (it decides whether `<image>` is put in front). */
  readonly history?: History;
  /** Tiles per `<image>`, in order; empty for text only. */
  readonly numPatchesList: readonly number[];
  /** Overrides the template's system message. */
  readonly systemMessage?: string;
}

/** What a conversation is rendered from. */
export interface ConversationRequest {
  /** The messages. */
  readonly conversation: Conversation;
  /** By group and place: tiles of each picture, of each frame where it is a video. */
  readonly tiles: Readonly<Record<MediaGroup, readonly (readonly number[])[]>>;
}

/** Renders and tokenizes prompts by the model's template. */
export interface PromptRenderer {
  /** Rules 1 to 4 of the reference's `chat()`, with typed errors where it fails later or silently. */
  readonly render: (
    request: PromptRequest,
  ) => Effect.Effect<Prompt, PromptError>;
  /** Messages in any order. Words of the caller may hold no control token of the template. */
  readonly converse: (
    request: ConversationRequest,
  ) => Effect.Effect<Prompt, PromptError>;
}

/**
 * The prompt renderer as a service.
 *
 * ```ts
 * import { InternVL, PromptRenderer } from "@tessera/sdk";
 * import { Effect } from "effect";
 * import assert from "node:assert/strict";
 *
 * await using model = await InternVL.load("models/nano");
 * const prompt = await model.effect(Effect.gen(function* () {
 *   const renderer = yield* PromptRenderer;
 *   return yield* renderer.render({ question: "What is it?", numPatchesList: [3] });
 * }));
 * assert.equal(prompt.question, "<image>\nWhat is it?");
 * assert.equal(prompt.images[0]?.length, 3 * model.info.tokensPerTile);
 * ```
 */
export const PromptRenderer: Context.Service<PromptRenderer, PromptRenderer> =
  Context.Service<
    PromptRenderer
  >("tessera/PromptRenderer");

/** Text to token ids and back. */
export interface TextTokenizer {
  /** One more than the highest id. */
  readonly vocabSize: number;
  /** Ids of a text; special tokens in it become their ids. `bos` puts the beginning in front. */
  readonly encode: (
    text: string,
    options?: { readonly bos?: boolean },
  ) => Int32Array<ArrayBuffer>;
  /** Text of ids; special tokens are left out unless `special`. */
  readonly decode: (
    ids: Iterable<number>,
    options?: { readonly special?: boolean },
  ) => string;
  /** Text of one token as the vocabulary has it. */
  readonly tokenOf: (id: number) => string | undefined;
}

/**
 * The model's tokenizer as a service.
 *
 * ```ts
 * import { InternVL, TextTokenizer } from "@tessera/sdk";
 * import assert from "node:assert/strict";
 *
 * await using model = await InternVL.load("models/nano");
 * const tokenizer = await model.effect(TextTokenizer);
 * const ids = tokenizer.encode("a red circle");
 * assert.equal(tokenizer.decode(ids), "a red circle");
 * ```
 */
export const TextTokenizer: Context.Service<TextTokenizer, TextTokenizer> =
  Context.Service<
    TextTokenizer
  >("tessera/TextTokenizer");

/** Changes the logits from which a token is chosen. */
export interface LogitsProcessor {
  /** Name, for messages. */
  readonly name: string;
  /**
   * Edits `logits` ([vocabulary], of the next token) in place; minus infinity makes a token impossible.
   * Called once a token, after the penalties of the settings and before a token is chosen; must be quick
   * (it holds up every answer that is computed at the time). `ids` are those generated so far. What it
   * throws fails this answer with `BackendError`.
   */
  readonly process: (step: {
    readonly prompt: Prompt;
    readonly ids: readonly number[];
    readonly logits: Float32Array;
  }) => void;
}

/**
 * The logits processors of what runs in a scope, in order; none by default. A processor for everything is
 * provided around the program, one for a single answer around that answer.
 *
 * ```ts
 * import { InternVL, LogitsProcessors, LanguageModel, PromptRenderer } from "@tessera/sdk";
 * import { Effect } from "effect";
 * import assert from "node:assert/strict";
 *
 * await using model = await InternVL.load("models/nano");
 * const answer = Effect.gen(function* () {
 *   const renderer = yield* PromptRenderer;
 *   const language = yield* LanguageModel;
 *   return yield* language.generate({
 *     prompt: yield* renderer.render({ question: "Hello!", numPatchesList: [] }),
 *     visual: [],
 *     settings: { maxNewTokens: 8 },
 *   });
 * });
 * const free = await model.effect(answer);
 * // Never the token that the answer began with.
 * const processor = {
 *   name: "no-first",
 *   process: ({ logits }: { logits: Float32Array }) => {
 *     logits[free.ids[0]!] = -Infinity;
 *   },
 * };
 * const other = await model.effect(
 *   answer.pipe(Effect.provideService(LogitsProcessors, [processor])),
 * );
 * assert.ok(!other.ids.includes(free.ids[0]!));
 * ```
 */
export const LogitsProcessors: Context.Reference<readonly LogitsProcessor[]> =
  Context.Reference<readonly LogitsProcessor[]>("tessera/LogitsProcessors", {
    defaultValue: () => [],
  });

/** What generation needs. */
export interface GenerationRequest {
  /** The prompt. */
  readonly prompt: Prompt;
  /** Visual tokens in prompt order; together as many as the prompt's context tokens. */
  readonly visual: readonly VisualTokens[];
  /** Settings; defaults as in {@link GenerationSettings}. */
  readonly settings?: GenerationSettings;
  /** Called on the event loop; must not throw. */
  readonly observer?: GenerationObserver;
  /**
   * Milliseconds from the call; a request that has not ended by then fails with `CapacityError` of kind
   * `"deadline"`.
   */
  readonly deadlineMs?: number;
  /** Higher ones are admitted first; equal ones in the order in which they came. Default 0. */
  readonly priority?: number;
}

/** Watches a generation. */
export interface GenerationObserver {
  /** The request waits; so many others are before it. Called again as they become fewer. */
  readonly onQueued?: (ahead: number) => void;
  /** Prompt tokens computed so far. */
  readonly onPrefill?: (done: number, total: number) => void;
  /** The prompt is computed and the first token chosen. */
  readonly onFirstToken?: () => void;
  /** Complete characters only: never half of a UTF-8 sequence, never part of a stop string. */
  readonly onText?: (delta: string, generatedTokens: number) => void;
  /** A token was chosen; before the text it completes. */
  readonly onToken?: (
    token: { readonly id: number; readonly logprob?: TokenLogprob },
  ) => void;
}

/** What a language model holds and has done. */
export interface EngineStats {
  /** Requests being computed. */
  readonly running: number;
  /** Requests that wait. */
  readonly waiting: number;
  /** Requests that can be computed at once. */
  readonly slots: number;
  /** Tokens whose keys and values are kept, those of finished requests included. */
  readonly kvTokensUsed: number;
  /** Tokens there is memory for. */
  readonly kvTokensCapacity: number;
  /** Reuse of keys and values between requests. */
  readonly prefix: {
    /** Requests that found a part of their prompt computed. */
    readonly hits: number;
    /** Requests that did not. */
    readonly misses: number;
    /** Prompt tokens found. */
    readonly tokensReused: number;
    /** Prompt tokens computed. */
    readonly tokensComputed: number;
  };
  /** Work of the vision tower behind this model, where the model knows it. */
  readonly vision?: {
    /** Runs of the tower. */
    readonly batches: number;
    /** Tiles in them. */
    readonly tiles: number;
  };
  /** Runs of the language model. */
  readonly steps: {
    /** Runs over a part of a prompt. */
    readonly prefill: number;
    /** Runs over a token of each sequence. */
    readonly decode: number;
    /** Prompt tokens in them. */
    readonly tokensPrefilled: number;
    /** Generated tokens in them. */
    readonly tokensDecoded: number;
    /** Tokens that were guessed, to be computed before they were chosen. */
    readonly tokensDrafted: number;
    /** Those of them that were chosen. */
    readonly tokensAccepted: number;
  };
  /** Requests that were answered. */
  readonly finished: number;
  /** Requests that were interrupted. */
  readonly cancelled: number;
  /** Requests that failed, those refused by a full queue included. */
  readonly failed: number;
}

/** The language model. */
export interface LanguageModel {
  /**
   * Prefills and decodes one sequence. May be called any number of times at once: sequences are computed
   * together as far as there is room, the others wait; a full queue fails at once with `CapacityError` of
   * kind `"queue"`. Interruption frees the sequence's place within one step.
   */
  readonly generate: (
    request: GenerationRequest,
  ) => Effect.Effect<Completion, PromptError | CapacityError | BackendError>;
  /** What it holds and has done. */
  readonly stats: Effect.Effect<EngineStats>;
}

/**
 * The language model as a service.
 *
 * ```ts
 * import { InternVL, LanguageModel, PromptRenderer } from "@tessera/sdk";
 * import { Effect } from "effect";
 * import assert from "node:assert/strict";
 *
 * await using model = await InternVL.load("models/nano");
 * let streamed = "";
 * const completion = await model.effect(Effect.gen(function* () {
 *   const renderer = yield* PromptRenderer;
 *   const language = yield* LanguageModel;
 *   return yield* language.generate({
 *     prompt: yield* renderer.render({ question: "Hello!", numPatchesList: [] }),
 *     visual: [],
 *     settings: { maxNewTokens: 8 },
 *     observer: { onText: (delta) => streamed += delta },
 *   });
 * }));
 * assert.equal(streamed, completion.text);
 * ```
 */
export const LanguageModel: Context.Service<LanguageModel, LanguageModel> =
  Context.Service<
    LanguageModel
  >("tessera/LanguageModel");
