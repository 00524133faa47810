/**
 * From OpenAI's parameters to generation settings.
 * @module
 */
import type { GenerationSettingsValue } from "../../nodes/mod.ts";
import type { ServerLimits } from "./limits.ts";

/** Parameters that every way to ask has; see `schema/common.ts`. */
export interface SamplingParams {
  readonly temperature?: number | null;
  readonly top_p?: number | null;
  readonly top_k?: number | null;
  readonly min_p?: number | null;
  readonly seed?: number | null;
  readonly stop?: string | readonly string[] | null;
  readonly presence_penalty?: number | null;
  readonly frequency_penalty?: number | null;
  readonly repetition_penalty?: number | null;
  readonly logit_bias?: { readonly [id: string]: number } | null;
  readonly min_tokens?: number | null;
  readonly skip_special_tokens?: boolean | null;
}

/** What else decides how an answer is drawn. */
export interface SettingsRequest {
  /** Most tokens of the answer. */
  readonly maxTokens: number | null | undefined;
  /** Answers wanted; more than one of them must differ. */
  readonly choices: number;
  /** Most likely tokens to report, or nothing. */
  readonly logprobs?: number;
  /** What the answer must look like. */
  readonly constraint?: Constraint;
}

/** What an answer must look like. */
export type Constraint =
  | { readonly type: "json_object" }
  | { readonly type: "json_schema"; readonly schema: unknown }
  | { readonly type: "regex"; readonly pattern: string }
  | { readonly type: "choice"; readonly choices: readonly string[] };

/** A seed of 64 bits in the 53 of ours, of which those within 53 are what they were, without their sign. */
export function foldSeed(seed: number): number {
  const wide = BigInt(Math.abs(seed));
  return Number(BigInt.asUintN(53, wide ^ (wide >> 53n)));
}

/**
 * Settings of an answer. It is drawn at random when the request says anything about drawing
 * (`temperature` above 0, `top_p`, `top_k`, `min_p`) or wants several answers; else the most likely token
 * is taken, as the checkpoints' own `generation_config.json` has it. What is drawn is drawn as OpenAI
 * defines it: temperature 1, from all tokens, unless the request says otherwise.
 */
export function settingsOf(
  params: SamplingParams,
  { maxTokens, choices, logprobs, constraint }: SettingsRequest,
  { defaultMaxTokens }: Pick<ServerLimits, "defaultMaxTokens">,
): GenerationSettingsValue {
  const { temperature, top_p: topP, top_k: topK, min_p: minP } = params;
  const narrowed = topP != null && topP > 0 && topP < 1 ||
    topK != null && topK > 0 || minP != null && minP > 0;
  const draws = temperature !== 0 && topP !== 0 &&
    (temperature != null || narrowed || choices > 1);
  const settings: Record<string, unknown> = {
    maxNewTokens: maxTokens ?? defaultMaxTokens,
  };
  if (draws) {
    settings.doSample = true;
    settings.temperature = temperature ?? 1;
    settings.topK = Math.max(0, topK ?? 0);
    if (topP != null) settings.topP = topP;
    if (minP != null) settings.minP = minP;
    if (params.seed != null) settings.seed = foldSeed(params.seed);
  }
  const stop = params.stop == null
    ? []
    : typeof params.stop === "string"
    ? [params.stop]
    : params.stop;
  if (stop.length > 0) settings.stop = stop.filter((text) => text !== "");
  // Only what was said: a setting that does nothing is no setting.
  const some = (
    name: string,
    value: number | null | undefined,
    idle: number,
  ) => {
    if (value != null && value !== idle) settings[name] = value;
  };
  some("repetitionPenalty", params.repetition_penalty, 1);
  some("presencePenalty", params.presence_penalty, 0);
  some("frequencyPenalty", params.frequency_penalty, 0);
  some("minNewTokens", params.min_tokens, 0);
  const bias = Object.entries(params.logit_bias ?? {});
  if (bias.length > 0) settings.logitBias = Object.fromEntries(bias);
  if (logprobs !== undefined) settings.logprobs = logprobs;
  if (constraint !== undefined) settings.constraint = constraint;
  if (params.skip_special_tokens === false) settings.skipSpecialTokens = false;
  return settings as GenerationSettingsValue;
}
