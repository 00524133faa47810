import assert from "node:assert/strict";
import { Effect } from "effect";
import { CheckpointError } from "../../../nodes/errors.ts";
import {
  concat,
  failure,
  message,
  modelFile,
  type ModelSketch,
  pieceField,
  varint,
} from "../testing.ts";
import { parseSentencePiece } from "./sentencepiece.ts";
import { fuzzSentencePiece } from "./sentencepiece_fuzz.ts";

const sketch: ModelSketch = {
  pieces: [["<unk>", "unknown"], ["<s>", "control"], ["a"], ["ab", "unused"], [
    "\u2581",
    "user_defined",
  ]],
};

const parse = (bytes: Uint8Array) =>
  Effect.runPromise(parseSentencePiece(bytes, "dir/tokenizer.model"));

async function refusal(bytes: Uint8Array): Promise<string> {
  const error = await failure(parseSentencePiece(bytes, "dir/tokenizer.model"));
  assert.ok(error instanceof CheckpointError);
  assert.match(error.message, /^dir\/tokenizer\.model: /);
  assert.ok(!error.message.includes("\n"), error.message);
  return error.message;
}

Deno.test("pieces, flags and ids are read", async () => {
  const model = await parse(modelFile({ ...sketch, addDummyPrefix: true }));
  assert.deepEqual(model.pieces.map(({ text, type }) => [text, type]), [
    ["<unk>", "unknown"],
    ["<s>", "control"],
    ["a", "normal"],
    ["ab", "unused"],
    ["\u2581", "user_defined"],
  ]);
  assert.deepEqual(
    model.pieces.map((piece) => piece.score + 10),
    [10, 9, 8, 7, 6],
  );
  assert.equal(model.addDummyPrefix, true);
  assert.equal(model.removeExtraWhitespaces, false);
  assert.equal(model.unknownId, 0);
  assert.equal(model.bosId, 1);
  assert.equal(model.eosId, -1);
  assert.equal(model.unknownSurface, " \u2047 ");
  assert.equal(model.byteIds.length, 0);
});

Deno.test("byte pieces are found by what they stand for", async () => {
  const model = await parse(modelFile({ ...sketch, byteFallback: true }));
  assert.equal(model.byteIds.length, 256);
  assert.equal(model.pieces[model.byteIds[0xe4]!]!.text, "<0xE4>");
});

Deno.test("messages that stand twice merge, fields we do not know are passed over", async () => {
  const bytes = concat([
    modelFile(sketch),
    message(3, [3 << 3, 1]),
    message(4, [1, 2, 3]),
    message(1234, [9, 9]),
    varint(200 << 3 | 5),
    new Uint8Array(4),
    varint(201 << 3 | 1),
    new Uint8Array(8),
  ]);
  const model = await parse(bytes);
  assert.equal(model.addDummyPrefix, true);
  assert.equal(model.removeExtraWhitespaces, false);
});

Deno.test("what SentencePiece itself refuses is refused", async () => {
  const withPieces = (...pieces: ModelSketch["pieces"]) =>
    refusal(modelFile({ pieces }));
  assert.match(await withPieces(["a"]), /no piece is of type unknown/);
  assert.match(
    await withPieces(["<unk>", "unknown"], ["<u>", "unknown"]),
    /two pieces are of type unknown/,
  );
  assert.match(
    await withPieces(["<unk>", "unknown"], ["a"], ["a", "user_defined"]),
    /the piece "a" stands twice/,
  );
  assert.match(
    await withPieces(["<unk>", "unknown"], ["<0x41>", "byte"]),
    /byte piece "<0x41>" stands in a model without byte fallback/,
  );
  assert.match(
    await withPieces(["<unk>", "unknown"], [""]),
    /piece 1 is empty/,
  );
  assert.match(
    await withPieces(["<unk>", "unknown"], ["a\0"]),
    /piece 1 is empty or has a NUL/,
  );
  assert.match(
    await withPieces(["<unk>", "unknown"], ["x".repeat(8000)]),
    /piece 1 is longer than 8000 bytes/,
  );
  const bytes = modelFile({ ...sketch, byteFallback: true });
  const lower = bytes.slice();
  const at = new TextDecoder("latin1").decode(bytes).indexOf("<0xE4>");
  lower[at + 3] = "e".charCodeAt(0);
  assert.match(await refusal(lower), /the byte piece "<0xe4>" names no byte/);
  const gone = bytes.slice();
  gone[at + 4] = "5".charCodeAt(0);
  assert.match(await refusal(gone), /the piece "<0xE5>" stands twice/);
});

Deno.test("a kind of model we do not have is named", async () => {
  assert.match(
    await refusal(modelFile({ ...sketch, modelType: 1 })),
    /type unigram is not supported; bpe is/,
  );
  assert.match(
    await refusal(modelFile({ ...sketch, modelType: 9 })),
    /type 9 is not supported/,
  );
  assert.match(
    await refusal(concat([modelFile(sketch), message(5, message(2, [1, 2]))])),
    /a denormalizer is not supported/,
  );
});

Deno.test("a file cut short is refused, even between two messages", async () => {
  const whole = modelFile({ ...sketch, byteFallback: true });
  for (let length = 0; length < whole.length; length++) {
    // The last bytes are the normalizer's flags; without its whole message nothing is read.
    assert.ok(await refusal(whole.slice(0, length)), String(length));
  }
  const pieces = sketch.pieces.map(([text, type = "normal"]) =>
    pieceField({ text, type, score: 0 })
  );
  assert.match(
    await refusal(concat(pieces)),
    /its trainer or normalizer settings are missing/,
  );
});

Deno.test("damaged protobuf is refused", async () => {
  const rest = modelFile(sketch);
  const cases: [number[], RegExp][] = [
    [[0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f], /field 1 needs 4294967295 bytes/],
    [
      [0x0a, ...Array(9).fill(0xff), 0x01],
      /field 1 needs 18446744073709552000/,
    ],
    [[0x08, ...Array(11).fill(0xff)], /a number has no end/],
    [[0x03], /field number 0/],
    [[0x0b], /wire type 3/],
    [[0x08, 1], /field 1 has wire type 0 instead of 2/],
    [[...message(1, [0x0a, 5, 65])], /field 1 needs 5 bytes, 1 are left/],
    [[...message(1, message(1, [0xff]))], /field 1 is not UTF-8/],
    [
      [...message(1, [0x15, 0, 0, 0xc0, 0x7f])],
      /piece 0 has the score NaN/,
    ],
    [
      [...message(1, [...message(1, [65]), 0x18, 7])],
      /piece 0 has the unknown type 7/,
    ],
    [
      [...message(3, message(2, [1, 2, 3]))],
      /damaged precompiled_charsmap/,
    ],
  ];
  for (const [bytes, expected] of cases) {
    assert.match(
      await refusal(concat([Uint8Array.from(bytes), rest])),
      expected,
    );
  }
});

Deno.test("a charsmap with a rule that points outside is refused", async () => {
  const unit = (value: number) => [
    value & 0xff,
    value >>> 8 & 0xff,
    value >>> 16 & 0xff,
    value >>> 24,
  ];
  const map = (value: number, pool: number[]) =>
    refusal(concat([
      modelFile(sketch),
      message(3, message(2, [...unit(4), ...unit(value), ...pool])),
    ]));
  assert.match(await map(0x80000002, [65, 0]), /a rule points outside/);
  assert.match(await map(0, [65]), /its last string has no end/);
});

Deno.test("mutated models are refused or usable", async () => {
  const outcome = await fuzzSentencePiece(500, 1);
  assert.ok(outcome.refused > 200, JSON.stringify(outcome));
  assert.ok(outcome.accepted > 20, JSON.stringify(outcome));
});
