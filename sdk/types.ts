/**
 * What goes into and comes out of the SDK's calls.
 * @module
 */
import type { DeviceIds, EngineSettings } from "../plugins/internvl/mod.ts";
import type { Device } from "../plugins/onnx/mod.ts";
import type {
  FinishReason,
  GenerationSettings,
  History,
  ImageSource,
  Sample,
  TokenLogprob,
  Turn,
  Usage,
  VideoClip,
  VideoSource,
} from "../nodes/values.ts";
import type { Json, RunEvent, RunStore, StoreError } from "../pipeline/mod.ts";

/** How a checkpoint is loaded. */
export interface LoadOptions {
  /** Where the model computes. Default `"cpu"`. */
  readonly device?: Device;
  /** Index of the GPU, or one for the vision half and one for the language half. Default 0. */
  readonly deviceId?: number | DeviceIds;
  /** Threads inside one operator. Default: the machine's cores. */
  readonly threads?: number;
  /**
   * Where runs are recorded: a SQLite file, a store that is open already, or `"memory"` (the default: the
   * newest 1,000 runs of this process).
   */
  readonly store?: string | RunStore;
  /** Pictures and features that are kept for reuse, in bytes. Default 512 MiB; 0 keeps nothing. */
  readonly cacheBytes?: number;
  /**
   * Longest sequence in tokens, prompt and answer together. Default: the checkpoint's
   * `max_position_embeddings`; past it, rotary positions follow its `rope_scaling`.
   */
  readonly contextLength?: number;
  /** How many answers are computed at once, and with how much memory for keys and values. */
  readonly engine?: EngineSettings;
  /** Which binding of ONNX Runtime. Default: FFI where it can be opened, N-API otherwise. */
  readonly backend?: "ffi" | "napi";
  /** Stops the loading. */
  readonly signal?: AbortSignal;
}

/** Options every question takes. */
export interface AskOptions {
  /** Most tiles per picture, 1 to 40. Default: the checkpoint's. */
  readonly maxTiles?: number;
  /** Fewest tiles per picture. Default: the checkpoint's. */
  readonly minTiles?: number;
  /** Overrides the checkpoint's system message. */
  readonly systemMessage?: string;
  /** Generation settings. */
  readonly generation?: GenerationSettings;
  /** Stops the run; the promise then rejects with the signal's reason. */
  readonly signal?: AbortSignal;
  /** Is told everything that happens in the run. Must not throw. */
  readonly onEvent?: (event: RunEvent) => void;
  /** A folder to store what passed every port, as `.npy` and `.txt` files. */
  readonly dump?: string;
  /** Anything to find the run by later in the run store; `model` is there already. */
  readonly attributes?: { readonly [name: string]: Json };
}

/** One question. */
export interface ChatRequest extends AskOptions, Sample {
  /** The question; `<image>` marks where pictures go. */
  readonly question: string;
  /** Pictures: paths, `file:` URLs, file bytes or decoded pixels. */
  readonly images?: readonly ImageSource[];
  /** A video, or a part of one; frames come before the pictures. */
  readonly video?: VideoSource | VideoClip;
  /** Earlier rounds, as the last result returned them. Pass all pictures of earlier rounds again. */
  readonly history?: History;
  /** Tiles per `<image>`. Default: one placeholder per picture where the text has as many, else one
   * for all. */
  readonly numPatchesList?: readonly number[];
}

/** An answer. */
export interface ChatResult {
  /** The answer, trimmed. */
  readonly response: string;
  /** The history to give to the next round. */
  readonly history: Turn[];
  /** Token counts. */
  readonly usage: Usage;
  /** Why it ended. */
  readonly finishReason: FinishReason;
  /** Probabilities of the generated tokens, where `generation.logprobs` asks for them. */
  readonly logprobs?: readonly TokenLogprob[];
  /** The other answers, where `generation.n` asks for several. */
  readonly alternatives?: readonly ChatAlternative[];
  /** Milliseconds by stage: load, video-sample, tile, thumbnail, vision-encode, project, prompt-template,
   * queue, prefill, decode, and the small ones between (join-tiles; sample, join-frames, join-tokens). */
  readonly timings: Readonly<Record<string, number>>;
  /** The run in the run store. */
  readonly runId: string;
  /** Why the run could not be recorded, if so: a full disk costs the record, never the answer. */
  readonly storeError?: StoreError;
}

/** One of several answers to the same question. */
export interface ChatAlternative {
  /** The answer. */
  readonly response: string;
  /** Token counts. */
  readonly usage: Usage;
  /** Why it ended. */
  readonly finishReason: FinishReason;
  /** Probabilities of its tokens, where they are asked for. */
  readonly logprobs?: readonly TokenLogprob[];
}

/** Several independent questions. */
export interface BatchRequest extends AskOptions {
  /** The questions; each may hold pictures, a video and a history of its own. */
  readonly samples: readonly Sample[];
}

/** An answer that streams. */
export interface ChatStream extends AsyncIterable<string> {
  /** The same result `chat` gives; rejects where `chat` rejects. */
  readonly result: Promise<ChatResult>;
}
