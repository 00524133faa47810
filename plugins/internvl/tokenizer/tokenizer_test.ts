import assert from "node:assert/strict";
import { Arbitrary, Effect, Schema } from "effect";
import {
  failure,
  modelFile,
  type ModelSketch,
  withFolder,
} from "../testing.ts";
import { openTokenizer } from "./load.ts";
import type { Tokenizer } from "./tokenizer.ts";

const pieces: ModelSketch["pieces"] = [
  ["<unk>", "unknown"],
  ["<s>", "control"],
  ["</s>", "control"],
  ["[UNUSED_1]", "user_defined"],
  ["\u2581"],
  ["a"],
  ["b"],
  ["ab"],
  ["\u2581a"],
];
const size = pieces.length + 256;
const model = (changes: Partial<ModelSketch> = {}) =>
  modelFile({ pieces, byteFallback: true, ...changes });
const image = ["<img>", "</img>", "<IMG_CONTEXT>"];
const added = Object.fromEntries(
  image.map((text, i) => [text, size + i] as const),
);

/** Opens the tokenizer of a folder with these JSON files. */
function open(
  files: Readonly<Record<string, unknown>>,
  bytes: Uint8Array = model(),
): Promise<Tokenizer> {
  return withFolder(
    { "tokenizer.model": bytes, ...texts(files) },
    (dir) => Effect.runPromise(openTokenizer(dir)),
  );
}

function refusal(files: Readonly<Record<string, unknown>>): Promise<string> {
  return withFolder(
    { "tokenizer.model": model(), ...texts(files) },
    async (dir) => {
      const error = await failure(openTokenizer(dir));
      assert.equal(error._tag, "CheckpointError");
      assert.ok(!error.message.includes("\n"), error.message);
      return error.message.replaceAll(dir, "DIR");
    },
  );
}

const texts = (files: Readonly<Record<string, unknown>>) =>
  Object.fromEntries(
    Object.entries(files).map(([name, value]) =>
      [name, JSON.stringify(value)] as const
    ),
  );

const flags = { lstrip: false, rstrip: false, special: true };
const config = {
  added_tokens_decoder: {
    "1": { content: "<s>", ...flags },
    "2": { content: "</s>", ...flags },
    "3": { content: "<|im_end|>", ...flags },
    [size]: { content: "<img>", ...flags },
    [size + 1]: { content: "</img>", ...flags },
    [size + 2]: { content: "<IMG_CONTEXT>", ...flags },
    [size + 3]: { content: "<box>", ...flags, special: false },
  },
  bos_token: "<s>",
  eos_token: { content: "</s>" },
  pad_token: "</s>",
};

Deno.test("ids of special tokens are looked up, wherever they are", async () => {
  const modern = await open({ "tokenizer_config.json": config });
  assert.deepEqual(modern.special, {
    bos: 1,
    eos: 2,
    pad: 2,
    unk: 0,
    imageStart: size,
    imageEnd: size + 1,
    imageContext: size + 2,
  });
  assert.equal(modern.vocabSize, size + 4);
  assert.equal(modern.addBos, true);
  const old = await open({
    "added_tokens.json": {
      "<img>": size + 7,
      "</img>": size + 9,
      "<IMG_CONTEXT>": size + 8,
    },
    "special_tokens_map.json": { additional_special_tokens: ["<img>"] },
  });
  assert.deepEqual(
    [old.special.imageStart, old.special.imageEnd, old.special.imageContext],
    [size + 7, size + 9, size + 8],
  );
  assert.equal(old.vocabSize, size + 10);
  // Defaults of the reference's class: padding is `</s>`.
  assert.deepEqual([old.special.bos, old.special.eos, old.special.pad], [
    1,
    2,
    2,
  ]);
  assert.equal(
    old.decode([size + 7, 5, size + 8], { skipSpecialTokens: true }),
    "a<IMG_CONTEXT>",
  );
});

Deno.test("an added token renames a piece; the piece's own text still has its id", async () => {
  const tokenizer = await open({ "tokenizer_config.json": config });
  assert.equal(tokenizer.tokenOf(3), "<|im_end|>");
  assert.deepEqual([...tokenizer.encode("<|im_end|>[UNUSED_1]")], [3, 3]);
  assert.equal(tokenizer.decode([3, 5], { skipSpecialTokens: true }), "a");
});

Deno.test("special tokens without an id take the next free ones, in order", async () => {
  const tokenizer = await open({
    "added_tokens.json": added,
    "special_tokens_map.json": {
      additional_special_tokens: ["<ref>", { content: "</ref>" }, "<img>"],
    },
  });
  assert.equal(tokenizer.idOf("<ref>"), size + 3);
  assert.equal(tokenizer.idOf("</ref>"), size + 4);
  assert.equal(tokenizer.vocabSize, size + 5);
});

Deno.test("a text is cut at the tokens first; each part goes through the model by itself", async () => {
  const tokenizer = await open(
    { "tokenizer_config.json": config },
    model({ addDummyPrefix: true }),
  );
  const im = tokenizer.special.imageStart;
  assert.deepEqual([...tokenizer.encode("a<img>ab<s>")], [8, im, 4, 7, 1]);
  assert.deepEqual([...tokenizer.encode("a", { bos: true })], [1, 8]);
  assert.deepEqual([...tokenizer.encode("", { bos: true })], [1]);
  assert.deepEqual([...tokenizer.encode("")], []);
});

Deno.test("the longest token wins where several start", async () => {
  const tokenizer = await open({
    "added_tokens.json": { ...added, "<i": size + 3, "<img>x": size + 4 },
  });
  assert.deepEqual([...tokenizer.encode("<img>x<img><i<im")].slice(0, 4), [
    size + 4,
    size,
    size + 3,
    size + 3,
  ]);
});

Deno.test("tokens may take the white space beside them, as Python sees it", async () => {
  const tokenizer = await open({
    "tokenizer_config.json": {
      added_tokens_decoder: {
        ...config.added_tokens_decoder,
        [size]: { content: "<img>", lstrip: true, rstrip: true, special: true },
      },
    },
  });
  const im = tokenizer.special.imageStart;
  assert.deepEqual([...tokenizer.encode("a \u0085<img>\u001f\t a")], [
    5,
    im,
    5,
  ]);
  assert.deepEqual([...tokenizer.encode("  <img>  <img> ")], [im, im]);
});

Deno.test("skipped tokens leave one text, kept ones part it", async () => {
  const tokenizer = await open(
    { "tokenizer_config.json": config },
    model({ addDummyPrefix: true }),
  );
  const box = size + 3;
  const ids = [1, 8, 3, 8, box, 8, 2];
  assert.equal(tokenizer.decode(ids), "<s>a<|im_end|>a<box>a</s>");
  assert.equal(
    tokenizer.decode(ids, { skipSpecialTokens: true }),
    "a a<box>a",
  );
});

Deno.test("ids beyond the tokenizer decode to nothing", async () => {
  const tokenizer = await open({ "tokenizer_config.json": config });
  assert.equal(tokenizer.decode([5, size + 4, 1e9, -1, 6]), "ab");
  assert.equal(tokenizer.tokenOf(size + 4), undefined);
});

Deno.test("BOS is put in front unless the config says no", async () => {
  const off = await open({
    "tokenizer_config.json": { ...config, add_bos_token: false },
  });
  assert.equal(off.addBos, false);
  const none = await open({
    "tokenizer_config.json": { ...config, bos_token: null },
  });
  assert.equal(none.special.bos, undefined);
  assert.equal(none.addBos, false);
});

Deno.test("a folder without what a tokenizer needs is refused", async () => {
  const bare = await withFolder({}, (dir) => failure(openTokenizer(dir)));
  assert.match(
    bare.message,
    / has no tokenizer: tokenizer\.json, tokenizer\.model, or vocab\.json with merges\.txt is expected$/,
  );
  assert.match(
    await refusal({ "added_tokens.json": { "<img>": size } }),
    /^DIR\/tokenizer\.model: the tokenizer has no <\/img>, <IMG_CONTEXT>; /,
  );
});

Deno.test("a tokenizer with more ids than the embedding has rows is refused", async () => {
  const files = {
    "tokenizer.model": model(),
    ...texts({ "tokenizer_config.json": config }),
  };
  await withFolder(files, async (dir) => {
    const rows = size + 4;
    const tokenizer = await Effect.runPromise(openTokenizer(dir, rows));
    assert.equal(tokenizer.vocabSize, rows);
    const error = await failure(openTokenizer(dir, rows - 1));
    assert.match(
      error.message,
      new RegExp(`has ids up to ${rows - 1}, .* a vocabulary of ${rows - 1}$`),
    );
  });
});

Deno.test("settings that contradict themselves or the model are refused", async () => {
  const cases: [Record<string, unknown>, RegExp][] = [
    [
      { "added_tokens.json": { ...added, a: size + 3 } },
      /"a" is added as token \d+, but the model has it as 5/,
    ],
    [
      { "added_tokens.json": { ...added, "<x>": size } },
      /^DIR\/added_tokens\.json: id \d+ is given to both "<img>" and "<x>"/,
    ],
    [
      {
        "tokenizer_config.json": {
          added_tokens_decoder: { "900": "<x>", "0900": "<y>" },
        },
      },
      /^DIR\/tokenizer_config\.json: id 900 is given to both "<x>" and "<y>"/,
    ],
    [{ "added_tokens.json": { "<x>": "1" } }, /"<x>" has no valid token id/],
    [{ "added_tokens.json": { "<x>": 2 ** 40 } }, /"<x>" has no valid/],
    [
      { "tokenizer_config.json": { added_tokens_decoder: { x: "<x>" } } },
      /"x" is no token id/,
    ],
    [
      { "tokenizer_config.json": { added_tokens_decoder: { "7": 3 } } },
      /added_tokens_decoder 7 must be a string/,
    ],
    [
      {
        "tokenizer_config.json": {
          added_tokens_decoder: { "7": "<x>", "8": "<x>" },
        },
      },
      /id 8 has an empty or repeated text/,
    ],
    [
      {
        "tokenizer_config.json": {
          added_tokens_decoder: { "7": { content: "x", single_word: true } },
        },
      },
      /single_word of "x" is not supported/,
    ],
    [{ "tokenizer_config.json": { bos_token: 1 } }, /bos_token must be/],
    [
      { "special_tokens_map.json": { additional_special_tokens: "x" } },
      /^DIR\/special_tokens_map\.json: additional_special_tokens must be a list/,
    ],
    [{ "tokenizer_config.json": [] }, /must hold a JSON object/],
  ];
  for (const [files, message] of cases) {
    assert.match(await refusal(files), message);
  }
});

const characters = [..."ab \u2581é漢😀\n\0"].concat(image, "<s>", "<box>");
const anyText = Arbitrary.map(
  Arbitrary.array(Arbitrary.schema(Schema.Literals(characters)), {
    maxLength: 40,
  }),
  (parts) => parts.join(""),
);
const anyIds = Arbitrary.array(
  Arbitrary.schema(
    Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: size + 5 })),
  ),
  { maxLength: 40 },
);

async function holds<A>(
  values: Arbitrary.Arbitrary<A>,
  property: (value: A) => boolean,
): Promise<void> {
  const result = await Effect.runPromise(
    Arbitrary.checkEffect(values, property, { runs: 400, seed: 7 }),
  );
  assert.equal(
    result._tag,
    "Passed",
    `${Arbitrary.formatCheckFailure(result)}`,
  );
}

Deno.test("a text comes back from its ids", async () => {
  for (const addDummyPrefix of [false, true]) {
    const tokenizer = await open(
      { "tokenizer_config.json": config },
      model({ addDummyPrefix }),
    );
    await holds(
      anyText,
      (text) =>
        tokenizer.decode(tokenizer.encode(text)) ===
          text.replaceAll("\u2581", " "),
    );
  }
});

Deno.test("a stream gives whole characters that join to the decoded text", async () => {
  for (const addDummyPrefix of [false, true]) {
    const tokenizer = await open(
      { "tokenizer_config.json": config },
      model({ addDummyPrefix }),
    );
    for (const skipSpecialTokens of [false, true]) {
      const stream = tokenizer.streamDecoder({ skipSpecialTokens });
      const whole = (ids: readonly number[]) => {
        const deltas = ids.map(stream.push).concat(stream.end());
        return deltas.every((delta) => delta.isWellFormed()) &&
          deltas.join("") === tokenizer.decode(ids, { skipSpecialTokens });
      };
      await holds(anyIds, whole);
      await holds(anyText, (text) => whole([...tokenizer.encode(text)]));
    }
  }
});

Deno.test("bytes are held back until their character is whole or cannot be", async () => {
  const tokenizer = await open({ "tokenizer_config.json": config });
  const byte = (value: number) =>
    tokenizer.idOf(
      `<0x${value.toString(16).toUpperCase().padStart(2, "0")}>`,
    )!;
  const stream = tokenizer.streamDecoder();
  const push = (...values: number[]) =>
    values.map((value) => stream.push(byte(value)));
  assert.deepEqual(push(0xf0, 0x9f, 0x98, 0x80), ["", "", "", "😀"]);
  assert.deepEqual(push(0xe4, 0xbd), ["", ""]);
  assert.equal(stream.push(5), "\ufffd\ufffda");
  assert.deepEqual(push(0x80, 0xff, 0x41), ["\ufffd", "\ufffd", "A"]);
  // An overlong form and a surrogate: every byte by itself.
  assert.deepEqual(push(0xc0, 0x80), ["", "\ufffd\ufffd"]);
  assert.deepEqual(push(0xed, 0xa0, 0x80), ["", "", "\ufffd\ufffd\ufffd"]);
  assert.deepEqual(push(0xe4, 0xc3, 0xa9), ["", "\ufffd", "é"]);
  assert.deepEqual(push(0xe4), [""]);
  assert.equal(stream.end(), "\ufffd");
  assert.equal(stream.end(), "");
});
