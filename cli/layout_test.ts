/** The commands on a folder in the layout of `transformers`, a "-HF" repack. */
import assert from "node:assert/strict";
import type { Inspection } from "./inspect.ts";
import { sdkModels } from "./models.ts";
import { runCli } from "./testing.ts";

const golden = "tests/golden/model";
const { load } = sdkModels;

interface Expected {
  readonly cases: readonly {
    readonly name: string;
    readonly question: string;
    readonly images: readonly string[];
    readonly response: string;
    readonly inputIds: readonly number[];
  }[];
}

const expected = async (name: string, question: string) => {
  const { cases }: Expected = JSON.parse(
    await Deno.readTextFile(`${golden}/${name}/cases.json`),
  );
  const found = cases.find((item) => item.name === question);
  assert.ok(found);
  return found;
};

const run = async (args: readonly string[]) => {
  const outcome = await runCli(args, { load });
  assert.equal(outcome.code, 0, outcome.err);
  return outcome.out;
};

for (
  const [name, question] of [
    ["hf-qwen2-bf16", "one image"],
    ["hf-qwen2-bf16", "two images"],
    ["hf-qwen3-f16", "one image"],
  ] as const
) {
  Deno.test(`chat, ${name}, ${question}: the answer of transformers, from the picture's file on`, async () => {
    const item = await expected(name, question);
    const out = await run([
      ...["chat", "-m", `${golden}/${name}/checkpoint`, "--store", "none"],
      ...item.images.flatMap((
        image,
      ) => ["-i", `${golden}/images/${image}.png`]),
      ...["--max-new-tokens", "64", "--json", item.question],
    ]);
    const { response, usage } = JSON.parse(out);
    assert.equal(response, item.response);
    assert.equal(
      usage.prompt_tokens,
      item.inputIds.length,
    );
  });
}

Deno.test("batch, video, inspect and quantize read such a folder, and what quantize has written", async () => {
  const dir = await Deno.makeTempDir();
  try {
    const model = `${golden}/hf-qwen3-f16/checkpoint`;
    const small = `${dir}/int8`;
    await run([
      ...["quantize", "--model", model, "--out", small],
      ...["--weights", "int8", "--json"],
    ]);
    const item = await expected("hf-qwen3-f16", "one image");
    for (const from of [model, small]) {
      const found: Inspection = JSON.parse(
        await run(["inspect", from, "--json"]),
      );
      assert.deepEqual([found.problems, found.notes], [[], []]);
      assert.equal(found.architecture, "InternVLForConditionalGeneration");
      assert.equal(found.vision.architecture, "InternVLVisionModel");
      assert.equal(found.template, "tokenizer_config.json");
      assert.equal(found.system_message, null);
      assert.deepEqual(found.tiles, [1, 6]);
      assert.equal(found.tile_size, 56);

      const few = ["--store", "none", "--max-new-tokens", "4"];
      const video = JSON.parse(
        await run([
          ...["video", "-m", from, ...few, "--segments", "3", "--json"],
          ...["--video", "examples/videos/moving.mp4", "What happens?"],
        ]),
      );
      assert.equal(typeof video.response, "string");
      await Deno.writeTextFile(
        `${dir}/in.jsonl`,
        JSON.stringify({
          id: 1,
          question: item.question,
          images: [`${Deno.cwd()}/${golden}/images/tall.png`],
        }) + "\n",
      );
      await run([
        ...["batch", "-m", from, "--store", "none"],
        ...["--max-new-tokens", "64", "--input", `${dir}/in.jsonl`],
        ...["--output", `${dir}/out.jsonl`],
      ]);
      const { response } = JSON.parse(
        await Deno.readTextFile(`${dir}/out.jsonl`),
      );
      if (from === model) assert.equal(response, item.response);
      else assert.equal(typeof response, "string");
      await Deno.remove(`${dir}/out.jsonl`);
    }
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});

Deno.test("inspect names what an image_token_id and a chat template get wrong", async () => {
  const dir = await Deno.makeTempDir();
  try {
    const model = `${golden}/hf-qwen2-bf16/checkpoint`;
    for await (const { name } of Deno.readDir(model)) {
      await Deno.copyFile(`${model}/${name}`, `${dir}/${name}`);
    }
    const config = JSON.parse(await Deno.readTextFile(`${dir}/config.json`));
    config.image_token_id = 7;
    await Deno.writeTextFile(`${dir}/config.json`, JSON.stringify(config));
    await Deno.writeTextFile(`${dir}/chat_template.jinja`, "Hello");
    const { code, out } = await runCli(["inspect", dir, "--json"]);
    assert.equal(code, 1);
    const { problems, template }: Inspection = JSON.parse(out);
    assert.equal(template, null);
    assert.match(
      problems[0]!,
      /chat_template\.jinja: the chat template cannot be used/,
    );
    assert.equal(
      problems[1],
      "config.json has image_token_id 7, but <IMG_CONTEXT> is 805 in the tokenizer",
    );
    const chat = await runCli(["chat", "-m", dir, "--store", "none", "Hi"], {
      load,
    });
    assert.equal(chat.code, 1);
    assert.match(chat.err, /image_token_id 7, but <IMG_CONTEXT> is 805/);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});
