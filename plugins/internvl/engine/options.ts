/**
 * How much an engine takes on, and what it takes on by default.
 * @module
 */
import type { Device } from "../../onnx/mod.ts";
import type { LanguageConfig } from "../config.ts";
import type { ComputeType, KvType } from "../graphs/types.ts";
import { oneLine } from "../files.ts";
import type { EngineOptions } from "./engine.ts";
import { bytesPerToken } from "./pool.ts";

/** Types of keys and values to choose from. */
export type CacheType = "float32" | "float16" | "int8";

/** Why a model cannot keep its keys and values in a type, if it cannot. */
export function cacheFault(
  kvCache: KvType,
  dtype: ComputeType,
  device: Device,
): string | undefined {
  if (!["float32", "float16", "int8", dtype].includes(kvCache)) {
    return `kvCache must be float32, float16 or int8, not ${oneLine(kvCache)}`;
  }
  if (kvCache === "int8" && device !== "cpu") {
    return `keys and values are kept in int8 on the CPU only, not on ${device}`;
  }
  return kvCache === dtype || dtype === "float32"
    ? undefined
    : `a model that computes in ${dtype} keeps its keys and values in ${dtype}, not in ${kvCache}`;
}

/** Settings of the engine, all with defaults. */
export interface EngineSettings {
  /** Sequences computed at once; the others wait. Default 8 (1 on WebGPU). */
  readonly slots?: number;
  /**
   * Memory of the key-value cache in bytes: of sequences in use, and of finished ones whose beginnings
   * may come again. It is taken when it is needed. Default 2 GiB, or as much as one sequence of the whole
   * context takes, if that is more.
   */
  readonly kvCacheBytes?: number;
  /**
   * Type of keys and values. `"float16"` takes half the memory of float32, so that twice as many tokens
   * fit, and moves an answer's logits by about 1e-3 of their size. `"int8"` (CPU only) takes a quarter and
   * is faster behind long contexts; its scales, one for each channel, are found while the model loads,
   * which takes twice as long for the language model. Default: the type of the computation, float32 on
   * the CPU; what computes in 16 bits has no other.
   */
  readonly kvCache?: CacheType;
  /**
   * Prompt tokens computed at once, at least 4. Default 256 on the CPU, where longer chunks gain 2 % in
   * the matrix products and lose 10 % in the attention; 1,024 elsewhere.
   */
  readonly chunk?: number;
  /** Requests that may wait; one more fails with `CapacityError`. Default 128. */
  readonly queue?: number;
  /**
   * Whether keys and values of generated tokens, too, serve later prompts. They differ from a prompt's in
   * the last bits (1e-6), because a single token takes another path through ONNX Runtime's attention; so
   * the next answer may differ where two tokens are as good as equal. Default false: a chat's next round
   * computes the last answer once more, as a part of its prompt.
   */
  readonly reuseAnswers?: boolean;
  /**
   * Whether steps of an odd number of sequences are computed beside an idle row where their bits would differ
   * otherwise: with weights in blocks of 4 or 8 bits, ONNX Runtime computes rows in pairs, and one that is left
   * over in another way (1e-6, which their 8-bit activations can make 1e-2). Then no answer depends on what else
   * is computed, as long as there is memory for two; alone, a token takes about a quarter longer in 4 bits.
   * Default false.
   */
  readonly steady?: boolean;
  /**
   * From so many sequences at once on, their tokens are computed with the second set of weights, the
   * prompts', where a checkpoint has one (`tessera quantize --prefill w8a8`): bytes are faster than 4 bits
   * from about four rows on. An answer then depends on how many others were computed at the time. Default:
   * never; `steady` turns it off.
   */
  readonly wideFrom?: number;
  /**
   * Guesses what follows from what the text says already, and computes up to `tokens` guesses together with
   * a token: an answer that repeats its prompt or itself comes in fewer steps. The guess is what followed
   * the last `ngram` tokens (default 3; at least 2 must agree) the last time. Only for greedy requests that
   * run alone, and only while it is measured to save time. The answer is the same, up to the last bits that
   * chunks of a prompt have too: see `reuseAnswers`. Default: off; `steady` turns it off as well.
   */
  readonly speculate?: { readonly tokens: number; readonly ngram?: number };
}

/** Settings with the defaults filled in; numbers out of range become the nearest in it. */
export function engineOptions(
  settings: EngineSettings & {
    readonly oddDiffers?: boolean;
    readonly oddPromptDiffers?: boolean;
  },
  device: Device,
  config: LanguageConfig,
  kvCache: KvType,
  contextLength: number,
): EngineOptions {
  const whole = (value: number, least: number) =>
    Math.max(least, Math.floor(value));
  const oneContext = Math.ceil(contextLength / 64) * 64 *
    bytesPerToken(config, kvCache);
  return {
    // A part of a WebGPU buffer cannot be handed to a run.
    slots: device === "webgpu" ? 1 : whole(settings.slots ?? 8, 1),
    kvCacheBytes: settings.kvCacheBytes ?? Math.max(2 * 2 ** 30, oneContext),
    chunk: whole(settings.chunk ?? (device === "cpu" ? 256 : 1024), 4),
    queue: whole(settings.queue ?? 128, 0),
    reuseAnswers: settings.reuseAnswers ?? false,
    evenSteps: settings.steady === true && settings.oddDiffers === true,
    grain: settings.oddPromptDiffers === true ? 2 : 1,
    wideFrom: settings.wideFrom === undefined || settings.steady === true
      ? Infinity
      : whole(settings.wideFrom, 1),
    speculate: settings.speculate === undefined || settings.steady === true
      ? undefined
      : {
        tokens: whole(settings.speculate.tokens, 1),
        ngram: whole(settings.speculate.ngram ?? 3, 1),
      },
    contextLength,
  };
}
