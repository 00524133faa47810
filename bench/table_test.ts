import assert from "node:assert/strict";
import { table, WIDTH, wrap } from "./table.ts";

Deno.test("table aligns numbers to the right and rules off the heading", () => {
  assert.equal(
    table([["what", "ms"], ["first thing", "1.00"], ["second", "10.0"]]),
    [
      "what            ms",
      "------------------",
      "first thing   1.00",
      "second        10.0",
    ].join("\n"),
  );
});

Deno.test("table never passes 80 columns, however long the names and notes", () => {
  const long = "a name of many words that goes on and on ".repeat(4).trim();
  const text = table([
    ["what", "median", "from", "to"],
    [long, "1,234", "1", "2"],
    [long],
  ]);
  for (const line of text.split("\n")) assert.ok(line.length <= WIDTH, line);
  assert.equal(
    text.replaceAll(/\s+/g, " ").match(/goes on and on/g)?.length,
    8,
  );
});

Deno.test("wrap keeps words whole", () => {
  assert.deepEqual(wrap("one two three", 7), ["one two", "three"]);
  assert.deepEqual(wrap("incomprehensible it", 5), ["incomprehensible", "it"]);
  assert.deepEqual(wrap("", 5), [""]);
});
