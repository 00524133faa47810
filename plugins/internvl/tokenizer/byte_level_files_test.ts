import assert from "node:assert/strict";
import { failure, withFolder } from "../testing.ts";
import { openTokenizer } from "./load.ts";

const folder = new URL(
  "../../../tests/golden/tokenizer/byte_level/",
  import.meta.url,
);
const read = (name: string) => Deno.readTextFileSync(new URL(name, folder));
const whole = {
  "vocab.json": read("vocab.json"),
  "merges.txt": read("merges.txt"),
  "tokenizer_config.json": read("tokenizer_config.json"),
};

const refusal = (files: Readonly<Record<string, string>>) =>
  withFolder(files, async (dir) => {
    const error = await failure(openTokenizer(dir));
    assert.equal(error._tag, "CheckpointError");
    return error.message.replaceAll(dir, "DIR");
  });

Deno.test("a damaged vocab.json or merges.txt is refused by its name and line", async () => {
  const { "merges.txt": merges, ...without } = whole;
  assert.match(
    await refusal(without),
    /^DIR\/merges\.txt is missing; it belongs to vocab\.json/,
  );
  assert.match(
    await refusal({ ...whole, "merges.txt": `${merges}a b c\n` }),
    /^DIR\/merges\.txt: line \d+ is no pair of pieces/,
  );
  assert.match(
    await refusal({ ...whole, "vocab.json": '{"a": 1e9}' }),
    /^DIR\/vocab\.json cannot be used: "a" has the id "1000000000"/,
  );
  assert.match(await refusal({ ...whole, "vocab.json": "[]" }), /vocab\.json/);
});

Deno.test("the two files of another class are not read as if they were Qwen2's", async () => {
  const named = (name: unknown) =>
    refusal({
      ...whole,
      "tokenizer_config.json": JSON.stringify({
        ...JSON.parse(whole["tokenizer_config.json"]),
        tokenizer_class: name,
      }),
    });
  assert.match(
    await named("GPT2Tokenizer"),
    /read for Qwen2Tokenizer; tokenizer_config\.json names "GPT2Tokenizer"/,
  );
  assert.match(await named(null), /tokenizer_config\.json names no class/);
});
