import assert from "node:assert/strict";
import { Arbitrary, Effect, Schema } from "effect";
import { random } from "../testing.ts";
import { makeBpeEncoder } from "./bpe.ts";
import { prefixMatcher } from "./normalize.ts";
import type { Piece, SentencePieceModel } from "./sentencepiece.ts";

function model(pieces: readonly Piece[]): SentencePieceModel {
  return {
    pieces,
    unknownId: 0,
    byteIds: new Int32Array(0),
    addDummyPrefix: false,
    removeExtraWhitespaces: false,
    escapeWhitespaces: true,
    treatWhitespaceAsSuffix: false,
    charsmap: undefined,
    unknownSurface: " \u2047 ",
    bosId: -1,
    eosId: -1,
    padId: -1,
  };
}

const unknown: Piece = { text: "<unk>", score: 0, type: "unknown" };

function encoder(pieces: readonly Piece[]): (text: string) => number[] {
  const encode = makeBpeEncoder(
    model(pieces),
    prefixMatcher(
      pieces.filter((p) => p.type === "user_defined").map((p) => p.text),
    ),
  );
  return (text) => {
    const ids: number[] = [];
    encode(text, ids);
    return ids;
  };
}

/** The rule itself, step by step: of all neighbours that make a piece, the best score, then the leftmost. */
function byDefinition(pieces: readonly Piece[], text: string): number[] {
  const ids = new Map(pieces.map((piece, id) => [piece.text, id]));
  let symbols = [...text];
  for (;;) {
    let best = -1;
    let bestScore = -Infinity;
    for (let i = 0; i + 1 < symbols.length; i++) {
      const id = ids.get(symbols[i]! + symbols[i + 1]!);
      if (id !== undefined && pieces[id]!.score > bestScore) {
        best = i;
        bestScore = pieces[id]!.score;
      }
    }
    if (best < 0) break;
    symbols = symbols.toSpliced(best, 2, symbols[best]! + symbols[best + 1]!);
  }
  const out: number[] = [];
  for (const symbol of symbols) {
    const id = ids.get(symbol) ?? 0;
    if (id !== 0 || out.at(-1) !== 0) out.push(id);
  }
  return out;
}

/** Random pieces over a small alphabet, with scores that often tie. */
function randomPieces(next: () => number, alphabet: string): Piece[] {
  const pieces: Piece[] = [unknown];
  const known = new Set<string>();
  const count = 3 + Math.floor(next() * 40);
  for (let i = 0; i < count; i++) {
    const length = 1 + Math.floor(next() * next() * 6);
    let text = "";
    while (text.length < length) {
      text += alphabet[Math.floor(next() * alphabet.length)]!;
    }
    if (known.has(text)) continue;
    known.add(text);
    pieces.push({ text, score: -Math.floor(next() * 6), type: "normal" });
  }
  return pieces;
}

Deno.test("the queue does what the definition says, ties and unreachable pieces included", async () => {
  const next = random(5);
  for (const alphabet of ["ab", "abc\u2581", "aé漢\u2581"]) {
    for (let round = 0; round < 25; round++) {
      const pieces = randomPieces(next, alphabet);
      const encode = encoder(pieces);
      const text = Arbitrary.map(
        Arbitrary.array(
          Arbitrary.schema(Schema.Literals([...alphabet + "z"])),
          { maxLength: 30 },
        ),
        (characters) => characters.join(""),
      );
      const result = await Effect.runPromise(
        Arbitrary.checkEffect(
          text,
          (text) => {
            assert.deepEqual(encode(text), byDefinition(pieces, text));
            return true;
          },
          { runs: 40, seed: round },
        ),
      );
      assert.equal(
        result._tag,
        "Passed",
        `${Arbitrary.formatCheckFailure(result)}`,
      );
    }
  }
});

Deno.test("of equal scores the leftmost merges first", () => {
  const encode = encoder([
    unknown,
    { text: "a", score: -9, type: "normal" },
    { text: "b", score: -9, type: "normal" },
    { text: "c", score: -9, type: "normal" },
    { text: "ab", score: -1, type: "normal" },
    { text: "bc", score: -1, type: "normal" },
  ]);
  assert.deepEqual(encode("abc"), [4, 3]);
  assert.deepEqual(encode("bcabc"), [5, 4, 3]);
});

Deno.test("a piece that no chain of merges makes is not used", () => {
  const encode = encoder([
    unknown,
    { text: "a", score: -5, type: "normal" },
    { text: "b", score: -5, type: "normal" },
    { text: "c", score: -5, type: "normal" },
    { text: "abc", score: -1, type: "normal" },
  ]);
  assert.deepEqual(encode("abc"), [1, 2, 3]);
});

Deno.test("user-defined pieces are found first, the longest, and never merge", () => {
  const encode = encoder([
    unknown,
    { text: "a", score: -5, type: "normal" },
    { text: "b", score: -5, type: "normal" },
    { text: "aa", score: -1, type: "normal" },
    { text: "ab", score: 0, type: "user_defined" },
    { text: "aba", score: 0, type: "user_defined" },
    { text: "abaa", score: 9, type: "normal" },
  ]);
  assert.deepEqual(encode("abaa"), [5, 1]);
  assert.deepEqual(encode("aaab"), [3, 4]);
});

Deno.test("a run of unknown characters is one unknown piece, across words too", () => {
  const encode = encoder([
    unknown,
    { text: "a", score: -1, type: "normal" },
    { text: "\u2581a", score: -1, type: "normal" },
  ]);
  assert.deepEqual(encode("xyz\u2581\u2581xa\u2581ax"), [0, 1, 2, 0]);
});

Deno.test("an encoder used again after a longer text gives the same ids", () => {
  const pieces = randomPieces(random(3), "ab\u2581");
  const encode = encoder(pieces);
  const short = "ab\u2581ba";
  const before = encode(short);
  const long = "ab\u2581aabb".repeat(700);
  assert.deepEqual(encode(long), encoder(pieces)(long));
  assert.deepEqual(encode(short), before);
});
