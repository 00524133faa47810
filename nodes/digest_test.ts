import assert from "node:assert/strict";
import { Effect } from "effect";
import { createHash } from "node:crypto";
import { digestBytes, digestFile, fileStamp } from "./digest.ts";

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

Deno.test("digest: what is no file, or longer than a picture may be, is not read", async () => {
  const path = await Deno.makeTempFile();
  const digests = new Set<string>();
  try {
    await Deno.truncate(path, 2 ** 28 + 1);
    for (const name of [path, "/dev/zero", "."]) {
      digests.add(await Effect.runPromise(digestFile(name)));
    }
  } finally {
    await Deno.remove(path);
  }
  assert.equal(digests.size, 3);
});

Deno.test("digest: shared memory is digested as any other", async () => {
  const shared = new Uint8Array(new SharedArrayBuffer(100_000)).fill(7);
  assert.equal(
    await digest(shared as unknown as Uint8Array<ArrayBuffer>),
    await digest(new Uint8Array(100_000).fill(7)),
  );
});

Deno.test("a file's stamp is another when it is written, or replaced by another of the same content", async () => {
  const folder = await Deno.makeTempDir();
  const stamp = (path: string) => Effect.runPromise(fileStamp(path));
  try {
    const [a, b] = [`${folder}/a`, `${folder}/b`];
    await Deno.writeTextFile(a, "same");
    await Deno.writeTextFile(b, "same");
    const first = await stamp(a);
    assert.equal(await stamp(a), first);
    await Deno.rename(b, a);
    const replaced = await stamp(a);
    assert.notEqual(replaced, first);
    await Deno.writeTextFile(a, "longer");
    assert.notEqual(await stamp(a), replaced);
    assert.equal(await stamp(b), "unreadable");
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
