import assert from "node:assert/strict";
import { Effect } from "effect";
import { createHash } from "node:crypto";
import { digestBytes, digestFile } from "./digest.ts";

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

Deno.test("digest: a file's is that of its bytes, however long it is", async () => {
  const path = await Deno.makeTempFile();
  try {
    for (const length of [0, 3, 2 << 20, (4 << 20) + 1]) {
      const bytes = Uint8Array.from({ length }, (_, i) => i % 251);
      await Deno.writeFile(path, bytes);
      assert.equal(
        await Effect.runPromise(digestFile(path)),
        await digest(bytes, "bytes"),
      );
    }
  } finally {
    await Deno.remove(path);
  }
  // What cannot be read has a digest as well.
  assert.match(await Effect.runPromise(digestFile(path)), /^[0-9a-f]{64}$/);
});
