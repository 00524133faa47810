/**
 * What a server counts. The names are an interface: dashboards and alerts are written against them, and
 * docs/serve.md lists them.
 * @module
 */
import process from "node:process";
import { type Context, Effect, Metric } from "effect";
import { PrometheusMetrics } from "effect/observability";
import type { CompletionValue } from "../../nodes/mod.ts";
import type { NodeReport } from "../../pipeline/mod.ts";
import { type ModelPool, statsOf } from "./pool.ts";

const seconds = [
  ...[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5],
  ...[10, 25, 50, 100, 250, 500],
];

type Labels = Readonly<Record<string, string>>;

/**
 * A metric by its labels. Each is made once: `Metric.withAttributes` would work out anew with every update
 * under which key it is kept.
 */
function labelled<M>(make: (labels: Labels) => M): (labels?: Labels) => M {
  const known = new Map<string, M>();
  return (labels = {}) => {
    const key = Object.values(labels).join(" ");
    let metric = known.get(key);
    if (metric === undefined) known.set(key, metric = make(labels));
    return metric;
  };
}

const timing = (name: string, description: string) =>
  labelled((attributes) =>
    Metric.histogram(name, { description, attributes, boundaries: seconds })
  );
const total = (name: string, description: string) =>
  labelled((attributes) =>
    Metric.counter(name, { description, attributes, incremental: true })
  );
const level = (name: string, description: string) =>
  labelled((attributes) => Metric.gauge(name, { description, attributes }));

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
const decodeSteps = level(
  "tessera_engine_decode_steps",
  "Runs over a token of each sequence, since the model was loaded",
);
const decodeTokens = level(
  "tessera_engine_decode_tokens",
  "Tokens of those runs, since the model was loaded",
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
const processor = total(
  "tessera_process_cpu_seconds_total",
  "Processor time of the process, all threads",
);

/** What is said about several metrics at once, for the registry of the fiber that says it. */
type Update = (
  metric: {
    readonly updateUnsafe: (
      value: number,
      context: Context.Context<never>,
    ) => void;
  },
  value: number,
) => void;

const updating = (say: (update: Update) => void): Effect.Effect<void> =>
  Effect.map(
    Effect.context<never>(),
    (context) => say((metric, value) => metric.updateUnsafe(value, context)),
  );

/** Counts a request that was answered, however. */
export const countRequest = (
  endpoint: string,
  status: number,
  ms: number,
): Effect.Effect<void> =>
  updating((update) => {
    update(requests({ endpoint, status: String(status) }), 1);
    update(duration({ endpoint }), ms / 1000);
  });

/** Says how many requests are in flight. */
export const setInFlight = (count: number): Effect.Effect<void> =>
  updating((update) => update(inFlight(), count));

/** Counts an answer and where its time went. */
export const countAnswer = (
  model: string,
  { usage, timings, finishReason }: CompletionValue,
  nodes: readonly NodeReport[],
): Effect.Effect<void> =>
  updating((update) => {
    const labels = { model };
    const add = (counter: typeof promptTokens, by: number): void => {
      if (by > 0) update(counter(labels), by);
    };
    const time = (metric: typeof queue, ms: number): void =>
      update(metric(labels), ms / 1000);
    add(promptTokens, usage.promptTokens);
    add(imageTokens, usage.imageTokens);
    add(cachedTokens, usage.cachedTokens ?? 0);
    add(generatedTokens, usage.completionTokens);
    update(finished({ model, reason: finishReason }), 1);
    if (timings !== undefined) {
      time(queue, timings.queueMs);
      time(prefill, timings.prefillMs);
      time(decode, timings.decodeMs);
      time(firstToken, timings.firstTokenMs);
      const after = usage.completionTokens - 1;
      if (after > 0) time(perToken, timings.decodeMs / after);
    }
    let hits = 0, misses = 0;
    for (const { kind, cached } of nodes) {
      if (kind === "vision-encode") cached ? hits++ : misses++;
    }
    add(visionHits, hits);
    add(visionMisses, misses);
  });

/** The metrics in the text format of Prometheus. */
export const prometheusText: (pool: ModelPool) => Effect.Effect<string> = Effect
  .fnUntraced(function* (pool: ModelPool) {
    for (const state of pool.list()) {
      const labels = { model: state.id };
      const stats = state.loaded && (yield* statsOf(state.loaded));
      yield* updating((update) => {
        update(loaded(labels), stats === undefined ? 0 : 1);
        if (stats === undefined) return;
        update(running(labels), stats.running);
        update(waiting(labels), stats.waiting);
        update(slots(labels), stats.slots);
        update(decodeSteps(labels), stats.steps.decode);
        update(decodeTokens(labels), stats.steps.tokensDecoded);
        update(kvUsed(labels), stats.kvTokensUsed);
        update(kvCapacity(labels), stats.kvTokensCapacity);
        update(prefixHits(labels), stats.prefix.hits);
        update(prefixMisses(labels), stats.prefix.misses);
        update(prefixReused(labels), stats.prefix.tokensReused);
      });
    }
    const context = yield* Effect.context<never>();
    const { user, system } = process.cpuUsage();
    const used = processor();
    // A counter is added to.
    used.updateUnsafe(
      (user + system) / 1e6 - used.valueUnsafe(context).count,
      context,
    );
    resident().updateUnsafe(Deno.memoryUsage().rss, context);
    return yield* PrometheusMetrics.format();
  });
