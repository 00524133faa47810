import assert from "node:assert/strict";
import { random } from "../testing.ts";
import { strip } from "../text.ts";
import { AnswerText } from "./text.ts";

/** Pushes the pieces; returns the deltas, the last one from the end. */
function feed(stops: readonly string[], pieces: readonly string[]): string[] {
  const text = new AnswerText(stops);
  const deltas = pieces.map((piece) => text.push(piece));
  deltas.push(text.end());
  assert.equal(deltas.join(""), text.text);
  return deltas;
}

Deno.test("without stop strings only white space at the ends is held back or dropped", () => {
  assert.deepEqual(feed([], ["  ", "\n a", " b ", " ", "c", " \n"]), [
    "",
    "a",
    " b",
    "",
    "  c",
    "",
    "",
  ]);
});

Deno.test("what may become a stop string is held back until it is certain", () => {
  assert.deepEqual(feed(["<end>"], ["a<", "en", "x", "<e", "nd>", "more"]), [
    "a",
    "",
    "<enx",
    "",
    "",
    "",
    "",
  ]);
  assert.deepEqual(feed(["<end>"], ["a <e"]), ["a", " <e"]);
});

Deno.test("the first stop string rules, also inside one piece and across white space", () => {
  assert.deepEqual(feed(["later", "b c", "c"], ["a b", " ", "c later"]), [
    "a",
    "",
    "",
    "",
  ]);
  assert.deepEqual(feed(["\n\nUser"], ["\n\nUser: hi"]), ["", ""]);
  assert.deepEqual(feed(["aab"], ["aaa", "b!"]), ["a", "", ""]);
  const text = new AnswerText(["STOP"]);
  assert.equal(text.push("go STOP here"), "go");
  assert.ok(text.stopped);
  assert.equal(text.push("and on"), "");
  assert.equal(text.text, "go");
});

Deno.test("however a text is cut into pieces, the deltas make the cut and stripped text", () => {
  const next = random(11);
  const pick = (n: number) => Math.floor(next() * n);
  const alphabet = ["a", "b", " ", "\n", "😀", "\x1c", "\ufeff"];
  const word = (length: number) =>
    Array.from({ length }, () => alphabet[pick(alphabet.length)]).join("");
  let stopped = 0;
  for (let round = 0; round < 2000; round++) {
    const stops = Array.from({ length: pick(4) }, () => word(1 + pick(4)));
    const pieces = Array.from({ length: pick(12) }, () => word(pick(5)));
    const whole = pieces.join("");
    const ends = stops.map((stop) => whole.indexOf(stop))
      .filter((at) => at >= 0);
    const end = Math.min(whole.length, ...ends);
    if (ends.length > 0) stopped++;
    const deltas = feed(stops, pieces);
    assert.equal(deltas.join(""), strip(whole.slice(0, end)));
  }
  assert.ok(stopped > 300 && stopped < 1700);
});

Deno.test("text is not held back longer than needed", () => {
  const text = new AnswerText(["zzzz", "b c"]);
  let shown = 0;
  for (const letter of "the quick brown fox") {
    shown += text.push(letter).length;
  }
  assert.equal(shown, "the quick brown fox".length);
});

Deno.test("untrimmed, every character is the text's", () => {
  const text = new AnswerText([], false);
  const deltas = [" a", " ", "\n", ""].map((piece) => text.push(piece));
  assert.deepEqual(deltas, [" a", " ", "\n", ""]);
  assert.equal(text.end(), "");
  assert.equal(text.text, " a \n");
});
