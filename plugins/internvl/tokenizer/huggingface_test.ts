import assert from "node:assert/strict";
import { Effect } from "effect";
import { failure, modelFile, random, withFolder } from "../testing.ts";
import { openTokenizer } from "./load.ts";
import type { Tokenizer } from "./tokenizer.ts";

/** GPT-2's printable stand-ins for bytes (`bytes_to_unicode`). */
function byteLetters(): string[] {
  const printable = (byte: number) =>
    (byte > 0x20 && byte < 0x7f) || (byte > 0xa0 && byte !== 0xad);
  let extra = 0x100;
  return Array.from(
    { length: 256 },
    (_, byte) => String.fromCharCode(printable(byte) ? byte : extra++),
  );
}

const special = ["<s>", "</s>", "<img>", "</img>", "<IMG_CONTEXT>"];

/** A byte-level BPE tokenizer as Qwen2's, with two merges. */
function byteLevel(): Record<string, unknown> {
  const vocab: Record<string, number> = {};
  for (const letter of byteLetters()) vocab[letter] = Object.keys(vocab).length;
  for (const merged of ["ab", "Ġab"]) vocab[merged] = Object.keys(vocab).length;
  return {
    added_tokens: special.map((content, i) => ({
      id: 258 + i,
      content,
      single_word: false,
      lstrip: false,
      rstrip: false,
      normalized: false,
      special: true,
    })),
    normalizer: null,
    pre_tokenizer: { type: "ByteLevel", add_prefix_space: false },
    post_processor: null,
    decoder: { type: "ByteLevel" },
    model: {
      type: "BPE",
      vocab,
      merges: [["a", "b"], ["Ġ", "ab"]],
      unk_token: null,
    },
  };
}

/** A BPE tokenizer with byte fallback as Llama's. */
function byteFallback(): Record<string, unknown> {
  const vocab: Record<string, number> = { "<unk>": 0 };
  for (let byte = 0; byte < 256; byte++) {
    vocab[`<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`] = byte + 1;
  }
  for (const piece of ["▁", "a"]) vocab[piece] = Object.keys(vocab).length;
  return {
    ...byteLevel(),
    added_tokens: special.map((content, i) => ({
      id: 259 + i,
      content,
      normalized: false,
      special: true,
    })),
    normalizer: {
      type: "Sequence",
      normalizers: [
        { type: "Prepend", prepend: "▁" },
        { type: "Replace", pattern: { String: " " }, content: "▁" },
      ],
    },
    pre_tokenizer: null,
    decoder: {
      type: "Sequence",
      decoders: [
        { type: "Replace", pattern: { String: "▁" }, content: " " },
        { type: "ByteFallback" },
        { type: "Fuse" },
        { type: "Strip", content: " ", start: 1, stop: 0 },
      ],
    },
    model: {
      type: "BPE",
      vocab,
      merges: [],
      byte_fallback: true,
      unk_token: "<unk>",
    },
  };
}

const open = (
  json: unknown,
  config: unknown = { bos_token: "<s>", eos_token: "</s>" },
): Promise<Tokenizer> =>
  withFolder(
    {
      "tokenizer.json": JSON.stringify(json),
      "tokenizer_config.json": JSON.stringify(config),
    },
    (dir) => Effect.runPromise(openTokenizer(dir)),
  );

Deno.test("tokenizer.json rules over tokenizer.model", async () => {
  const files = {
    "tokenizer.json": JSON.stringify(byteLevel()),
    "tokenizer.model": modelFile({ pieces: [["<unk>", "unknown"]] }),
  };
  await withFolder(files, async (dir) => {
    const tokenizer = await Effect.runPromise(openTokenizer(dir));
    assert.equal(tokenizer.vocabSize, 263);
    assert.equal(tokenizer.special.imageContext, 262);
    assert.equal(tokenizer.addBos, false);
  });
});

Deno.test("texts, special tokens and BOS", async () => {
  const tokenizer = await open(byteLevel(), {
    bos_token: "<s>",
    add_bos_token: true,
  });
  assert.equal(tokenizer.addBos, true);
  assert.deepEqual(
    [...tokenizer.encode("ab<IMG_CONTEXT> ab", { bos: true })],
    [258, 256, 262, 257],
  );
  assert.deepEqual([...tokenizer.encode("")], []);
  assert.equal(tokenizer.decode([258, 256, 262, 257]), "<s>ab<IMG_CONTEXT> ab");
  assert.equal(
    tokenizer.decode([258, 256, 262, 257], { skipSpecialTokens: true }),
    "ab ab",
  );
  assert.equal(tokenizer.decode([]), "");
  assert.equal(tokenizer.decode([9999, 256]), "ab");
  assert.equal(tokenizer.idOf("Ġab"), 257);
  assert.equal(tokenizer.tokenOf(257), "Ġab");
});

Deno.test("a post-processor that puts BOS in front is noticed", async () => {
  const tokenizer = await open({
    ...byteLevel(),
    post_processor: {
      type: "TemplateProcessing",
      single: [
        { SpecialToken: { id: "<s>", type_id: 0 } },
        { Sequence: { id: "A", type_id: 0 } },
      ],
      pair: [],
      special_tokens: { "<s>": { id: "<s>", ids: [258], tokens: ["<s>"] } },
    },
  });
  assert.equal(tokenizer.addBos, true);
});

Deno.test("a stream splits no character and joins to the decoded text", async () => {
  const next = random(4);
  for (const json of [byteLevel(), byteFallback()]) {
    const tokenizer = await open(json);
    for (const skipSpecialTokens of [false, true]) {
      const stream = tokenizer.streamDecoder({ skipSpecialTokens });
      const check = (ids: number[]) => {
        const deltas = ids.map(stream.push);
        deltas.push(stream.end());
        assert.ok(deltas.every((delta) => delta.isWellFormed()));
        assert.equal(
          deltas.join(""),
          tokenizer.decode(ids, { skipSpecialTokens }),
        );
        return deltas;
      };
      const smile = check([...tokenizer.encode("a😀漢 é a".repeat(9))]);
      assert.ok(smile.filter((delta) => delta !== "").length > 20);
      assert.ok(smile.every((delta) => !delta.includes("\ufffd")));
      for (let round = 0; round < 150; round++) {
        const length = Math.floor(next() * 70);
        check(
          Array.from(
            { length },
            () => Math.floor(next() * (tokenizer.vocabSize + 2)),
          ),
        );
      }
    }
  }
});

Deno.test("the bytes of the tokens of a text are the text's", async () => {
  const texts = ["ab ab", "é漢😀 \n\u0000ÿ", "a  a"];
  for (const json of [byteLevel(), byteFallback()]) {
    const tokenizer = await open(json);
    for (const text of texts) {
      const bytes = [...tokenizer.encode(text)]
        .flatMap((id) => [...tokenizer.bytesOf(id)!]);
      const joined = new TextDecoder().decode(Uint8Array.from(bytes));
      assert.equal(joined.replace(/^ /, ""), text);
    }
    for (const text of special) {
      assert.equal(tokenizer.bytesOf(tokenizer.idOf(text)!), undefined);
    }
    assert.equal(tokenizer.bytesOf(9999), undefined);
  }
});

Deno.test("a file that is no tokenizer is refused", async () => {
  const refusal = (json: unknown) =>
    withFolder({ "tokenizer.json": JSON.stringify(json) }, async (dir) => {
      const error = await failure(openTokenizer(dir));
      assert.equal(error._tag, "CheckpointError");
      return error.message.replaceAll(dir, "DIR");
    });
  assert.match(await refusal({}), /^DIR\/tokenizer\.json cannot be used: /);
  assert.match(
    await refusal({ ...byteLevel(), model: { type: "Nonsense" } }),
    /^DIR\/tokenizer\.json cannot be used: /,
  );
  assert.match(
    await refusal({ ...byteLevel(), added_tokens: [] }),
    /the tokenizer has no <img>, <\/img>, <IMG_CONTEXT>/,
  );
  const { model, added_tokens, ...rest } = byteLevel() as {
    model: { vocab: Record<string, number> };
    added_tokens: object[];
  };
  for (const id of [1e9, 1e15, 3.5, -7, null, "x"]) {
    const wrong = `has the id "${id}"; a whole number up to 16777216`;
    const vocab = { ...model.vocab, H: id };
    const added = { content: "zork", id, special: true };
    for (
      const json of [
        { ...rest, added_tokens, model: { ...model, vocab } },
        { ...rest, added_tokens: [...added_tokens, added], model },
      ]
    ) {
      const message = await refusal(json);
      assert.ok(message.startsWith("DIR/tokenizer.json cannot"), message);
      assert.ok(message.includes(wrong), message);
    }
  }
  // What the library looks at only when there is a text.
  for (const type of ["TemplateProcessing", "BertProcessing"]) {
    assert.match(
      await refusal({ ...byteLevel(), post_processor: { type } }),
      /^DIR\/tokenizer\.json cannot be used: /,
    );
  }
});
