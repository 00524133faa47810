/**
 * How long the event loop stands still while a model answers a question about a large picture.
 * @module
 */
import { Effect, Layer } from "effect";
import * as ort from "onnxruntime-node";
import { chatPipeline } from "../nodes/mod.ts";
import { observe, run } from "../pipeline/mod.ts";
import {
  fillRotary,
  rotaryAngles,
  rotaryTable,
} from "../plugins/internvl/generate/rope.ts";
import { cacheNames } from "../plugins/internvl/graphs/language.ts";
import { internvl } from "../plugins/internvl/mod.ts";
import { imageProcessor } from "../plugins/media/image_processor.ts";
import { ffiBackend, type ModelSource } from "../plugins/onnx/mod.ts";
import { anyTile, type Fixture, openFixture } from "./fixture.ts";
import { Heartbeat, type Stall } from "./heartbeat.ts";

/** The longest gap of a part of the work, and the one with the most computing in it. */
export interface StallOf {
  /** Longest gap. */
  readonly gap: Stall;
  /** Gap in which the thread itself computed longest. */
  readonly busy: Stall;
  /** How long the part took in all, in milliseconds. */
  readonly ms: number;
}

/** Stalls by stage. */
export interface StallBench {
  /** A second of doing nothing: what the machine itself does to a timer. */
  readonly idle: StallOf;
  /** Stages of the first chat, which starts the workers. */
  readonly first: Readonly<Record<string, StallOf>>;
  /** Stages of the second chat, in order, and the whole. */
  readonly chat: Readonly<Record<string, StallOf>>;
  /** The same work by the N-API package on the main thread, once each. */
  readonly napi: Readonly<Record<string, StallOf>>;
}

/** Measures the checkpoint in `dir`. */
export async function benchStall(
  dir: string,
  picture: string,
): Promise<StallBench> {
  const idle = await watched(() =>
    new Promise<void>((resolve) => setTimeout(resolve, 1000))
  );
  const fixture = await Effect.runPromise(openFixture(dir));
  const { first, chat } = await chatStalls(dir, picture);
  return { idle, first, chat, napi: await napiStalls(fixture) };
}

async function watched(work: () => Promise<unknown>): Promise<StallOf> {
  using heart = new Heartbeat();
  // The first ticks of a fresh timer are late.
  await new Promise<void>((resolve) => setTimeout(resolve, 20));
  const start = performance.now();
  await work();
  const end = performance.now();
  await new Promise<void>((resolve) => setTimeout(resolve, 5));
  return { ...heart.longest(start, end), ms: end - start };
}

interface Stage {
  readonly name: string;
  readonly from: number;
  readonly to: number;
}

/** Two chats: the first starts the workers, the second finds everything ready. */
async function chatStalls(
  dir: string,
  picture: string,
): Promise<Pick<StallBench, "first" | "chat">> {
  const layer = Layer.mergeAll(
    Layer.provide(internvl(dir), ffiBackend),
    imageProcessor,
  );
  const ask = Effect.fnUntraced(function* (maxTiles: number) {
    const stages: Stage[] = [];
    const begun = new Map<string, number>();
    using heart = new Heartbeat();
    yield* Effect.sleep(20);
    const start = performance.now();
    const inputs = {
      images: [picture],
      question: "What is in the picture?",
      settings: { maxNewTokens: 32 },
    };
    yield* observe(run(chatPipeline({ maxTiles }), inputs), (event) => {
      const now = performance.now();
      if (event._tag === "NodeStarted") begun.set(event.node, now);
      if (event._tag !== "NodeFinished" || event.composite) return;
      const from = begun.get(event.node) ?? now;
      if (event.spans.length === 0) {
        stages.push({ name: event.kind, from, to: now });
      }
      for (const { name, startMs, ms } of event.spans) {
        stages.push({ name, from: from + startMs, to: from + startMs + ms });
      }
    });
    const end = performance.now();
    yield* Effect.sleep(5);
    stages.push({ name: "whole chat", from: start, to: end });
    const known = new Map<string, StallOf>();
    for (const { name, from, to } of stages) {
      const found = { ...heart.longest(from, to), ms: to - from };
      known.set(name, larger(known.get(name), found));
    }
    return Object.fromEntries(known);
  });
  const program = Effect.gen(function* () {
    const { load, tile } = yield* ask(2);
    return { first: { load, tile }, chat: yield* ask(6) };
  });
  return await Effect.runPromise(Effect.provide(program, layer));
}

/** Of two parts of one kind, such as two pictures: together, with the longer gaps. */
function larger(a: StallOf | undefined, b: StallOf): StallOf {
  if (a === undefined) return b;
  return {
    gap: a.gap.ms > b.gap.ms ? a.gap : b.gap,
    busy: (a.busy.busyMs ?? 0) > (b.busy.busyMs ?? 0) ? a.busy : b.busy,
    ms: a.ms + b.ms,
  };
}

/** The same graphs through `InferenceSession.run` on this thread. */
async function napiStalls(
  fixture: Fixture,
): Promise<Record<string, StallOf>> {
  const open = ({ bytes, externalDataFolder }: ModelSource) =>
    ort.InferenceSession.create(bytes, {
      interOpNumThreads: 1,
      logSeverityLevel: 4,
      extra: {
        session: {
          intra_op: { allow_spinning: "0" },
          model_external_initializers_file_folder_path: externalDataFolder,
        },
      },
    });
  const tile = anyTile(fixture);
  const vision = await open(fixture.graph("vision"));
  const pixels = new ort.Tensor("float32", tile.data, tile.shape);
  await vision.run({ pixel_values: pixels });
  const encode = await watched(() => vision.run({ pixel_values: pixels }));
  await vision.release();

  const language = await open(fixture.graph("language"));
  const feeds = languageFeeds(fixture, 1024);
  const run = (start: number, count: number) =>
    language.run(feeds(start, count), ["logits"]);
  await run(0, 512);
  const prefill = await watched(() => run(0, 512));
  const decode = await watched(async () => {
    for (let i = 0; i < 16; i++) await run(512 + i, 1);
  });
  await language.release();
  return { "vision-encode": encode, prefill, decode };
}

/** Feeds of the language graph over an empty cache: the time they take does not depend on its numbers. */
function languageFeeds(
  { config: { language } }: Fixture,
  capacity: number,
): (start: number, count: number) => Record<string, ort.Tensor> {
  const { headDim, hiddenSize, kvHeads, layers } = language;
  const table = rotaryTable(language, capacity);
  fillRotary(table, rotaryAngles(language, capacity), 0, capacity);
  const past = [1, kvHeads, capacity, headDim];
  const empty = new ort.Tensor(
    "float32",
    new Float32Array(past.reduce((a, b) => a * b)),
    past,
  );
  const fixed: Record<string, ort.Tensor> = {
    cos: new ort.Tensor("float32", table.cos, [capacity, headDim / 2]),
    sin: new ort.Tensor("float32", table.sin, [capacity, headDim / 2]),
    visual_embeds: new ort.Tensor("float32", new Float32Array(0), [
      0,
      hiddenSize,
    ]),
    visual_rows: new ort.Tensor("int64", new BigInt64Array(0), [0, 1]),
  };
  for (let layer = 0; layer < layers; layer++) {
    const names = cacheNames(layer);
    fixed[names.pastKey] = fixed[names.pastValue] = empty;
  }
  return (start, count) => ({
    ...fixed,
    input_ids: new ort.Tensor("int64", new BigInt64Array(count).fill(7n), [
      1,
      count,
    ]),
    logit_rows: new ort.Tensor("int64", new BigInt64Array([0n]), [1]),
    seqlens_k: new ort.Tensor("int32", new Int32Array([start + count - 1]), [
      1,
    ]),
    total_sequence_length: new ort.Tensor(
      "int32",
      new Int32Array([start + count]),
      [],
    ),
  });
}
