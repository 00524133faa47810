import assert from "node:assert/strict";
import { Effect } from "effect";
import { diagnose } from "./diagnose.ts";

Deno.test("what is there is described", async () => {
  const found = await Effect.runPromise(diagnose);
  assert.ok(found.sharp.ok);
  assert.match(found.sharp.version, /^\d+\.\d+\.\d+/);
  assert.match(found.sharp.libvips, /^\d+\.\d+\.\d+/);
  assert.deepEqual(found.sharp.formats, [
    "jpeg",
    "png",
    "webp",
    "gif",
    "tiff",
    "avif",
  ]);
  assert.deepEqual(found.simd, { ok: true });
  if (found.nodeAv.ok) {
    assert.ok(found.nodeAv.codecs.includes("H.264"));
    assert.match(found.nodeAv.licence, /GPL|redistributable/);
  } else assert.ok(found.nodeAv.problem.length > 0);
  if (found.ffmpeg.ok) assert.ok(found.ffmpeg.version.length > 0);
  else assert.match(found.ffmpeg.problem, /--allow-run|not on the PATH/);
});

Deno.test({
  name: "what is not allowed is a problem with its remedy, not a question",
  permissions: { read: true },
  fn: async () => {
    const found = await Effect.runPromise(diagnose);
    for (const part of [found.sharp, found.nodeAv]) {
      assert.ok(!part.ok);
      assert.match(part.problem, /run with --allow-ffi/);
    }
    assert.ok(!found.ffmpeg.ok);
    assert.match(found.ffmpeg.problem, /--allow-run=ffmpeg,ffprobe/);
    assert.ok(found.simd.ok);
  },
});
