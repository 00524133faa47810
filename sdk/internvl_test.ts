import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Effect } from "effect";
import { liveHandles } from "../plugins/onnx/mod.ts";
import { GraphError, makeMemoryStore, type RunEvent } from "../pipeline/mod.ts";
import { LanguageModel } from "../nodes/services.ts";
import { InternVL } from "./internvl.ts";
import type { ChatRequest, ChatResult } from "./types.ts";

const nano = "models/nano";
const shapes = "examples/images/shapes.png";
const pair = ["examples/images/pair-1.png", "examples/images/pair-2.png"];
const video = "examples/videos/moving.mp4";
const generation = { maxNewTokens: 12 };

/** Requests of every form, each also a sample of a batch. */
const requests: readonly ChatRequest[] = [
  { question: "Hello!", generation },
  { question: "What is in the picture?", images: [shapes], generation },
  {
    question: "Image-1: <image>\nImage-2: <image>\nWhat differs?",
    images: pair,
    generation,
  },
  { question: "<image>\nWhat differs?", images: pair, generation },
  {
    question: "And its colour?",
    images: [shapes],
    history: [["<image>\nWhat is it?", "A circle."]],
    generation,
  },
  { question: "Which way does it move?", video, generation },
  { question: "Is it the same?", video, images: [shapes], generation },
];

Deno.test("InternVL on models/nano", async (t) => {
  const before = liveHandles();
  {
    await using model = await InternVL.load(nano);
    const answers: ChatResult[] = [];
    for (const request of requests) answers.push(await model.chat(request));

    await t.step("answers, counts tokens and times every stage", () => {
      const { usage, timings, finishReason, runId } = answers[1]!;
      assert.equal(usage.imageTokens % model.info.tokensPerTile, 0);
      assert.ok(usage.promptTokens > usage.imageTokens);
      assert.ok(usage.completionTokens > 0 && usage.completionTokens <= 12);
      if (usage.completionTokens < 12) assert.equal(finishReason, "stop");
      assert.deepEqual(
        Object.keys(timings).filter((name) => name !== "join-tiles"),
        [
          "load",
          "tile",
          "thumbnail",
          "vision-encode",
          "project",
          "prompt-template",
          "prefill",
          "decode",
        ],
      );
      assert.match(runId, /^[0-9a-f-]{36}$/);
    });

    await t.step("history grows by the question with its <image>", () => {
      assert.deepEqual(answers[1]!.history, [
        ["<image>\nWhat is in the picture?", answers[1]!.response],
      ]);
      assert.deepEqual(answers[4]!.history, [
        ["<image>\nWhat is it?", "A circle."],
        ["And its colour?", answers[4]!.response],
      ]);
    });

    await t.step("batchChat equals chat, sample by sample", async () => {
      const batch = await model.batchChat({ samples: requests, generation });
      const told = ({ response, history, usage }: ChatResult) => ({
        response,
        history,
        // What was computed before depends on what came before.
        usage: { ...usage, cachedTokens: undefined },
      });
      assert.deepEqual(batch.map(told), answers.map(told));
    });

    await t.step("a stream's parts make up the answer", async () => {
      for (const [index, request] of requests.entries()) {
        const stream = model.chatStream(request);
        let text = "";
        for await (const delta of stream) text += delta;
        assert.equal(text, answers[index]!.response);
        assert.equal((await stream.result).response, answers[index]!.response);
      }
    });

    await t.step("leaving a stream stops its run", async () => {
      const stream = model.chatStream({
        question: "Hello!",
        generation: { maxNewTokens: 100_000 },
      });
      for await (const _ of stream) break;
      await assert.rejects(stream.result, { name: "AbortError" });
    });

    await t.step(
      "every reader of a stream gets the whole answer, a late one too",
      async () => {
        const stream = model.chatStream(requests[0]!);
        const read = async () => {
          let text = "";
          for await (const delta of stream) text += delta;
          return text;
        };
        const { response } = answers[0]!;
        assert.deepEqual(await Promise.all([read(), read()]), [
          response,
          response,
        ]);
        assert.equal(await read(), response);
      },
    );

    await t.step(
      "a stream ends when its last reader has left, started or not",
      async () => {
        const endless = {
          question: "Hello!",
          generation: { maxNewTokens: 100_000, minNewTokens: 2000 },
        };
        const unread = model.chatStream(endless);
        await unread[Symbol.asyncIterator]().return!();
        await assert.rejects(unread.result, { name: "AbortError" });

        const shared = model.chatStream(endless);
        const [one, two] = [
          shared[Symbol.asyncIterator](),
          shared[Symbol.asyncIterator](),
        ];
        assert.equal((await one.next()).done, false);
        await one.return!();
        await one.return!();
        assert.deepEqual(await one.next(), { done: true, value: undefined });
        // Two parts more: nobody stopped the run.
        for (let i = 0; i < 2; i++) {
          assert.equal(
            (await two.next()).done,
            false,
          );
        }
        const waiting = [two.next(), two.next()];
        await two.return!();
        await assert.rejects(shared.result, { name: "AbortError" });
        assert.equal((await Promise.all(waiting)).at(-1)!.done, true);
      },
    );

    await t.step("a reader sees the failure once, then the end", async () => {
      const stream = model.chatStream({ question: "" });
      const reader = stream[Symbol.asyncIterator]();
      await assert.rejects(reader.next(), { name: "PromptError" });
      assert.equal((await reader.next()).done, true);
    });

    await t.step("a repeated picture is not encoded again", async () => {
      const events: RunEvent[] = [];
      await model.chat({
        ...requests[1]!,
        onEvent: (event) => events.push(event),
      });
      const cached = events.flatMap((event) =>
        event._tag === "NodeFinished" && event.cached ? [event.kind] : []
      );
      assert.deepEqual(cached.toSorted(), [
        "join-tiles",
        "load",
        "project",
        "thumbnail",
        "tile",
        "vision-encode",
      ]);
    });

    await t.step("an abort rejects with its reason", async () => {
      const controller = new AbortController();
      const reason = new Error("enough");
      const answer = model.chat({
        question: "Hello!",
        generation: { maxNewTokens: 100_000 },
        signal: controller.signal,
        onEvent: (event) => {
          if (event._tag === "NodeProgress") controller.abort(reason);
        },
      });
      await assert.rejects(answer, reason);
      await assert.rejects(
        model.chat({ question: "Hello!", signal: controller.signal }),
        reason,
      );
    });

    await t.step("sampling is repeatable by its seed", async () => {
      const ask = (seed: number) =>
        model.chat({
          question: "Hello!",
          generation: { ...generation, doSample: true, temperature: 5, seed },
        });
      assert.equal((await ask(1)).response, (await ask(1)).response);
    });

    await t.step("wrong input is refused in one line", async () => {
      const refused = async (
        request: ChatRequest,
        tag: string,
        message: RegExp,
      ) => {
        await assert.rejects(model.chat(request), (error: Error) => {
          assert.equal(error.name, tag);
          assert.match(error.message, message);
          assert.ok(!error.message.includes("\n"), error.message);
          return true;
        });
      };
      await refused({ question: "" }, "PromptError", /empty/);
      await refused(
        { question: "<image> <image>", images: [shapes] },
        "PromptError",
        /2 <image>.*1/,
      );
      await refused(
        { question: "<image>", images: pair, numPatchesList: [1, 1] },
        "PromptError",
        /numPatchesList/,
      );
      await refused(
        { question: "?", video, numPatchesList: [1] },
        "PromptError",
        /numPatchesList \[1\] adds up to 1 tiles, the pictures have 0/,
      );
      await refused(
        { question: "a <IMG_CONTEXT> b" },
        "PromptError",
        /<IMG_CONTEXT>/,
      );
      await refused(
        { question: "?", images: ["missing.png"] },
        "MediaError",
        /missing\.png/,
      );
      await refused(
        { question: "word ".repeat(model.info.contextLength) },
        "CapacityError",
        new RegExp(String(model.info.contextLength)),
      );
      await refused(
        { question: "?", generation: { temperature: -1 } },
        "PromptError",
        /temperature/,
      );
    });

    await t.step(
      "a sample of wrong types is refused by port, sample and field",
      async () => {
        const refused = (asked: Promise<unknown>, said: string) =>
          assert.rejects(
            asked,
            (error) =>
              error instanceof GraphError && error.message.startsWith(said) &&
              !error.message.includes("\n"),
          );
        const question = "x";
        for (
          const [wrong, said] of [
            [{ images: "a.png" }, 'images" is no List<ImageSource> but string'],
            [{ images: null }, 'images" is no List<ImageSource> but null'],
            [{ images: [5] }, 'images[0]" is no ImageSource but number'],
            [
              { images: new Array(1) },
              'images[0]" is no ImageSource but undefined',
            ],
            [{ history: [["a"]] }, 'history[0][1]": Missing key'],
            [
              { history: [{ role: "user" }] },
              'history[0]": Expected array, got object',
            ],
            [{ video: null }, 'video" is no VideoClip but null'],
            [{ video: 5 }, 'video" is no VideoClip but number'],
            [
              { numPatchesList: "5" },
              'numPatchesList" is no List<Num> but string',
            ],
            [
              { numPatchesList: null },
              'numPatchesList" is no List<Num> but null',
            ],
          ] as const
        ) {
          const request = { question, ...wrong } as unknown as ChatRequest;
          await refused(
            model.batchChat({ samples: [{ question }, request] }),
            `pipeline "batch-chat": input "samples[1].${said}`,
          );
          if ("video" in wrong) continue;
          await refused(
            model.chat({ video, images: [shapes], ...request }),
            `pipeline "answer": input "sample.${said}`,
          );
          await refused(model.chat(request), `pipeline "chat": input "${said}`);
        }
      },
    );
  }
  await t.step("closing releases every native handle", () => {
    assert.deepEqual(liveHandles(), before);
  });
});

Deno.test("closing a model stops what it is doing", async () => {
  const model = await InternVL.load(nano);
  const answer = model.chat({
    question: "Hello!",
    generation: { maxNewTokens: 100_000 },
  });
  const failed = assert.rejects(answer, { name: "AbortError" });
  await model[Symbol.asyncDispose]();
  await failed;
});

Deno.test("both bindings give the same answer", async () => {
  const request = requests[1]!;
  const answers: string[] = [];
  for (const backend of ["ffi", "napi"] as const) {
    await using model = await InternVL.load(nano, { backend });
    answers.push((await model.chat(request)).response);
  }
  assert.equal(answers[0], answers[1]);
});

Deno.test("keys and values of 16 and 8 bits: more tokens, the same answer, in both bindings", async () => {
  const request = requests[1]!;
  const found: { readonly response: string; readonly tokens: number }[] = [];
  for (
    const [backend, kvCache] of [
      ["ffi", "float32"],
      ["ffi", "float16"],
      ["napi", "float16"],
      ["ffi", "int8"],
      ["napi", "int8"],
    ] as const
  ) {
    await using model = await InternVL.load(nano, {
      backend,
      engine: { kvCache, kvCacheBytes: 4 << 20 },
    });
    const { response } = await model.chat(request);
    const { kvTokensCapacity: tokens } = await model.effect(
      Effect.flatMap(LanguageModel, ({ stats }) => stats),
    );
    found.push({ response, tokens });
  }
  const [{ response, tokens }] = found as [typeof found[0]];
  assert.deepEqual(found, [
    { response, tokens },
    { response, tokens: 2 * tokens },
    { response, tokens: 2 * tokens },
    { response, tokens: 4 * tokens },
    { response, tokens: 4 * tokens },
  ]);
  await assert.rejects(
    InternVL.load(nano, { engine: { kvCache: "int4" as never } }),
    {
      name: "BackendError",
      message: "kvCache must be float32, float16 or int8, not int4",
    },
  );
  await assert.rejects(
    InternVL.load(nano, { device: "cuda", engine: { kvCache: "int8" } }),
    {
      name: "BackendError",
      message: "keys and values are kept in int8 on the CPU only, not on cuda",
    },
  );
  await assert.rejects(
    InternVL.load(nano, { device: "cuda", engine: { kvCache: "float32" } }),
    {
      name: "BackendError",
      message:
        "a model that computes in float16 keeps its keys and values in float16, not in float32",
    },
  );
});

Deno.test("numbers that are none are refused while the model loads", async () => {
  for (
    const [options, message] of [
      [{ contextLength: 0 }, /^contextLength is 0; it must be a whole number/],
      [{ contextLength: NaN }, /^contextLength is NaN/],
      [{ cacheBytes: NaN }, /^cacheBytes is NaN/],
      [{ engine: { slots: NaN } }, /^slots is NaN; it must be a number/],
      [{ engine: { kvCacheBytes: -1 } }, /^kvCacheBytes is -1/],
      [{ engine: { speculate: { tokens: NaN } } }, /^speculate\.tokens is NaN/],
    ] as const
  ) {
    await assert.rejects(InternVL.load(nano, options), {
      name: "BackendError",
      message,
    });
  }
});

Deno.test("a missing checkpoint is named", async () => {
  await assert.rejects(InternVL.load(nano, { backend: "wasm" as never }), {
    name: "BackendError",
    message: 'there is no binding "wasm"; known: ffi, napi',
  });
  await assert.rejects(InternVL.load("no/such/folder"), {
    name: "CheckpointError",
    message: /no\/such\/folder/,
  });
});

Deno.test("runs are kept in a SQLite file", async () => {
  const dir = await mkdtemp(join(tmpdir(), "tessera-sdk-"));
  try {
    await using model = await InternVL.load(nano, {
      store: join(dir, "runs.sqlite"),
    });
    const { storeError } = await model.chat({ question: "Hi", generation });
    assert.equal(storeError, undefined);
    assert.ok((await Deno.stat(join(dir, "runs.sqlite"))).size > 0);
  } finally {
    await rm(dir, { recursive: true });
  }
});

Deno.test("runs go into a store that is open already, with model, attributes and memory", async () => {
  const store = makeMemoryStore();
  await using model = await InternVL.load(nano, { store });
  const { runId } = await model.chat({
    question: "Hi",
    generation,
    attributes: { user: "ada", model: "not this one" },
  });
  const run = await Effect.runPromise(store.get(runId));
  assert.deepEqual(run?.attributes, { user: "ada", model: "nano" });
  const last = run?.events.at(-1);
  assert.ok(last?._tag === "RunFinished" && last.rssBytes! > 1e6);
});

Deno.test("a run that is cancelled through its store rejects with AbortError, and the model goes on", async () => {
  const store = makeMemoryStore();
  await using model = await InternVL.load(nano, { store });
  const cancelled = model.chat({
    question: "Hi",
    generation: { maxNewTokens: 200, minNewTokens: 200 },
    onEvent: (event) => {
      if (event._tag === "NodeProgress" && event.port === "text") {
        Effect.runSync(store.cancel(event.runId));
      }
    },
  });
  await assert.rejects(cancelled, { name: "AbortError" });
  const [run] = (await Effect.runPromise(store.list())).runs;
  assert.equal(run?.status, "interrupted");
  assert.ok((await model.chat({ question: "Hi", generation })).response !== "");
});

Deno.test("an answer's text is told as it comes, the count of its tokens ten times a second and at its end", async () => {
  await using model = await InternVL.load(nano);
  const events: (RunEvent & { readonly _tag: "NodeProgress" })[] = [];
  const start = performance.now();
  const { usage } = await model.chat({
    question: "Hello!",
    generation: { maxNewTokens: 400, minNewTokens: 400 },
    onEvent: (event) => {
      if (event._tag === "NodeProgress") events.push(event);
    },
  });
  const took = performance.now() - start;
  const counts = events.filter(({ message }) => message === "decode");
  assert.equal(counts.at(-1)!.done, usage.completionTokens);
  // All but the first and the last, which is told however early.
  assert.ok(counts.length - 2 <= took / 100, `${counts.length} in ${took} ms`);
  const parts = events.filter(({ port }) => port === "text");
  assert.ok(parts.length > counts.length, `${parts.length} parts`);
});
