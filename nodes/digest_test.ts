import assert from "node:assert/strict";
import { Effect } from "effect";
import { createHash } from "node:crypto";
import { digestBytes } from "./digest.ts";

const digest = (bytes: Uint8Array<ArrayBuffer>, prefix?: string) =>
  Effect.runPromise(digestBytes(bytes, prefix));

Deno.test("digest: SHA-256 of what is small; every byte, their order and their number count in what is large", async () => {
  const small = Uint8Array.of(1, 2, 3);
  const known = createHash("sha256").update(small).digest("hex");
  assert.equal(await digest(small), known);
  assert.notEqual(await digest(small, "u8[3]"), known);
  const large = new Uint8Array(5 << 20);
  const seen = new Set([await digest(large), await digest(large, "u8")]);
  for (const at of [0, (2 << 20) - 1, 2 << 20, large.length - 1]) {
    large[at] = 1;
    seen.add(await digest(large));
    large[at] = 0;
  }
  seen.add(await digest(new Uint8Array((5 << 20) + 1)));
  assert.equal(seen.size, 7);
});
