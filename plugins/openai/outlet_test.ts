import { Exit } from "effect";
import { setImmediate } from "node:timers";
import assert from "node:assert/strict";
import { Outlet, PACE_MS } from "./outlet.ts";

const turn = () => new Promise((resolve) => setTimeout(resolve, 1));
const text = new TextDecoder();

/** An open outlet, its reader, and how it ended. */
function opened() {
  const outlet = new Outlet();
  const ends: Exit.Exit<void>[] = [];
  outlet.open((exit) => ends.push(exit));
  return { outlet, ends, reader: outlet.body.getReader() };
}

Deno.test("what is said before an outlet opens, or in one turn, is one chunk", async () => {
  const outlet = new Outlet();
  outlet.say("a");
  outlet.say("b");
  await turn();
  const reader = outlet.body.getReader();
  const first = reader.read();
  outlet.open(() => {});
  assert.equal(text.decode((await first).value), "ab");
  const second = reader.read();
  outlet.say("c");
  outlet.say("d");
  assert.equal(text.decode((await second).value), "cd");
  outlet.end();
  assert.ok((await reader.read()).done);
});

Deno.test("a slow reader gets what waited as one chunk, and the end after it", async () => {
  const { outlet, ends, reader } = opened();
  for (const word of ["a", "b", "c"]) {
    outlet.say(word);
    await turn();
  }
  outlet.end();
  outlet.say("never");
  await turn();
  // The reader has not taken everything: it is not over.
  assert.deepEqual(ends, []);
  const chunks: string[] = [];
  for (;;) {
    const { value, done } = await reader.read();
    if (done) break;
    chunks.push(text.decode(value));
  }
  assert.deepEqual(chunks, ["a", "bc"]);
  assert.ok(ends.length === 1 && Exit.isSuccess(ends[0]!));
});

Deno.test("a reader who leaves ends it once, as an interruption", async () => {
  const { outlet, ends, reader } = opened();
  outlet.say("a");
  await reader.read();
  await reader.cancel();
  outlet.say("b");
  outlet.end();
  outlet.leave();
  await turn();
  assert.ok(ends.length === 1 && Exit.isFailure(ends[0]!));
});

Deno.test("a failure breaks the body off, behind what was said", async () => {
  const { outlet, ends, reader } = opened();
  outlet.say("a");
  outlet.fail(new Error("why"));
  assert.equal(text.decode((await reader.read()).value), "a");
  await assert.rejects(reader.read(), /why/);
  assert.equal(ends.length, 1);
});

Deno.test("a word with every turn is not a chunk with every turn, and the end does not wait", async () => {
  const { outlet, reader } = opened();
  const start = performance.now();
  const speaking = (async () => {
    for (let i = 0; i < 100; i++) {
      outlet.say(`${i} `);
      await new Promise((resolve) => setImmediate(resolve));
    }
    outlet.end();
  })();
  const chunks: string[] = [];
  for (;;) {
    const { value, done } = await reader.read();
    if (done) break;
    chunks.push(text.decode(value));
  }
  await speaking;
  const paces = (performance.now() - start) / PACE_MS;
  // The first chunk and the last come when they are there.
  assert.ok(chunks.length <= 2 + paces, `${chunks.length} in ${paces} paces`);
  assert.equal(
    chunks.join(""),
    Array.from({ length: 100 }, (_, i) => `${i} `).join(""),
  );
});
