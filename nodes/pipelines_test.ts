import assert from "node:assert/strict";
import { Effect, Layer } from "effect";
import { makeMemoCache, MemoCache, run } from "../pipeline/mod.ts";
import { conversePipeline } from "./converse.ts";
import {
  answerPipeline,
  batchChatPipeline,
  chatPipeline,
  videoChatPipeline,
} from "./pipelines.ts";
import {
  ImageProcessor,
  LanguageModel,
  ModelInfo,
  Projector,
  PromptRenderer,
  VideoProcessor,
  VisionEncoder,
} from "./services.ts";
import { hostTensor } from "./tensor.ts";
import type { Image, Tiles } from "./values.ts";

/** A model whose parts only count: enough to see what the graph does with them. */
function fake() {
  const calls: string[] = [];
  const image = (source: string): Image => ({
    width: Number(source.split("x")[0]),
    height: 1,
    data: new Uint8Array(Number(source.split("x")[0]) * 3),
    source,
  });
  const tiles = (count: number): Tiles => ({
    pixels: hostTensor(
      "float32",
      [count, 3, 1, 1],
      new Float32Array(count * 3),
    ),
    grid: [count, 1],
    thumbnail: false,
  });
  const columns = (width: number, max: number) => Math.min(width, max);
  const layer = Layer.mergeAll(
    Layer.succeed(ModelInfo, {
      digest: "fake",
      name: "fake",
      tileSize: 1,
      tokensPerTile: 2,
      minTiles: 1,
      maxTiles: 4,
      useThumbnail: true,
      contextLength: 100,
    }),
    Layer.succeed(ImageProcessor, {
      decode: (source) =>
        Effect.sync(() => {
          calls.push(`load ${source}`);
          return image(String(source));
        }),
      grid: ({ width }, { maxTiles }) => [columns(width, maxTiles), 1],
      tile: ({ width }, { maxTiles }) =>
        Effect.succeed(tiles(columns(width, maxTiles))),
      thumbnail: () => Effect.succeed(tiles(1)),
    }),
    Layer.succeed(VideoProcessor, {
      sample: (source, { segments }) =>
        Effect.succeed({
          frames: Array.from({ length: segments }, () => image("3x1")),
          indices: [],
          fps: 1,
          frameCount: segments,
          source,
        }),
    }),
    Layer.succeed(VisionEncoder, {
      encode: (pixels) =>
        Effect.sync(() => {
          calls.push(`encode ${pixels.shape[0]}`);
          return pixels;
        }),
    }),
    Layer.succeed(Projector, { project: Effect.succeed }),
    Layer.succeed(PromptRenderer, {
      render: ({ question, numPatchesList }) =>
        Effect.succeed({
          text: question,
          ids: Int32Array.from(numPatchesList),
          images: [],
          question,
        }),
      converse: () => Effect.die("nobody asks"),
    }),
    Layer.succeed(LanguageModel, {
      generate: ({ prompt, visual, observer }) =>
        Effect.sync(() => {
          observer?.onPrefill?.(1, 1);
          observer?.onFirstToken?.();
          observer?.onText?.("ok", 1);
          const tokens = visual.map(({ shape }) => shape[0]).join("+");
          return {
            text: `${prompt.text} [${prompt.ids.join(",")}] ${tokens}`,
            ids: Int32Array.of(1),
            finishReason: "stop" as const,
            usage: { promptTokens: 1, imageTokens: 0, completionTokens: 1 },
            firstLogits: hostTensor("float32", [1], new Float32Array(1)),
          };
        }),
      stats: Effect.die("nobody asks"),
    }),
  );
  return { calls, layer };
}

Deno.test("chat: pictures are tiled, thumbnailed, encoded and combined", async () => {
  const { layer } = fake();
  const { outputs, timings } = await Effect.runPromise(
    run(chatPipeline(), { images: ["3x1", "1x1"], question: "What?" }).pipe(
      Effect.provide(layer),
    ),
  );
  // 3 tiles and a thumbnail; a single tile has none.
  assert.equal(outputs.completion.text, "What? [5] 4+1");
  for (const stage of ["load", "tile", "thumbnail", "prefill", "decode"]) {
    assert.ok(stage in timings, stage);
  }
});

Deno.test("chat: maxTiles reaches tile and thumbnail alike", async () => {
  const { layer } = fake();
  const { outputs } = await Effect.runPromise(
    run(chatPipeline({ maxTiles: 1 }), { images: ["3x1"], question: "What?" })
      .pipe(Effect.provide(layer)),
  );
  assert.equal(outputs.completion.text, "What? [1] 1");
});

Deno.test("chat without pictures runs no vision", async () => {
  const { calls, layer } = fake();
  await Effect.runPromise(
    run(chatPipeline(), { question: "Hello" }).pipe(Effect.provide(layer)),
  );
  assert.deepEqual(calls, []);
});

Deno.test("video-chat: every frame is one tile behind its line", async () => {
  const { layer } = fake();
  const { outputs } = await Effect.runPromise(
    run(videoChatPipeline({ video: { segments: 2 } }), {
      video: "clip",
      question: "What?",
    }).pipe(Effect.provide(layer)),
  );
  assert.equal(
    outputs.completion.text,
    "Frame1: <image>\nFrame2: <image>\nWhat? [1,1] 1+1",
  );
});

Deno.test("answer: frames come before pictures, in prompt and tokens", async () => {
  const { layer } = fake();
  const { outputs } = await Effect.runPromise(
    run(answerPipeline({ video: { segments: 1 } }), {
      sample: { question: "What?", images: ["2x1"], video: "clip" },
    }).pipe(Effect.provide(layer)),
  );
  assert.equal(
    outputs.completion.text,
    "Frame1: <image>\n<image>\nWhat? [1,3] 1+3",
  );
});

Deno.test("batch-chat answers every sample as chat does", async () => {
  const { layer } = fake();
  const { outputs } = await Effect.runPromise(
    run(batchChatPipeline(), {
      samples: [
        { question: "A?", images: ["3x1"] },
        { question: "B?" },
        { question: "C?", images: ["1x1", "1x1"] },
      ],
    }).pipe(Effect.provide(layer)),
  );
  assert.deepEqual(outputs.completions.map(({ text }) => text), [
    "A? [4] 4",
    "B? [] ",
    "C? [2] 1+1",
  ]);
});

Deno.test("a repeated picture is decoded and encoded once", async () => {
  const { calls, layer } = fake();
  const ask = run(chatPipeline(), {
    images: ["3x1", "3x1"],
    question: "What?",
  });
  await Effect.runPromise(
    Effect.gen(function* () {
      yield* ask;
      yield* ask;
    }).pipe(
      Effect.provide(
        Layer.effect(MemoCache, makeMemoCache({ maxEntries: 50 })),
      ),
      Effect.provide(layer),
    ),
  );
  assert.deepEqual(calls, ["load 3x1", "encode 4"]);
});

Deno.test("a prompt that is too long is refused while its pictures are still being encoded", async () => {
  const prompt = {
    text: "",
    ids: new Int32Array(100),
    images: [],
    question: "",
  };
  const layer = Layer.mergeAll(
    fake().layer,
    Layer.succeed(VisionEncoder, { encode: () => Effect.never }),
    Layer.succeed(PromptRenderer, {
      render: () => Effect.succeed(prompt),
      converse: () => Effect.succeed(prompt),
    }),
  );
  const images = ["3x1"];
  const parts = [{ media: "images", index: 0 }] as const;
  const conversation = { messages: [{ role: "user", parts }] } as const;
  for (
    const asking of [
      run(chatPipeline(), { images, question: "What?" }),
      run(conversePipeline(), {
        images,
        conversation,
        small: [],
        videos: [],
      }),
    ]
  ) {
    const error = await Effect.runPromise(
      asking.pipe(Effect.flip, Effect.timeout(10_000), Effect.provide(layer)),
    );
    assert.equal(error._tag, "CapacityError");
    assert.match(error.message, /has 100 tokens; the context holds 100,/);
  }
});
