import assert from "node:assert/strict";
import {
  bytes,
  clock,
  duration,
  fit,
  jsonLine,
  nearest,
  oneLine,
  padEnd,
  padStart,
  plural,
  printable,
  readText,
  wrap,
} from "./text.ts";

Deno.test("printable drops everything that steers a terminal", () => {
  assert.equal(printable("a\x1b[31mb\x1b]0;title\x07c"), "a[31mb]0;titlec");
  assert.equal(printable("a\rb\bc\x9b2Jd\x7fe"), "abc2Jde");
  assert.equal(printable("left\u202eright\u2066x\u2069"), "leftrightx");
  assert.equal(printable("a\tb\nc 你好 é 👩‍👩‍👧"), "a\tb\nc 你好 é 👩‍👩‍👧");
  for (let code = 0; code < 0xa0; code++) {
    const kept = printable(String.fromCharCode(code));
    const harmless = code === 9 || code === 10 || (code >= 32 && code < 127);
    assert.equal(kept.length, harmless ? 1 : 0, `U+${code.toString(16)}`);
  }
});

Deno.test("oneLine keeps a message on its line", () => {
  assert.equal(oneLine(" a\r\n  b\tc\x1b[2J\n"), "a b c[2J");
});

Deno.test("jsonLine is the same value, with nothing that steers a terminal", () => {
  const value = { response: "a\x1b[2J\x9b\u202eb\u2028", n: [1, null] };
  const text = jsonLine(value);
  assert.equal(printable(text), text);
  assert.deepEqual(JSON.parse(text), value);
});

Deno.test("fit cuts by cells, never inside a character", () => {
  assert.equal(fit("short", 10), "short");
  assert.equal(fit("exactly", 7), "exactly");
  assert.equal(fit("too long", 7), "too lo…");
  assert.equal(fit("你好世界", 6), "你好…");
  assert.equal(fit("你好世界", 7), "你好世…");
  assert.equal(fit("e\u0301tude", 3), "e\u0301t…");
  assert.equal(fit("👩‍👩‍👧 family", 4), "👩‍👩‍👧 …");
  assert.equal(fit("abc", 1), "…");
  assert.equal(fit("abc", 0), "");
});

Deno.test("padding counts cells", () => {
  assert.equal(padEnd("你", 4), "你  ");
  assert.equal(padStart("你", 4), "  你");
  assert.equal(padEnd("long", 2), "long");
});

Deno.test("wrap breaks at spaces and keeps paragraphs", () => {
  assert.deepEqual(wrap("one two three", 7), ["one two", "three"]);
  assert.deepEqual(wrap("incomprehensible a b", 5), [
    "incomprehensible",
    "a b",
  ]);
  assert.deepEqual(wrap("a\n\nb", 5), ["a", "", "b"]);
});

Deno.test("figures for people", () => {
  assert.equal(duration(0.4), "0 ms");
  assert.equal(duration(999), "999 ms");
  assert.equal(duration(12_340), "12.3 s");
  assert.equal(duration(59_980), "1:00");
  assert.equal(clock(3_723_000), "1:02:03");
  assert.equal(bytes(512), "512 B");
  assert.equal(bytes(1536), "1.5 KiB");
  assert.equal(bytes(51 * 2 ** 30), "51.0 GiB");
  assert.equal(plural(1, "tile"), "1 tile");
  assert.equal(plural(1053, "token"), "1,053 tokens");
});

Deno.test("nearest finds near names only", () => {
  const known = ["images", "video", "question", "history"];
  assert.equal(nearest("image", known), "images");
  assert.equal(nearest("Qestion", known), "question");
  assert.equal(nearest("answer", known), undefined);
  assert.equal(nearest("x", known), undefined);
});

Deno.test("a text file loses the mark of its encoding, also in UTF-16", () => {
  const file = Deno.makeTempFileSync();
  try {
    const json = '{"größe":1}';
    const wide = new Uint16Array(
      Array.from(`\ufeff${json}`, (unit) => unit.charCodeAt(0)),
    );
    for (
      const bytes of [
        new TextEncoder().encode(json),
        new TextEncoder().encode(`\ufeff${json}`),
        new Uint8Array(wide.buffer),
      ]
    ) {
      Deno.writeFileSync(file, bytes);
      assert.equal(readText(file), json);
    }
  } finally {
    Deno.removeSync(file);
  }
});
