/**
 * The promise face: a loaded model for plain scripts.
 * @module
 */
import type { ModelInfo } from "../nodes/services.ts";
import type { AnyPipeline, RunResult } from "../pipeline/mod.ts";
import type {
  BatchRequest,
  ChatRequest,
  ChatResult,
  ChatStream,
  LoadOptions,
} from "./types.ts";

/** What `InternVL` does; the class follows. */
export declare class InternVL implements AsyncDisposable {
  /** Facts about the model. */
  readonly info: ModelInfo;
  /** Loads a checkpoint folder. */
  static load(dir: string, options?: LoadOptions): Promise<InternVL>;
  /** Asks one question. */
  chat(request: ChatRequest): Promise<ChatResult>;
  /** Asks one question and streams the answer. */
  chatStream(request: ChatRequest): ChatStream;
  /** Asks several questions; fails with the first that fails, naming its index. */
  batchChat(request: BatchRequest): Promise<ChatResult[]>;
  /** Runs any pipeline whose services this model provides. */
  run(
    pipeline: AnyPipeline,
    inputs: Readonly<Record<string, unknown>>,
    options?: {
      signal?: AbortSignal;
      onEvent?: ChatRequest["onEvent"];
      dump?: string;
    },
  ): Promise<RunResult<Readonly<Record<string, unknown>>>>;
  /** Ends running work and releases everything native. */
  [Symbol.asyncDispose](): Promise<void>;
}
