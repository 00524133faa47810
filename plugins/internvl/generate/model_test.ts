import assert from "node:assert/strict";
import { Deferred, Effect, Exit, Fiber, type Scope } from "effect";
import type {
  GenerationObserver,
  GenerationRequest,
} from "../../../nodes/services.ts";
import { hostTensor, type Tensor } from "../../../nodes/tensor.ts";
import type {
  Completion,
  GenerationSettings,
  Prompt,
} from "../../../nodes/values.ts";
import {
  Backend,
  type BackendTensor,
  ffiBackend,
  liveHandles,
  type Session,
} from "../../onnx/mod.ts";
import { languageGraph } from "../graphs/language.ts";
import { type OpenModel, openModel } from "../graphs/testing.ts";
import {
  type RandomCheckpoint,
  randomCheckpoint,
} from "../graphs/testing_checkpoint.ts";
import { withFolder } from "../testing.ts";
import { type LanguageModelParts, makeLanguageModel } from "./model.ts";

const checkpoint = randomCheckpoint();
const { language } = checkpoint.config;

const textPrompt = (...ids: number[]): Prompt => ({
  text: "",
  question: "",
  ids: Int32Array.from(ids),
  images: [],
});

/** A letter for each id: a for 97. */
const letters = () => ({
  push: (id: number) => String.fromCharCode(id),
  end: () => "",
});

/**
 * A session whose logits are a script's: `next(position)` is the likeliest token after that many
 * tokens. It checks what it is fed.
 */
function scripted(next: (tokens: number) => number): Session {
  const tensor = (shape: readonly number[]): BackendTensor => ({
    dtype: "float32",
    shape,
    location: "device",
    read: Effect.succeed(new Float32Array(0)),
    write: () => Effect.void,
    view: (shape) => Effect.succeed(tensor(shape)),
  });
  let cached = 0;
  return {
    name: "scripted",
    device: "cpu",
    inputs: [],
    outputs: [],
    allocate: (_dtype, shape) => Effect.sync(() => tensor(shape) as never),
    run: (feeds: Readonly<Record<string, Tensor>>) =>
      Effect.sync(() => {
        const host = (name: string) =>
          (feeds[name] as unknown as { data: ArrayLike<number> }).data;
        const count = host("input_ids").length;
        const total = host("total_sequence_length")[0];
        // A prompt of its own begins in a cache of its own.
        cached = total === count ? total : cached + count;
        assert.equal(total, cached);
        assert.equal(host("seqlens_k")[0], cached - 1);
        assert.equal(Number(host("logit_rows")[0]), count - 1);
        assert.ok(cached <= feeds["past_key.0"].shape[2]);
        const logits = new Float32Array(language.vocabSize);
        const token = next(cached);
        if (token < 0) logits.fill(NaN);
        else logits[token] = 1;
        return { logits: hostTensor("float32", [1, logits.length], logits) };
      }),
  };
}

/** Generates with a model of its own. */
function generateWith(
  parts: LanguageModelParts,
  request: GenerationRequest,
) {
  return Effect.scoped(
    Effect.flatMap(
      makeLanguageModel(parts),
      (model) => model.generate(request),
    ),
  );
}

/** Generates after a prompt of three tokens; the script is the answer's characters. */
function answer(
  script: string,
  settings: GenerationSettings = {},
  parts: Partial<LanguageModelParts> = {},
  observer: GenerationObserver = {},
) {
  return generateWith({
    session: scripted((tokens) => script.charCodeAt(tokens - 3)),
    config: language,
    endIds: ["$".charCodeAt(0)],
    detokenizer: letters,
    ...parts,
  }, {
    prompt: textPrompt(5, 6, 7),
    visual: [],
    settings,
    observer,
  });
}

Deno.test("an end token ends the answer; it is among the ids, not in the text", async () => {
  const completion = await Effect.runPromise(answer(" hello $ and on"));
  assert.equal(completion.text, "hello");
  assert.equal(completion.finishReason, "stop");
  assert.equal(String.fromCharCode(...completion.ids), " hello $");
  assert.deepEqual(completion.usage, {
    promptTokens: 3,
    imageTokens: 0,
    completionTokens: 8,
    cachedTokens: 0,
  });
  assert.deepEqual(completion.firstLogits.shape, [language.vocabSize]);
  assert.equal(completion.firstLogits.data[" ".charCodeAt(0)], 1);
});

Deno.test("the token limit ends the answer", async () => {
  const completion = await Effect.runPromise(
    answer("hello$", { maxNewTokens: 4 }),
  );
  assert.equal(completion.text, "hell");
  assert.equal(completion.finishReason, "length");
  assert.equal(completion.usage.completionTokens, 4);
  const whole = await Effect.runPromise(answer("hello$", { maxNewTokens: 6 }));
  assert.equal(whole.finishReason, "stop");
});

Deno.test("a stop string ends the answer before it, and is never shown", async () => {
  const shown: (readonly [string, number])[] = [];
  const completion = await Effect.runPromise(
    answer("one, two; three$", { stop: ["; t", "xyz"] }, {}, {
      onText: (delta, generated) => shown.push([delta, generated]),
    }),
  );
  assert.equal(completion.text, "one, two");
  assert.equal(completion.finishReason, "stop");
  // The ids up to the one that completed the stop string.
  assert.equal(completion.ids.length, "one, two; t".length);
  assert.deepEqual(shown.slice(0, 2), [["o", 1], ["n", 2]]);
  assert.equal(shown.map(([delta]) => delta).join(""), "one, two");
  const withEnd = await Effect.runPromise(
    answer("a<end>b$", {}, { endTexts: ["<end>"] }),
  );
  assert.equal(withEnd.text, "a");
});

Deno.test("what a detokenizer holds back comes at the end, stop strings in it included", async () => {
  const holding = () => {
    let held = "";
    return {
      push: (id: number) => {
        held += String.fromCharCode(id);
        return "";
      },
      end: () => held,
    };
  };
  const shown: string[] = [];
  const whole = await Effect.runPromise(
    answer("hello$", {}, { detokenizer: holding }, {
      onText: (delta) => shown.push(delta),
    }),
  );
  assert.deepEqual([whole.text, shown], ["hello", ["hello"]]);
  const cut = await Effect.runPromise(
    answer("hello", { stop: ["l"], maxNewTokens: 5 }, { detokenizer: holding }),
  );
  assert.deepEqual([cut.text, cut.finishReason], ["he", "stop"]);
});

Deno.test("the observer hears of prefill, first token and text in this order", async () => {
  const heard: string[] = [];
  await Effect.runPromise(
    answer("ab$", {}, {}, {
      onPrefill: (done, total) => heard.push(`${done}/${total}`),
      onFirstToken: () => heard.push("first"),
      onText: (delta, generated) => heard.push(`${delta} ${generated}`),
    }),
  );
  assert.deepEqual(heard, ["0/3", "3/3", "first", "a 1", "b 2"]);
});

Deno.test("the context bounds the answer; a prompt that fills it is refused with both numbers", async () => {
  const bounded = await Effect.runPromise(
    answer("hello$", {}, { contextLength: 7 }),
  );
  assert.equal(bounded.text, "hell");
  assert.equal(bounded.finishReason, "length");
  const error = await Effect.runPromise(
    Effect.flip(answer("hello$", {}, { contextLength: 3 })),
  );
  assert.equal(error._tag, "CapacityError");
  assert.equal(
    error.message,
    "the prompt has 3 tokens; the context holds 3, one of them at least for the answer",
  );
});

Deno.test("wrong prompts and settings are refused, and so are logits that are no numbers", async () => {
  const failure = (effect: ReturnType<typeof answer>) =>
    Effect.runPromise(Effect.flip(effect));
  const ask = (prompt: Prompt) =>
    generateWith({
      session: scripted(() => 1),
      config: language,
      endIds: [],
      detokenizer: letters,
    }, { prompt, visual: [] });
  const empty = await failure(ask(textPrompt()));
  assert.equal(empty.message, "the prompt has no tokens");
  const foreign = await failure(ask(textPrompt(1, 300)));
  assert.equal(foreign._tag, "PromptError");
  assert.equal(
    foreign.message,
    "token 300 at position 1 of the prompt is not in the model's vocabulary of 300",
  );
  const images = await failure(
    ask({
      ...textPrompt(1, 2, 3),
      images: [{ start: 1, length: 2, tiles: 1 }],
    }),
  );
  assert.match(images.message, /2 image context tokens, 0 visual tokens/);
  const setting = await failure(answer("a$", { topP: 2 }));
  assert.match(setting.message, /topP is 2/);
  const broken = await failure(
    answer("", {}, { session: scripted((tokens) => tokens < 5 ? 97 : -1) }),
  );
  assert.equal(broken._tag, "BackendError");
  assert.match(broken.message, /token 3 cannot be chosen/);
});

/** Runs with the random checkpoint's language model loaded. */
function withLanguage<A>(
  use: (model: OpenModel) => Effect.Effect<A, unknown, Scope.Scope>,
  source: RandomCheckpoint = checkpoint,
): Promise<A> {
  return withFolder(source.files, (dir) =>
    Effect.runPromise(
      Effect.scoped(Effect.flatMap(openModel(dir), use)).pipe(
        Effect.provide(ffiBackend),
      ),
    ));
}

Deno.test("sampling: a seed repeats an answer, another gives another; visual tokens matter", async () => {
  await withLanguage(({ language: session }) =>
    Effect.gen(function* () {
      const model = yield* makeLanguageModel({
        session,
        config: language,
        endIds: [],
        detokenizer: letters,
      });
      const ask = (settings: GenerationSettings, first = 0.5) =>
        Effect.map(
          model.generate({
            prompt: {
              ...textPrompt(5, 9, 9, 6),
              images: [{ start: 1, length: 2, tiles: 1 }],
            },
            visual: [
              hostTensor(
                "float32",
                [1, 2, 64],
                new Float32Array(128).fill(first),
              ),
            ],
            settings: { maxNewTokens: 24, ...settings },
          }),
          (completion: Completion) => [...completion.ids].join(),
        );
      const sample = { doSample: true, seed: 5, temperature: 2 };
      assert.equal(yield* ask(sample), yield* ask(sample));
      assert.notEqual(yield* ask(sample), yield* ask({ ...sample, seed: 6 }));
      assert.equal(
        yield* ask({}),
        yield* ask({ doSample: true, topK: 1, seed: 6 }),
      );
      assert.notEqual(yield* ask({}), yield* ask({}, -0.5));
      const penalized = (yield* ask({ repetitionPenalty: 1e6 })).split(",");
      assert.equal(new Set(penalized).size, penalized.length);
    })
  );
});

Deno.test("generations side by side do not disturb each other", async () => {
  await withLanguage(({ language: session }) =>
    Effect.gen(function* () {
      const model = yield* makeLanguageModel({
        session,
        config: language,
        endIds: [],
        detokenizer: letters,
      });
      const ask = (first: number) =>
        Effect.map(
          model.generate({
            prompt: textPrompt(first, 8, 9),
            visual: [],
            settings: { maxNewTokens: 30 },
          }),
          ({ ids }) => [...ids],
        );
      const firsts = [1, 2, 3, 4];
      const alone = yield* Effect.all(firsts.map(ask));
      const together = yield* Effect.all(firsts.map(ask), {
        concurrency: "unbounded",
      });
      assert.deepEqual(together, alone);
      assert.equal(new Set(alone.map(String)).size, 4);
    })
  );
});

Deno.test("interruption ends a generation within a run, and every native handle is given back", async () => {
  const before = liveHandles();
  await withLanguage(({ source }) =>
    Effect.gen(function* () {
      const backend = yield* Backend;
      const session = yield* backend.load(languageGraph(source));
      const loaded = liveHandles();
      const fifth = yield* Deferred.make<void>();
      let runs = 0;
      let shown = 0;
      // The fifth run does not end until it is interrupted, however fast the machine is.
      const held: Session = {
        ...session,
        prepare: undefined,
        run: (feeds, options) =>
          Effect.suspend(() => {
            const run = session.run(feeds, options);
            return ++runs < 5 ? run : run.pipe(
              Effect.tap(() => Deferred.succeed(fifth, undefined)),
              Effect.tap(() => Effect.never),
            );
          }),
      };
      const model = yield* makeLanguageModel({
        session: held,
        config: language,
        endIds: [],
        detokenizer: letters,
      });
      const fiber = yield* Effect.forkChild(
        model.generate({
          prompt: textPrompt(1, 2, 3),
          visual: [],
          settings: { maxNewTokens: 500 },
          observer: { onText: () => shown++ },
        }),
      );
      yield* Deferred.await(fifth);
      assert.ok(liveHandles().value > loaded.value);
      yield* Fiber.interrupt(fiber);
      const exit = yield* Fiber.await(fiber);
      assert.ok(Exit.isFailure(exit) && Exit.hasInterrupts(exit));
      yield* Effect.sleep(10);
      assert.equal(runs, 5);
      assert.ok(shown <= 4);
    }).pipe(Effect.scoped, Effect.provide(ffiBackend))
  );
  assert.deepEqual(liveHandles(), before);
});
