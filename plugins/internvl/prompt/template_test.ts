import assert from "node:assert/strict";
import { Effect } from "effect";
import type { InternVLConfig } from "../config.ts";
import { decodeConfig } from "../config.ts";
import { configJson, failure, withFolder } from "../testing.ts";
import {
  checkpointTemplate,
  systemMessageIn,
  unreadable,
} from "./conversation_file.ts";
import {
  builtInTemplates,
  cleanUpSpaces,
  endTokenId,
  findTemplate,
  renderConversation,
  stopAndTrim,
  stopText,
  type Template,
} from "./template.ts";

const find = (name: string) => Effect.runPromise(findTemplate(name));

Deno.test("internlm2-chat: no newline before the next message, none after the last role", async () => {
  const template = await find("internlm2-chat");
  assert.equal(
    renderConversation(template, template.systemMessage, [
      { role: "user", text: "Hi\n" },
      { role: "assistant", text: " Hello. " },
      { role: "user", text: "And?" },
      { role: "assistant", text: undefined },
    ]),
    "<|im_start|>system\nYou are an AI assistant whose name is InternLM (书生·浦语).<|im_end|>" +
      "<|im_start|>user\nHi\n<|im_end|><|im_start|>assistant\n Hello. <|im_end|>" +
      "<|im_start|>user\nAnd?<|im_end|><|im_start|>assistant\n",
  );
});

Deno.test("an unknown template is named, with those there are", async () => {
  const error = await failure(findTemplate("vicuna"));
  assert.match(
    error.message,
    /"vicuna" is not known; there are internlm2-chat, internvl2_5, Hermes-2, phi3-chat/,
  );
  const own: Template = { ...builtInTemplates[0]!, name: "mine" };
  assert.equal(
    await Effect.runPromise(findTemplate("mine", [...builtInTemplates, own])),
    own,
  );
});

Deno.test("an answer ends before the first separator and is trimmed as Python trims", async () => {
  const plain = await find("internlm2-chat");
  const newer = await find("internvl2_5");
  assert.equal(stopText(newer), "<|im_end|>");
  const cases = [
    ["  a b \n", "a b"],
    ["a<|im_end|>b<|im_end|>", "a"],
    ["<|im_end|>b", ""],
    ["\u001fa\u0085", "a"],
    ["\ufeffa", "\ufeffa"],
    ["", ""],
  ] as const;
  for (const [text, answer] of cases) {
    assert.equal(stopAndTrim(text, plain), answer);
    assert.equal(stopAndTrim(text, newer), answer);
  }
  const spaces = " ".repeat(200_000);
  assert.equal(stopAndTrim(`${spaces}x${spaces}`, plain), "x");
});

Deno.test("the end token is looked up", async () => {
  const template = await find("internvl2_5");
  const ids = new Map([["<|im_end|>", 92542]]);
  assert.equal(
    await Effect.runPromise(
      endTokenId(template, { idOf: (token) => ids.get(token) }, "DIR"),
    ),
    92542,
  );
  const error = await failure(
    endTokenId(template, { idOf: () => undefined }, "DIR"),
  );
  assert.match(
    error.message,
    /^DIR: the tokenizer has no token <\|im_end\|>, .* internvl2_5 end/,
  );
});

Deno.test("spaces are cleaned up as transformers does, one rule after the other", () => {
  assert.equal(
    cleanUpSpaces("It 's a cat , I do n't know ? ' x ' . We 've 'm!"),
    "It's a cat, I don't know?'x '. We've'm!",
  );
});

const python = `
register_conv_template(
    Conversation(
        name='other',
        system_message='no',
        sep='x',
    )
)
register_conv_template(
    Conversation(
        name='internlm2-chat',
        system_template='<|im_start|>system\\n{system_message}',
        # note: not this one
        # system_message='commented out',
        system_message='你是书生, it\\'s '
        "two \\"strings\\"\\u4f60\\n",
        roles=('<|im_start|>user\\n', '<|im_start|>assistant\\n'),
        sep='<|im_end|>',
    )
)
register_conv_template(Conversation(name="bare", sep=''))
register_conv_template(Conversation(name="computed", system_message=f'{x}'))
register_conv_template(Conversation(name="half", system_message='a' + b))
register_conv_template(Conversation(name="escape", system_message='\\x41'))
`;

Deno.test("a system message is read out of Python source without running it", () => {
  assert.equal(
    systemMessageIn(python, "internlm2-chat"),
    '你是书生, it\'s two "strings"你\n',
  );
  assert.equal(systemMessageIn(python, "other"), "no");
  assert.equal(systemMessageIn(python, "bare"), "");
  assert.equal(systemMessageIn(python, "absent"), undefined);
  assert.equal(systemMessageIn("", "absent"), undefined);
  for (const name of ["computed", "half", "escape"]) {
    assert.equal(systemMessageIn(python, name), unreadable, name);
  }
});

Deno.test("the checkpoint's own system message: config, then conversation.py, then ours", async () => {
  const config = (top: object): Promise<InternVLConfig> =>
    Effect.runPromise(decodeConfig(configJson({ top }), "config.json"));
  const message = async (files: Record<string, string>, top: object) => {
    const decoded = await config(top);
    return await withFolder(
      files,
      async (dir) =>
        (await Effect.runPromise(checkpointTemplate({ dir, config: decoded })))
          .systemMessage,
    );
  };
  const file = { "conversation.py": python };
  assert.equal(
    await message(file, { system_message: "From config." }),
    "From config.",
  );
  assert.equal(await message(file, { system_message: "" }), "");
  assert.equal(
    await message(file, {}),
    '你是书生, it\'s two "strings"你\n',
  );
  assert.equal(
    await message({}, {}),
    "You are an AI assistant whose name is InternLM (书生·浦语).",
  );
  assert.equal(
    await message({ "conversation.py": "x = 1" }, {}),
    "You are an AI assistant whose name is InternLM (书生·浦语).",
  );
  const decoded = await config({});
  const unknown = await config({ template: "vicuna" });
  const error = await failure(
    checkpointTemplate({ dir: "dir", config: unknown }),
  );
  assert.match(
    error.message,
    /^dir\/config\.json: the prompt template "vicuna" is not known/,
  );
  await withFolder({
    "conversation.py":
      "register_conv_template(Conversation(name='internlm2-chat', system_message=f()))",
  }, async (dir) => {
    const error = await failure(checkpointTemplate({ dir, config: decoded }));
    assert.match(
      error.message,
      /conversation\.py: the system message of internlm2-chat is no plain string; put it into config\.json/,
    );
  });
});
