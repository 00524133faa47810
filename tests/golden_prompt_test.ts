/**
 * Rendered prompts and their ids against the reference (`tools/reference`, `tests/golden/prompt/`): rules 1
 * to 4 of `chat()`, the rendering of `batch_chat()`. Where the reference renders a prompt that cannot be
 * right, we refuse it, and the test says so for each of these cases.
 */
import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { Effect } from "effect";
import { PromptError } from "../nodes/errors.ts";
import { arrangePrompt } from "../nodes/prompt_template.ts";
import type { Prompt, Turn } from "../nodes/values.ts";
import {
  renderBatchQuestion,
  type RenderContext,
  renderPrompt,
} from "../plugins/internvl/prompt/render.ts";
import { findTemplate } from "../plugins/internvl/prompt/template.ts";
import { openTokenizer } from "../plugins/internvl/tokenizer/load.ts";

const golden = new URL("golden/", import.meta.url);
const tokenizers = {
  plain: await open("plain"),
  prefix: await open("prefix"),
} as const;
type TokenizerName = keyof typeof tokenizers;

interface Common {
  name: string;
  template: string;
  systemMessage: string | null;
  tokensPerTile: number;
  tiles: number | null;
  numPatchesList: number[] | null;
}

interface Rendered {
  text: string;
  storedQuestion: string;
  surplusPlaceholders: number;
  contextTokens: number;
  contextTokensExpected: number;
  ids: Record<TokenizerName, number[]> | null;
}

interface ChatCase extends Common, Partial<Rendered> {
  question: string;
  history: Turn[] | null;
  refused?: string;
}

interface BatchCase extends Common {
  questions: string[];
  samples: Rendered[];
}

const chats = await readJson<ChatCase[]>("prompt/chat.json");
const batches = await readJson<BatchCase[]>("prompt/batch.json");

/** Why we refuse what the reference renders; `undefined` for a prompt that must be equal. */
function reasonToRefuse(
  question: string,
  counts: readonly number[],
  expected: Rendered,
): RegExp | undefined {
  if (question.trim() === "") return /question is empty/;
  if (counts.includes(0)) return /every entry is a number of tiles/;
  if (
    expected.text.replaceAll(/<img>(<IMG_CONTEXT>)*<\/img>/g, "").includes(
      "<IMG_CONTEXT>",
    )
  ) {
    return /<IMG_CONTEXT>/;
  }
  if (expected.surplusPlaceholders > 0) return /placeholder/;
  if (expected.contextTokens !== expected.contextTokensExpected) {
    return /placeholder/;
  }
}

for (const item of chats) {
  Deno.test(`prompt: ${item.name}`, async () => {
    const counts = item.numPatchesList ??
      (item.tiles === null ? [] : [item.tiles]);
    if (item.refused !== undefined) {
      const refused = arrangePrompt({
        question: item.question,
        history: item.history ?? undefined,
        images: [item.tiles ?? 0],
        frames: [],
        numPatchesList: counts,
      });
      assert.ok(refused instanceof PromptError);
      assert.match(refused.message, /adds up to 4 tiles.*have 5/);
      return;
    }
    const expected = item as ChatCase & Rendered;
    const reason = reasonToRefuse(item.question, counts, expected);
    for (const name of ["plain", "prefix"] as const) {
      const rendered = renderPrompt({
        question: item.question,
        numPatchesList: counts,
        ...(item.history === null ? {} : { history: item.history }),
        ...system(item),
      }, await context(item, name));
      if (reason === undefined) {
        equal(await Effect.runPromise(rendered), expected, name);
      } else {
        const error = await Effect.runPromise(Effect.flip(rendered));
        assert.ok(error instanceof PromptError);
        assert.match(error.message, reason);
      }
    }
  });
}

for (const item of batches) {
  Deno.test(`batch prompt: ${item.name}`, async () => {
    for (const [i, expected] of item.samples.entries()) {
      for (const name of ["plain", "prefix"] as const) {
        const rendered = renderBatchQuestion({
          question: item.questions[i]!,
          tiles: item.numPatchesList![i]!,
          batchHasImages: item.tiles !== null,
          ...system(item),
        }, await context(item, name));
        // A batch without pictures: the reference makes `<img></img>` of a typed placeholder.
        const typed = item.tiles === null &&
          item.questions[i]!.includes("<image>");
        if (typed || expected.surplusPlaceholders > 0) {
          const error = await Effect.runPromise(Effect.flip(rendered));
          assert.match(error.message, /placeholder/);
        } else {
          equal(await Effect.runPromise(rendered), expected, name);
        }
      }
    }
  });
}

Deno.test("most golden prompts must be equal, few are refused", () => {
  const refused = chats.filter((item) =>
    item.refused !== undefined ||
    reasonToRefuse(
        item.question,
        item.numPatchesList ?? [],
        item as ChatCase & Rendered,
      ) !== undefined
  );
  assert.deepEqual(refused.map((item) => item.name), [
    "zero tiles in the list",
    "list does not add up",
    "surplus placeholder stays as text",
    "surplus count does nothing",
    "history with a placeholder, text only now",
    "placeholder typed without an image",
    "literal context token",
    "literal context token without an image",
    "empty question",
    "empty question with an image",
  ]);
  assert.ok(chats.length >= 40);
});

/** Text, stored question, ids, and the places of the pictures' tokens. */
function equal(prompt: Prompt, expected: Rendered, name: TokenizerName): void {
  assert.equal(prompt.text, expected.text);
  assert.equal(prompt.question, expected.storedQuestion);
  if (expected.ids !== null) {
    assert.deepEqual([...prompt.ids], expected.ids[name]);
  }
  const contextId = tokenizers[name].special.imageContext;
  const places = [...prompt.ids.keys()].filter((i) =>
    prompt.ids[i] === contextId
  );
  assert.equal(places.length, expected.contextTokensExpected);
  assert.deepEqual(
    prompt.images.flatMap(({ start, length }) =>
      Array.from({ length }, (_, i) => start + i)
    ),
    places,
  );
}

async function context(
  item: Common,
  name: TokenizerName,
): Promise<RenderContext> {
  return {
    tokenizer: tokenizers[name],
    template: await Effect.runPromise(findTemplate(item.template)),
    tokensPerTile: item.tokensPerTile,
  };
}

function system(item: Common): { readonly systemMessage?: string } {
  return item.systemMessage === null
    ? {}
    : { systemMessage: item.systemMessage };
}

function open(name: string) {
  const folder = fileURLToPath(new URL(`tokenizer/${name}`, golden));
  return Effect.runPromise(openTokenizer(folder));
}

async function readJson<A>(name: string): Promise<A> {
  return JSON.parse(await Deno.readTextFile(new URL(name, golden)));
}
