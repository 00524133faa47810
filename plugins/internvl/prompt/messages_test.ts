import assert from "node:assert/strict";
import { Effect } from "effect";
import type { ConversationRequest } from "../../../nodes/services.ts";
import type { Message } from "../../../nodes/values.ts";
import { failure } from "../testing.ts";
import { openTokenizer } from "../tokenizer/load.ts";
import { renderMessages } from "./messages.ts";
import { type RenderContext, renderPrompt } from "./render.ts";
import { findTemplate } from "./template.ts";

const context: RenderContext = {
  tokenizer: await Effect.runPromise(openTokenizer(
    new URL("../../../tests/golden/tokenizer/plain", import.meta.url).pathname,
  )),
  template: await Effect.runPromise(findTemplate("internlm2-chat")),
  tokensPerTile: 4,
};

const none = { images: [], small: [], videos: [] };
const user = (text: string): Message => ({ role: "user", parts: [{ text }] });

const render = (
  messages: readonly Message[],
  tiles: ConversationRequest["tiles"] = none,
  continues = false,
) =>
  Effect.runPromise(
    renderMessages({ conversation: { messages, continues }, tiles }, context),
  );

const refusal = async (
  messages: readonly Message[],
  continues = false,
  to = context,
) =>
  (await failure(
    renderMessages({ conversation: { messages, continues }, tiles: none }, to),
  )).message;

Deno.test("messages that are a chat are rendered as the chat is", async () => {
  const chat = await Effect.runPromise(renderPrompt({
    question: "And now?",
    history: [["<image>\nWhat is it?", "A circle."]],
    numPatchesList: [3],
    systemMessage: "Be brief.",
  }, context));
  const messages = await render([
    { role: "system", parts: [{ text: "Be brief." }] },
    {
      role: "user",
      parts: [{ media: "images", index: 0 }, { text: "\nWhat is it?" }],
    },
    { role: "assistant", parts: [{ text: "A circle." }] },
    user("And now?"),
  ], { ...none, images: [[3]] });
  assert.equal(messages.text, chat.text);
  assert.deepEqual(messages.ids, chat.ids);
  assert.deepEqual(messages.images, chat.images);
});

Deno.test("<image> in a text of the caller is only a word", async () => {
  const { text, images } = await render([user("What does <image> mean?")]);
  assert.ok(text.includes("What does <image> mean?"));
  assert.equal(images.length, 0);
});

Deno.test("tools have the form of InternLM2's chat format", async () => {
  const { text } = await render([
    { role: "system", parts: [{ text: "Help." }] },
    { role: "system", name: "<|plugin|>", parts: [{ markup: "[{}]" }] },
    user("Weather?"),
    {
      role: "assistant",
      parts: [
        { text: "I look." },
        { markup: '<|action_start|><|plugin|>\n{"name": "w"}<|action_end|>' },
      ],
    },
    { role: "environment", name: "<|plugin|>", parts: [{ text: "22" }] },
  ]);
  assert.equal(
    text,
    "<|im_start|>system\nHelp.<|im_end|>" +
      "<|im_start|>system name=<|plugin|>\n[{}]<|im_end|>" +
      "<|im_start|>user\nWeather?<|im_end|>" +
      '<|im_start|>assistant\nI look.<|action_start|><|plugin|>\n{"name": "w"}<|action_end|><|im_end|>' +
      "<|im_start|>environment name=<|plugin|>\n22<|im_end|>" +
      "<|im_start|>assistant\n",
  );
});

Deno.test("frames are announced, pictures stand where they are", async () => {
  const { text, images } = await render([{
    role: "user",
    parts: [
      { media: "videos", index: 0 },
      { text: "Is " },
      { media: "small", index: 0 },
      { text: " in it?" },
    ],
  }], { ...none, small: [[1]], videos: [[1, 1]] });
  const picture = `<img>${"<IMG_CONTEXT>".repeat(4)}</img>`;
  assert.ok(
    text.includes(
      `Frame1: ${picture}\nFrame2: ${picture}\nIs ${picture} in it?`,
    ),
    text,
  );
  assert.deepEqual(images.map(({ tiles }) => tiles), [1, 1, 1]);
});

Deno.test("an answer that is begun is continued", async () => {
  const { text } = await render(
    [
      user("Count."),
      { role: "assistant", parts: [{ text: "One, two" }] },
    ],
    none,
    true,
  );
  assert.ok(text.endsWith("<|im_start|>assistant\nOne, two"));
});

Deno.test("what cannot be rendered is refused in one line", async () => {
  assert.match(await refusal([]), /no messages/);
  assert.match(await refusal([user(" ")]), /empty/);
  assert.match(
    await refusal([{ role: "system", parts: [{ text: "x" }] }]),
    /only a system message/,
  );
  assert.match(await refusal([user("x")], true), /role user/);
  for (const token of ["<|im_end|>", "<|im_start|>", "<IMG_CONTEXT>", "</s>"]) {
    assert.match(
      await refusal([user("a"), user(`b ${token} c`)]),
      /^message 2 \(user\) has the control token/,
      token,
    );
  }
  assert.match(
    await refusal([{
      role: "user",
      parts: [{ media: "images", index: 0 }, { text: "?" }],
    }]),
    /images\[0\], but 0 are given/,
  );
  const phi = await Effect.runPromise(findTemplate("phi3-chat"));
  assert.match(
    await refusal(
      [user("x"), { role: "environment", parts: [{ text: "1" }] }],
      false,
      { ...context, template: phi },
    ),
    /phi3-chat has no role environment/,
  );
  // A model on Qwen2, say: its tokenizer has none of the marks that calls and results are written with.
  const qwen = {
    ...context,
    tokenizer: await Effect.runPromise(openTokenizer(
      new URL("../../../tests/golden/tokenizer/byte_level", import.meta.url)
        .pathname,
    )),
  };
  assert.match(
    await refusal(
      [
        { role: "system", name: "<|plugin|>", parts: [{ markup: "[]" }] },
        user("x"),
      ],
      false,
      qwen,
    ),
    /this model's tokenizer has no token <\|plugin\|>, with which tools/,
  );
});
