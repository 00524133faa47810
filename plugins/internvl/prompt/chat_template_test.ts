import assert from "node:assert/strict";
import { Effect } from "effect";
import type { Message } from "../../../nodes/values.ts";
import { openCheckpoint } from "../checkpoint.ts";
import { tokensPerTile } from "../config.ts";
import { failure, withFolder } from "../testing.ts";
import { openTokenizer } from "../tokenizer/load.ts";
import { readChatTemplate, templateOf } from "./chat_template.ts";
import { checkpointTemplate } from "./conversation_file.ts";
import { makePromptRenderer } from "./renderer.ts";

/** The usual template, the picture's place and what stands in front of the messages left open. */
const usual = (picture = "<IMG_CONTEXT>", front = "") =>
  front +
  "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\\n'}}" +
  "{% if message['content'] is string %}{{ message['content'] }}{% else %}" +
  "{% for content in message['content'] %}{% if content['type'] == 'image' %}" +
  `{{ '${picture}\\n' }}{% elif content['type'] == 'video' %}{{ '<video>\\n' }}` +
  "{% elif content['type'] == 'text' %}{{ content['text'] }}{% endif %}{% endfor %}{% endif %}" +
  "{{'<|im_end|>\\n'}}{% endfor %}" +
  "{% if add_generation_prompt %}{{'<|im_start|>assistant\\n' }}{% endif %}";

const chatMarkup = {
  name: "x",
  systemPrefix: "<|im_start|>system\n",
  user: "<|im_start|>user\n",
  assistant: "<|im_start|>assistant\n",
  separator: "<|im_end|>\n",
  systemMessage: null,
  endsEmpty: true,
};

Deno.test("the published form, with either placeholder of a picture", () => {
  assert.deepEqual(templateOf("x", usual()), chatMarkup);
  assert.deepEqual(templateOf("x", `${usual("<image>")}\n`), chatMarkup);
});

Deno.test("a system message of its own, where there is none", () => {
  const front = "{% if messages[0]['role'] != 'system' %}" +
    "{{ '<|im_start|>system\\nYou are 书生.<|im_end|>\\n' }}{% endif %}";
  assert.deepEqual(templateOf("x", usual("<image>", front)), {
    ...chatMarkup,
    systemMessage: "You are 书生.",
  });
});

Deno.test("what is of another form is refused, and what does not end", () => {
  const form = /not of the form that prompts have here/;
  const cases: [string, RegExp][] = [
    ["", form],
    ["Hello", form],
    [usual("<image>", "{{ bos_token }}"), form],
    [
      usual().replace("{{ content['text'] }}", "{{ content['text'] | trim }}"),
      form,
    ],
    [
      usual().replace(
        "{{ message['content'] }}",
        "{{ message['content'] ~ '!' }}",
      ),
      form,
    ],
    // The last answer another than those before.
    [
      usual().replace("{{'<|im_end|>", "{{ '' if loop.last else '<|im_end|>"),
      form,
    ],
    [usual("Picture: <image>"), /two images are written as "Picture: /],
    [usual(""), /two images are written as "\\n\\n"/],
    [usual("<image>", "{{ raise_exception('no\\nway') }}"), /no way/],
    [usual("<image>", "{{ strftime_now('%Y') }}"), /./],
    ["{% for", /./],
    ["{% for a in messages %}{{ a.nothing.at_all.here() }}{% endfor %}", /./],
  ];
  for (const [source, message] of cases) {
    assert.throws(() => templateOf("x", source), message, source);
  }
  const nested = "{% for a in m %}".repeat(9) + "x" + "{% endfor %}".repeat(9);
  assert.throws(
    () => templateOf("x", `{% set m = [1,2,3,4,5,6,7,8] %}${nested}`),
    /it takes more than 100000 steps/,
  );
  for (const one of ["[1]", "'x'"]) {
    const doubled = `{% set ns = namespace(x=${one}) %}` +
      `{% for a in [${"1,".repeat(40)}1] %}` +
      "{% set ns.x = ns.x + ns.x %}{% endfor %}";
    assert.throws(
      () => templateOf("x", doubled),
      /it makes more than 65536 of something/,
    );
  }
});

Deno.test("the file of its own rules, then chat_template.json, then the tokenizer's", async () => {
  const jinja = usual("<image>");
  const files = {
    "tokenizer_config.json": JSON.stringify({
      chat_template: [
        { name: "tool_use", template: "no" },
        { name: "default", template: jinja },
      ],
    }),
    "chat_template.json": JSON.stringify({ chat_template: jinja }),
    "chat_template.jinja": jinja,
  };
  const names: (keyof typeof files)[] = [
    "chat_template.jinja",
    "chat_template.json",
    "tokenizer_config.json",
  ];
  for (const [i, name] of names.entries()) {
    const left = Object.fromEntries(names.slice(i).map((n) => [n, files[n]]));
    await withFolder(left, async (dir) => {
      const template = await Effect.runPromise(readChatTemplate(dir));
      assert.equal(template.name, name);
    });
  }
  const refusal = (files: Record<string, string>) =>
    withFolder(files, async (dir) => {
      const { message } = await failure(readChatTemplate(dir));
      return message.replaceAll(dir, "DIR");
    });
  assert.match(
    await refusal({}),
    /^DIR has no chat template; chat_template\.jinja/,
  );
  assert.match(
    await refusal({ "chat_template.jinja": "{{ 1 }}" }),
    /^DIR\/chat_template\.jinja: the chat template cannot be used: it is not of the form/,
  );
  assert.match(
    await refusal({ "chat_template.json": '{"chat_template": 1}' }),
    /^DIR\/chat_template\.json: chat_template must be a text/,
  );
});

/** What `transformers`' processor made of a conversation; a star is a picture in front of the text. */
interface Expected {
  readonly conversation: readonly (readonly [Message["role"], string])[];
  readonly tiles: readonly number[];
  readonly text: string;
  readonly ids: readonly number[];
}

for (const name of ["hf-qwen2-bf16", "hf-qwen3-f16"]) {
  Deno.test(`${name}: prompts are those of the processor, asked as a chat and as messages`, async () => {
    const place = new URL(
      `../../../tests/golden/model/${name}/`,
      import.meta.url,
    );
    const dir = new URL("checkpoint", place).pathname;
    const renderer = await Effect.runPromise(Effect.gen(function* () {
      const checkpoint = yield* openCheckpoint(dir);
      return makePromptRenderer({
        tokenizer: yield* openTokenizer(dir),
        template: yield* checkpointTemplate(checkpoint),
        tokensPerTile: tokensPerTile(checkpoint.config),
      });
    }));
    const all: Expected[] = JSON.parse(
      await Deno.readTextFile(new URL("prompts.json", place)),
    );
    assert.ok(all.some(({ tiles }) => tiles.length > 2));
    for (const { conversation, tiles, text, ids } of all) {
      const words = (said: string) => said.replace(/^\*+/, "");
      const [system] = conversation.filter(([role]) => role === "system");
      const spoken = conversation.filter(([role]) => role !== "system")
        .map(([, said]) => said.replaceAll("*", "<image>\n"));
      const chat = await Effect.runPromise(renderer.render({
        question: spoken.at(-1)!,
        numPatchesList: tiles,
        ...(system === undefined ? {} : { systemMessage: system[1] }),
        ...(spoken.length === 1 ? {} : {
          history: Array.from(
            { length: (spoken.length - 1) / 2 },
            (_, i) => [spoken[2 * i]!, spoken[2 * i + 1]!] as const,
          ),
        }),
      }));
      assert.equal(chat.text, text);
      assert.deepEqual([...chat.ids], ids);

      let index = 0;
      const messages = conversation.map(([role, said]): Message => ({
        role,
        parts: [
          ...Array.from(
            { length: said.length - words(said).length },
            () =>
              [{ media: "images", index: index++ }, { text: "\n" }] as const,
          ).flat(),
          { text: words(said) },
        ],
      }));
      const sent = await Effect.runPromise(renderer.converse({
        conversation: { messages },
        tiles: { images: tiles.map((n) => [n]), small: [], videos: [] },
      }));
      assert.equal(sent.text, text);
      assert.deepEqual([...sent.ids], ids);
    }
  });
}
