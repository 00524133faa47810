/**
 * Ids and texts against SentencePiece itself: `tests/golden/tokenizer/` (models like InternLM2's with
 * special tokens, 5,000 strings; and one of byte-level BPE against `transformers`; written by
 * `tools/reference`) and `tests/golden/sentencepiece/` (rewriting
 * rules, user-defined and unused pieces, tied scores; written by `tools/tokenizer/golden.py`).
 */
import assert from "node:assert/strict";
import { Effect } from "effect";
import { readGzipJson } from "../testing.ts";
import { makeBpeEncoder } from "./bpe.ts";
import { makePieceDecoders } from "./decode.ts";
import { openTokenizer } from "./load.ts";
import { makeNormalizer, prefixMatcher } from "./normalize.ts";
import { parseSentencePiece } from "./sentencepiece.ts";

const golden = new URL("../../../tests/golden/", import.meta.url);
const tokenizers = new URL("tokenizer/", golden);
const models = new URL("sentencepiece/", golden);

interface Trials {
  strings: string[];
  sequences: number[][];
}

interface Expected {
  ids: number[][];
  decoded: (string | null)[];
  decodedSkippingSpecial: (string | null)[];
  sequencesDecoded: string[];
  sequencesDecodedSkippingSpecial: string[];
}

for (const name of ["plain", "prefix", "llama", "no_bytes"]) {
  Deno.test(`tokenizer ${name}: ids and texts of 5,000 strings`, async () => {
    const { strings, sequences } = await readGzipJson(
      new URL("strings.json.gz", tokenizers),
    ) as Trials;
    const expected = await readGzipJson(
      new URL(`${name}.json.gz`, tokenizers),
    ) as Expected;
    assert.equal(strings.length, 5000);
    assert.equal(expected.ids.length, 5000);
    const tokenizer = await Effect.runPromise(
      openTokenizer(new URL(name, tokenizers).pathname),
    );
    const skipping = { skipSpecialTokens: true };
    for (const [i, text] of strings.entries()) {
      const ids = expected.ids[i]!;
      assert.deepEqual(
        [...tokenizer.encode(text)],
        ids,
        JSON.stringify(text),
      );
      const kept = expected.decoded[i] ?? text;
      assert.equal(tokenizer.decode(ids), kept);
      assert.equal(
        tokenizer.decode(ids, skipping),
        expected.decodedSkippingSpecial[i] ?? kept,
      );
    }
    for (const [i, ids] of sequences.entries()) {
      assert.equal(tokenizer.decode(ids), expected.sequencesDecoded[i]);
      assert.equal(
        tokenizer.decode(ids, skipping),
        expected.sequencesDecodedSkippingSpecial[i],
      );
    }
    for (const [i, ids] of expected.ids.entries()) {
      const bytes = ids.flatMap((id) => [...tokenizer.bytesOf(id) ?? []]);
      // The bytes of the middle of a text: at its start the decoder may drop the spaces.
      const text = new TextDecoder("utf-8", { ignoreBOM: true }).decode(
        Uint8Array.from(bytes),
      );
      const decoded = expected.decodedSkippingSpecial[i] ??
        expected.decoded[i] ?? strings[i]!;
      if (ids.includes(tokenizer.special.unk!)) continue;
      assert.equal(text.replace(/^ +/, ""), decoded.replace(/^ +/, ""));
    }
    for (const text of tokenizer.specialTexts) {
      assert.equal(tokenizer.bytesOf(tokenizer.idOf(text)!), undefined);
    }
    assert.equal(tokenizer.bytesOf(tokenizer.vocabSize), undefined);
  });
}

for (
  const [name, what] of [
    ["byte_level", "vocab.json and merges.txt, as Qwen2Tokenizer has them"],
    ["prefix_once", "a space before the whole text, as Phi-3 has it"],
  ] as const
) {
  Deno.test(`${what}: ids and texts of 2,000 strings`, async () => {
    const { strings } = await readGzipJson(
      new URL("strings.json.gz", tokenizers),
    ) as Trials;
    const expected = await readGzipJson(
      new URL(`${name}.json.gz`, tokenizers),
    ) as Pick<Expected, "ids"> & {
      readonly decodedSkippingSpecial: string[];
    };
    const tokenizer = await Effect.runPromise(
      openTokenizer(new URL(name, tokenizers).pathname),
    );
    assert.equal(expected.ids.length, 2000);
    assert.equal(tokenizer.addBos, false);
    const skipping = { skipSpecialTokens: true };
    for (const [i, ids] of expected.ids.entries()) {
      assert.deepEqual(
        [...tokenizer.encode(strings[i]!)],
        ids,
        JSON.stringify(strings[i]),
      );
      const text = expected.decodedSkippingSpecial[i]!;
      // LlamaTokenizer takes U+2581 of its own making for one of the text, and the other way round, and
      // keeps added tokens that no list of special ones names: none of them stands in an answer.
      if (/\u2581|<\||UNUSED/.test(strings[i]! + text)) continue;
      // What an answer is: without the space around it.
      assert.equal(tokenizer.decode(ids, skipping).trim(), text.trim());
      const stream = tokenizer.streamDecoder(skipping);
      const streamed = ids.map((id) => stream.push(id)).join("") + stream.end();
      assert.equal(streamed.trim(), text.trim());
    }
  });
}

const features = [
  "rules",
  "rules_squeezed",
  "user_defined",
  "suffix",
  "across_words",
  "tied",
  "shuffled",
  "unused_tied",
  "unused_no_bytes",
  "unescaped",
];
for (const name of features) {
  Deno.test(`SentencePiece model ${name}: ids and texts`, async () => {
    const strings = await readGzipJson(
      new URL("strings.json.gz", models),
    ) as string[];
    const expected = await readGzipJson(
      new URL(`${name}.json.gz`, models),
    ) as Expected & { sequences: number[][] };
    assert.ok(strings.length > 1000 && expected.ids.length === strings.length);
    const model = await Effect.runPromise(
      parseSentencePiece(
        await Deno.readFile(new URL(`${name}.model`, models)),
        name,
      ),
    );
    const userDefined = prefixMatcher(
      model.pieces.filter((piece) => piece.type === "user_defined")
        .map((piece) => piece.text),
    );
    const normalize = makeNormalizer(model, userDefined);
    const encode = makeBpeEncoder(model, userDefined);
    const decoder = makePieceDecoders(model)();
    const decode = (ids: number[]) =>
      ids.map(decoder.push).join("") + decoder.end();
    for (const [i, text] of strings.entries()) {
      const ids: number[] = [];
      encode(normalize(text), ids);
      assert.deepEqual(ids, expected.ids[i], JSON.stringify(text));
      assert.equal(decode(ids), expected.decoded[i]);
    }
    for (const [i, ids] of expected.sequences.entries()) {
      assert.equal(decode(ids), expected.sequencesDecoded[i]);
    }
  });
}
