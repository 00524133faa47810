import assert from "node:assert/strict";
import { defaultServerLimits } from "./limits.ts";
import { mapMessages } from "./messages.ts";
import type { ChatMessage, UserPart } from "./schema/chat.ts";

const text = (text: string): UserPart => ({ type: "text", text });
const image = (url: string, detail?: "low"): UserPart => ({
  type: "image_url",
  image_url: { url, ...(detail === undefined ? {} : { detail }) },
});
const video = (url: string): UserPart => ({
  type: "video_url",
  video_url: { url },
});

const map = (messages: ChatMessage[], limits = {}) =>
  mapMessages(messages, [], false, { ...defaultServerLimits, ...limits });

/** The parts of one user message as a line. */
const line = (...content: UserPart[]): string =>
  map([{ role: "user", content }]).conversation.messages[0]!.parts.map((part) =>
    "media" in part
      ? `{${part.media}${part.index}}`
      : "text" in part
      ? part.text
      : part.markup
  ).join("");

Deno.test("pictures before or behind the words stand in front, on lines of their own", () => {
  assert.equal(line(text("What?"), image("a")), "{images0}\nWhat?");
  assert.equal(line(image("a"), text("What?")), "{images0}\nWhat?");
  assert.equal(
    line(text("Which"), text("one?"), image("a"), image("b", "low")),
    "{images0}\n{small0}\nWhich\none?",
  );
  assert.equal(line(image("a")), "{images0}\n");
  // The frames of a video have lines of their own.
  assert.equal(line(text("What?"), video("v")), "{videos0}What?");
});

Deno.test("pictures between words stay where they are", () => {
  assert.equal(
    line(text("First"), image("a"), text("then"), image("b"), text("which?")),
    "First\n{images0}\nthen\n{images1}\nwhich?",
  );
});

Deno.test("<image> marks the places when there are as many as pictures", () => {
  assert.equal(
    line(text("1: <image> 2: <image>."), image("a"), image("b")),
    "1: {images0} 2: {images1}.",
  );
  // Otherwise it is a word.
  assert.equal(line(text("<image>?")), "<image>?");
  assert.equal(
    line(text("<image> <image>"), image("a")),
    "{images0}\n<image> <image>",
  );
});

Deno.test("what there is too much of is refused", () => {
  const refused = (message: RegExp, limits: object, ...content: UserPart[]) =>
    assert.throws(() => map([{ role: "user", content }], limits), { message });
  refused(/more than 1 pictures/, { maxImages: 1 }, image("a"), image("b"));
  refused(/more than 0 videos/, { maxVideos: 0 }, video("a"));
  refused(/at most 4 frames/, { maxFrames: 4 }, {
    type: "video_url",
    video_url: { url: "v", num_frames: 5 },
  });
  assert.throws(
    () =>
      map([{ role: "user", content: "a" }, { role: "user", content: "b" }], {
        maxMessages: 1,
      }),
    /at most 1 are taken/,
  );
  assert.throws(
    () =>
      map([{
        role: "assistant",
        tool_calls: [{ id: "1", function: { name: "f", arguments: "{" } }],
      }]),
    /messages\[0\]\.tool_calls\[0\]\.function\.arguments: not valid JSON/,
  );
});
