/**
 * The soak: requests of every kind at once, many of them cut short, refused or wrong. No answer may differ
 * from the one computed alone, nobody may wait for ever, and nothing may stay behind.
 * @module
 */
import assert from "node:assert/strict";
import { Cause, Effect, Exit, Fiber } from "effect";
import type { GenerationRequest } from "../../../nodes/services.ts";
import { hostTensor } from "../../../nodes/tensor.ts";
import { ffiBackend, liveHandles } from "../../onnx/mod.ts";
import { makeLanguageModel } from "../generate/model.ts";
import { type OpenModel, openModel } from "../graphs/testing.ts";
import { random } from "../testing.ts";
import { openTokenizer } from "../tokenizer/load.ts";

/** What a soak came to. */
export interface SoakReport {
  /** Requests by how they ended. */
  readonly ended: Readonly<Record<string, number>>;
  /** Share of the prompts' tokens that were found computed. */
  readonly reused: number;
  /** Resident bytes after each tenth. */
  readonly resident: readonly number[];
  /** Live native handles after each tenth, nothing running. */
  readonly handles: readonly number[];
}

/** A request. One that is wrong must be refused. */
interface Case {
  readonly wrong: boolean;
  readonly request: GenerationRequest;
  /** Ids of the answer computed alone. */
  expected: string;
}

/** Tight, so that all of it is used: slots are few, and the pool changes its shape all the time. */
const settings = { slots: 6, queue: 24, chunk: 48, kvCacheBytes: 16 << 20 };

/** Requests under way at once: more than slots and queue hold. */
const WIDTH = 32;

/** Runs `count` requests on a checkpoint. Throws where something is wrong. */
export function soak(
  folder: string,
  count: number,
  seed: number,
  say: (line: string) => void = () => {},
): Promise<SoakReport> {
  const program = Effect.gen(function* () {
    const open = yield* openModel(folder);
    const { language: config } = open.checkpoint.config;
    const tokenizer = yield* openTokenizer(folder);
    const make = (engine: typeof settings | Record<never, never>) =>
      makeLanguageModel({
        session: open.language,
        config,
        endIds: [tokenizer.idOf("<|im_end|>") ?? -1],
        detokenizer: () => tokenizer.streamDecoder({ skipSpecialTokens: true }),
        ...engine,
      });
    const cases = casesOf(open, seed);
    for (const item of cases) {
      if (item.wrong) continue;
      const { ids } = yield* Effect.scoped(
        Effect.flatMap(make({}), (model) => model.generate(item.request)),
      );
      item.expected = ids.join();
    }
    say(`${cases.length} kinds of request, computed alone`);

    const model = yield* make(settings);
    const next = random(seed);
    const pick = (limit: number) => Math.floor(next() * limit);
    const ended: Record<string, number> = {};
    const one = Effect.gen(function* () {
      const { wrong, request, expected } = cases[pick(cases.length)];
      const fate = next();
      const wait = pick(40);
      const fiber = yield* Effect.forkChild(model.generate(
        fate < 0.15
          ? { ...request, deadlineMs: 1 + wait }
          : { ...request, priority: pick(3) - 1 },
      ));
      if (fate > 0.8) {
        yield* Effect.sleep(wait);
        yield* Fiber.interrupt(fiber);
      }
      const end = howItEnded(yield* Fiber.await(fiber), wrong, expected);
      ended[end] = (ended[end] ?? 0) + 1;
      // Who is refused at once would be refused again at once.
      if (end === "queue") yield* Effect.sleep(20 * wait);
    });
    const resident: number[] = [];
    const handles: number[] = [];
    for (let tenth = 1; tenth <= 10; tenth++) {
      const share = Math.round(count / 10);
      // A fiber of its own for each: what a long one leaves behind would look like a leak.
      const workers = Array.from(
        { length: share },
        () => Effect.flatMap(Effect.forkChild(one), Fiber.join),
      );
      yield* Effect.all(workers, { concurrency: WIDTH, discard: true });
      const { running, waiting } = yield* model.stats;
      assert.deepEqual([running, waiting], [0, 0], "somebody is stuck");
      // Where V8 lets us: what is garbage is no leak.
      (globalThis as { gc?: () => void }).gc?.();
      resident.push(Deno.memoryUsage().rss);
      handles.push(
        Object.values(liveHandles()).reduce((sum, live) => sum + live, 0),
      );
      say(
        `${tenth * share} requests, ${
          Math.round(resident.at(-1)! / 2 ** 20)
        } MiB, ${handles.at(-1)} handles`,
      );
    }
    const { prefix } = yield* model.stats;
    return {
      ended,
      resident,
      handles,
      reused: prefix.tokensReused /
        (prefix.tokensReused + prefix.tokensComputed),
    };
  });
  return Effect.runPromise(
    Effect.scoped(program).pipe(Effect.provide(ffiBackend)),
  );
}

/** A word for how a request ended; throws where it may not end so. */
function howItEnded(
  exit: Exit.Exit<{ readonly ids: Int32Array }, unknown>,
  wrong: boolean,
  expected: string,
): string {
  if (Exit.isSuccess(exit)) {
    assert.ok(!wrong, "a wrong request was answered");
    assert.equal(exit.value.ids.join(), expected);
    return "answered";
  }
  if (Cause.hasInterruptsOnly(exit.cause)) return "cancelled";
  const error = Cause.squash(exit.cause) as {
    readonly _tag?: string;
    readonly kind?: string;
    readonly message?: string;
  };
  const end = error.kind ?? error._tag ?? "defect";
  const allowed = wrong
    ? ["PromptError", "length", "memory", "deadline", "queue"]
    : ["deadline", "queue"];
  assert.ok(allowed.includes(end), `${end}: ${error.message}`);
  return end;
}

/** Chats of some rounds about some pictures, which share beginnings; and requests that are wrong. */
function casesOf({ checkpoint }: OpenModel, seed: number): Case[] {
  const { language } = checkpoint.config;
  const next = random(seed + 1);
  const ids = (count: number) =>
    Array.from(
      { length: count },
      () => 3 + Math.floor(next() * (language.vocabSize - 3)),
    );
  const cases: Case[] = [];
  const add = (
    ids: readonly number[],
    images: GenerationRequest["prompt"]["images"],
    visual: GenerationRequest["visual"],
    settings: GenerationRequest["settings"],
    wrong = false,
  ) =>
    cases.push({
      wrong,
      expected: "",
      request: {
        prompt: { text: "", question: "", ids: Int32Array.from(ids), images },
        visual,
        settings,
      },
    });
  const system = ids(20);
  const pictures = [1, 2, 3].map((tiles) => {
    const length = tiles * 16;
    const numbers = Float32Array.from(
      { length: length * language.hiddenSize },
      () => next() - 0.5,
    );
    return hostTensor("float32", [tiles, 16, language.hiddenSize], numbers);
  });
  for (const picture of [undefined, ...pictures]) {
    const length = picture === undefined ? 0 : picture.shape[0] * 16;
    let prompt = [...system, ...ids(1), ...new Array(length).fill(5)];
    const images = picture === undefined
      ? []
      : [{ start: system.length + 1, length, tiles: picture.shape[0] }];
    const visual = picture === undefined ? [] : [picture];
    for (let round = 0; round < 3; round++) {
      prompt = [...prompt, ...ids(5 + 30 * round)];
      for (const maxNewTokens of [1, 6, 20]) {
        add(prompt, images, visual, { maxNewTokens });
        add([...prompt, ...ids(4)], images, visual, { maxNewTokens });
      }
      add(prompt, images, visual, {
        maxNewTokens: 12,
        doSample: true,
        seed: 7,
      });
    }
  }
  add(ids(300), [], [], { maxNewTokens: 40 });
  add(ids(1), [], [], { maxNewTokens: 30 });
  // Nothing, a foreign id, a picture that is missing, a setting out of range, far too long.
  add([], [], [], {}, true);
  add([5, language.vocabSize], [], [], {}, true);
  add([5, 5, 5], [{ start: 0, length: 2, tiles: 1 }], [], {}, true);
  add(ids(9), [], [], { topP: 2 }, true);
  add(ids(language.maxPositionEmbeddings), [], [], {}, true);
  return cases;
}
