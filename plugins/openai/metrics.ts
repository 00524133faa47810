/**
 * What a server counts. The names are an interface: dashboards and alerts are written against them, and
 * docs/serve.md lists them.
 * @module
 */
import { Effect, Metric } from "effect";
import { PrometheusMetrics } from "effect/observability";
import type { CompletionValue } from "../../nodes/mod.ts";
import type { NodeReport } from "../../pipeline/mod.ts";
import { type ModelPool, statsOf } from "./pool.ts";

const seconds = [
  ...[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5],
  ...[10, 25, 50, 100, 250, 500],
];

const timing = (name: string, description: string) =>
  Metric.histogram(name, { description, boundaries: seconds });
const total = (name: string, description: string) =>
  Metric.counter(name, { description, incremental: true });
const level = (name: string, description: string) =>
  Metric.gauge(name, { description });

const requests = total(
  "tessera_requests_total",
  "Requests by endpoint and status",
);
const duration = timing(
  "tessera_request_duration_seconds",
  "From a request's arrival to its last byte",
);
const inFlight = level("tessera_requests_in_flight", "Requests being answered");

const firstToken = timing(
  "tessera_time_to_first_token_seconds",
  "From a request's submission to its first token",
);
const perToken = timing(
  "tessera_time_per_output_token_seconds",
  "Between the tokens of an answer, on average",
);
const queue = timing(
  "tessera_request_queue_seconds",
  "Waiting for a place in the engine",
);
const prefill = timing(
  "tessera_request_prefill_seconds",
  "Computing the prompt",
);
const decode = timing(
  "tessera_request_decode_seconds",
  "Generating after the first token",
);
const promptTokens = total(
  "tessera_prompt_tokens_total",
  "Prompt tokens of answered requests, image tokens included",
);
const imageTokens = total(
  "tessera_image_tokens_total",
  "Image tokens of answered requests",
);
const cachedTokens = total(
  "tessera_cached_prompt_tokens_total",
  "Prompt tokens whose keys and values were there already",
);
const generatedTokens = total(
  "tessera_generation_tokens_total",
  "Generated tokens of answered requests",
);
const finished = total(
  "tessera_request_finished_total",
  "Answers by the reason for which they ended",
);
const visionHits = total(
  "tessera_vision_cache_hits_total",
  "Pictures and frames whose features were there already",
);
const visionMisses = total(
  "tessera_vision_cache_misses_total",
  "Pictures and frames that were encoded",
);

const running = level("tessera_engine_running", "Sequences being computed");
const waiting = level("tessera_engine_waiting", "Sequences that wait");
const slots = level(
  "tessera_engine_slots",
  "Sequences that can be computed at once",
);
const kvUsed = level(
  "tessera_kv_cache_tokens_used",
  "Tokens whose keys and values are kept",
);
const kvCapacity = level(
  "tessera_kv_cache_tokens_capacity",
  "Tokens there is memory for",
);
const prefixHits = level(
  "tessera_prefix_cache_hits",
  "Requests that found a part of their prompt computed, since the model was loaded",
);
const prefixMisses = level(
  "tessera_prefix_cache_misses",
  "Requests that found nothing, since the model was loaded",
);
const prefixReused = level(
  "tessera_prefix_cache_tokens_reused",
  "Prompt tokens found, since the model was loaded",
);
const loaded = level("tessera_model_loaded", "1 where the model is loaded");
const resident = level(
  "tessera_process_resident_bytes",
  "Memory of the process",
);

/** Counts a request that was answered, however. */
export const countRequest = (
  endpoint: string,
  status: number,
  ms: number,
): Effect.Effect<void> =>
  Effect.andThen(
    Metric.update(
      Metric.withAttributes(requests, { endpoint, status: String(status) }),
      1,
    ),
    Metric.update(Metric.withAttributes(duration, { endpoint }), ms / 1000),
  );

/** Says how many requests are in flight. */
export const setInFlight = (count: number): Effect.Effect<void> =>
  Metric.update(inFlight, count);

/** Counts an answer and where its time went. */
export const countAnswer: (
  model: string,
  completion: CompletionValue,
  nodes: readonly NodeReport[],
) => Effect.Effect<void> = Effect.fnUntraced(function* (
  model: string,
  { usage, timings, finishReason }: CompletionValue,
  nodes: readonly NodeReport[],
) {
  const add = (counter: Metric.Counter<number>, by: number) =>
    by > 0
      ? Metric.update(Metric.withAttributes(counter, { model }), by)
      : Effect.void;
  const time = (metric: Metric.Histogram<number>, ms: number) =>
    Metric.update(Metric.withAttributes(metric, { model }), ms / 1000);
  yield* add(promptTokens, usage.promptTokens);
  yield* add(imageTokens, usage.imageTokens);
  yield* add(cachedTokens, usage.cachedTokens ?? 0);
  yield* add(generatedTokens, usage.completionTokens);
  yield* Metric.update(
    Metric.withAttributes(finished, { model, reason: finishReason }),
    1,
  );
  if (timings !== undefined) {
    yield* time(queue, timings.queueMs);
    yield* time(prefill, timings.prefillMs);
    yield* time(decode, timings.decodeMs);
    yield* time(firstToken, timings.firstTokenMs);
    const after = usage.completionTokens - 1;
    if (after > 0) yield* time(perToken, timings.decodeMs / after);
  }
  let hits = 0, misses = 0;
  for (const { kind, cached } of nodes) {
    if (kind === "vision-encode") cached ? hits++ : misses++;
  }
  yield* add(visionHits, hits);
  yield* add(visionMisses, misses);
});

/** The metrics in the text format of Prometheus. */
export const prometheusText: (pool: ModelPool) => Effect.Effect<string> = Effect
  .fnUntraced(function* (pool: ModelPool) {
    for (const state of pool.list()) {
      const model = state.id;
      const set = (gauge: Metric.Gauge<number>, value: number) =>
        Metric.update(Metric.withAttributes(gauge, { model }), value);
      yield* set(loaded, state.loaded === undefined ? 0 : 1);
      if (state.loaded === undefined) continue;
      const stats = yield* statsOf(state.loaded);
      yield* set(running, stats.running);
      yield* set(waiting, stats.waiting);
      yield* set(slots, stats.slots);
      yield* set(kvUsed, stats.kvTokensUsed);
      yield* set(kvCapacity, stats.kvTokensCapacity);
      yield* set(prefixHits, stats.prefix.hits);
      yield* set(prefixMisses, stats.prefix.misses);
      yield* set(prefixReused, stats.prefix.tokensReused);
    }
    yield* Metric.update(resident, Deno.memoryUsage().rss);
    return yield* PrometheusMetrics.format();
  });
