import assert from "node:assert/strict";
import { openPages } from "./pages.ts";

const MIB = 1 << 20;

Deno.test({
  name:
    "large memory is not the garbage collector's, and goes back to the system at once",
  ignore: Deno.build.os !== "linux",
  fn: () => {
    const counted = Deno.memoryUsage().external;
    const { buffer, free } = openPages(256 * MIB);
    assert.ok(Deno.memoryUsage().external - counted < MIB);
    const numbers = new Float32Array(buffer);
    assert.equal(numbers.length, 64 * MIB);
    assert.ok(numbers.subarray(0, 1000).every((number) => number === 0));
    const before = Deno.memoryUsage().rss;
    numbers.fill(1);
    const filled = Deno.memoryUsage().rss;
    assert.ok(filled - before > 200 * MIB, `${(filled - before) / MIB} MiB`);
    free();
    const after = Deno.memoryUsage().rss;
    assert.ok(filled - after > 200 * MIB, `${(filled - after) / MIB} MiB`);
    // Whoever still looks sees nothing of what comes later.
    assert.equal(numbers[32 * MIB], 0);
  },
});

Deno.test("small memory is an ordinary buffer", () => {
  const { buffer, free } = openPages(1000);
  assert.equal(buffer.byteLength, 1000);
  free();
  assert.equal(buffer.byteLength, 0);
});
